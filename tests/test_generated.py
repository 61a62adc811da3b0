"""The files that are made from the code, and the example that a hotel starts from."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ValidationError

from encoder_bridge import plugins, texts, wire
from encoder_bridge.config import Settings, load
from encoder_bridge.config.tables import (
    TABLES,
    EncoderSettings,
    RequesterSettings,
    RouteSettings,
)
from encoder_bridge.intake import REQUESTS
from encoder_bridge.reports import CARD_EVENTS, EVENT_TYPES
from encoder_bridge.signatures import Requester, Signatures

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "docs" / "encoder-bridge.toml"
HEADINGS: dict[str, type[BaseModel]] = {
    **TABLES,
    "encoders.NAME": EncoderSettings,
    "requesters.NAME": RequesterSettings,
    "routes": RouteSettings,
}


def generate(*arguments: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, str(root / "scripts" / "generate"), *arguments]
    return subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)


def schema(name: str) -> Draft202012Validator:
    document: dict[str, Any] = json.loads((ROOT / "docs" / "schemas" / f"{name}.schema.json").read_text())
    Draft202012Validator.check_schema(document)
    return Draft202012Validator(document)


def example(folder: Path, *, with_comments: bool) -> Path:
    """A copy of the example; with the keys that are commented out as well."""
    text = EXAMPLE.read_text()
    if with_comments:
        text = re.sub(r"^# (\[*[a-z_.-]+\]*( = .*)?$)", r"\1", text, flags=re.MULTILINE)
    copy = folder / "encoder-bridge.toml"
    copy.write_text(text)
    return copy


def test_the_files_in_the_tree_are_current() -> None:
    done = generate("--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_file_that_drifted_is_named_and_mended(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    drifted = tmp_path / "docs" / "configuration.md"
    drifted.write_text(drifted.read_text() + "more\n")
    (tmp_path / "docs" / "schemas" / "trigger.schema.json").unlink()
    done = generate("--check", root=tmp_path)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "docs/configuration.md is not current: run scripts/generate",
        "docs/schemas/trigger.schema.json is not current: run scripts/generate",
    ]
    assert drifted.read_text().endswith("more\n")
    assert generate(root=tmp_path).returncode == 0
    assert generate("--check", root=tmp_path).returncode == 0


def test_the_page_documents_every_key_and_no_other() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    documented: dict[str, set[str]] = {}
    table = ""
    for line in page.splitlines():
        if heading := re.fullmatch(r"## (?:\[+(.+?)\]+|.*)", line):
            table = heading[1] or ""
        elif row := re.match(r"\| `([a-z_]+)` \| (.+) \| (.+) \| (.+) \|$", line):
            documented.setdefault(table, set()).add(row[1])
    expected = {name: set(model.model_fields) for name, model in HEADINGS.items()}
    expected[""] = set(Settings.model_fields) - {name.partition(".")[0] for name in HEADINGS}
    assert documented == expected


@pytest.mark.parametrize("with_comments", [False, True])
def test_the_example_can_be_loaded(tmp_path: Path, with_comments: bool) -> None:
    settings = load(example(tmp_path, with_comments=with_comments), {})
    assert set(settings.encoders) == {"left", "right"}
    assert settings.mqtt is not None
    assert (settings.mqtt.tls, settings.mqtt.port) == (True, 8883)
    assert settings.mqtt.ca_file == tmp_path / "broker-ca.pem"
    assert (settings.mqtt.protocol == "3.1.1") is with_comments
    for also in settings.secrets, settings.routes, settings.requesters, settings.privacy.key_file:
        assert bool(also) is with_comments
    assert settings.signing.required is with_comments


def test_the_examples_requesters_can_be_checked(tmp_path: Path) -> None:
    settings = load(example(tmp_path, with_comments=True), {})
    (requester,) = settings.requesters.values()
    key = (requester.public_key or "").encode()
    known = Requester(name="pms", algorithm=requester.algorithm, key=key, may=frozenset(requester.may))
    Signatures({"pms": known}, required=True, window_ms=settings.signing.window_s * 1000)


def test_the_examples_encoders_suit_their_drivers(tmp_path: Path) -> None:
    settings = load(example(tmp_path, with_comments=False), {})
    for encoder in settings.encoders.values():
        driver = plugins.load(encoder.driver).driver
        assert driver is not None
        driver.check(encoder.settings, settings.secret)


@pytest.mark.parametrize("with_comments", [False, True])
def test_the_example_fits_the_schema(tmp_path: Path, with_comments: bool) -> None:
    schema("configuration").validate(tomllib.loads(example(tmp_path, with_comments=with_comments).read_text()))


@pytest.mark.parametrize(
    "change",
    [
        {"sight": "x"},
        {"site": "a b"},
        {"mqtt": {"port": 0}},
        {"mqtt": {"hsot": "x"}},
        {"encoders": {}},
        {"encoders": {"a b": {"driver": "x"}}},
        {"secrets": {"a b": "x"}},
        {"jobs": {"card_wait_s": 0}},
        {"clock": "perhaps"},
        {"signing": {"window_s": 302_401}},
        {"routes": [{"encoders": []}]},
        {"routes": [{"entrances": ["1*"]}]},
        {"requesters": {"a b": {"algorithm": "ed25519", "public_key": "x"}}},
        {"requesters": {"pms": {"algorithm": "rsa", "public_key": "x"}}},
        {"requesters": {"pms": {"algorithm": "ed25519", "public_key": "x", "may": ["everything"]}}},
        {"privacy": {"keep_history_days": 6}},
    ],
)
def test_what_the_schema_refuses_the_program_refuses(change: dict[str, Any]) -> None:
    document = {**tomllib.loads(EXAMPLE.read_text()), **change}
    assert not schema("configuration").is_valid(document)
    with pytest.raises(ValidationError):
        Settings.model_validate(document)


def test_the_trigger_schema_takes_seams_event_and_ours() -> None:
    trigger = schema("trigger")
    seam = {
        "event_id": "e1",
        "event_type": "access_method.card_encoding_required",
        "event_description": "A card is needed.",
        "acs_system_id": "s1",
        "access_method_id": "am1",
    }
    trigger.validate(seam)
    ours = {**seam, "credential": {"profile": "guest", "starts_at": "2025-07-13T15:00:00Z", "data": {"a": "AAA="}}}
    trigger.validate(ours)
    trigger.validate({"id": "e1", "event_type": seam["event_type"], "access_method_id": "am1"})
    assert not trigger.is_valid({key: value for key, value in seam.items() if key != "event_id"})
    assert not trigger.is_valid({**seam, "access_method_id": "a/b"})
    assert not trigger.is_valid({**ours, "credential": {"guest": "x"}})
    schema("credential").validate(ours["credential"])


def test_the_schemas_of_requests_take_what_is_documented_and_nothing_without_an_id() -> None:
    for verb, model in (("claim", "Claim"), ("read", "Read"), ("erase", "Erase"), ("resolve", "Resolve")):
        for body in examples_of(model):
            schema(verb).validate(body)
            assert not schema(verb).is_valid({key: value for key, value in body.items() if key != "id"})
    for body in examples_of("Request"):
        schema("request").validate(body)
    schema("erase-guest").validate({"id": "q", "who": "c7d8e9f0"})
    schema("operator").validate({"id": "q", "operator": "M. Oliveira"})
    assert not schema("resolve").is_valid({"id": "q", "access_method_id": "am1", "card": "lost"})
    assert not schema("erase-guest").is_valid({"id": "q"})


def examples_of(message: str) -> list[dict[str, Any]]:
    document = json.loads((ROOT / "docs" / "asyncapi.json").read_text())
    return [example["payload"] for example in document["components"]["messages"][message]["examples"]]


def test_every_error_type_that_is_told_is_explained() -> None:
    page = (ROOT / "docs" / "mqtt.md").read_text()
    explained = set(re.findall(r"`([a-z_]+)`", page))
    of_control_planes = {"credential_not_found"}
    assert texts.KNOWN - of_control_planes <= explained
    assert set(get_args(wire.Status)) <= explained
    assert set(REQUESTS) <= explained


def test_every_event_that_is_told_is_explained() -> None:
    events = (ROOT / "docs" / "mqtt.md").read_text().partition("\n## Events\n")[2].partition("\n## ")[0]
    explained = set()
    for row in re.findall(r"^\| (`(?!event/)[a-z].*?`) \|", events, re.MULTILINE):
        names = re.findall(r"`([a-z_.]+)`", row)
        space = names[0].partition(".")[0]
        explained |= {space + name if name.startswith(".") else name for name in names}
    assert explained == {*EVENT_TYPES, *CARD_EVENTS}
