"""Signs as docs/signing.md says it is done on a shell: with the openssl program, sharing no code with the bridge."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any


def available() -> str | None:
    """Why nothing can be signed here, or None."""
    return None if shutil.which("openssl") else "openssl is not installed: nothing to sign with"


def moment(seconds_from_now: float = 0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds_from_now)).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A message with its signature; it may be sent any number of times."""

    payload: bytes
    requester: str
    signed_at: str
    signature: str

    @property
    def options(self) -> list[str]:
        """Words for `mosquitto_pub`: three user properties."""
        values = {"requester": self.requester, "signed-at": self.signed_at, "signature": self.signature}
        return [word for pair in values.items() for word in ("-D", "publish", "user-property", *pair)]

    @property
    def wrapped(self) -> dict[str, str]:
        """For MQTT 3.1.1."""
        return {
            "requester": self.requester,
            "signed_at": self.signed_at,
            "signature": self.signature,
            "body": self.payload.decode(),
        }


class Signer:
    """One requester's key, made here."""

    def __init__(self, name: str, algorithm: str, folder: Path) -> None:
        self.name, self._algorithm, self._folder = name, algorithm, folder
        self._file = folder / f"{name}-key"
        self._file.touch(mode=0o600)
        if algorithm == "ed25519":
            self._file.write_bytes(_openssl("genpkey", "-algorithm", "ed25519"))
        else:
            self._file.write_bytes(_openssl("rand", "-hex", "32"))

    @property
    def key(self) -> bytes:
        """The file's content without its line break."""
        return self._file.read_bytes().removesuffix(b"\n")

    @property
    def table(self) -> dict[str, Any]:
        """What the configuration says of it."""
        if self._algorithm == "ed25519":
            public = _openssl("pkey", "-in", str(self._file), "-pubout", "-outform", "DER")[-32:]
            return {"algorithm": "ed25519", "public_key": base64.b64encode(public).decode()}
        return {"algorithm": "hmac-sha256", "key_file": str(self._file)}

    def sign(
        self,
        body: Mapping[str, object],
        topic: str,
        *,
        signed_at: str | None = None,
        name: str | None = None,
    ) -> Signed:
        payload, signed_at, name = json.dumps(body).encode(), signed_at or moment(), name or self.name
        signed = f"encoder-bridge-v1\n{name}\n{topic}\n{signed_at}\n".encode() + payload
        if self._algorithm == "ed25519":
            file = self._folder / "signed"
            file.write_bytes(signed)
            signature = _openssl("pkeyutl", "-sign", "-rawin", "-inkey", str(self._file), "-in", str(file))
        else:
            key = f"hexkey:{self.key.hex()}"
            signature = _openssl("dgst", "-sha256", "-mac", "HMAC", "-macopt", key, "-binary", stdin=signed)
        return Signed(
            payload=payload, requester=name, signed_at=signed_at, signature=base64.b64encode(signature).decode()
        )


def _openssl(*words: str, stdin: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *words], input=stdin, capture_output=True, timeout=30, check=True).stdout
