"""Measure the bridge against what it stands on; prints one table, ratios from one run on one machine.

scripts/bench [--quick] [--only latency|ingest|idle|cards]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/drivers"))
from rigs.brokers import Mosquitto as DurableMosquitto

from encoder_bridge.sqlite import open_store
from scripts.bench_cards import figures

ROOT = "encoder-bridge/bench/desk"
DAEMON = "import sys; sys.modules['rich'] = None; from encoder_bridge.__main__ import main; main()"
"""Without rich, which a development package brings and structlog loads where it finds it: an installation has none."""


class Mosquitto(DurableMosquitto):
    """Keeps everything in memory: its own writing to disk is not what is measured."""

    def _command(self) -> list[str]:
        command = super()._command()
        configuration = Path(command[-1])
        lines = configuration.read_text().splitlines()
        kept = [line for line in lines if not line.startswith(("persistence", "autosave"))]
        configuration.write_text("\n".join(kept) + "\n")
        return command


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--only", choices=["latency", "ingest", "idle", "cards"])
    parser.add_argument("--echo", help=argparse.SUPPRESS)
    parser.add_argument("--sink", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.echo:
        asyncio.run(echo(json.loads(options.echo)))
    elif options.sink:
        asyncio.run(sink(json.loads(options.sink)))
    else:
        measure(0.1 if options.quick else 1.0, options.only)


def measure(scale: float, only: str | None) -> None:
    """Print every figure that was asked for."""
    row("figure", "bridge", "against", "ratio", "aim")
    row("-" * 44, "-" * 12, "-" * 12, "-" * 6, "-" * 6)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        if only in {None, "latency"}:
            latency(Path(folder) / "latency", int(400 * scale))
        if only in {None, "ingest"}:
            ingest(Path(folder) / "ingest", int(10_000 * scale), int(100_000 * scale))
        if only in {None, "idle"}:
            idle(Path(folder) / "idle", 60 * scale)
        if only in {None, "cards"}:
            cards(int(200 * scale))


def row(*cells: str) -> None:
    """One line of the table."""
    name, bridge, against, ratio, aim = cells
    print(f"{name:<44} {bridge:>12} {against:>12} {ratio:>6} {aim:>6}", flush=True)


# Trigger to report


def latency(folder: Path, rounds: int) -> None:
    """Trigger published to `issued` received, over an echo that syncs once."""
    with (
        Mosquitto() as broker,
        helper("--echo", port=broker.port, file=str(folder / "echo")),
        bridge(folder, broker.port) as _,
    ):
        ours, echoes = asyncio.run(take_turns(broker.port, rounds))
    for name, pick in (("p50", statistics.median), ("p99", lambda times: sorted(times)[int(len(times) * 0.99)])):
        mine, bare = pick(ours), pick(echoes)
        row(
            f"trigger to issued, {name} (echo + 1 fsync)",
            f"{mine * 1000:.2f} ms",
            f"{bare * 1000:.2f} ms",
            f"{mine / bare:.1f}",
            "-",
        )


async def take_turns(port: int, rounds: int) -> tuple[list[float], list[float]]:
    """Alternate one trigger and one echo, so that both meet the same machine."""
    ours: list[float] = []
    echoes: list[float] = []
    async with connect(port) as client:
        await client.subscribe(f"{ROOT}/event/access_method.issued", qos=1)
        await client.subscribe("bench/out", qos=1)
        for number in range(-20, rounds):
            started = time.perf_counter()
            await client.publish(f"{ROOT}/trigger", trigger(f"l{number}"), qos=1)
            await anext(aiter(client.messages))
            ours.append(time.perf_counter() - started)
            started = time.perf_counter()
            await client.publish("bench/in", trigger(f"l{number}"), qos=1)
            await anext(aiter(client.messages))
            echoes.append(time.perf_counter() - started)
    return ours[20:], echoes[20:]


async def echo(settings: dict[str, Any]) -> None:
    """Receive, write a line, sync it, publish."""
    with Path(settings["file"]).open("ab", buffering=0) as file:  # noqa: ASYNC230 - that is the baseline
        async with connect(settings["port"]) as client:
            await client.subscribe("bench/in", qos=1)
            print("ready", flush=True)
            async for message in client.messages:
                file.write(bytes(message.payload) + b"\n")
                os.fsync(file.fileno())
                await client.publish("bench/out", message.payload, qos=1)


# Durable ingest


def ingest(folder: Path, triggers: int, history: int) -> None:
    """Triggers stored per second, over bare SQLite row by row and over receiving without storing."""
    folder.mkdir()
    row_by_row = bare_rows(folder / "bare.sqlite", triggers)
    with Mosquitto() as broker:
        ceiling = received_per_second(broker.port, triggers)
        empty = stored_per_second(folder / "empty", broker.port, triggers, history=0)
        again = received_per_second(broker.port, triggers)
        full = stored_per_second(folder / "full", broker.port, triggers, history=history)
    ceiling = max(ceiling, again)
    row("durable ingest (row by row)", f"{empty:.0f} /s", f"{row_by_row:.0f} /s", f"{empty / row_by_row:.2f}", "2")
    row("durable ingest (not stored)", f"{empty:.0f} /s", f"{ceiling:.0f} /s", f"{empty / ceiling:.2f}", "0.7")
    name = f"ingest with {history} finished jobs (empty store)"
    row(name, f"{full:.0f} /s", f"{empty:.0f} /s", f"{full / empty:.2f}", "1.0")


def bare_rows(path: Path, count: int) -> float:
    """Jobs per second of a loop that commits every row, with the store's durability."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE job (id TEXT PRIMARY KEY, body TEXT)")
    started = time.perf_counter()
    for number in range(count):
        connection.execute("INSERT INTO job VALUES (?, ?)", (f"e{number}", trigger(str(number))))
    return count / (time.perf_counter() - started)


