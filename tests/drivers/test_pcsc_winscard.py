"""What pyscard says, in the driver's few words and in sentences for people."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from encoder_bridge_pcsc.listing import listed
from encoder_bridge_pcsc.names import Wanted
from encoder_bridge_pcsc.opening import opened
from encoder_bridge_pcsc.winscard import (
    AccessDenied,
    Busy,
    Cancelled,
    CardMissing,
    Context,
    Ending,
    PcscError,
    ReaderMissing,
    ServiceGone,
    Share,
)

from encoder_bridge.driver import DeviceUnavailable, Found

scard = pytest.importorskip("smartcard.scard", reason="pyscard is not installed: no PC/SC client")

READER = "ACS ACR122U PICC Interface 00 00"
KINDS = {
    "SCARD_E_NO_SERVICE": ServiceGone,
    "SCARD_E_SERVICE_STOPPED": ServiceGone,
    "SCARD_E_INVALID_HANDLE": ServiceGone,
    "SCARD_F_COMM_ERROR": ServiceGone,
    "SCARD_W_SECURITY_VIOLATION": AccessDenied,
    "SCARD_E_UNKNOWN_READER": ReaderMissing,
    "SCARD_E_READER_UNAVAILABLE": ReaderMissing,
    "SCARD_E_SHARING_VIOLATION": Busy,
    "SCARD_E_NO_SMARTCARD": CardMissing,
    "SCARD_W_REMOVED_CARD": CardMissing,
    "SCARD_E_CANCELLED": Cancelled,
    "SCARD_E_NOT_TRANSACTED": PcscError,
    "SCARD_W_UNRESPONSIVE_CARD": PcscError,
    "SCARD_F_INTERNAL_ERROR": PcscError,
}


class Service:
    """pyscard's functions with a service behind them that has one reader; what goes wrong is set by name."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.codes: dict[str, int] = {}
        self.readers = [READER]
        self.serial = b"RR123456\0"
        self.state = 0x0001_0022
        self.open = 0
        for name in dir(self):
            if name.startswith("SCard"):
                patch.setattr(scard, name, getattr(self, name))

    def code(self, name: str) -> int:
        return self.codes.get(name, 0)

    def SCardEstablishContext(self, scope: int) -> tuple[int, int]:  # noqa: N802
        self.open += not self.code("SCardEstablishContext")
        return self.code("SCardEstablishContext"), 1

    def SCardReleaseContext(self, context: int) -> int:  # noqa: N802
        self.open -= 1
        return 0

    def SCardListReaders(self, context: int, groups: list[str]) -> tuple[int, list[str]]:  # noqa: N802
        return self.code("SCardListReaders"), self.readers

    def SCardConnect(self, *_: object) -> tuple[int, int, int]:  # noqa: N802
        return self.code("SCardConnect"), 1, 2

    def SCardDisconnect(self, *_: object) -> int:  # noqa: N802
        return self.code("SCardDisconnect")

    def SCardReconnect(self, *_: object) -> tuple[int, int]:  # noqa: N802
        return self.code("SCardReconnect"), 2

    def SCardStatus(self, *_: object) -> tuple[int, str, int, int, list[int]]:  # noqa: N802
        return self.code("SCardStatus"), READER, 0, 2, [0x3B, 0x00]

    def SCardTransmit(self, *_: object) -> tuple[int, list[int]]:  # noqa: N802
        return self.code("SCardTransmit"), [0x90, 0x00]

    def SCardControl(self, *_: object) -> tuple[int, list[int]]:  # noqa: N802
        return self.code("SCardControl"), []

    def SCardGetAttrib(self, handle: int, attribute: int) -> tuple[int, list[int]]:  # noqa: N802
        assert attribute == scard.SCARD_ATTR_VENDOR_IFD_SERIAL_NO
        return self.code("SCardGetAttrib"), list(self.serial)

    def SCardGetStatusChange(  # noqa: N802
        self, context: int, timeout: int, states: list[tuple[str, int]]
    ) -> tuple[int, list[tuple[str, int, list[int]]]]:
        return self.code("SCardGetStatusChange"), [(READER, self.state, [])]

    def SCardCancel(self, context: int) -> int:  # noqa: N802
        return self.code("SCardCancel")


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    return Service(monkeypatch)


def refusal(wanted: Wanted) -> DeviceUnavailable:
    async def attempt() -> None:
        async with opened(wanted):
            raise AssertionError("was opened")

    with pytest.raises(DeviceUnavailable) as refused:
        asyncio.run(attempt())
    return refused.value


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
@pytest.mark.parametrize("is_signed", [False, True])
def test_a_code_keeps_its_name_and_finds_its_kind(
    service: Service, name: str, kind: type[PcscError], is_signed: bool
) -> None:
    connection = Context().connect(READER, Share.EXCLUSIVE)
    code = getattr(scard, name)
    service.codes["SCardTransmit"] = code - 0x1_0000_0000 if is_signed else code
    with pytest.raises(PcscError) as raised:
        connection.transmit(b"\xff\xca\x00\x00\x00")
    assert type(raised.value) is kind
    assert raised.value.raw == name


