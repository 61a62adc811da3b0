"""Nobody is heard over MQTT who does not sign, and whoever signs is heard once and not too often."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cards import read_cards

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
        assert send(desk, pms.sign(stay("a")), protocol)["status"] == "accepted"
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
        good = pms.sign(stay("a"))
        changed = good.payload.replace(b'"guest"', b'"staff"')
        assert changed != good.payload
        refused = {
            "changed body": replace(good, payload=changed),
            "changed moment": replace(good, signed_at=moment(5)),
            "wrong key": other.sign(stay("a"), name="pms"),
            "unknown requester": other.sign(stay("a")),
            "another verb": pms.sign(stay("a"), verb="cancel"),
            "no base64": replace(good, signature="%"),
        }
        for what, signed in refused.items():
            assert send(desk, signed, protocol)["error"]["type"] == "signature_invalid", what
        for seconds in (-3600, 3600):
            late = pms.sign(stay("a"), signed_at=moment(seconds))
            assert send(desk, late, protocol)["error"]["type"] == "signature_expired"
        assert nothing_was_made(desk)
        assert send(desk, good, protocol)["status"] == "accepted"


def test_a_signed_trigger_is_no_other_request_and_no_request_beyond_what_a_requester_may(
    lobby: OpenLobby, tmp_path: Path
) -> None:
    pms = Signer("pms", "ed25519", tmp_path)
    with requiring(lobby, pms, mqtt={"erase": True}) as desk:
        assert send(desk, pms.sign(stay("a")))["status"] == "accepted"
        desk.asks("a")
        cancel = {"event_id": "c", "id": "c", "access_method_id": "a"}
        as_trigger = pms.sign(cancel)
        assert send(desk, as_trigger, below="request/cancel")["error"]["type"] == "signature_invalid"
        erase = pms.sign({"event_id": "e", "id": "e", "encoder": "desk-1"}, verb="erase")
        assert send(desk, erase, below="request/erase")["error"]["type"] == "requester_not_allowed"
        deleted = about("a", "deleted")
        assert desk.told(deleted)["error"]["type"] == "signature_missing"
        assert desk.control.job("a")["state"] == "waiting_for_card"
        assert send(desk, pms.sign(cancel, verb="cancel"), below="request/cancel")["state"] == "cancelled"


def test_a_replay_is_a_duplicate_within_the_window_and_expired_beyond_it(lobby: OpenLobby, tmp_path: Path) -> None:
    pms = Signer("pms", "hmac-sha256", tmp_path)
    with requiring(lobby, pms, window_s=3) as desk:
        signed = pms.sign(stay("a"))
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
        again = pms.sign(json.loads(signed.payload))
        assert send(desk, again)["status"] == "duplicate"
        assert desk.plastics() == before
        assert len(desk.control.get("/v1/jobs")["jobs"]) == 1


def test_a_requester_who_asks_too_often_waits_and_nobody_behind_it_does(lobby: OpenLobby, tmp_path: Path) -> None:
    hasty, other = Signer("hasty", "hmac-sha256", tmp_path), Signer("other", "hmac-sha256", tmp_path)
    both, jobs = ("desk-1", "desk-2"), {"default_profile": "guest", "cards_per_minute": 2}
    with requiring(lobby, hasty, other, encoders={name: {} for name in both}, jobs=jobs) as desk:
        for number, encoder in enumerate(both):
            send(desk, hasty.sign(stay(f"made-{number}", encoder=encoder)))
            desk.asks(f"made-{number}", encoder)
            desk.lay(desk.blank(), encoder)
            desk.reports(f"made-{number}")
            desk.lift(encoder)
        for number in range(3):
            assert send(desk, hasty.sign(stay(f"late-{number}")))["status"] == "accepted"
        desk.job("late-0", state="queued", error="rate_limited")
        before = desk.plastics()
        assert send(desk, other.sign(stay("other", encoder="desk-2")))["status"] == "accepted"
        desk.asks("other", "desk-2")
        waiting = [job for job in desk.control.get("/v1/jobs")["jobs"] if job["requester"] == "hasty"]
        assert sorted(job["state"] for job in waiting) == [*["issued"] * 2, *["queued"] * 3]
        assert desk.plastics() == before
        desk.lay(desk.blank(), "desk-2")
        assert desk.reports("other")["requester"] == "other"
        desk.lift("desk-2")
