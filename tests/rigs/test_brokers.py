"""The brokers are proven with `mosquitto_pub` and `mosquitto_sub`, which share no code with the rig or the bridge."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rigs import certificates
from rigs.brokers import Broker, BrokerError, Mosquitto, Nats, User, free_port
from rigs.tap import Tap

MANAGER = User(name="manager", password="all doors")
CLERK = User(name="clerk", password="right", reads=("desk/#",), writes=("desk/#",))

needs_clients = pytest.mark.skipif(
    not (shutil.which("mosquitto_pub") and shutil.which("mosquitto_sub")),
    reason="mosquitto-clients is not installed: no independent MQTT client",
)
needs_certificates = pytest.mark.skipif(certificates.available() is not None, reason=str(certificates.available()))


@pytest.fixture(params=[Mosquitto, Nats])
def kind(request: pytest.FixtureRequest) -> type[Broker]:
    chosen: type[Broker] = request.param
    if reason := chosen.available():
        pytest.skip(reason)
    return chosen


@pytest.fixture
def mosquitto() -> type[Mosquitto]:
    if reason := Mosquitto.available():
        pytest.skip(reason)
    return Mosquitto


def client(program: str, broker: Broker, *arguments: str, user: User | None = None) -> subprocess.CompletedProcess[str]:
    """Run `mosquitto_pub` or `mosquitto_sub` with quality 1 to its end."""
    command = [program, "-h", broker.host, "-p", str(broker.port), "-q", "1"]
    command += ["-V", "mqttv5" if broker.protocol == "5" else "mqttv311", *arguments]
    if user:
        command += ["-u", user.name, "-P", user.password]
    if broker.certificates:
        command += ["--cafile", str(broker.certificates.authority)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def subscribe_for_later(broker: Broker) -> None:
    """Leave a session behind that outlives its connection and is subscribed to everything."""
    assert client("mosquitto_sub", broker, "-c", "-i", "later", "-t", "#", "-E").returncode == 0


def fetch_later(broker: Broker, count: int) -> list[str]:
    """What that session was kept, at most `count` payloads."""
    return client("mosquitto_sub", broker, "-c", "-i", "later", "-t", "#", "-C", str(count), "-W", "10").stdout.split()


@needs_clients
def test_a_message_goes_round(kind: type[Broker]) -> None:
    with kind() as broker:
        subscribe_for_later(broker)
        assert client("mosquitto_pub", broker, "-t", "desk/1", "-m", "hello").returncode == 0
        assert fetch_later(broker, 1) == ["hello"]


@needs_clients
def test_what_a_session_was_promised_survives_the_brokers_sudden_death(kind: type[Broker]) -> None:
    with kind() as broker:
        subscribe_for_later(broker)
        wanted = [f"m{number}" for number in range(5)]
        for payload in wanted:
            assert client("mosquitto_pub", broker, "-t", "desk/1", "-m", payload).returncode == 0
        assert broker.knock() == 0
        port, pid = broker.port, broker.pid
        broker.restart(kill=True)
        assert (broker.port, broker.pid != pid) == (port, True)
        assert fetch_later(broker, len(wanted)) == wanted


@needs_clients
def test_retained_state_survives_an_orderly_stop(kind: type[Broker]) -> None:
    with kind() as broker:
        assert client("mosquitto_pub", broker, "-t", "desk/state", "-m", "online", "-r").returncode == 0
        broker.restart()
        heard = client("mosquitto_sub", broker, "-t", "desk/state", "-C", "1", "-W", "10")
        assert heard.stdout.split() == ["online"]


@needs_clients
@needs_certificates
def test_tls_is_checked_against_the_rigs_own_authority(kind: type[Broker]) -> None:
    with kind(tls=True) as broker:
        assert client("mosquitto_pub", broker, "-t", "desk/1", "-m", "sealed").returncode == 0
        assert broker.certificates is not None
        plain = subprocess.run(
            ["mosquitto_pub", "-h", broker.host, "-p", str(broker.port), "-t", "desk/1", "-m", "open"],
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert plain.returncode != 0
        handshake = subprocess.run(
            [
                *("openssl", "s_client", "-brief", "-connect", f"{broker.host}:{broker.port}", "-verify_return_error"),
                *("-verify_ip", broker.host, "-CAfile", str(broker.certificates.authority)),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert "Verification: OK" in handshake.stderr + handshake.stdout


@needs_clients
def test_a_wrong_password_is_refused_and_rights_end_at_the_users_topics(kind: type[Broker]) -> None:
    with kind(users=[MANAGER, CLERK]) as broker, Tap(broker) as tap:
        assert broker.knock() == 0
        wrong = User(name=CLERK.name, password="wrong")
        assert client("mosquitto_pub", broker, "-t", "desk/1", "-m", "x", user=wrong).returncode != 0
        assert client("mosquitto_pub", broker, "-t", "desk/1", "-m", "x").returncode != 0
        client("mosquitto_pub", broker, "-t", "vault/1", "-m", "forbidden", user=CLERK)
        assert client("mosquitto_pub", broker, "-t", "desk/1", "-m", "allowed", user=CLERK).returncode == 0
        assert client("mosquitto_pub", broker, "-t", "vault/1", "-m", "secret", "-r", user=MANAGER).returncode == 0
        tap.wait_for(lambda heard: heard.payload == b"secret")
        assert {heard.payload for heard in tap.messages} == {b"allowed", b"secret"}
        for user, readable in (CLERK, ""), (MANAGER, "secret"):
            heard = client("mosquitto_sub", broker, "-t", "vault/1", "-C", "1", "-W", "1", user=user)
            assert heard.stdout.strip() == readable


@needs_clients
def test_a_tap_hears_what_was_said_around_restarts(kind: type[Broker]) -> None:
    with kind() as broker, Tap(broker) as tap:
        client("mosquitto_pub", broker, "-t", "desk/state", "-m", "online", "-r")
        for number in range(4):
            client("mosquitto_pub", broker, "-t", "desk/1", "-m", f"before {number}")
            broker.knock()
            broker.restart(kill=number % 2 == 0)
            client("mosquitto_pub", broker, "-t", "desk/1", "-m", f"after {number}")
        tap.wait_for(lambda heard: heard.payload == b"after 3", timeout=20)
        said = {heard.payload.decode() for heard in tap.messages if not heard.retain}
        assert {f"{when} {number}" for when in ("before", "after") for number in range(4)} <= said


@needs_clients
def test_a_tap_keeps_flags_and_properties(mosquitto: type[Mosquitto]) -> None:
    with mosquitto() as broker, Tap(broker) as tap:
        properties = ("response-topic", "answers"), ("correlation-data", "7"), ("user-property", "a", "b")
        options = [word for each in properties for word in ("-D", "publish", *each)]
        client("mosquitto_pub", broker, "-t", "desk/1", "-m", json.dumps({"id": 7}), "-r", *options)
        heard = tap.wait_for(lambda message: message.topic == "desk/1")
        assert (heard.json(), heard.retain, heard.qos) == ({"id": 7}, True, 1)
        assert heard.properties == {
            "ResponseTopic": "answers",
            "CorrelationData": b"7",
            "UserProperty": [("a", "b")],
        }


def test_a_frozen_broker_is_silent_until_it_may_run_on(kind: type[Broker]) -> None:
    with kind() as broker:
        broker.pause()
        with pytest.raises(TimeoutError):
            broker.knock(timeout=0.3)
        broker.resume()
        assert broker.knock() == 0
        broker.pause()
        broker.stop()
        broker.start()


def test_a_broker_that_cannot_start_says_why(mosquitto: type[Mosquitto]) -> None:
    class Misspelt(mosquitto):  # type: ignore[valid-type,misc]
        def _command(self) -> list[str]:
            return [*super()._command(), "--unheard-of"]

    with pytest.raises(BrokerError, match=r"ended with [1-9](?s:.*)unheard-of"), Misspelt():
        pass


def test_a_taken_port_is_exchanged_for_a_free_one(mosquitto: type[Mosquitto], monkeypatch: pytest.MonkeyPatch) -> None:
    with mosquitto() as first:
        ports = iter([first.port, free_port()])
        monkeypatch.setattr("rigs.brokers.free_port", lambda: next(ports))
        with mosquitto() as second:
            assert second.port != first.port
            first.kill()
            assert second.knock() == 0


def test_a_broker_started_in_a_thread_outlives_it(kind: type[Broker]) -> None:
    broker = kind()
    starter = threading.Thread(target=broker.start)
    starter.start()
    starter.join()
    try:
        assert broker.knock() == 0
    finally:
        broker.close()


def test_no_broker_outlives_a_test_process_that_was_killed(kind: type[Broker]) -> None:
    script = f"""
from rigs.brokers import {kind.__name__}
broker = {kind.__name__}()
broker.start()
print(broker.pid, broker.folder, flush=True)
input()
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid, folder = process.stdout.readline().split()
        broker = os.pidfd_open(int(pid))
        try:
            process.send_signal(signal.SIGKILL)
            assert select.select([broker], [], [], 10)[0], "the broker still runs"
        finally:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(broker, signal.SIGKILL)
            os.close(broker)
            shutil.rmtree(folder)
