"""Reaching a bridge: the one that runs, or one in this process for as long as the command takes."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from encoder_bridge.cli.client import Channel, Nobody, Unreachable
from encoder_bridge.errors import StoreError

if TYPE_CHECKING:
    from encoder_bridge.config import Settings

socket_option = click.option(
    "--socket",
    type=click.Path(path_type=Path),
    envvar="ENCODER_BRIDGE_SOCKET",
    show_envvar=True,
    help="Control socket of a running bridge, which is then reached without its configuration.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A bridge that can be talked to."""

    channel: Channel
    is_own: bool
    """It runs in this process and ends with the command."""


@contextmanager
def reach(config: Path | None, socket: Path | None, *, works: bool) -> Iterator[Reached]:
    """Find the running bridge, or run one here.

    Args:
        config: the configuration that names the socket.
        socket: only this one will do.
        works: a bridge of our own makes the cards that are in the queue.

    Raises:
        Unreachable: somebody has the store and does not answer, or nobody listens at `socket`.
        BridgeError: our own bridge cannot run.
    """
    # Whoever ends the command is told what became of what it asked for, as with Ctrl-C.
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        if socket:
            yield Reached(channel=_tried(Channel(socket)), is_own=False)
        else:
            with _configured(config, works=works) as reached:
                yield reached
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _configured(config: Path | None, *, works: bool) -> Iterator[Reached]:
    from encoder_bridge.config import load

    settings = load(config, os.environ)
    channel = Channel(settings.control_socket)
    try:
        reached = Reached(channel=_tried(channel), is_own=False)
    except Nobody:
        with _bridge_of_our_own(settings, works=works) as reached:
            yield reached
    else:
        yield reached


def _tried(channel: Channel) -> Channel:
    channel.get("/v1/health")
    return channel


@contextmanager
def _bridge_of_our_own(settings: Settings, *, works: bool) -> Iterator[Reached]:
    own = _Own(settings, works=works)
    channel = Channel(settings.control_socket)
    try:
        own.start()
    except StoreError:
        if not _is_held(settings.store):
            raise
        try:  # one that was just starting
            reached = Reached(channel=_tried(channel), is_own=False)
        except Unreachable:
            raise Unreachable(
                f"A bridge works on {settings.store}, but none answers at {channel.path}: "
                "wait until it has started, or name its socket with --socket."
            ) from None
        yield reached
        return
    try:
        yield Reached(channel=channel, is_own=True)
    finally:
        own.stop()  # which tells why it does not answer any more


class _Own:
    """A bridge in a thread of its own, without a broker.

    Args:
        settings: the configuration.
        works: its encoders take jobs from the queue.
    """

    def __init__(self, settings: Settings, *, works: bool) -> None:
        self._settings = settings
        self._works = works
        self._ready: Future[None] = Future()
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self._stop_soon: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name="bridge")

    def start(self) -> None:
        """Return once it is there.

        Raises:
            BridgeError: it cannot run.
        """
        from encoder_bridge import log

        log.configure("error", "text")
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            self.stop(quietly=True)
            raise

    def stop(self, *, quietly: bool = False) -> None:
        """Return once it has ended.

        Raises:
            BridgeError: it had ended by itself, for this reason.
        """
        self._stopped.set()
        self._stop_soon()
        self._thread.join()
        if self._error and not quietly:
            error, self._error = self._error, None
            raise error

    def _run(self) -> None:
        import asyncio

        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - whoever waits for it raises it
            if self._ready.done():
                self._error = error
            else:
                self._ready.set_exception(error)

    async def _serve(self) -> None:
        import asyncio

        from encoder_bridge import app

        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        def stop_soon() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(stop.set)

        async with app.bridge(self._settings, hears=False, works=self._works):
            self._stop_soon = stop_soon
            self._ready.set_result(None)
            if not self._stopped.is_set():
                await stop.wait()


def _is_held(store: Path) -> bool:
    """Whether a process works on the store."""
    try:
        with store.with_name(store.name + ".lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
