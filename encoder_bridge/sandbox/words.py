"""The words of a simulation's story."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from encoder_bridge.sandbox.steps import Tone

PROMPTS: Mapping[str, str] = {
    "place_card": "lay a card on {encoder}",
    "same_card": "lay the same card on {encoder} again{card}",
    "wrong_card": "this is another card: take it off {encoder}",
    "swipe_to_write": "swipe a card through {encoder}",
    "swipe_to_check": "swipe the card through {encoder} once more",
}
LIFT = "lift the card"
EVIDENCE: Mapping[str, str] = {
    "read_back": "read back: the card carries what was asked for",
    "control_plane": "the access system says that the card was made",
    "attested": "the encoder says so, nothing could be read back",
}
ANSWERS: Mapping[str, tuple[str, Tone]] = {
    "accepted": ("accepted: on disk, it cannot be lost any more", "plain"),
    "held": ("held", "bad"),
    "duplicate": ("known already: the same event makes no second card", "plain"),
    "stale": ("stale", "bad"),
    "ignored": ("ignored: this asks for nothing", "plain"),
    "refused": ("refused", "bad"),
    "rejected": ("rejected", "bad"),
}
ENDS: Mapping[str, tuple[str, Tone]] = {
    "access_method.failed_to_issue": ("no card", "bad"),
    "encoder_bridge.job_unsure": ("unsure", "bad"),
    "encoder_bridge.job_held": ("held", "bad"),
    "encoder_bridge.job_cancelled": ("cancelled", "bad"),
    "encoder_bridge.job_superseded": ("superseded: the card made before answers this need", "plain"),
    "encoder_bridge.job_issued_elsewhere": ("issued by somebody else", "plain"),
}
_STATES: Mapping[str, str] = {
    "held": "is held",
    "queued": "waits for an encoder",
    "waiting_for_card": "waits for a card",
    "writing": "is being written",
    "unsure": "is unsure",
    "issued": "is issued",
    "failed": "has failed",
    "expired": "has expired",
    "cancelled": "is cancelled",
    "superseded": "is superseded: the card made before answers its need",
    "issued_elsewhere": "is issued by somebody else",
}
_REQUESTS: Mapping[str, tuple[str, str]] = {
    "cancel": ("asked to cancel the job", "not cancelled"),
    "confirm": ("asked to confirm the job", "not confirmed"),
    "job": ("asked for the job", "no answer"),
}


def answer(verb: str, body: Mapping[str, Any]) -> tuple[str, Tone]:
    """What came of a request that somebody sent.

    Args:
        verb: the request.
        body: the daemon's answer.
    """
    asked, refused = _REQUESTS.get(verb, ("asked for something", "refused"))
    error = body.get("error")
    if error:
        return f"{asked}: {refused}: {error['message']}", "bad"
    return f"{asked}: it {_STATES.get(str(body.get('state')), 'is not known')}", "plain"
