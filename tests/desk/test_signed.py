"""Nobody is heard over MQTT who does not sign, and whoever signs is heard once and not too often."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cards import read_cards
from rigs.brokers import Broker
from rigs.tap import Tap
from wire import clients
from wire.front_desk import Table

from desk import signing
from desk.conftest import OpenLobby
from desk.lobby import Lobby, about, stay
from desk.signing import Signed, Signer, moment

ALGORITHMS = pytest.mark.parametrize("algorithm", ["ed25519", "hmac-sha256"])
PROTOCOLS = pytest.mark.parametrize("protocol", ["5", "3.1.1"])

if reason := signing.available():
    pytest.skip(reason, allow_module_level=True)


def requiring(lobby: OpenLobby, *signers: Signer, window_s: int = 600, **settings: Any) -> Lobby:
    more = {f"requesters.{signer.name}": signer.table for signer in signers}
    return lobby(more={"signing": {"required": True, "window_s": window_s}, **more}, **settings)


def sign(desk: Lobby, signer: Signer, body: Mapping[str, object], below: str = "trigger", **how: str) -> Signed:
    """Sign what is to be sent below this desk's topics."""
    return signer.sign(body, f"{desk.root}/{below}", **how)


def send(desk: Lobby, signed: Signed, protocol: str = "5", below: str = "trigger") -> Any:
    """Send it as this version of MQTT does it; the next answer."""
    after = desk.now()
    if protocol == "5":
        desk.publish(below, signed.payload, *signed.options)
    else:
        desk.publish(below, signed.wrapped, "-V", "mqttv311")
    return desk.hears("response/", after=after, id=json.loads(signed.payload).get("event_id"))


def nothing_was_made(desk: Lobby) -> bool:
    """Whether no job is known and no card was touched, once a person at the desk was heard."""
    assert desk.control.get("/v1/jobs")["jobs"] == []
    return set(map(str, read_cards(desk.stock).values())) == {"blank"}


@PROTOCOLS
@ALGORITHMS
def test_a_signed_trigger_makes_a_card_in_the_requesters_name(
    lobby: OpenLobby, tmp_path: Path, algorithm: str, protocol: str
) -> None:
    pms = Signer("pms", algorithm, tmp_path)
    with requiring(lobby, pms, mqtt={"protocol": protocol}) as desk:
        assert send(desk, sign(desk, pms, stay("a")), protocol)["status"] == "accepted"
        desk.asks("a")
        desk.lay(desk.blank())
        assert desk.reports("a")["requester"] == "pms"
        assert {line["requester"] for line in desk.control.job("a")["attempts"]} == {"pms"}
        desk.lift()


@PROTOCOLS
@ALGORITHMS
def test_what_is_not_signed_or_not_well_makes_no_card(
    lobby: OpenLobby, tmp_path: Path, algorithm: str, protocol: str
) -> None:
    pms, other = Signer("pms", algorithm, tmp_path), Signer("other", algorithm, tmp_path)
    with requiring(lobby, pms, mqtt={"protocol": protocol}) as desk:
        for method in ("a", "b"):
            assert desk.told(stay(method))["error"]["type"] == "signature_missing"
        good = sign(desk, pms, stay("a"))
        changed = good.payload.replace(b'"guest"', b'"staff"')
        assert changed != good.payload
        refused = {
            "changed body": replace(good, payload=changed),
            "changed moment": replace(good, signed_at=moment(5)),
            "wrong key": sign(desk, other, stay("a"), name="pms"),
            "unknown requester": sign(desk, other, stay("a")),
            "another topic of this desk": sign(desk, pms, stay("a"), "request/cancel"),
            "another desk's topic": pms.sign(stay("a"), f"{desk.root}-2/trigger"),
            "no base64": replace(good, signature="%"),
        }
        for what, signed in refused.items():
            assert send(desk, signed, protocol)["error"]["type"] == "signature_invalid", what
        for seconds in (-3600, 3600):
            late = sign(desk, pms, stay("a"), signed_at=moment(seconds))
            assert send(desk, late, protocol)["error"]["type"] == "signature_expired"
        assert nothing_was_made(desk)
        assert send(desk, good, protocol)["status"] == "accepted"


def test_a_signed_trigger_is_no_other_request_and_no_request_beyond_what_a_requester_may(
    lobby: OpenLobby, tmp_path: Path
) -> None:
    pms = Signer("pms", "ed25519", tmp_path)
    with requiring(lobby, pms, mqtt={"erase": True}) as desk:
        assert send(desk, sign(desk, pms, stay("a")))["status"] == "accepted"
        desk.asks("a")
        cancel = {"event_id": "c", "id": "c", "access_method_id": "a"}
        as_trigger = sign(desk, pms, cancel)
        assert send(desk, as_trigger, below="request/cancel")["error"]["type"] == "signature_invalid"
        erase = sign(desk, pms, {"event_id": "e", "id": "e", "encoder": "desk-1"}, "request/erase")
        assert send(desk, erase, below="request/erase")["error"]["type"] == "requester_not_allowed"
        deleted = about("a", "deleted")
        assert desk.told(deleted)["error"]["type"] == "signature_missing"
        assert desk.control.job("a")["state"] == "waiting_for_card"
        assert send(desk, sign(desk, pms, cancel, "request/cancel"), below="request/cancel")["state"] == "cancelled"


