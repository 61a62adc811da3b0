"""Publishers and requesters that share no code with the bridge: Debian's mosquitto clients."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

from rigs.brokers import Broker, User

PROGRAMS = ("mosquitto_pub", "mosquitto_rr")


def available() -> str | None:
    """Why these clients cannot be run here, or None."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"mosquitto-clients is not installed: no {missing[0]} to test with" if missing else None


def publish(broker: Broker, topic: str, body: object, *options: str, user: User | None = None) -> None:
    """Publish bytes, or anything else as JSON, with `mosquitto_pub`; return when the broker has acknowledged it."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    content = ["-s"] if payload else ["-n"]  # standard input as it is, or an empty message
    done = _run("mosquitto_pub", broker, topic, *content, *options, stdin=payload, user=user)
    assert done.returncode == 0, done.stderr.decode()


def request(broker: Broker, topic: str, body: object, answer_to: str, correlation: str) -> tuple[str, Any]:
    """Ask with `mosquitto_rr`; the correlation data of the first answer, and its body."""
    words = ["-e", answer_to, "-m", json.dumps(body), "-D", "publish", "correlation-data", correlation]
    done = _run("mosquitto_rr", broker, topic, *words, "-W", "10", "-F", "%D %p")
    assert done.returncode == 0, done.stderr.decode()
    heard, _, answer = done.stdout.decode().strip().partition(" ")
    return heard, json.loads(answer)


def _run(
    program: str, broker: Broker, topic: str, *options: str, stdin: bytes = b"", user: User | None = None
) -> subprocess.CompletedProcess[bytes]:
    command = [program, "-h", broker.host, "-p", str(broker.port), "-q", "1", "-t", topic]
    command += ["-V", "mqttv5" if broker.protocol == "5" else "mqttv311", *options]
    user = user or (broker.users[0] if broker.users else None)
    if user:
        command += ["-u", user.name, "-P", user.password]
    if broker.certificates:
        command += ["--cafile", str(broker.certificates.authority)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=30, check=False)
