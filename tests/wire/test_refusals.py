"""Topics that the broker does not let us write to: each waits by itself, and everything else goes on."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path

import pytest
from rigs.brokers import Broker, Mosquitto
from store.desk import Desk

from encoder_bridge import mqtt, telling

from . import clients
from .front_desk import FrontDesk, need
from .test_outages import OBSERVER, own_rights

ROOT = "encoder-bridge/hotel/strict"
ISSUED = f"{ROOT}/event/access_method.issued"
HELD = f"{ROOT}/event/encoder_bridge.job_held"
RETAINED = tuple(f"{ROOT}/{below}" for below in ("availability", "info", "encoder/#", "job/#"))


class Lenient(Mosquitto):
    """Only refuses; with no limit on what it queues, as the rig has it, 2.0.11 closes the connection as well."""

    def _command(self) -> list[str]:
        command = super()._command()
        configuration = self.folder / "mosquitto.conf"
        configuration.write_text(configuration.read_text().replace("max_queued_messages 0\n", ""))
        return command


strict_or_lenient = pytest.mark.parametrize("kind", [Mosquitto, Lenient], ids=["closes", "stays"])


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for the broker often, so that tests do not wait."""
    monkeypatch.setattr(mqtt, "BACK_OFF_S", (0.05, 0.2))


def trigger(desk: FrontDesk, body: object) -> None:
    clients.publish(desk.broker, f"{desk.root}/trigger", body, user=OBSERVER)


def allow(broker: Broker, *topics: str) -> None:
    """Mend the access list of the running broker."""
    observer, bridge = broker.users
    broker.users = (observer, dataclasses.replace(bridge, writes=(*bridge.writes, *topics)))
    assert isinstance(broker, Mosquitto)
    assert broker.pid
    broker._rights()
    os.kill(broker.pid, signal.SIGHUP)
    broker.knock()


@strict_or_lenient
def test_a_report_that_the_broker_refuses_is_named_once_and_holds_nothing_up(
    tmp_path: Path, kind: type[Broker]
) -> None:
    with own_rights(tmp_path, kind, writes=(*RETAINED, HELD, f"{ROOT}/response/#")) as desk:
        trigger(desk, need("unreported"))
        desk.bridge.lines.wait_for("topic_refused")
        for number in range(3):
            event = need(f"later-{number}")
            trigger(desk, event)
            assert desk.answer(event["event_id"])["status"] == "accepted"
            desk.stands(f"later-{number}", "issued")
        again = need("later-0")
        trigger(desk, again)
        desk.event("later-0", "encoder_bridge.job_held")
        assert not desk.on("event/access_method.issued")
        (refusal,) = desk.bridge.lines.of("topic_refused")
        assert ISSUED in str(refusal)
        assert len(desk.bridge.lines.of("broker_lost")) <= 2, "once, and once more if the answer was lost with the rest"
        desk.stop()
        assert desk.rows("SELECT DISTINCT name FROM outbox WHERE kind = 'event'") == [("access_method.issued",)]


@strict_or_lenient
def test_what_was_refused_is_told_when_the_access_list_is_mended(
    tmp_path: Path, kind: type[Broker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "TRY_AGAIN_S", 0.3)
    with own_rights(tmp_path, kind, writes=(*RETAINED, f"{ROOT}/response/#")) as desk:
        for number in range(3):
            trigger(desk, need(f"unreported-{number}"))
            desk.stands(f"unreported-{number}", "issued")
        desk.bridge.lines.wait_for("topic_refused", count=3)
        allow(desk.broker, f"{ROOT}/event/#")
        for number in range(3):
            desk.event(f"unreported-{number}")
        desk.stop()
        assert not desk.rows("SELECT kind, name FROM outbox")


@strict_or_lenient
def test_states_that_the_broker_refuses_keep_no_report_back(tmp_path: Path, kind: type[Broker]) -> None:
    """One connection may go at each of info, jobs and encoders, however many jobs there are."""
    writes = (f"{ROOT}/availability", f"{ROOT}/event/#", f"{ROOT}/response/#")
    with own_rights(tmp_path, kind, writes=writes) as desk:
        desk.jobs = {}
        desk.restart()
        for number in range(6):
            trigger(desk, need(f"held-{number}"))
            desk.event(f"held-{number}", "encoder_bridge.job_held")
        desk.jobs = {"default_profile": "guest"}
        desk.restart()
        for number in range(6):
            desk.event(f"held-{number}")
        assert not desk.on("job/")
        lines = desk.bridge.lines
        assert len(lines.of("topic_refused")) <= 9, "three topics in three lives"
        assert len(lines.of("broker_lost")) <= 18


@strict_or_lenient
def test_the_newest_state_stands_when_the_access_list_is_mended(
    tmp_path: Path, kind: type[Broker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "TRY_AGAIN_S", 0.3)
    writes = (f"{ROOT}/availability", f"{ROOT}/event/#", f"{ROOT}/response/#")
    with own_rights(tmp_path, kind, writes=writes) as desk:
        trigger(desk, need("twice"))
        desk.event("twice")
        trigger(desk, need("twice"))
        desk.event("twice", "encoder_bridge.job_held")
        allow(desk.broker, f"{ROOT}/#")
        desk.stands("twice", "held")
        desk.tap.wait_for(lambda heard: heard.topic == f"{ROOT}/encoder/desk-1/state")
        assert [heard.json()["state"] for heard in desk.on("job/twice")][-1] == "held"


@strict_or_lenient
def test_an_answer_that_the_broker_does_not_let_through_goes_to_the_default_topic(
    tmp_path: Path, kind: type[Broker]
) -> None:
    with own_rights(tmp_path, kind, mqtt={"reply_topics": ["answers/#"]}) as desk:
        event = need("asked", reply_to="answers/7")
        trigger(desk, event)
        assert desk.answer(event["event_id"], "accepted")
        assert desk.answer(event["event_id"], "issued")
        assert not [heard for heard in desk.tap.messages if heard.topic == "answers/7"]


def test_a_refused_answer_does_not_bring_its_senders_words_into_the_log(tmp_path: Path) -> None:
    with own_rights(tmp_path, Lenient, mqtt={"reply_topics": ["answers/#"]}) as desk:
        event = need("asked", reply_to="answers/Miss Marple")
        trigger(desk, event)
        desk.bridge.lines.wait_for("topic_refused")
        assert desk.answer(event["event_id"], "issued")
        assert "Marple" not in str(desk.bridge.lines.all)


def test_what_is_set_aside_is_not_among_the_oldest_messages(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "jobs.sqlite")
    for number in range(4):
        desk.need(f"m{number}")
    everything = [message.report_id for message in desk.store.outbox.pending(100)]
    found = [message.report_id for message in desk.store.outbox.pending(2, [everything[0], everything[2]])]
    desk.close()
    assert found == [everything[1], everything[3]]