@PROTOCOLS
def test_a_message_that_was_heeded_at_one_desk_makes_no_card_at_another(
    lobby: OpenLobby, broker: Broker, tap: Tap, tmp_path: Path, protocol: str
) -> None:
    (tmp_path / "other").mkdir()
    pms = Signer("pms", "ed25519", tmp_path)
    tables: dict[str, Table] = {"signing": {"required": True}, "requesters.pms": pms.table}
    mqtt = {"protocol": protocol}
    with (
        requiring(lobby, pms, mqtt=mqtt) as desk,
        Lobby(broker, tap, tmp_path / "other", more=tables, mqtt=mqtt) as other,
    ):
        signed = sign(desk, pms, stay("a"))
        assert send(desk, signed, protocol)["status"] == "accepted"
        assert send(other, signed, protocol)["error"]["type"] == "signature_invalid"
        assert nothing_was_made(other)
        assert send(other, sign(other, pms, stay("a")), protocol)["status"] == "accepted"


def test_a_message_for_a_shared_topic_is_good_there_alone(lobby: OpenLobby, broker: Broker, tmp_path: Path) -> None:
    pms = Signer("pms", "hmac-sha256", tmp_path)
    with requiring(lobby, pms, mqtt={"trigger_topics": ["hotel/+"]}) as desk:
        signed = pms.sign(stay("a"), "hotel/cards")
        assert send(desk, signed)["error"]["type"] == "signature_invalid"
        for topic, answer in {"hotel/keys": "rejected", "hotel/cards": "accepted"}.items():
            after = desk.now()
            clients.publish(broker, topic, signed.payload, *signed.options)
            assert desk.hears("response/", after=after)["status"] == answer


def test_a_replay_is_a_duplicate_within_the_window_and_expired_beyond_it(lobby: OpenLobby, tmp_path: Path) -> None:
    pms = Signer("pms", "hmac-sha256", tmp_path)
    with requiring(lobby, pms, window_s=3) as desk:
        signed = sign(desk, pms, stay("a"))
        assert send(desk, signed)["status"] == "accepted"
        assert send(desk, signed)["status"] == "duplicate"
        desk.asks("a")
        desk.lay(desk.blank())
        desk.reports("a")
        now = desk.now()
        desk.lift()
        desk.shows(state="idle", after=now)
        before = desk.plastics()
        deadline = time.monotonic() + 15
        while (answer := send(desk, signed))["status"] == "duplicate":
            assert answer["state"] == "issued"
            assert time.monotonic() < deadline, "the window does not end"
        assert answer["error"]["type"] == "signature_expired"
        again = sign(desk, pms, json.loads(signed.payload))
        assert send(desk, again)["status"] == "duplicate"
        assert desk.plastics() == before
        assert len(desk.control.get("/v1/jobs")["jobs"]) == 1


def test_a_requester_who_asks_too_often_waits_and_nobody_behind_it_does(lobby: OpenLobby, tmp_path: Path) -> None:
    hasty, other = Signer("hasty", "hmac-sha256", tmp_path), Signer("other", "hmac-sha256", tmp_path)
    both, jobs = ("desk-1", "desk-2"), {"default_profile": "guest", "cards_per_minute": 2}
    with requiring(lobby, hasty, other, encoders={name: {} for name in both}, jobs=jobs) as desk:
        for number, encoder in enumerate(both):
            send(desk, sign(desk, hasty, stay(f"made-{number}", encoder=encoder)))
            desk.asks(f"made-{number}", encoder)
            desk.lay(desk.blank(), encoder)
            desk.reports(f"made-{number}")
            desk.lift(encoder)
        for number in range(3):
            assert send(desk, sign(desk, hasty, stay(f"late-{number}")))["status"] == "accepted"
        desk.job("late-0", state="queued", error="rate_limited")
        before = desk.plastics()
        assert send(desk, sign(desk, other, stay("other", encoder="desk-2")))["status"] == "accepted"
        desk.asks("other", "desk-2")
        waiting = [job for job in desk.control.get("/v1/jobs")["jobs"] if job["requester"] == "hasty"]
        assert sorted(job["state"] for job in waiting) == [*["issued"] * 2, *["queued"] * 3]
        assert desk.plastics() == before
        desk.lay(desk.blank(), "desk-2")
        assert desk.reports("other")["requester"] == "other"
        desk.lift("desk-2")