def received_per_second(port: int, count: int) -> float:
    """The ceiling: our client, acknowledging at once."""
    with helper("--sink", port=port, count=count) as process:
        assert process.stdout
        elapsed = flood(port, "bench/sink", count, done=process.stdout.readline)
    return count / elapsed


def stored_per_second(folder: Path, port: int, count: int, *, history: int) -> float:
    """The bridge with an encoder that is away, until the last trigger is in the store."""
    folder.mkdir()
    store = folder / "jobs.sqlite"
    if history:
        remember(store, history)
    with bridge(folder, port, max_open=count + 1, encoder="away"):
        reader = sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)

        def done() -> None:
            last = f"e{count - 1}"
            while not reader.execute("SELECT 1 FROM event WHERE event_id = ?", (last,)).fetchone():
                time.sleep(0.005)

        elapsed = flood(port, f"{ROOT}/trigger", count, done=done)
        reader.close()
    return count / elapsed


def flood(port: int, topic: str, count: int, *, done: Any) -> float:
    """Seconds from the first publish until `done` returns."""

    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.max_inflight_messages_set(1000)
    client.connect("127.0.0.1", port)
    client.loop_start()
    started = time.perf_counter()
    for number in range(count):
        client.publish(topic, trigger(str(number)), qos=1)
    done()
    elapsed = time.perf_counter() - started
    client.disconnect()
    client.loop_stop()
    return elapsed


async def sink(settings: dict[str, Any]) -> None:
    """Receive and acknowledge with the bridge's own client; nothing is parsed or stored."""
    from encoder_bridge.broker import AckClient, Broker

    broker = Broker(
        host="127.0.0.1",
        port=settings["port"],
        protocol="5",
        client_id="bench-sink",
        password=lambda: None,
        keepalive_s=60,
        session_expiry_s=0,
        receive_maximum=64,
        will_delay_s=0,
    )
    async with AckClient(broker, aiomqtt.Will("bench/will"), on_refusal=print) as client:
        await client.subscribe("bench/sink", qos=1)
        print("ready", flush=True)
        left = settings["count"]
        async for message in client.messages:
            client.ack(message)
            left -= 1
            if not left:
                print("done", flush=True)


def remember(store: Path, count: int) -> None:
    """Give a new store a history of finished jobs, half of it spread over the last days."""
    connection = open_store(store)
    now = int(time.time() * 1000)
    connection.execute("BEGIN")
    connection.execute(
        """WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
           INSERT INTO job (access_method_id, state, place, attempt, encoder, profile, credential, origin, event_id,
                            is_reissue, created_at, state_at, expires_at, intent, receipt, issued_at)
           SELECT lower(hex(randomblob(16))), 'issued', i, 1, 'desk', 'guest',
                  '{"joins":false,"entrances":[],"starts_at":null,"ends_at":null}', '{}', lower(hex(randomblob(16))),
                  0, ?2 - i * 1000, ?2 - i * 1000, ?2 + 1000, '{"card":null,"note":{}}',
                  '{"evidence":"read_back","card":null,"note":{}}', ?2 - i * 1000 FROM n""",
        (count, now),
    )
    connection.execute(
        """INSERT INTO event (event_id, digest, received_at, job_id)
           SELECT event_id, x'00', created_at, job_id FROM job""",
    )
    for what in ("prompted", "intended", "issued"):
        connection.execute(
            "INSERT INTO attempt (job_id, attempt, at, what) SELECT job_id, 1, state_at, ? FROM job",
            (what,),
        )
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()


# Doing nothing


