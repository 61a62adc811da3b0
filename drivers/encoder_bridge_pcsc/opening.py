"""Opening a reader and closing it, with a sentence for everything that may stand in the way."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from encoder_bridge.driver import DeviceUnavailable
from encoder_bridge_pcsc.names import NoSuchReader, Wanted, choose
from encoder_bridge_pcsc.reader import PcscReader
from encoder_bridge_pcsc.winscard import (
    AccessDenied,
    Busy,
    Context,
    Ending,
    NoLibrary,
    PcscError,
    ReaderMissing,
    ServiceGone,
    Share,
)
from encoder_bridge_pcsc.worker import Worker

_log = logging.getLogger("encoder_bridge_pcsc")

_SENTENCES: dict[type[PcscError], str] = {
    NoLibrary: "Card readers cannot be used: install the extra encoder-bridge[pcsc].",
    ServiceGone: "The smart card service does not run: start pcscd.",
    AccessDenied: "This user may not use the smart card service: allow it in polkit (docs/pcsc.md).",
    ReaderMissing: "The card reader is not plugged in: plug it in.",
    Busy: "Another program has the card reader to itself: close it.",
}

_open: set[str] = set()
"""Full names of the readers that are open in this process; only the event loop's thread looks here."""


@asynccontextmanager
async def opened(wanted: Wanted) -> AsyncIterator[PcscReader]:
    """Open a reader; leaving closes it and ends its threads.

    Raises:
        DeviceUnavailable: on entering.
    """
    worker = Worker("pcsc")
    try:
        with told():
            context, name = await worker.do(lambda: _found(wanted))
        try:
            async with _kept(name, context, worker) as reader:
                yield reader
        finally:
            await worker.do(context.release)
    finally:
        worker.close()


@asynccontextmanager
async def _kept(name: str, context: Context, worker: Worker) -> AsyncIterator[PcscReader]:
    if name in _open:
        raise DeviceUnavailable("This card reader is open for another encoder: give each its own.", raw=name)
    _open.add(name)
    try:
        reader = PcscReader(name, context, worker)
        with told():
            watch = reader.watch(await worker.do(Context))
        _log.info("opened %s", name)
        try:
            yield reader
        finally:
            await worker.do(watch.stop)
            reader.lose("closed")
    finally:
        _open.discard(name)


def _found(wanted: Wanted) -> tuple[Context, str]:
    context = Context()
    try:
        name = choose(context.readers(), wanted, lambda each: serial_of(context, each))
        context.connect(name, Share.DIRECT).disconnect(Ending.LEAVE)
    except BaseException:
        context.release()
        raise
    return context, name


def serial_of(context: Context, name: str) -> str | None:
    """The serial number of a reader, if it tells one and nobody has the reader to himself."""
    with suppress(Busy, ReaderMissing):
        connection = context.connect(name, Share.DIRECT)
        try:
            return connection.serial()
        finally:
            connection.disconnect(Ending.LEAVE)
    return None


@contextmanager
def told() -> Iterator[None]:
    """Say in one sentence what PC/SC says in a code.

    Raises:
        DeviceUnavailable: for every error of PC/SC.
    """
    try:
        yield
    except NoSuchReader as error:
        raise DeviceUnavailable(str(error)) from None
    except PcscError as error:
        sentence = _SENTENCES.get(type(error), "The card reader cannot be used: unplug it and plug it in again.")
        raise DeviceUnavailable(sentence, raw=error.raw) from error
