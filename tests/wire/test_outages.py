"""Brokers that are away, empty, frozen, locked or shared with a namesake."""

from __future__ import annotations

import contextlib
import dataclasses
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rigs import certificates
from rigs.brokers import Broker, Mosquitto, Nats, User
from rigs.tap import Tap

from encoder_bridge import mqtt

from .conftest import run_or_skip
from .front_desk import FrontDesk, InProcess, Table, need

OBSERVER = User(name="observer", password="sees and says all")
BRIDGE = User(
    name="bridge",
    password="wire-canary-5e1c",
    reads=("encoder-bridge/#",),
    writes=("encoder-bridge/#",),
)

needs_certificates = pytest.mark.skipif(certificates.available() is not None, reason=str(certificates.available()))


@pytest.fixture(params=[Mosquitto, Nats], ids=["mosquitto", "nats"])
def own_broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A broker that the test may treat as it likes."""
    with run_or_skip(request.param) as broker:
        yield broker


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for the broker often, so that tests do not wait."""
    monkeypatch.setattr(mqtt, "BACK_OFF_S", (0.05, 0.2))


def forget(broker: Broker) -> None:
    """Take away what the stopped broker had saved."""
    for name in ("mosquitto.db", "jetstream"):
        path = broker.folder / name
        if path.is_dir():
            path.rename(broker.folder / f"{name}.old")
        else:
            path.unlink(missing_ok=True)


def test_all_that_is_retained_is_said_again_to_a_broker_that_forgot(
    own_broker: Broker, tmp_path: Path, patient: None
) -> None:
    with Tap(own_broker) as tap, FrontDesk(own_broker, tap, tmp_path, jobs={}) as desk:
        desk.trigger(need("held-over"))
        desk.event("held-over", "encoder_bridge.job_held")
        own_broker.kill()
        forget(own_broker)
        own_broker.start()
        desk.wait_online(2)
        with Tap(own_broker, f"{desk.root}/#") as latecomer:
            for below, word in (
                ("availability", b'"online"'),
                ("info", b'"desk-1"'),
                ("encoder/desk-1/state", b'"idle"'),
                ("job/held-over", b'"held"'),
            ):
                latecomer.wait_for(
                    lambda heard, topic=f"{desk.root}/{below}", word=word: (
                        heard.topic == topic  # type: ignore[misc]
                        and word in heard.payload
                    )
                )
        tap.wait_subscribed()
        event = need("after")
        desk.trigger(event)
        assert desk.answer(event["event_id"])["status"] == "held"


def test_cards_are_made_without_a_broker_and_reported_later(own_broker: Broker, tmp_path: Path, patient: None) -> None:
    with Tap(own_broker) as tap, FrontDesk(own_broker, tap, tmp_path, jobs={}) as desk:
        desk.trigger(need("on-paper"))
        desk.event("on-paper", "encoder_bridge.job_held")
        desk.stop()
        own_broker.stop()
        desk.jobs = {"default_profile": "guest"}
        desk.start(online=False)
        desk.bridge.lines.wait_for("issued")
        lost = desk.bridge.lines.wait_for("broker_lost")
        assert "cards are still made, reports wait" in lost["sentence"]
        assert len(desk.cards_of("on-paper")) == 1
        own_broker.start()
        assert desk.event("on-paper")["is_issued"] is True
        desk.serve_one_more()


def test_a_report_that_the_broker_never_confirmed_comes_again_with_the_same_id(
    own_broker: Broker, tmp_path: Path, patient: None
) -> None:
    with Tap(own_broker) as tap, FrontDesk(own_broker, tap, tmp_path, encoder={"place_s": 0.3}) as desk:
        desk.trigger(need("unheard"))
        desk.stands("unheard", "waiting_for_card")
        own_broker.kill()
        desk.bridge.lines.wait_for("issued")
        own_broker.start()
        desk.event("unheard")
        desk.serve_one_more()
        ids = {heard.json()["event_id"] for heard in desk.on("event/") if b'"unheard"' in heard.payload}
        assert len(ids) == 1
        assert len(desk.cards_of("unheard")) == 1


def test_a_link_on_which_nobody_answers_is_given_up(tmp_path: Path, patient: None) -> None:
    with (
        run_or_skip(Mosquitto) as broker,
        Tap(broker) as tap,
        FrontDesk(broker, tap, tmp_path, mqtt={"keepalive_s": 1}) as desk,
    ):
        broker.pause()
        try:
            desk.bridge.lines.wait_for("broker_lost", timeout=20)
        finally:
            broker.resume()
        desk.wait_online(2)
        desk.serve_one_more()


def test_a_bridge_that_dies_is_offline_at_once_where_no_delay_can_be_had(tmp_path: Path) -> None:
    with run_or_skip(Nats) as broker, Tap(broker) as tap, FrontDesk(broker, tap, tmp_path, runs=InProcess) as desk:
        desk.kill()
        tap.wait_for(lambda heard: heard.topic == f"{desk.root}/availability" and b'"offline"' in heard.payload)
        desk.start()
        desk.serve_one_more()