def test_a_code_without_a_name_is_told_as_a_number(service: Service) -> None:
    service.codes["SCardConnect"] = 0x80109999
    with pytest.raises(PcscError, match=r"^0x80109999$"):
        Context().connect(READER, Share.SHARED)


@pytest.mark.parametrize(
    ("call", "code", "sentence"),
    [
        ("SCardEstablishContext", "SCARD_E_NO_SERVICE", "The smart card service does not run: start pcscd."),
        ("SCardListReaders", "SCARD_E_SERVICE_STOPPED", "The smart card service does not run: start pcscd."),
        (
            "SCardEstablishContext",
            "SCARD_W_SECURITY_VIOLATION",
            "This user may not use the smart card service: allow it in polkit.",
        ),
        (
            "SCardConnect",
            "SCARD_W_SECURITY_VIOLATION",
            "This user may not use the smart card service: allow it in polkit.",
        ),
        ("SCardConnect", "SCARD_E_SHARING_VIOLATION", "Another program has the card reader to itself: close it."),
        ("SCardConnect", "SCARD_E_READER_UNAVAILABLE", "The card reader is not plugged in: plug it in."),
        ("SCardConnect", "SCARD_E_NO_MEMORY", "The card reader cannot be used: unplug it and plug it in again."),
    ],
)
def test_what_keeps_a_reader_from_being_opened_is_said(service: Service, call: str, code: str, sentence: str) -> None:
    service.codes[call] = getattr(scard, code)
    refused = refusal(Wanted(reader=READER))
    assert (str(refused), refused.raw) == (sentence, code)
    assert service.open == 0


def test_no_reader_at_all_is_said(service: Service) -> None:
    service.codes["SCardListReaders"] = scard.SCARD_E_NO_READERS_AVAILABLE
    assert str(refusal(Wanted(reader=READER))) == f"The card reader ({READER!r}) is not plugged in: plug it in."


def test_pyscard_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smartcard", None)
    assert "install the extra encoder-bridge[pcsc]" in str(refusal(Wanted(reader=READER)))
    with pytest.raises(DeviceUnavailable, match="install the extra"):
        asyncio.run(_list())


def test_a_reader_tells_its_serial_number(service: Service) -> None:
    (found,) = asyncio.run(_list())
    assert found.about["serial"] == "RR123456"
    service.readers = [READER, READER.replace("00 00", "01 00")]
    service.serial = b"RR123456"
    assert [found.settings["reader"] for found in asyncio.run(_list())] == service.readers


@pytest.mark.parametrize("serial", [b"", b"\0", b" \0"])
def test_a_serial_number_of_nothing_is_none(service: Service, serial: bytes) -> None:
    service.serial = serial
    assert Context().connect(READER, Share.DIRECT).serial() is None


def test_a_serial_number_that_is_no_text_is_told_as_far_as_it_is(service: Service) -> None:
    service.serial = b"\xff\xfe1\0junk"
    assert Context().connect(READER, Share.DIRECT).serial() == "\ufffd\ufffd1"


def test_a_list_of_no_readers_is_empty(service: Service) -> None:
    service.codes["SCardListReaders"] = scard.SCARD_E_NO_READERS_AVAILABLE
    assert asyncio.run(_list()) == []
    assert service.open == 0


@pytest.mark.parametrize("state", [0x0004, 0x0008, 0x0001_000A])
def test_a_reader_whose_state_is_unknown_is_gone(service: Service, state: int) -> None:
    service.state = state
    with pytest.raises(ReaderMissing):
        Context().wait(READER, 0)


def test_a_card_begins_anew_with_its_atr(service: Service) -> None:
    connection = Context().connect(READER, Share.EXCLUSIVE)
    assert connection.begin_anew(Ending.RESET) == b"\x3b\x00"
    service.codes["SCardStatus"] = scard.SCARD_W_REMOVED_CARD
    with pytest.raises(CardMissing):
        connection.begin_anew(Ending.RESET)


def test_a_connection_ends_whatever_is_left_of_it(service: Service) -> None:
    context = Context()
    connection = context.connect(READER, Share.EXCLUSIVE)
    service.codes["SCardDisconnect"] = scard.SCARD_E_NO_SERVICE
    connection.disconnect(Ending.RESET)
    context.release()
    assert service.open == 0


def test_a_daemon_imports_no_pyscard_before_a_reader_is_opened() -> None:
    program = (
        "import sys, encoder_bridge_pcsc, encoder_bridge_pcsc.opening, encoder_bridge_pcsc.listing\n"
        "sys.exit(any(name.partition('.')[0] == 'smartcard' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


async def _list() -> list[Found]:
    return list(await listed())
