"""What bridges say in single words, as sentences for the person at the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from typing import Any

from encoder_bridge import texts
from encoder_bridge.cli.client import sentence

EVIDENCE: Mapping[str, str] = {
    "read_back": "read back and compared",
    "control_plane": "the access system says so",
    "attested": "the encoder says so",
}
STATES: Mapping[str, str] = {
    "held": "is held",
    "queued": "waits for an encoder",
    "waiting_for_card": "waits for a card",
    "writing": "is being written",
    "unsure": "is unsure: a card may carry it",
    "issued": "is issued",
    "failed": "has failed",
    "expired": "has expired",
    "cancelled": "is cancelled",
    "superseded": "is superseded: the card made before answers it",
    "issued_elsewhere": "was issued by somebody else",
}
ENDED = frozenset({"issued", "failed", "expired", "cancelled", "superseded", "issued_elsewhere"})
DOES: Mapping[str, str] = {
    "offline": "is offline",
    "idle": "is idle",
    "waiting_for_card": "waits for a card",
    "writing": "writes",
    "reading": "reads",
    "erasing": "erases",
    "hung": "hangs",
}
_BEGIN = frozenset({"place_card", "swipe_to_write"})
_BAR = 20


def prompt(encoder: Mapping[str, Any]) -> str | None:
    """What the desk is asked to do at an encoder, with what it should know of the card; None: nothing."""
    word = encoder.get("prompt")
    if word is None:
        return None
    said = [_known(texts.prompt, word, encoder=encoder["name"], card=(encoder.get("card") or {}).get("uid"))]
    if word in _BEGIN:
        said += [_known(texts.effect, encoder["effect"])] if encoder.get("effect") else []
        said += limits(encoder)
    said += [sentence(warning) for warning in encoder.get("warnings", ())]
    return printable(" ".join(said))


def limits(encoder: Mapping[str, Any]) -> list[str]:
    """What an encoder leaves to the person at the desk."""
    return [_known(texts.not_enforced, what) for what in encoder.get("not_enforced", ())]


def bar(encoder: Mapping[str, Any]) -> str | None:
    """How far a write is; None: nobody says."""
    done, total = encoder.get("done"), encoder.get("total")
    if done is None or not total:
        return None
    full = min(_BAR, _BAR * done // total)
    return f"[{'#' * full}{'.' * (_BAR - full)}] {done}/{total}"


def moment(text: str, zone: tzinfo) -> str:
    """A moment that a bridge told, in the property's zone."""
    return datetime.fromisoformat(text).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def printable(text: str) -> str:
    """The text with nothing in it that could steer a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _known(told: Callable[..., str], word: str, **values: object) -> str:
    """A word's sentence; the word itself where the bridge is newer than this command line."""
    try:
        return told(word, **values)
    except KeyError:
        return word
