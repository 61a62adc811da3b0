"""Words that must not get out are put in everywhere they belong, and looked for everywhere else."""

from __future__ import annotations

import base64
import contextlib
import json
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from rigs.brokers import Mosquitto, User
from rigs.tap import Tap
from wire import clients

from desk import signing
from desk.lobby import Lobby, stay
from desk.signing import Signer

GUEST = "Zo\u00eb Canary-Guest-3f19"
CONTENTS = b"canary-contents-\x00\xfe-7a90d2"
PASSWORD = "canary-password-b7714e"
STORE_KEY = bytes.fromhex("c0de5ead" * 8)
CREDENTIAL = {
    "profile": "guest",
    "entrances": ["101"],
    "ends_at": "2099-07-03T10:00:00Z",
    "fields": {"guest": GUEST, "room": "101"},
    "data": {"sector_1": base64.b64encode(CONTENTS).decode()},
}
FAULTS = ["encoding_interrupted", "card_locked", "verify_mismatch", "no_credential_on_encoder"]


def spellings(secret: bytes) -> set[bytes]:
    """How a program might write a secret down."""
    found = {secret, secret.hex().encode(), secret.hex().upper().encode(), secret.hex(" ").encode()}
    found |= {base64.b64encode(secret).rstrip(b"="), base64.urlsafe_b64encode(secret).rstrip(b"=")}
    found |= {repr(secret)[2:-1].encode(), urllib.parse.quote(secret).encode()}
    with contextlib.suppress(UnicodeDecodeError):
        text = secret.decode()
        found |= {json.dumps(text)[1:-1].encode(), text.encode("utf-16-le"), text.split()[-1].encode()}
    return found


class Guarded(Mosquitto):
    """Lets nobody in without a password."""

    def __init__(self) -> None:
        super().__init__(users=[User(name="observer", password="observes"), User(name="bridge", password=PASSWORD)])


class Search:
    """Looks for all canaries at once; they were all in use."""

    def __init__(self, signer: Signer) -> None:
        shared = signer.key
        secrets = {
            "guest": GUEST.encode(),
            "contents": CONTENTS,
            "password": PASSWORD.encode(),
            "store key": STORE_KEY,
            "shared key": shared,
            "shared key's bytes": bytes.fromhex(shared.decode()),
        }
        self._spellings = {name: spellings(secret) for name, secret in secrets.items()}

    def __call__(self, place: bytes) -> list[str]:
        return [name for name, found in self._spellings.items() if any(each in place for each in found)]


def store_of(desk: Lobby) -> bytes:
    """The store, its write-ahead log and whatever else is called so."""
    return b"".join(path.read_bytes() for path in sorted(desk.folder.glob(f"{desk.store.name}*")))


def said_over_mqtt(desk: Lobby) -> Iterator[bytes]:
    """All that was heard but the triggers, which the test itself has published."""
    for heard in desk.tap.messages:
        if not heard.topic.endswith("/trigger") or "/response/" in heard.topic:
            yield heard.topic.encode() + heard.payload + repr(heard.properties).encode()


def ask_everything(desk: Lobby) -> None:
    """Every question that changes nothing; the answers are kept in `desk.control.heard`."""
    for path in ("/v1/health", "/v1/encoders", "/v1/jobs", "/v1/jobs/a", "/v1/jobs/b", "/v1/jobs/1"):
        desk.control.get(path)
    assert desk.control.snapshot()
    desk.control.ask("job", access_method_id="a")
    desk.control.trigger({**stay("odd"), "credential": {**CREDENTIAL, GUEST: GUEST}})
    desk.control.ask("cancel", access_method_id=GUEST)
    desk.control.ask("erase-guest", who=f"{GUEST} who is not known")


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_canary_is_found_anywhere_in_a_guests_life_and_after_it(tmp_path: Path, form: str) -> None:
    if reason := clients.available() or Guarded.available() or signing.available():
        pytest.skip(reason)
    for name, content in {"password": PASSWORD, "store-key": STORE_KEY.hex()}.items():
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(content)
    kiosk = Signer("kiosk", "hmac-sha256", tmp_path)
    search = Search(kiosk)
    with (
        Guarded() as broker,
        Tap(broker) as tap,
        Lobby(
            broker,
            tap,
            tmp_path,
            encoders={"desk-1": {"clerk": "automatic", "faults": FAULTS, "place_s": 0.05}},
            mqtt={"username": "bridge", "password_file": str(tmp_path / "password")},
            more={
                "log": {"level": "traffic", "format": form},
                "privacy": {"key_file": str(tmp_path / "store-key")},
                "requesters.kiosk": kiosk.table,
            },
        ) as desk,
    ):
        topic = f"{desk.root}/trigger"
        for method in ("a", "b", "c", "d"):
            signed = kiosk.sign(stay(method, credential=CREDENTIAL), topic)
            desk.trigger(signed.payload, *signed.options)
        desk.trigger(kiosk.sign(stay("e", credential=CREDENTIAL), topic).wrapped)
        desk.trigger(kiosk.sign(stay("f", credential=CREDENTIAL), f"{desk.root}/request/cancel").wrapped)  # refused
        desk.trigger({**stay("odd"), "credential": {**CREDENTIAL, "guest": GUEST}})  # refused
        desk.answer_of("d")
        ask_everything(desk)
        assert search(store_of(desk)) == []
        desk.kill()
        assert search(store_of(desk)) == []
        desk.start()
        for method in ("a", "b", "c", "d", "e"):
            desk.reports(method)
        desk.reports("a", "encoder_bridge.job_unsure")
        ask_everything(desk)
        assert search(store_of(desk)) == []
        sealed = [fields.encode() for (fields,) in desk.rows("SELECT fields FROM personal")]
        assert sum(each in store_of(desk) for each in sealed) == 5
        (status, answer) = desk.control.ask("erase-guest", who=GUEST)
        assert (status, answer["fields"]) == (200, {"jobs": "5"})
        assert desk.control.job("a")["attempts"]
        ask_everything(desk)
        until_gone(desk, sealed)
        desk.stop()
        assert search(store_of(desk)) == []

        said = desk.bridge.said.encode()
        words = (b"issued", b"unsure", b"message_rejected", b"traffic", b"signature_invalid")
        assert [word for word in words if word not in said] == []
        assert search(said) == []
        assert search(b"\n".join(said_over_mqtt(desk))) == []
        assert search(b"\n".join(desk.control.heard)) == []
        plastic = b"".join(path.read_bytes() for path in desk.stock.glob("*.card"))
        assert search(plastic) == ["guest", "contents"], "the search does not find what is there"


def until_gone(desk: Lobby, sealed: list[bytes]) -> None:
    """Return when not even the encrypted words are left; that is done when the bridge is idle."""
    deadline = time.monotonic() + 10
    while left := [each for each in sealed if each in store_of(desk)]:
        assert time.monotonic() < deadline, f"{len(left)} erased guests are still in the store or its log"
        time.sleep(0.02)
