"""From what is heard to steps that a person understands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from encoder_bridge import wire
from encoder_bridge.sandbox import words
from encoder_bridge.sandbox.lifts import Lifts
from encoder_bridge.sandbox.outside import Heard
from encoder_bridge.sandbox.steps import End, Step

_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_GO_ON = frozenset({"unsure", "held"})
_SHAPES: Mapping[str, type[BaseModel]] = {
    "event": wire.Report,
    "response": wire.Response,
    "encoder": wire.EncoderState,
}


class Story:
    """Follows what is told and knows how every access method ended.

    Args:
        tell: is told each step.
    """

    def __init__(self, tell: Callable[[Step], None]) -> None:
        self._tell = tell
        self.ends: dict[str, End] = {}
        self._sent: dict[str, str] = {}
        self._events: set[str] = set()
        self._encoders: dict[str, dict[str, Any]] = {}
        self._said: dict[str, set[str]] = {}
        self._lifts = Lifts()

    def sent(self, event_id: str, access_method_id: str) -> None:
        """Note a trigger of ours."""
        self._sent[event_id] = access_method_id

    def hear(self, heard: Heard) -> None:
        """Tell what follows from one message."""
        tellers: dict[str, Callable[[Heard], Iterator[Step]]] = {
            "broker": self._broker,
            "trigger": self._trigger,
            "response": self._response,
            "event": self._event,
            "encoder": self._encoder,
        }
        if heard.kind in tellers and _is_ours(heard):
            for step in tellers[heard.kind](heard):
                self._tell(step)

    def _broker(self, heard: Heard) -> Iterator[Step]:
        if heard.name == "lost":
            yield Step(kind="broker_lost", who="broker", sentence="gone: waiting for it, nothing is lost", tone="bad")
        else:
            yield Step(kind="broker_back", who="broker", sentence="back", tone="good")

    def _trigger(self, heard: Heard) -> Iterator[Step]:
        """Somebody else's; ours was told when it was sent."""
        event_id, method = _id(heard.body, "event_id"), _id(heard.body, "access_method_id")
        if event_id is None or event_id not in self._sent:
            yield Step(kind="trigger_seen", who="trigger", sentence="from somebody else", access_method_id=method)

    def _response(self, heard: Heard) -> Iterator[Step]:
        body, status = heard.body, str(heard.body["status"])
        if heard.name != "trigger":
            sentence, tone = words.answer(heard.name, body)
            method = body.get("access_method_id")
            yield Step(
                kind="answered",
                who="bridge",
                sentence=sentence,
                tone=tone,
                access_method_id=method,
                facts={"answer": body},
            )
        elif status in words.ANSWERS:
            sentence, tone = words.ANSWERS[status]
            error = body.get("error")
            if error:
                sentence = f"{sentence}: {error['message']}"
            method = body.get("access_method_id") or self._sent.get(body.get("id") or "")
            yield Step(
                kind=status, who="bridge", sentence=sentence, tone=tone, access_method_id=method, facts={"answer": body}
            )
            if status in {"refused", "rejected", "stale"} and body.get("id") in self._sent and method:
                self.ends[method] = End(is_issued=False, error_type=error and error["type"], report=body)

    def _event(self, heard: Heard) -> Iterator[Step]:
        body = heard.body
        if body["event_id"] in self._events:  # at least once is what MQTT promises
            return
        self._events.add(body["event_id"])
        method, error = body["access_method_id"], body.get("error")
        facts = {"report": body}
        if body["is_issued"]:
            yield from self._issued(body)
        else:
            sentence, tone = words.ENDS.get(body["event_type"], (body["event_description"], "plain"))
            if error:
                sentence = f"{sentence}: {error['message']}"
            if error is None or body["state"] not in _GO_ON or self._is_news("event", error):
                yield Step(
                    kind=body["state"], who="bridge", sentence=sentence, tone=tone, access_method_id=method, facts=facts
                )
        if body["state"] not in _GO_ON:
            self.ends[method] = End(is_issued=body["is_issued"], error_type=error and error["type"], report=body)
        yield from self._lifts.after(method)

    def _issued(self, body: dict[str, Any]) -> Iterator[Step]:
        method, evidence = body["access_method_id"], body["evidence"]
        card = body.get("card") or {}
        yield Step(
            kind="evidence",
            who=body.get("encoder") or "bridge",
            sentence=f"{words.EVIDENCE[evidence]}",
            access_method_id=method,
            facts={"evidence": evidence},
        )
        name = f"card {card['uid']}" if card.get("uid") else "a card without a number"
        yield Step(
            kind="issued",
            who="bridge",
            sentence=f"issued: {name}, evidence {evidence}",
            tone="good",
            access_method_id=method,
            facts={"report": body},
        )

    def _encoder(self, heard: Heard) -> Iterator[Step]:
        name, now = heard.name, heard.body
        before = self._encoders.get(name, {})
        self._encoders[name] = now
        state, error, method = now["state"], now.get("error"), now.get("access_method_id")
        prompt = str(now.get("prompt"))
        yield from self._lifts.see(name, now)
        if state in {"offline", "hung"}:
            if error and error != before.get("error") and self._is_news(state, error):
                yield Step(kind=state, who=name, sentence=error["message"], tone="bad", facts={"error": error})
            return
        if before.get("state") in {"offline", "hung"} and before.get("error"):
            yield Step(kind="online", who=name, sentence="the encoder is back", tone="good")
        waits = state == "waiting_for_card"
        is_new = waits and (before.get("since"), before.get("access_method_id")) != (now["since"], method)
        if error and is_new and self._is_news("problem", error):
            yield _problem(name, error, method)
        if prompt == "lift_card":
            if prompt != before.get("prompt"):
                yield from self._lift(name, error)
        elif prompt in words.PROMPTS and state != "writing" and (is_new or prompt != before.get("prompt")):
            uid = (now.get("card") or {}).get("uid")
            sentence = words.PROMPTS[prompt].format(encoder=name, card=f" (card {uid})" if uid else "")
            facts = {"prompt": prompt}
            yield Step(kind="prompt", who=name, sentence=sentence, access_method_id=method, facts=facts)
        done, total = now.get("done"), now.get("total")
        if total and (done, method) != (before.get("done"), before.get("access_method_id")):
            self._said.clear()
            yield Step(
                kind="writing",
                who=name,
                sentence=f"writing {done}/{total}",
                access_method_id=method,
                facts={"done": done, "total": total},
            )

    def _lift(self, name: str, error: Mapping[str, Any] | None) -> Iterator[Step]:
        lift = self._lifts.ask(
            Step(kind="prompt", who=name, sentence=words.LIFT, tone="faint", facts={"prompt": "lift_card"})
        )
        if lift and error and self._is_news("lift", error):
            yield _problem(name, error, lift.access_method_id)
        if lift:
            yield lift

    def _is_news(self, source: str, error: Mapping[str, Any]) -> bool:
        """Whether a problem was not told yet: an encoder, its next prompt and an event all tell of the same one.

        A source that repeats itself tells of another.
        """
        sources = self._said.setdefault(error["message"], set())
        is_news = not sources or source in sources
        if is_news:
            sources.clear()
        sources.add(source)
        return is_news


def _problem(encoder: str, error: Mapping[str, Any], method: str | None) -> Step:
    sentence, facts = error["message"], {"error": error}
    return Step(kind="problem", who=encoder, sentence=sentence, tone="bad", access_method_id=method, facts=facts)


def _is_ours(heard: Heard) -> bool:
    """Whether a message has the shape that the daemon gives it: on a shared broker anybody may say anything."""
    shape = _SHAPES.get(heard.kind)
    try:
        if shape:
            shape.model_validate(heard.body)
    except ValidationError:
        return False
    return True


def _id(body: Mapping[str, Any], key: str) -> str | None:
    """An id that may be shown: a stranger's message may hold anything."""
    found = body.get(key)
    return found if isinstance(found, str) and _ID.fullmatch(found) else None
