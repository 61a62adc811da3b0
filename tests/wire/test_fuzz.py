"""Whatever bytes arrive: they end in a commit or are called malformed, and nothing that was sent is quoted."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from encoder_bridge import wire
from encoder_bridge.errors import MalformedMessage
from encoder_bridge.reports import ReplyAddress
from encoder_bridge.sealing import Seal
from encoder_bridge.sqlite import open_store
from encoder_bridge.store import Rules, Store

CANARY = "K\u00f6nigin Canary/7"
NOW = 1_760_000_000_000
_serial = itertools.count(1)

words = st.sampled_from(
    [CANARY, "", "guest", "a/b", "+", "#", "a\0b", "\ud800", "x" * 70, "2099-01-01T00:00:00Z", "2025-02-30", "AAE="]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def fields_of(model: type[wire.Trigger | wire.CredentialBlock]) -> st.SearchStrategy[dict[str, object]]:
    keys = st.sampled_from([*model.model_fields, "id", CANARY])
    return st.dictionaries(keys, values, max_size=6)


def event_id(_: object) -> str:
    return f"fuzz-{next(_serial)}"


sound = st.fixed_dictionaries(
    {
        "event_id": st.none().map(event_id),
        "event_type": st.sampled_from(
            [
                "access_method.card_encoding_required",
                "access_method.deleted",
                "access_method.issued",
                "access_method.reissued",
                CANARY,
            ]
        ),
        "access_method_id": st.integers(1, 60).map("m{}".format),
    },
    optional={
        "occurred_at": st.datetimes(timezones=st.just(ZoneInfo("Europe/Lisbon"))).map(lambda moment: moment.isoformat())
        | st.integers(),
        "expires_at": st.sampled_from(["2099-01-01T00:00:00Z", "8999-12-31T23:59:59Z", "1971-01-01T00:00:00+14:00"]),
        "encoder": st.sampled_from(["desk-1", "desk-2"]),
        "reply_to": st.text(max_size=5),
        "issued_by": st.sampled_from(["bridge", "seam", CANARY]),
        "access_grant_ids": st.lists(st.just("g"), max_size=3),
        "credential": fields_of(wire.CredentialBlock)
        | st.fixed_dictionaries(
            {"profile": st.sampled_from(["guest", "staff"])},
            optional={
                "ends_at": st.just("2099-01-01T00:00:00Z"),
                "fields": st.dictionaries(st.sampled_from(["room", "guest"]), st.text(max_size=6), max_size=2),
                "data": st.dictionaries(st.just("key"), st.binary(max_size=4).map(bytes.hex), max_size=1),
            },
        ),
    },
)
objects = st.builds(lambda base, more: {**base, **more}, sound, st.just({}) | fields_of(wire.Trigger))
payloads = (
    st.binary(max_size=200)
    | values.map(lambda value: json.dumps(value).encode())
    | objects.map(lambda body: json.dumps(body).encode())
    | st.builds(lambda body, cut: json.dumps(body).encode()[:-cut], objects, st.integers(1, 20))
)


class Inbox:
    """Takes messages in as the intake does, each in a transaction of its own."""

    def __init__(self, folder: Path) -> None:
        self.connection = open_store(folder / "jobs.sqlite")
        rules = Rules(encoders={"desk-1": "one"}, default_profile="guest", zone=ZoneInfo("UTC"))
        self._store = Store(self.connection, rules, Seal(bytes(32)))

    def take(self, payload: bytes) -> str | None:
        """The refusal, or None."""
        self.connection.execute("BEGIN")
        try:
            trigger = wire.parse(wire.Trigger, payload)
            self._store.needs.accept(trigger, ReplyAddress(), NOW)
            refusal = None
        except MalformedMessage as problem:
            self._store.needs.reject("trigger", problem, payload, ReplyAddress(), NOW)
            refusal = str(problem)
        finally:
            self.connection.execute("COMMIT")
            self._store.take_news()
        return refusal

    def count(self, table: str) -> int:
        (number,) = self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(number)


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inbox]:
    opened = Inbox(tmp_path_factory.mktemp("fuzz"))
    yield opened
    opened.connection.close()


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@example(payload=b"[" * 60_000)
@example(payload=b'{"event_id":' * 5_000)
@example(payload=json.dumps({"event_id": "e", "event_type": "t", "access_method_id": CANARY}).encode())
@example(payload=json.dumps({"event_id": "e", "credential": {"fields": {CANARY: CANARY}}}).encode())
@example(payload=json.dumps({"event_id": "e", "credential": {CANARY: 1}}).encode())
@given(payload=payloads)
def test_any_bytes_are_committed_or_called_malformed(inbox: Inbox, payload: bytes) -> None:
    refusal = inbox.take(payload)
    assert refusal is None or CANARY not in refusal
    assert refusal is None or len(refusal) < 300


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(body=sound)
def test_any_plausible_trigger_is_committed_or_called_malformed(inbox: Inbox, body: dict[str, object]) -> None:
    refusal = inbox.take(json.dumps(body).encode())
    assert refusal is None or CANARY not in refusal


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(body=st.dictionaries(st.sampled_from(["id", "access_method_id", "reply_to", "expires_at"]), values))
def test_any_request_is_read_or_called_malformed(body: dict[str, object]) -> None:
    with contextlib.suppress(MalformedMessage):
        wire.parse(wire.Request, json.dumps(body).encode())


def test_the_fuzz_reaches_the_store(inbox: Inbox) -> None:
    """After all that, whichever process ran it: jobs were made, ended and refused, and the store is sound."""
    test_any_bytes_are_committed_or_called_malformed(inbox=inbox)
    test_any_plausible_trigger_is_committed_or_called_malformed(inbox=inbox)
    assert inbox.count("job") > 5
    assert inbox.count("event") > 50
    assert inbox.count("poison") > 100
    assert inbox.connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
