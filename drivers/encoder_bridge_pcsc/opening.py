"""Opening a reader and closing it, with a sentence for everything that may stand in the way."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

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
    AccessDenied: "This user may not use the smart card service: allow it in polkit.",
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
    contexts = ExitStack()
    try:
        with told():
            name, working, watching = await worker.do(lambda: _found(wanted, contexts))
        with _alone(name):
            reader = PcscReader(name, working, worker)
            watch = reader.watch(watching)
            _log.info("opened %s", name)
            try:
                yield reader
            finally:
                reader.close()
                await worker.do(watch.stop)
    finally:
        try:
            await worker.do(contexts.close)
        finally:
            worker.close()


@contextmanager
def _alone(name: str) -> Iterator[None]:
    if name in _open:
        raise DeviceUnavailable("This card reader is open for another encoder: give each its own.", raw=name)
    _open.add(name)
    try:
        yield
    finally:
        _open.discard(name)


def _found(wanted: Wanted, contexts: ExitStack) -> tuple[str, Context, Context]:
    """The reader, and a context each for work and for waiting, which `contexts` releases."""
    working, watching = (_begun(contexts), _begun(contexts))
    name = _chosen(working, wanted)
    working.connect(name, Share.DIRECT).disconnect(Ending.LEAVE)
    return name, working, watching


def _chosen(context: Context, wanted: Wanted) -> str:
    unasked: list[Busy] = []

    def serial(name: str) -> str | None:
        try:
            return serial_of(context, name)
        except Busy as error:
            unasked.append(error)
            return None

    try:
        return choose(context.readers(), wanted, serial)
    except NoSuchReader:
        if unasked:
            raise unasked[0] from None
        raise


def _begun(contexts: ExitStack) -> Context:
    context = Context()
    contexts.callback(context.release)
    return context


def serial_of(context: Context, name: str) -> str | None:
    """The serial number of a reader, if it tells one.

    Raises:
        Busy: somebody has the reader to himself.
        PcscError: it cannot be asked.
    """
    try:
        connection = context.connect(name, Share.DIRECT)
    except ReaderMissing:
        return None
    try:
        return connection.serial()
    finally:
        connection.disconnect(Ending.LEAVE)


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
