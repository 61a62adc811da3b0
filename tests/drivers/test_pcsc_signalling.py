"""What a reader is told to blink and to beep, with and without a card on it."""

from __future__ import annotations

from typing import Any

import pytest
from encoder_bridge_pcsc.models import ACR122U_LIGHT, ACR1252U_LIGHT, Light
from encoder_bridge_pcsc.signalling import signal
from encoder_bridge_pcsc.winscard import Busy, CardMissing, Connection, Ending, PcscError, Share

READER = "some reader 00 00"


class Spoken(Connection):
    """A connection that keeps what it was told."""

    def __init__(self, service: Service, share: Share) -> None:
        self._service = service
        self._how = share

    def transmit(self, apdu: bytes) -> bytes:
        return self._hear("apdu", apdu)

    def control(self, command: bytes) -> bytes:
        return self._hear("escape", command)

    def disconnect(self, ending: Ending) -> None:
        self._service.ended.append((self._how, ending))

    def _hear(self, how: str, command: bytes) -> bytes:
        if how in self._service.refuses:
            raise PcscError("SCARD_E_NOT_TRANSACTED")
        self._service.heard.append((how, command.hex()))
        return b"\x90\x00"


class Service:
    """A context with one reader."""

    def __init__(self, *, has_card: bool = False, is_busy: bool = False, refuses: tuple[str, ...] = ()) -> None:
        self.has_card = has_card
        self.is_busy = is_busy
        self.refuses = refuses
        self.heard: list[tuple[str, str]] = []
        self.ended: list[tuple[Share, Ending]] = []

    def connect(self, reader: str, share: Share) -> Spoken:
        assert reader == READER
        assert share is not Share.EXCLUSIVE
        if self.is_busy:
            raise Busy("SCARD_E_SHARING_VIOLATION")
        if share is Share.SHARED and not self.has_card:
            raise CardMissing("SCARD_E_NO_SMARTCARD")
        return Spoken(self, share)


def told(service: Any, light: Light, *, ok: bool = True) -> list[tuple[str, str]]:
    signal(service, READER, light, ok=ok)
    heard: list[tuple[str, str]] = service.heard
    return heard


@pytest.mark.parametrize(("ok", "command"), [(True, "ff0040a00402010101"), (False, "ff0040500402020301")])
def test_a_command_goes_to_the_card_s_side_where_one_lies(ok: bool, command: str) -> None:
    service = Service(has_card=True)
    assert told(service, ACR122U_LIGHT, ok=ok) == [("apdu", command)]
    assert service.ended == [(Share.SHARED, Ending.LEAVE)]


def test_a_command_goes_past_the_card_where_none_lies() -> None:
    service = Service()
    assert told(service, ACR122U_LIGHT) == [("escape", "ff0040a00402010101")]
    assert service.ended == [(Share.DIRECT, Ending.LEAVE)]


@pytest.mark.parametrize("has_card", [True, False])
@pytest.mark.parametrize(("ok", "lights", "beep"), [(True, "02", "14"), (False, "01", "50")])
def test_a_reader_that_takes_no_apdus_for_it_is_told_past_the_card(
    has_card: bool, ok: bool, lights: str, beep: str
) -> None:
    heard = told(Service(has_card=has_card), ACR1252U_LIGHT, ok=ok)
    assert heard == [("escape", f"e000002901{lights}"), ("escape", f"e000002801{beep}")]


@pytest.mark.parametrize("service", [Service(is_busy=True), Service(refuses=("apdu", "escape"))])
@pytest.mark.parametrize("light", [ACR122U_LIGHT, ACR1252U_LIGHT])
def test_a_reader_that_will_not_is_no_error(service: Service, light: Light) -> None:
    assert told(service, light) == []


def test_a_connection_ends_also_when_its_command_failed() -> None:
    service = Service(has_card=True, refuses=("apdu",))
    told(service, ACR122U_LIGHT)
    assert service.ended == [(Share.SHARED, Ending.LEAVE)]
