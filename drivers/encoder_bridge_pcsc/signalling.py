"""Light and sound of a reader."""

from __future__ import annotations

import logging

from encoder_bridge_pcsc.models import Light
from encoder_bridge_pcsc.winscard import CardMissing, Context, Ending, PcscError, Share

_log = logging.getLogger("encoder_bridge_pcsc")


def signal(context: Context, reader: str, light: Light, *, ok: bool) -> None:
    """Blink and beep if that is possible now; a reader that will not is no error."""
    commands = light.ok if ok else light.failed
    try:
        if light.goes_as_apdu:
            try:
                _send(context, reader, Share.SHARED, commands)
            except CardMissing:
                _send(context, reader, Share.DIRECT, commands)
        else:
            _send(context, reader, Share.DIRECT, commands)
    except PcscError as error:
        _log.info("%s gives no signal: %s", reader, error.raw)


def _send(context: Context, reader: str, share: Share, commands: tuple[bytes, ...]) -> None:
    connection = context.connect(reader, share)
    try:
        for command in commands:
            if share is Share.DIRECT:
                connection.control(command)
            else:
                connection.transmit(command)
    finally:
        connection.disconnect(Ending.LEAVE)
