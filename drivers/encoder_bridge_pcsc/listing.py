"""Listing the readers that are plugged in, without disturbing whoever uses them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from encoder_bridge.driver import Found
from encoder_bridge_pcsc.models import model_of
from encoder_bridge_pcsc.names import ReaderName
from encoder_bridge_pcsc.opening import serial_of, told
from encoder_bridge_pcsc.winscard import Context, ServiceGone
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
        serials = {name.full: name.serial or serial_of(context, name.full) for name in names}
    finally:
        context.release()
    names = [name for name in names if name.takes_cards]
    alike = Counter(name.stable for name in names)
    return [_found(name, serials[name.full], is_alone=alike[name.stable] == 1) for name in names]


def _found(name: ReaderName, serial: str | None, *, is_alone: bool) -> Found:
    model = model_of(name.full)
    settings: dict[str, object] = {"reader": name.stable}
    if not is_alone:
        settings = {"reader": name.stable, "serial": serial} if serial else {"reader": name.full}
    about = {
        "model": model.name,
        "native frames": "yes" if model.is_known else "found out with the first card",
        "light": "yes" if model.light is not None else "no",
    }
    return Found(
        identity=f"{name.product} {serial}" if serial else (name.stable if is_alone else name.full),
        settings=settings,
        about=about if serial is None else {**about, "serial": serial},
    )