def idle(folder: Path, seconds: float) -> None:
    """Memory, start and the cost of waiting."""
    with Mosquitto() as broker, bridge(folder, broker.port) as (process, ready_s):
        row("start to ready", f"{ready_s:.2f} s", "0.60 s", f"{ready_s / 0.6:.2f}", "1.0")
        time.sleep(2)
        before, switches = usage(process.pid)
        time.sleep(seconds)
        after, later = usage(process.pid)
        memory = int(field(process.pid, "VmRSS")) / 1024
        row("memory idle", f"{memory:.0f} MiB", "48 MiB", f"{memory / 48:.2f}", "1.0")
        row(f"CPU over {seconds:.0f} idle s", f"{(after - before) * 1000:.0f} ms", "-", "-", "-")
        row(f"wake-ups over {seconds:.0f} idle s, all threads", f"{later - switches}", "-", "-", "-")


def usage(pid: int) -> tuple[float, int]:
    """CPU seconds and voluntary context switches of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    tasks = Path(f"/proc/{pid}/task").iterdir()
    switches = sum(int(field(pid, "voluntary_ctxt_switches", f"task/{task.name}/status")) for task in tasks)
    return ticks / os.sysconf("SC_CLK_TCK"), switches


def field(pid: int, name: str, file: str = "status") -> str:
    """One value of /proc/<pid>/status."""
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.split()[1]
    raise KeyError(name)


# One fresh card of each technology


def cards(count: int) -> None:
    """The driver over a bare loop with the same APDUs, alone and where the card is at a distance."""
    for card in figures(count):
        writing_s = card.air_s + 0.004 * card.writes
        for name, more_s, aim in (
            (f"{card.name}: {card.apdus} APDUs, {card.size} bytes", 0, "1.15"),
            (f"  + {card.air_s * 1000:.1f} ms on air, computed at 106 kbit/s", card.air_s, "-"),
            (f"  + {card.writes} writes, 4 ms each by assumption", writing_s, "-"),
        ):
            ours_s, bare_s = card.driver_s + more_s, card.bare_s + more_s
            row(name, f"{ours_s * 1000:.1f} ms", f"{bare_s * 1000:.1f} ms", f"{ours_s / bare_s:.2f}", aim)


# Processes


@contextmanager
def bridge(
    folder: Path,
    port: int,
    *,
    max_open: int = 500,
    encoder: str = "here",
) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """The real daemon, as systemd would start it; yields it and the seconds until it said it is ready."""
    folder.mkdir(exist_ok=True)
    config = folder / "encoder-bridge.toml"
    config.write_text(
        f"""
site = "bench"
desk = "desk"
time_zone = "UTC"
clock = "trusted"
store = "jobs.sqlite"
[mqtt]
port = {port}
[jobs]
default_profile = "guest"
max_open = {max_open}
cards_per_minute = 0
[encoders.desk]
driver = "{"simulated" if encoder == "here" else "not-installed"}"
stock = "{folder / "stock"}"
[log]
level = "warning"
""",
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(folder / "notify"))
        channel.settimeout(30)
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", DAEMON, "run", "--config", str(config)],
            env={**os.environ, "NOTIFY_SOCKET": str(folder / "notify")},
        )
        try:
            while b"READY=1" not in channel.recv(4096):
                pass
            ready_s = time.perf_counter() - started
            asyncio.run(wait_online(port))
            yield process, ready_s
        finally:
            process.terminate()
            process.wait(timeout=30)


async def wait_online(port: int) -> None:
    """Return once the bridge has subscribed."""
    async with connect(port) as client:
        await client.subscribe(f"{ROOT}/availability", qos=1)
        async for message in client.messages:
            if b"online" in bytes(message.payload):
                return


@contextmanager
def helper(role: str, **settings: Any) -> Iterator[subprocess.Popen[str]]:
    """Another process of this program, once it is ready."""
    Path(settings.get("file", ".")).parent.mkdir(exist_ok=True)
    command = [sys.executable, __file__, role, json.dumps(settings)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        process.stdout.readline()
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


def connect(port: int) -> aiomqtt.Client:
    """A client that sends small packets at once."""
    return aiomqtt.Client(
        "127.0.0.1",
        port,
        protocol=aiomqtt.ProtocolVersion.V5,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    )


def trigger(number: str) -> str:
    """A need as Seam sends it."""
    return json.dumps(
        {
            "event_id": f"e{number}",
            "event_description": "An access method representing a physical card requires encoding.",
            "event_type": "access_method.card_encoding_required",
            "acs_system_id": "11111111-1111-1111-1111-111111111111",
            "access_method_id": f"c7d8e9f0-1a2b-3c4d-5e6f-{number}",
        },
    )


if __name__ == "__main__":
    main()
