"""Where what is said on the broker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_SAID = ("availability", "info", "response/#", "event/#", "job/#", "encoder/#")


@dataclass(frozen=True, slots=True)
class Topics:
    """All topics of one desk, below `root`."""

    root: str

    @property
    def availability(self) -> str:
        """Retained, and the last will."""
        return f"{self.root}/availability"

    @property
    def info(self) -> str:
        """Retained: who answers here."""
        return f"{self.root}/info"

    @property
    def trigger(self) -> str:
        """In: needs."""
        return f"{self.root}/trigger"

    def request(self, verb: str) -> str:
        """In: words to a job; `+` for all."""
        return f"{self.root}/request/{verb}"

    def response(self, verb: str) -> str:
        """Out: answers that name no address."""
        return f"{self.root}/response/{verb}"

    def event(self, event_type: str) -> str:
        """Out: reports."""
        return f"{self.root}/event/{event_type}"

    def job(self, access_method_id: str) -> str:
        """Out, retained: where the newest job of an access method stands."""
        return f"{self.root}/job/{access_method_id}"

    def encoder(self, name: str) -> str:
        """Out, retained: what an encoder is doing."""
        return f"{self.root}/encoder/{name}/state"

    def rule_for(self, topic: str) -> str:
        """The filter of the access rule that most likely covers a topic of ours: jobs are too many for a rule each."""
        return next((rule for rule in (self.job("+"), self.encoder("+")) if matches(rule, topic)), topic)

    def is_said_by_a_bridge(self, topic: str) -> bool:
        """Whether a bridge of our base says this: two that answered each other's words would never end."""
        if topic.startswith(f"{self.root}/"):
            return topic != self.trigger and not matches(self.request("+"), topic)
        base = self.root.rsplit("/", 2)[0]
        return any(matches(f"{base}/+/+/{below}", topic) for below in _SAID)

    def verb_of(self, topic: str) -> str:
        """What an incoming topic asks for: the verb of a request, else `trigger`."""
        prefix = self.request("")
        if not topic.startswith(prefix):
            return "trigger"
        verb = topic.removeprefix(prefix)
        return verb if verb != "trigger" else topic  # which is no request's name, so that it is answered as unknown

    def may_reply(self, topic: str, allowed: Sequence[str]) -> bool:
        """Whether an address that a message brought may be written to: our own responses and what is allowed."""
        if "+" in topic or "#" in topic:  # not every broker refuses a response topic that nobody can publish to
            return False
        if topic.startswith(f"{self.root}/") and not matches(self.response("#"), topic):
            return False
        return any(matches(pattern, topic) for pattern in (self.response("#"), *allowed))


def matches(pattern: str, topic: str) -> bool:
    """Whether a topic filter covers a topic (MQTT 5.0, section 4.7)."""
    if topic.startswith("$") and pattern[:1] in {"#", "+"}:
        return False
    levels = topic.split("/")
    wanted = pattern.split("/")
    for index, want in enumerate(wanted):
        if want == "#":
            return True
        if index >= len(levels) or want not in {"+", levels[index]}:
            return False
    return len(levels) == len(wanted)
