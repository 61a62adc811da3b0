"""NDEF: a card that any NFC reader and phone understands, with one record made from a template.

::

    format = "ndef"
    uri = "https://keys.example.com/{access_method_id}?s={sequence}"

or an external type (NFC Forum RTD, a name under a domain of yours) with text in it::

    format = "ndef"
    external_type = "example.com:key"
    payload = "{fields.room}"

A short record::

    ┌─────────┬─────────────┬────────────────┬──────┬─────────┐
    │ header  │ type length │ payload length │ type │ payload │    header: MB, ME, SR and
    └─────────┴─────────────┴────────────────┴──────┴─────────┘    TNF 1 (well known) or
      1         1             1 (4 without SR) n      n            4 (external)

The payload of a URI record (type ``U``) begins with one byte that stands for how the URI begins.  Sources: NFC Forum
NDEF 1.0 sections 2.6 and 3.2, RTD URI 1.0 section 3.2.2 (table 3), RTD 1.0 section 3.5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from encoder_bridge.driver import Credential, CredentialRejected, Secret
from encoder_bridge_cards.tables import Table

_BEGINNINGS = ("", "http://www.", "https://www.", "http://", "https://", "tel:", "mailto:")
"""What the first byte of a URI record stands for, up to the ones that are of use on a card."""
_PLACEHOLDER = re.compile(r"\{(access_method_id|sequence|starts_at|ends_at|entrances|fields\.[A-Za-z0-9_-]{1,64})\}")
_EXTERNAL = re.compile(r"[a-z0-9.-]+:[A-Za-z0-9$()*+,./:;=@_%&'!-]+", re.ASCII)
_FIXED = re.compile(r"[a-z][a-z0-9+.-]*:(//[^/{}]+/|[^/{}]{3})")
"""What makes a URI ours: scheme and host, or the beginning of what stands in its place."""
_WELL_KNOWN, _EXTERNAL_TNF = 1, 4
_SHORT = 0x10


@dataclass(frozen=True, slots=True, kw_only=True)
class NdefFormat:
    """A format of one NDEF record."""

    template: str
    external_type: str | None
    ndef = True

    @classmethod
    def parse(cls, table: Table, secret: Secret) -> NdefFormat:  # noqa: ARG003
        """Read the format's keys: ``uri``, or ``external_type`` and ``payload``.

        Raises:
            SettingsRejected: one is missing or wrong.
        """
        external = table.text("external_type") if "external_type" in table else None
        if external is not None and (len(external) > 255 or not _EXTERNAL.fullmatch(external)):
            table.refuse("external_type", "has to be a domain of yours and a name, such as example.com:key")
        key = "payload" if external is not None else "uri"
        template = table.text(key)
        if set("{}") & set(_PLACEHOLDER.sub("", template)):
            table.refuse(key, "has an unknown placeholder: use access_method_id, sequence, starts_at, ends_at, "
                              "entrances or fields.NAME in braces")  # fmt: skip
        if external is None and not _FIXED.match(template):
            table.refuse(key, "has to begin with a fixed address, such as https://example.com/: cards are known by it")
        return cls(template=template, external_type=external)

    def image(self, credential: Credential, uid: bytes | None, unit: str) -> bytes:  # noqa: ARG002
        """See `Format`."""
        text = _PLACEHOLDER.sub(lambda found: self._quoted(_value(credential, found[1])), self.template)
        if self.external_type is not None:
            return _record(_EXTERNAL_TNF, self.external_type.encode("ascii"), text.encode())
        code = max(range(len(_BEGINNINGS)), key=lambda at: len(_BEGINNINGS[at]) * text.startswith(_BEGINNINGS[at]))
        return _record(_WELL_KNOWN, b"U", bytes([code]) + text.removeprefix(_BEGINNINGS[code]).encode())

    def tells(self, image: bytes, uid: bytes) -> Mapping[str, str] | None:  # noqa: ARG002
        """See `Format`.  Ours is what the template could have made."""
        record = first_record(message(image))
        if record is None:
            return None
        tnf, kind, payload = record
        try:
            if self.external_type is not None and (tnf, kind) == (_EXTERNAL_TNF, self.external_type.encode()):
                key, text = "payload", payload.decode()
            elif self.external_type is None and (tnf, kind) == (_WELL_KNOWN, b"U") and payload:
                key, text = "uri", _BEGINNINGS[payload[0]] + payload[1:].decode()
            else:
                return None
        except (UnicodeDecodeError, IndexError):
            return None
        return {key: text} if self._could_make(text) else None

    def _quoted(self, value: str) -> str:
        return value if self.external_type is not None else quote(value, safe="")

    def _could_make(self, text: str) -> bool:
        first, *others = _PLACEHOLDER.split(self.template)[::2]
        if not others:
            return text == first
        at = len(first)
        for literal in others[:-1]:
            found = text.find(literal, at)
            if found < 0:
                return False
            at = found + len(literal)
        return text.startswith(first) and len(text) - at >= len(others[-1]) and text.endswith(others[-1])


def message(area: bytes) -> bytes:
    """The NDEF message of an area, out of the TLV blocks of a Type 2 Tag (NFC Forum Type 2 Tag 1.2, section 2.3).

    ``00`` is skipped, ``FE`` ends, ``03`` is the message; lengths from 255 on take three bytes, the first ``FF``.
    Nothing where there is none, or it is longer than the area.
    """
    at = 0
    while at < len(area) and area[at] != 0xFE:
        kind, at = area[at], at + 1
        if kind == 0:
            continue
        length = int.from_bytes(area[at : at + 1] or b"\0", "big")
        at += 1
        if length == 0xFF:
            length = int.from_bytes(area[at : at + 2], "big")
            at += 2
        if kind == 3:
            return area[at : at + length] if at + length <= len(area) else b""
        at += length
    return b""


def first_record(ndef: bytes) -> tuple[int, bytes, bytes] | None:
    """The only record of a message: its TNF, type and payload; None where there is another number, or it is broken."""
    if len(ndef) < 4 or ndef[0] & 0xE8 != 0xC0:  # MB and ME, no chunk, no id
        return None
    short = bool(ndef[0] & _SHORT)
    start = 3 if short else 6
    size = int.from_bytes(ndef[2:start], "big")
    kind, payload = ndef[start : start + ndef[1]], ndef[start + ndef[1] :]
    return (ndef[0] & 7, kind, payload) if len(payload) == size else None


def _record(tnf: int, kind: bytes, payload: bytes) -> bytes:
    short = len(payload) < 256
    head = bytes([0xC0 | (_SHORT if short else 0) | tnf, len(kind)])
    return head + len(payload).to_bytes(1 if short else 4, "big") + kind + payload


def _value(credential: Credential, name: str) -> str:
    if name.startswith("fields."):
        field = name.removeprefix("fields.")
        if field not in credential.fields:
            raise CredentialRejected(f"The field {field} is missing: send it with the trigger.")
        return credential.fields[field]
    known: Mapping[str, Callable[[], str]] = {
        "access_method_id": lambda: credential.access_method_id,
        "sequence": lambda: str(credential.sequence),
        "entrances": lambda: ",".join(credential.entrances),
        "starts_at": lambda: credential.starts_at.isoformat() if credential.starts_at else "",
        "ends_at": lambda: credential.ends_at.isoformat() if credential.ends_at else "",
    }
    return known[name]()