@needs_certificates
def test_a_wrong_password_is_named_and_the_right_one_is_taken_without_a_restart(tmp_path: Path, patient: None) -> None:
    with run_or_skip(_made(tls=True, users=[OBSERVER, BRIDGE])) as broker, Tap(broker) as tap:
        assert broker.certificates is not None
        password = tmp_path / "password"
        password.touch(0o600)
        password.write_text("not the password\n")
        settings = {
            "username": BRIDGE.name,
            "password_file": str(password),
            "tls": True,
            "ca_file": str(broker.certificates.authority),
        }
        with FrontDesk.idle(broker, tap, tmp_path, mqtt=settings) as desk:
            desk.start(online=False)
            lost = desk.bridge.lines.wait_for("broker_lost", count=2)
            assert "refuses the login: check mqtt.username" in lost["sentence"]
            assert not desk.on("")
            password.write_text(BRIDGE.password + "\n")
            desk.wait_online(1)
            desk.serve_one_more()
            said = str(desk.bridge.lines.all)
            assert BRIDGE.password not in said
            assert "not the password" not in said


@needs_certificates
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves the refused socket open
def test_a_broker_with_a_certificate_of_nobody_we_trust_is_refused(tmp_path: Path, patient: None) -> None:
    with (
        run_or_skip(_made(tls=True)) as broker,
        Tap(broker) as tap,
        FrontDesk.idle(broker, tap, tmp_path, mqtt={"tls": True}) as desk,
    ):
        desk.start(online=False)
        lost = desk.bridge.lines.wait_for("broker_lost", count=2)
        assert "certificate" in lost["sentence"].lower()
        assert not desk.on("")


def test_two_bridges_with_one_name_connect_ever_more_rarely_and_say_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[float] = []

    def soon(lowest: float, highest: float) -> float:
        drawn.append(highest)
        return random.uniform(0.05, 0.25)

    monkeypatch.setattr(mqtt, "random", SimpleNamespace(uniform=soon))
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    with run_or_skip(Mosquitto) as broker, Tap(broker) as tap:
        with (
            FrontDesk(broker, tap, folders[0], name="twin") as one,
            FrontDesk.idle(broker, tap, folders[1], name="twin") as other,
        ):
            other.start(online=False)
            one.bridge.lines.wait_for("broker_lost", count=16, timeout=30)  # of both: they log into one stream here
            namesakes = one.bridge.lines.of("namesake")
        waits = Counter(drawn)
        assert all(waits[float(2**doubling)] <= 2 for doubling in range(6)), "a short life reset the back-off"
        assert max(waits) == 60
        assert namesakes
        assert "give one of them another desk" in namesakes[0]["sentence"]


def test_a_restarted_bridge_is_not_its_own_namesake(own_broker: Broker, tmp_path: Path, patient: None) -> None:
    with Tap(own_broker) as tap, FrontDesk(own_broker, tap, tmp_path, runs=InProcess) as desk:
        desk.kill()
        desk.start()
        own_broker.restart(kill=True)
        desk.wait_online(3)
        tap.wait_subscribed()
        desk.serve_one_more()
        assert "namesake" not in desk.bridge.said


def test_a_password_file_that_is_empty_for_a_while_ends_nothing(tmp_path: Path, patient: None) -> None:
    with own_rights(tmp_path) as desk:
        password = tmp_path / "password"
        password.write_text("")
        desk.broker.restart()
        lost = desk.bridge.lines.wait_for("broker_lost", count=3)
        assert "is empty" in lost["sentence"]
        password.write_bytes(b"wire-canary-\xff")
        while "UTF-8" not in lost["sentence"]:
            lost = desk.bridge.lines.wait_for("broker_lost", count=len(desk.bridge.lines.of("broker_lost")) + 1)
        password.write_text(BRIDGE.password)
        desk.wait_online(2)
        assert "xff" not in str(desk.bridge.lines.all)


def test_a_host_that_can_be_no_name_is_looked_for_like_one_that_is_away(tmp_path: Path, patient: None) -> None:
    with (
        run_or_skip(Mosquitto) as broker,
        Tap(broker) as tap,
        FrontDesk.idle(broker, tap, tmp_path, mqtt={"host": "a..b"}) as desk,
    ):
        desk.start(online=False)
        lost = desk.bridge.lines.wait_for("broker_lost", count=2)
        assert "a..b" in lost["sentence"]


def test_a_bridge_that_is_not_let_hear_its_triggers_says_so_and_not_that_it_is_online(tmp_path: Path) -> None:
    """On NATS: Mosquitto 2.0.11 grants a forbidden subscription and stays silent."""
    root = "encoder-bridge/hotel/strict"
    with own_rights(tmp_path, Nats, online=False, reads=(f"{root}/request/#", f"{root}/availability")) as desk:
        desk.bridge.lines.wait_for("broker_lost")
        assert any("not let us hear" in str(line) and f"{root}/trigger" in str(line) for line in desk.bridge.lines.all)
        assert desk.times_online() == 0


@contextlib.contextmanager
def own_rights(
    folder: Path,
    kind: type[Broker] = Mosquitto,
    *,
    online: bool = True,
    mqtt: Table | None = None,
    **rights: tuple[str, ...],
) -> Iterator[FrontDesk]:
    """A desk called `strict` whose login may do only so much."""
    user = dataclasses.replace(BRIDGE, **rights)  # type: ignore[arg-type]
    password = folder / "password"
    password.touch(0o600)
    password.write_text(user.password)
    settings = {"username": user.name, "password_file": str(password), **(mqtt or {})}
    with (
        run_or_skip(_made(kind, users=[OBSERVER, user])) as broker,
        Tap(broker, user=OBSERVER) as tap,
        FrontDesk.idle(broker, tap, folder, name="strict", mqtt=settings) as desk,
    ):
        desk.start(online=online)
        yield desk


def _made(kind: type[Broker] = Mosquitto, **properties: Any) -> type[Broker]:
    class Made(kind):  # type: ignore[valid-type, misc]
        def __init__(self) -> None:
            super().__init__(**properties)

    return Made
