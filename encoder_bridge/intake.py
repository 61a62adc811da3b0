"""From a message to a committed operation, whatever brought it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from encoder_bridge import wire
from encoder_bridge.commits import Commits
from encoder_bridge.errors import MalformedMessage
from encoder_bridge.log import get_logger
from encoder_bridge.model import from_ms
from encoder_bridge.reports import ReplyAddress
from encoder_bridge.store import Store

REQUESTS = ("cancel", "confirm", "job")
_MAX_CORRELATION_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A message as it arrived."""

    verb: str
    """`trigger` or one of `REQUESTS`; anything else is answered as unknown."""
    payload: bytes
    reply: ReplyAddress
    retained: bool = False
    expires_in_s: int | None = None
    """Seconds the message had left to live when it arrived."""


class Intake:
    """Takes messages in; `take` returns when what they mean is on disk.

    Args:
        store: the operations.
        commits: makes them durable.
        clock: the present, in milliseconds since 1970 UTC.
        may_reply: judges an address that a message brought.
    """

    def __init__(
        self,
        store: Store,
        commits: Commits,
        clock: Callable[[], int],
        *,
        may_reply: Callable[[str], bool],
    ) -> None:
        self._store = store
        self._commits = commits
        self._clock = clock
        self._may_reply = may_reply
        self._log = get_logger("intake")

    async def take(self, envelope: Envelope) -> None:
        """Store what the message means and its answer; only then may it be acknowledged.

        Raises:
            StoreError: nothing was stored.
        """
        now = self._clock()
        verb = envelope.verb if envelope.verb in REQUESTS else "trigger"
        try:
            if verb == "trigger":
                await self._trigger(envelope, now)
            else:
                await self._request(envelope, now)
        except MalformedMessage as problem:
            self._log.warning("message_rejected", verb=verb, error_type=problem.error_type, sentence=str(problem))
            reply = self._reply(envelope.reply, None)
            if len(reply.correlation or b"") > _MAX_CORRELATION_BYTES:
                reply = replace(reply, correlation=None)
            await self._commits(
                self._store.needs.reject,
                verb,
                problem,
                envelope.payload,
                reply,
                now,
            )

    async def _trigger(self, envelope: Envelope, now: int) -> None:
        self._check(envelope)
        try:
            trigger = wire.parse(wire.Trigger, envelope.payload)
        except MalformedMessage:
            if wire.is_of_no_concern(envelope.payload):
                return
            raise
        if trigger.expires_at is None and envelope.expires_in_s is not None:
            trigger = trigger.model_copy(update={"expires_at": from_ms(now + envelope.expires_in_s * 1000)})
        reply = self._reply(envelope.reply, trigger.reply_to)
        answer = await self._commits(self._store.needs.accept, trigger, reply, now)
        self._log.info(
            "trigger",
            event_id=trigger.event_id,
            event_type=trigger.event_type,
            access_method_id=trigger.access_method_id,
            status=answer.status,
            error_type=answer.error.type if answer.error else None,
        )

    async def _request(self, envelope: Envelope, now: int) -> None:
        self._check(envelope)
        request = wire.parse(wire.Request, envelope.payload)
        if request.expires_at and request.expires_at <= from_ms(now):
            raise MalformedMessage(
                "expired", "expires_at is past: send it again if it still stands.", message_id=request.id
            )
        operations = {
            "cancel": self._store.requests.cancel,
            "confirm": self._store.requests.confirm,
            "job": self._store.requests.tell,
        }
        reply = self._reply(envelope.reply, request.reply_to)
        await self._commits(operations[envelope.verb], request, reply, now)
        self._log.info("request", verb=envelope.verb, access_method_id=request.access_method_id)

    @staticmethod
    def _check(envelope: Envelope) -> None:
        if envelope.verb != "trigger" and envelope.verb not in REQUESTS:
            error_type, sentence = "unknown_request", f"No such request: use one of {', '.join(REQUESTS)}."
        elif envelope.retained:
            error_type, sentence = "retained", "A retained message asks for nothing: publish it without retain."
        elif len(envelope.reply.correlation or b"") > _MAX_CORRELATION_BYTES:
            error_type = "correlation_too_large"
            sentence = f"The correlation data is too large: send at most {_MAX_CORRELATION_BYTES} bytes."
        else:
            return
        raise MalformedMessage(error_type, sentence, message_id=wire.id_of(envelope.payload))

    def _reply(self, reply: ReplyAddress, in_body: str | None) -> ReplyAddress:
        topic = reply.topic or in_body
        if topic and not self._may_reply(topic):
            self._log.warning("reply_topic_refused", sentence="Add it to mqtt.reply_topics if answers may go there.")
            topic = None
        return replace(reply, topic=topic)
