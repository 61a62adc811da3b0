"""Light and sound of a reader."""

from __future__ import annotations

import logging
from collections.abc import Callable

from encoder_bridge_pcsc.models import Light
from encoder_bridge_pcsc.winscard import CardMissing, Connection, Context, Ending, PcscError, Share

_log = logging.getLogger("encoder_bridge_pcsc")


def signal(context: Context, reader: str, light: Light, *, ok: bool) -> None:
    """Blink and beep if that is possible now; a reader that will not is no error."""
    commands = light.ok if ok else light.failed
    try:
        if not light.goes_as_apdu or not _sent(context, reader, Share.SHARED, Connection.transmit, commands):
            _sent(context, reader, Share.DIRECT, Connection.control, commands)
    except PcscError as error:
        _log.info("%s gives no signal: %s", reader, error.raw)


def _sent(
    context: Context,
    reader: str,
    share: Share,
    send: Callable[[Connection, bytes], bytes],
    commands: tuple[bytes, ...],
) -> bool:
    """Send the commands; False if a card is needed for that and none lies there."""
    try:
        connection = context.connect(reader, share)
    except CardMissing:
        return False
    try:
        for command in commands:
            send(connection, command)
    finally:
        connection.disconnect(Ending.LEAVE)
    return True
