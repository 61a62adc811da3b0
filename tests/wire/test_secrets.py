"""A whole life in search of what must not get out: a guest's name, a card's contents, the broker's password."""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from rigs.brokers import Mosquitto, User
from rigs.tap import Tap

from . import clients
from .front_desk import FrontDesk, InProcess, need

GUEST = "Ad\u00e8le \u201cCanary\u201d Lovelace"
CONTENTS = b"canary-contents-\x00\xfe-51c2e7"
PASSWORD = "canary-password-9d41"
SLIP = "Slip Canary 77b0"
"""Stands in messages that nobody can act on; the store keeps those aside for a week, and nothing else may have it."""

SECRETS = {"guest": GUEST.encode(), "contents": CONTENTS, "password": PASSWORD.encode(), "slip": SLIP.encode()}

FAULTS = [
    "encoding_interrupted",
    "encoder_communication_timeout",
    "verify_mismatch",
    "card_locked",
    "no_credential_on_encoder",
    "credential_deleted",
    "encoder_not_online",
    "write_ignored",
]


def spellings(secret: bytes) -> set[bytes]:
    """The ways in which a program might write a secret down."""
    found = {secret, secret.hex().encode(), secret.hex().upper().encode(), secret.hex(" ").encode()}
    found |= {base64.b64encode(secret).rstrip(b"="), base64.urlsafe_b64encode(secret).rstrip(b"=")}
    found |= {repr(secret)[2:-1].encode(), urllib.parse.quote(secret).encode()}
    with contextlib.suppress(UnicodeDecodeError):
        text = secret.decode()
        found |= {repr(text)[1:-1].encode(), json.dumps(text)[1:-1].encode(), ascii(text)[1:-1].encode()}
        found |= {text.encode("utf-16-le"), text.split()[-1].encode()}
    return found


def found_in(place: bytes, *names: str) -> list[str]:
    return [name for name in names or SECRETS if any(spelling in place for spelling in spellings(SECRETS[name]))]


def files_of(store: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(store.parent.glob(f"{store.name}*")))


def until_gone(store: Path, *names: str) -> list[str]:
    """What is still found when the bridge has had time to be idle."""
    deadline = time.monotonic() + 10
    while (left := found_in(files_of(store), *names)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def tables(store: Path) -> Iterator[tuple[str, bytes]]:
    with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            rows = connection.execute(f"SELECT * FROM {name}").fetchall()
            cells = [cell for row in rows for cell in row]
            yield name, b"\n".join(cell if isinstance(cell, bytes) else str(cell).encode() for cell in cells)


class Guarded(Mosquitto):
    def __init__(self) -> None:
        super().__init__(users=[User(name="observer", password="observes"), User(name="bridge", password=PASSWORD)])


def secret_need(access_method_id: str, **more: object) -> dict[str, object]:
    block = {
        "fields": {"guest": GUEST, "room": "101"},
        "data": {"sector_1": base64.b64encode(CONTENTS).decode()},
        **more,
    }
    return need(access_method_id, credential=block)


def bad_input() -> Iterator[bytes]:
    yield SLIP.encode()
    yield json.dumps({"event_id": SLIP, "credential": {"fields": {"guest": SLIP}}}).encode()
    good = need("slip", credential={"fields": {"guest": SLIP}})
    yield json.dumps({**good, "credential": {SLIP: SLIP}}).encode()
    yield json.dumps({**good, "credential": {"fields": {SLIP: SLIP}}}).encode()
    yield json.dumps({**good, "credential": {"fields": {"guest": [SLIP]}}}).encode()
    yield json.dumps({**good, "credential": {"data": {"key": SLIP}}}).encode()
    yield json.dumps({**good, "occurred_at": SLIP, "reply_to": SLIP + "/#"}).encode()
    yield json.dumps({**good, "access_method_id": SLIP}).encode()
    yield json.dumps({**good, "note": SLIP * 10_000}).encode()
    yield json.dumps(good).encode()[:-2]


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_secret_leaves_in_a_whole_life(tmp_path: Path, form: str) -> None:
    if reason := clients.available() or Guarded.available():
        pytest.skip(reason)
    password = tmp_path / "password"
    password.touch(0o600)
    password.write_text(PASSWORD)
    with (
        Guarded() as broker,
        Tap(broker) as tap,
        FrontDesk(
            broker,
            tap,
            tmp_path,
            runs=InProcess,
            mqtt={"username": "bridge", "password_file": str(password), "trigger_topics": ["rooms/+/wishes"]},
            encoder={"faults": FAULTS, "replug_s": 0.05},
            more={"log": {"level": "traffic", "format": form}},
        ) as desk,
    ):
        methods = [f"guest-{number}" for number in range(len(FAULTS) + 2)]
        for method in methods[:4]:
            desk.trigger(secret_need(method))
        desk.answer_of(methods[3])
        desk.kill()
        for method in methods[4:]:
            desk.trigger(secret_need(method))
        desk.start()
        for payload in bad_input():
            desk.trigger(payload)
        clients.publish(broker, f"rooms/{SLIP}/wishes", SLIP.encode())
        methods.append("reused")
        reused = secret_need("reused")
        desk.trigger(reused)
        desk.trigger({**reused, "access_method_id": "reused-for-another"})
        tap.wait_for_many(
            len(methods),
            lambda heard: (
                heard.topic
                in {f"{desk.root}/event/access_method.issued", f"{desk.root}/event/access_method.failed_to_issue"}
            ),
            timeout=40,
        )
        desk.serve_one_more()
        left = until_gone(desk.store, "contents", "password")
        broker.restart(kill=True)  # an outage: what is logged of it counts too
        desk.wait_online(3)
        desk.stop()

        said = desk.bridge.said.encode()
        heard_of = (b"issued", b"unsure", b"message_rejected", b"broker_lost", b"traffic")
        assert [word for word in heard_of if word not in said] == []
        assert found_in(said) == []
        told = [
            heard for heard in tap.messages if "trigger" not in heard.topic.split("/") and "rooms" not in heard.topic
        ]
        assert len(told) > 50
        assert (
            found_in(
                b"\n".join(heard.topic.encode() + heard.payload + repr(heard.properties).encode() for heard in told)
            )
            == []
        )
        assert found_in(b"\n".join(dict(tables(desk.store)).values())) == []
        assert found_in(files_of(desk.store)) == []
        assert left == [], "what a job that has ended brought is still in the store of the running bridge"
