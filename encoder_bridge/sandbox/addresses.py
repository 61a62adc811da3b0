"""Where a broker is, read from a URL."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

Protocol = Literal["5", "3.1.1"]
_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A broker, and as whom to talk to it."""

    host: str
    port: int
    protocol: Protocol = "5"
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None

    def context(self) -> ssl.SSLContext | None:
        """How the connection is encrypted.

        Raises:
            OSError: the certificates cannot be read.
        """
        return ssl.create_default_context(cafile=self.ca_file) if self.tls else None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(url: str) -> Address:
    """Read ``mqtt[s]://[user@]host[:port]``.

    Raises:
        ValueError: it is none; the sentence never quotes it, since it may hold a password.
    """
    text = url if "://" in url else f"mqtt://{url}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("this is no address of a broker: give mqtt://host:port or mqtts://host:port") from None
    if parts.password is not None:
        raise ValueError("a password does not belong here, everybody can see it: use --password-file")
    host = parts.hostname or ""
    is_plain = parts.path in {"", "/"} and not parts.query and not parts.fragment
    if parts.scheme not in _PORTS or not re.fullmatch(r"[A-Za-z0-9._:%-]{1,253}", host) or not is_plain or port == 0:
        raise ValueError("this is no address of a broker: give mqtt://host:port or mqtts://host:port")
    return Address(
        host=host,
        port=port or _PORTS[parts.scheme],
        tls=parts.scheme == "mqtts",
        username=unquote(parts.username) if parts.username else None,
    )
