"""Debian's libfreefare as a reader of DESFire cards, in a process of its own so that it may crash.

    with Pn532(card) as reader:
        freefare.run(reader.path, [["select", "434221"], ["authenticate", "aes", 0, "00" * 16], ["file_ids"]])

Each step gives its result, or ``{"error": status}`` with the card's status (0: the library's own).  An application is
named as it is written, the highest byte first.  On a command line::

    python freefare.py DEVICE read --aid 434221 --file 1 --key 00112233445566778899aabbccddeeff [--key-number 0]
"""

from __future__ import annotations

import argparse
import ctypes
import ctypes.util
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

LIMIT_S = 60.0
DESFIRE = 4
"""The value of `freefare_tag_type`."""
MOST = 8192
LONG_RESULTS = frozenset({"read_data", "read_data_ex", "write_data"})

Step: TypeAlias = Sequence[str | int]


def missing() -> str | None:
    """Why it cannot be used here; None: it can."""
    for library, package in (("nfc", "libnfc6"), ("freefare", "libfreefare0")):
        if ctypes.util.find_library(library) is None:
            return f"lib{library} is not installed (Debian package {package})"
    return None


def run(device: str, steps: Sequence[Step]) -> list[Any]:
    """Let the library take these steps with the card on the PN532 at `device`.

    Raises:
        RuntimeError: it ended otherwise than by saying its results; the message holds what it said.
    """
    command = [sys.executable, str(Path(__file__)), device, "run"]
    done = subprocess.run(
        command, input=json.dumps(steps), capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    if done.returncode:
        raise RuntimeError(f"libfreefare ended with {done.returncode}: {done.stderr}")
    results: list[Any] = json.loads(done.stdout)
    return results


def read_file(device: str, aid: int, file: int, key: bytes, *, key_number: int = 0, mode: int = -1) -> bytes:
    """Read a whole file with an AES key.

    Args:
        device: where the PN532 is.
        aid: the application.
        file: its number.
        key: 16 bytes.
        key_number: which of the application's keys that is.
        mode: 0 plain, 1 MAC, 3 full; -1: as the file's settings say, which the application must let this key read.

    Raises:
        RuntimeError: it could not.
    """
    steps: list[Step] = [
        ["select", f"{aid:06x}"],
        ["authenticate", "aes", key_number, key.hex()],
        ["read", file, 0, 0, mode],
    ]
    *others, data = run(device, steps)
    if not isinstance(data, str) or any(isinstance(one, dict) for one in others):
        raise RuntimeError(f"libfreefare could not read: {[*others, data]}")
    return bytes.fromhex(data)


class Refusal(Exception):
    """The card or the library refused; the status is the card's, 0 where it gave none."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status:02x}")
        self.status = status


class Settings(ctypes.Structure):
    """``struct mifare_desfire_file_settings`` as far as data files need it."""

    _fields_ = (
        ("file_type", ctypes.c_uint8),
        ("communication", ctypes.c_uint8),
        ("access", ctypes.c_uint16),
        ("size", ctypes.c_uint32),
        ("rest", ctypes.c_uint8 * 32),
    )


class Freefare:
    """The library with one card of one PN532."""

    def __init__(self, device: str) -> None:
        self._nfc = ctypes.CDLL("libnfc.so.6")
        self._library = ctypes.CDLL("libfreefare.so.0")
        self._library.freefare_get_tags.restype = ctypes.POINTER(ctypes.c_void_p)
        self._nfc.nfc_open.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p()
        self._nfc.nfc_init(ctypes.byref(self._context))
        opened = self._nfc.nfc_open(self._context, f"pn532_uart:{device}".encode())
        if not opened:
            raise SystemExit(f"libnfc cannot open {device}")
        self._device = ctypes.c_void_p(opened)
        tags = self._library.freefare_get_tags(self._device)
        if not tags or not tags[0]:
            raise SystemExit("libfreefare finds no card")
        self._tag = ctypes.c_void_p(tags[0])
        if (kind := self._library.freefare_get_tag_type(self._tag)) != DESFIRE:
            raise SystemExit(f"libfreefare takes the card for another kind: {kind}")
        self._call("connect")

    def close(self) -> None:
        self._call("disconnect")
        self._nfc.nfc_close(self._device)
        self._nfc.nfc_exit(self._context)

    def take(self, step: Step) -> Any:
        verb, *arguments = step
        try:
            return getattr(self, f"do_{verb}")(*arguments)
        except Refusal as refusal:
            return {"error": refusal.status}

    def do_select(self, aid: str) -> None:
        self._call("select_application", self._aid(aid))

    def do_authenticate(self, how: str, number: int, key: str) -> None:
        """`how`: legacy, iso or aes; the kind of a DES key is told by its length."""
        function = {"legacy": "authenticate", "iso": "authenticate_iso", "aes": "authenticate_aes"}[how]
        self._call(function, ctypes.c_uint8(number), self._key("aes" if how == "aes" else "des", key))

    def do_create_application(self, kind: str, aid: str, settings: int, keys: int) -> None:
        function = {"aes": "create_application_aes", "des": "create_application", "3k3des": "create_application_3k3des"}
        self._call(function[kind], self._aid(aid), ctypes.c_uint8(settings), ctypes.c_uint8(keys))

    def do_delete_application(self, aid: str) -> None:
        self._call("delete_application", self._aid(aid))

    def do_application_ids(self) -> list[str]:
        found = ctypes.POINTER(ctypes.c_void_p)()
        count = ctypes.c_size_t()
        self._call("get_application_ids", ctypes.byref(found), ctypes.byref(count))
        self._library.mifare_desfire_aid_get_aid.restype = ctypes.c_uint32
        return [
            f"{self._library.mifare_desfire_aid_get_aid(ctypes.c_void_p(found[at])):06x}" for at in range(count.value)
        ]

    def do_create_file(self, kind: str, number: int, mode: int, access: int, size: int) -> None:
        """`kind`: std or backup."""
        arguments = (ctypes.c_uint8(number), ctypes.c_uint8(mode), ctypes.c_uint16(access), ctypes.c_uint32(size))
        self._call(f"create_{kind}_data_file", *arguments)

    def do_delete_file(self, number: int) -> None:
        self._call("delete_file", ctypes.c_uint8(number))

    def do_file_ids(self) -> list[int]:
        found = ctypes.POINTER(ctypes.c_uint8)()
        count = ctypes.c_size_t()
        self._call("get_file_ids", ctypes.byref(found), ctypes.byref(count))
        return [found[at] for at in range(count.value)]

    def do_file_settings(self, number: int) -> list[int]:
        settings = Settings()
        self._call("get_file_settings", ctypes.c_uint8(number), ctypes.byref(settings))
        return [settings.file_type, settings.communication, settings.access, settings.size]

    def do_change_file_settings(self, number: int, mode: int, access: int) -> None:
        self._call("change_file_settings", ctypes.c_uint8(number), ctypes.c_uint8(mode), ctypes.c_uint16(access))

    def do_write(self, number: int, offset: int, data: str) -> None:
        raw = bytes.fromhex(data)
        self._call("write_data", ctypes.c_uint8(number), ctypes.c_long(offset), ctypes.c_size_t(len(raw)), raw)

    def do_read(self, number: int, offset: int, length: int, mode: int = -1) -> str:
        """`length` 0: to the end; `mode` -1: as the file's settings say, where they may be read."""
        room = ctypes.create_string_buffer(MOST + 64)
        arguments = (ctypes.c_uint8(number), ctypes.c_long(offset), ctypes.c_size_t(length), room)
        if mode < 0:
            count = self._call("read_data", *arguments)
        else:
            count = self._call("read_data_ex", *arguments, ctypes.c_int(mode))
        return room.raw[:count].hex()

    def do_commit(self) -> None:
        self._call("commit_transaction")

    def do_abort(self) -> None:
        self._call("abort_transaction")

    def do_change_key(self, number: int, kind: str, new: str, version: int, old: str) -> None:
        """`old`: hexadecimal, empty for the key that is authenticated."""
        before = self._key(kind, old) if old else None
        self._call("change_key", ctypes.c_uint8(number), self._key(kind, new, version), before)

    def do_key_version(self, number: int) -> int:
        version = ctypes.c_uint8()
        self._call("get_key_version", ctypes.c_uint8(number), ctypes.byref(version))
        return version.value

    def do_key_settings(self) -> list[int]:
        settings, most = ctypes.c_uint8(), ctypes.c_uint8()
        self._call("get_key_settings", ctypes.byref(settings), ctypes.byref(most))
        return [settings.value, most.value]

    def do_change_key_settings(self, settings: int) -> None:
        self._call("change_key_settings", ctypes.c_uint8(settings))

    def do_card_uid(self) -> str:
        found = ctypes.c_char_p()
        self._call("get_card_uid", ctypes.byref(found))
        return (found.value or b"").decode()

    def do_version(self) -> str:
        found = ctypes.create_string_buffer(64)
        self._call("get_version", found)
        return found.raw[:28].hex()

    def do_free_mem(self) -> int:
        size = ctypes.c_uint32()
        self._call("free_mem", ctypes.byref(size))
        return size.value

    def do_format(self) -> None:
        self._call("format_picc")

    def do_set_configuration(self, disable_format: int, random_id: int) -> None:
        self._call("set_configuration", ctypes.c_bool(bool(disable_format)), ctypes.c_bool(bool(random_id)))

    def _call(self, name: str, *arguments: object) -> int:
        function = getattr(self._library, f"mifare_desfire_{name}")
        function.restype = ctypes.c_ssize_t if name in LONG_RESULTS else ctypes.c_int
        result: int = function(self._tag, *arguments)
        if result < 0:
            raise Refusal(self._library.mifare_desfire_last_picc_error(self._tag))
        return result

    def _aid(self, text: str) -> ctypes.c_void_p:
        self._library.mifare_desfire_aid_new.restype = ctypes.c_void_p
        return ctypes.c_void_p(self._library.mifare_desfire_aid_new(ctypes.c_uint32(int(text, 16))))

    def _key(self, kind: str, text: str, version: int = 0) -> ctypes.c_void_p:
        raw = bytes.fromhex(text)
        name = "aes" if kind == "aes" else {8: "des", 16: "3des", 24: "3k3des"}[len(raw)]
        function = getattr(self._library, f"mifare_desfire_{name}_key_new_with_version")
        function.restype = ctypes.c_void_p
        if name == "aes":
            return ctypes.c_void_p(function(raw, ctypes.c_uint8(version)))
        return ctypes.c_void_p(function(raw))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("device")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("run", help="take the steps on standard input, a list in JSON")
    read = verbs.add_parser("read", help="print a file")
    read.add_argument("--aid", required=True)
    read.add_argument("--file", type=int, required=True)
    read.add_argument("--key", required=True)
    read.add_argument("--key-number", type=int, default=0)
    read.add_argument("--mode", type=int, default=-1, help="0 plain, 1 MAC, 3 full; without: as the file says")
    arguments = parser.parse_args()
    if arguments.verb == "read":
        steps: list[Step] = [
            ["select", arguments.aid],
            ["authenticate", "aes", arguments.key_number, arguments.key],
            ["read", arguments.file, 0, 0, arguments.mode],
        ]
    else:
        steps = json.load(sys.stdin)
    library = Freefare(arguments.device)
    print(json.dumps([library.take(step) for step in steps]))
    library.close()


if __name__ == "__main__":
    main()
