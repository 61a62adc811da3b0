"""Listing the readers that are plugged in, without disturbing whoever uses them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from encoder_bridge.driver import Found
from encoder_bridge_pcsc.models import model_of
from encoder_bridge_pcsc.names import ReaderName, Wanted, identified
from encoder_bridge_pcsc.opening import serial_of, told
from encoder_bridge_pcsc.winscard import Busy, Context, ServiceGone
from encoder_bridge_pcsc.worker import Worker


async def listed() -> Sequence[Found]:
    """Every contactless reader there is; none where pcscd does not run.

    A reader that somebody has to himself is listed without its serial number, if its name does not tell that.

    Raises:
        DeviceUnavailable: PC/SC cannot be used.
    """
    worker = Worker("pcsc")
    try:
        with told():
            return await worker.do(_list)
    finally:
        worker.close()


def _list() -> Sequence[Found]:
    try:
        context = Context()
    except ServiceGone:
        return ()
    try:
        names = [ReaderName.parse(name) for name in context.readers()]
        serials = {name.full: name.serial or _asked(context, name.full) for name in names}
    finally:
        context.release()
    return [_found(name, identified(name, serials), serials[name.full]) for name in names if name.takes_cards]


def _asked(context: Context, name: str) -> str | None:
    with suppress(Busy):
        return serial_of(context, name)
    return None


def _found(name: ReaderName, wanted: Wanted, serial: str | None) -> Found:
    model = model_of(name.full)
    about = {
        "model": model.name,
        "native frames": "yes" if model.is_known else "found out with the first card",
        "light": "yes" if model.light is not None else "no",
    }
    chosen = {"reader": wanted.reader, "serial": wanted.serial, "slot": wanted.slot}
    return Found(
        identity=str(wanted),
        settings={key: value for key, value in chosen.items() if value is not None},
        about=about if serial is None else {**about, "serial": serial},
    )
