"""A throw-away certificate authority and one server certificate for the loopback, made by the `openssl` command."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


def available() -> str | None:
    """Why no certificate can be made here, or None."""
    return None if shutil.which("openssl") else "the openssl command is not installed: no certificate can be made"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Paths of PEM files."""

    authority: Path
    server: Path
    server_key: Path

    def client_context(self) -> ssl.SSLContext:
        """What a client needs that trusts this authority and nobody else."""
        return ssl.create_default_context(cafile=str(self.authority))


def make(folder: Path) -> Certificates:
    """An authority and a certificate for `localhost` and 127.0.0.1, valid for two days."""
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    extensions = folder / "server.ext"
    extensions.write_text(
        "basicConstraints=critical,CA:FALSE\n"
        "subjectAltName=DNS:localhost,IP:127.0.0.1\n"
        "extendedKeyUsage=serverAuth\n"
        "subjectKeyIdentifier=hash\n"
        "authorityKeyIdentifier=keyid\n"
    )
    # fmt: off
    _openssl(folder, "req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
             "-subj", "/CN=A test's own authority", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    _openssl(folder, "req", *new_key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    _openssl(folder, "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
             "-out", "server.pem", "-days", "2", "-extfile", extensions.name)
    # fmt: on
    return Certificates(authority=folder / "ca.pem", server=folder / "server.pem", server_key=folder / "server.key")


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {arguments[0]} failed: {done.stderr.strip()}")
