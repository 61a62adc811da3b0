"""From a message to a committed operation, whatever brought it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar, get_args

from encoder_bridge import reports, signatures, texts, wire
from encoder_bridge.clock import ClockTrust
from encoder_bridge.commits import Commits
from encoder_bridge.errors import MalformedMessage, StoreError
from encoder_bridge.log import get_logger
from encoder_bridge.model import from_ms
from encoder_bridge.reports import ReplyAddress
from encoder_bridge.signatures import Signature, Signatures
from encoder_bridge.store import Store

REQUESTS = tuple(verb for verb in get_args(wire.Verb) if verb != "trigger")
"""What may be asked for besides cards."""
LOCAL_REQUESTS = ("erase-guest", "operator")
"""What may be asked for on this machine alone."""
_MAX_CORRELATION_BYTES = 1024
_Asked = TypeVar("_Asked", bound=wire.Asking)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A message as it arrived."""

    verb: str
    """`trigger`, one of `REQUESTS` or, without a reply address, of `LOCAL_REQUESTS`; others are answered as unknown."""
    address: str = ""
    """The topic that it was sent to, which a signature names."""
    payload: bytes
    reply: ReplyAddress | None
    """Where the answer goes; None: it came on this machine, and the answer is what `Intake.take` returns."""
    requester: str | None = None
    """Who asks, where the way it came tells; a signature tells otherwise."""
    properties: Sequence[tuple[str, str]] = ()
    """User properties or headers; a signature may be among them."""
    retained: bool = False
    expires_in_s: int | None = None
    """Seconds the message had left to live when it arrived."""


class Errands(Protocol):
    """Whoever has a card read or blanked."""

    async def __call__(self, asked: wire.Read | wire.Erase, requester: str | None) -> wire.Response:
        """Return when it is done, or nothing comes of it."""


class Intake:
    """Takes messages in; `take` returns when what they mean is on disk.

    Args:
        store: the operations.
        commits: makes them durable.
        clock: the present, in milliseconds since 1970 UTC.
        may_reply: judges an address that a message brought.
        signed: judges signatures under what comes from elsewhere.
        errands: reads and blanks cards.
        may_erase_from_afar: whether that may be asked for from elsewhere.
        clock_trust: whether the clock is set; before it is, nothing is judged.
    """

    def __init__(
        self,
        store: Store,
        commits: Commits,
        clock: Callable[[], int],
        *,
        may_reply: Callable[[str], bool],
        signed: Signatures,
        errands: Errands,
        may_erase_from_afar: bool = False,
        clock_trust: ClockTrust,
    ) -> None:
        self._store = store
        self._commits = commits
        self._clock = clock
        self._may_reply = may_reply
        self._signed = signed
        self._errands = errands
        self._may_erase_from_afar = may_erase_from_afar
        self._clock_trust = clock_trust
        self._under_way: dict[str, asyncio.Task[None]] = {}
        """Errands of those who are elsewhere, which have no answer yet."""
        self._log = get_logger("intake")
        requests = store.requests
        self._requests: Mapping[str, tuple[type[wire.Request], Callable[..., wire.Response]]] = {
            "cancel": (wire.Request, requests.cancel),
            "confirm": (wire.Request, requests.confirm),
            "retry": (wire.Request, requests.retry),
            "resolve": (wire.Resolve, requests.resolve),
            "claim": (wire.Claim, requests.claim),
            "job": (wire.Request, requests.tell),
        }

    async def take(self, envelope: Envelope) -> wire.Response | None:
        """Store what the message means and its answer; only then may it be acknowledged.

        A card that is to be read or blanked for somebody on this machine is so when this returns; for others the answer
        follows.  A caller that is cancelled meanwhile withdraws that.

        Returns:
            the answer; None where there is nothing to be said.

        Raises:
            StoreError: nothing was stored.
        """
        if envelope.reply is not None:
            await self._clock_trust.wait()
        elif not self._clock_trust.is_set():
            error = reports.problem(texts.problem("clock_not_set"))
            return wire.Response(id=wire.id_of(envelope.payload), status="refused", error=error)
        now = self._clock()
        is_known = envelope.verb in REQUESTS or (envelope.verb in LOCAL_REQUESTS and envelope.reply is None)
        verb = envelope.verb if is_known else "trigger"
        body = envelope.payload
        try:
            signature, body = _opened(envelope)
            if envelope.reply is not None:
                requester = self._signed.verify(signature, envelope.verb, envelope.address, body, now)
                envelope = replace(envelope, requester=requester)
            self._check(envelope, body, is_known=is_known)
            if verb == "trigger":
                return await self._trigger(envelope, body, now)
            if verb in {"read", "erase"}:
                return await self._errand(envelope, body, now)
            if verb in LOCAL_REQUESTS:
                return await self._local(verb, body, now)
            return await self._request(envelope, body, now)
        except MalformedMessage as problem:
            reason = getattr(problem, "reason", None)
            if problem.error_type == "signature_missing" and wire.is_of_no_concern(body):
                return None
            self._log.warning(
                "message_rejected", verb=verb, error_type=problem.error_type, sentence=str(problem), reason=reason
            )
            problem.message_id = problem.message_id or wire.id_of(body)
            return await self._reject(envelope, verb, problem, body, now)
        except StoreError:
            raise
        except Exception:  # noqa: BLE001
            # A message must not be able to stop the desk: it would be delivered again at every start.
            self._log.exception("message_broke", verb=verb)
            broken = MalformedMessage("internal_error", texts.log("internal_error"), message_id=wire.id_of(body))
            return await self._reject(envelope, verb, broken, b"", now)

    async def close(self) -> None:
        """Withdraw the errands of those who are elsewhere."""
        for task in (under_way := [*self._under_way.values()]):
            task.cancel()
        if under_way:
            await asyncio.wait(under_way)

    async def _trigger(self, envelope: Envelope, body: bytes, now: int) -> wire.Response | None:
        try:
            trigger = wire.parse(wire.Trigger, body)
        except MalformedMessage:
            if wire.is_of_no_concern(body):
                return None
            raise
        if trigger.expires_at is None and envelope.expires_in_s is not None:
            trigger = trigger.model_copy(update={"expires_at": from_ms(now + envelope.expires_in_s * 1000)})
        reply = self._reply(envelope.reply, trigger.reply_to)
        answer = await self._commits(self._store.needs.accept, trigger, reply, now, envelope.requester)
        self._log.info(
            "trigger",
            event_id=trigger.event_id,
            event_type=trigger.event_type,
            access_method_id=trigger.access_method_id,
            requester=envelope.requester,
            status=answer.status,
            error_type=answer.error.type if answer.error else None,
        )
        return answer

    async def _request(self, envelope: Envelope, body: bytes, now: int) -> wire.Response:
        model, operation = self._requests[envelope.verb]
        request = self._parse(model, body, now)
        reply = self._reply(envelope.reply, request.reply_to)
        answer = await self._commits(operation, request, reply, now, envelope.requester)
        self._log.info(
            "request",
            verb=envelope.verb,
            access_method_id=request.access_method_id,
            requester=envelope.requester,
            error_type=answer.error.type if answer.status == "rejected" and answer.error else None,
        )
        return answer

    async def _local(self, verb: str, body: bytes, now: int) -> wire.Response:
        if verb == "operator":
            operator = self._parse(wire.Operator, body, now)
            return await self._commits(self._store.guests.set_operator, operator)
        erasure = self._parse(wire.EraseGuest, body, now)
        return await self._commits(self._store.guests.forget, erasure, now)

    async def _errand(self, envelope: Envelope, body: bytes, now: int) -> wire.Response | None:
        asked = self._parse(wire.Erase, body, now) if envelope.verb == "erase" else self._parse(wire.Read, body, now)
        self._log.info("errand", verb=envelope.verb, encoder=asked.encoder, requester=envelope.requester)
        reply = self._reply(envelope.reply, asked.reply_to)
        if reply is None:
            return await self._run_errand(asked, envelope.requester)
        key = f"{envelope.verb}/{asked.id}"
        if key in self._under_way or await self._commits.relaxed(self._store.requests.is_done, envelope.verb, asked):
            again = wire.Response(id=asked.id, status="duplicate", encoder=asked.encoder)
            return await self._commits(self._store.requests.answer, envelope.verb, again, reply, now)
        self._under_way[key] = asyncio.create_task(self._errand_from_afar(envelope, asked, reply), name=f"errand {key}")
        self._under_way[key].add_done_callback(lambda _: self._under_way.pop(key))
        return None

    async def _errand_from_afar(self, envelope: Envelope, asked: wire.Read | wire.Erase, reply: ReplyAddress) -> None:
        answer = await self._run_errand(asked, envelope.requester)
        # What a card holds, and who was at the desk, may be personal: it does not leave this machine.
        made = answer.made_here.model_copy(update={"operator": None}) if answer.made_here else None
        answer = answer.model_copy(update={"fields": None, "made_here": made})
        if answer.status == "rejected":  # nothing was done: it may be asked for again under its id
            await self._commits(self._store.requests.answer, envelope.verb, answer, reply, self._clock())
        else:
            await self._commits(self._store.requests.done, envelope.verb, asked, answer, reply, self._clock())

    async def _run_errand(self, asked: wire.Read | wire.Erase, requester: str | None) -> wire.Response:
        if isinstance(asked, wire.Erase) and asked.given_up:
            is_there = await self._commits(self._store.cards.give_up_erasure, asked.encoder, self._clock())
            error = None if is_there else texts.problem("not_unsure")
            return wire.Response(
                id=asked.id,
                status="done" if is_there else "rejected",
                encoder=asked.encoder,
                error=reports.problem(error) if error else None,
            )
        return await self._errands(asked, requester)

    @staticmethod
    def _parse(model: type[_Asked], body: bytes, now: int) -> _Asked:
        request = wire.parse(model, body)
        if request.expires_at and request.expires_at <= from_ms(now):
            raise MalformedMessage(
                "expired", "expires_at is past: send it again if it still stands.", message_id=request.id
            )
        return request

    def _check(self, envelope: Envelope, body: bytes, *, is_known: bool) -> None:
        correlation = envelope.reply.correlation if envelope.reply else None
        if envelope.verb != "trigger" and not is_known:
            error_type, sentence = "unknown_request", f"No such request: use one of {', '.join(REQUESTS)}."
        elif envelope.retained:
            error_type, sentence = "retained", "A retained message asks for nothing: publish it without retain."
        elif envelope.verb == "erase" and envelope.reply is not None and not self._may_erase_from_afar:
            error_type, sentence = "erase_not_allowed", texts.log("erase_not_allowed")
        elif len(correlation or b"") > _MAX_CORRELATION_BYTES:
            error_type = "correlation_too_large"
            sentence = f"The correlation data is too large: send at most {_MAX_CORRELATION_BYTES} bytes."
        else:
            return
        raise MalformedMessage(error_type, sentence, message_id=wire.id_of(body))

    async def _reject(
        self, envelope: Envelope, verb: str, problem: MalformedMessage, kept: bytes, now: int
    ) -> wire.Response:
        reply = self._reply(envelope.reply, None)
        if reply and len(reply.correlation or b"") > _MAX_CORRELATION_BYTES:
            reply = replace(reply, correlation=None)
        return await self._commits(self._store.needs.reject, verb, problem, kept, reply, now)

    def _reply(self, reply: ReplyAddress | None, in_body: str | None) -> ReplyAddress | None:
        if reply is None:
            return None
        topic = reply.topic or in_body
        if topic and not self._may_reply(topic):
            self._log.warning("reply_topic_refused", sentence="Add it to mqtt.reply_topics if answers may go there.")
            topic = None
        return replace(reply, topic=topic)


def _opened(envelope: Envelope) -> tuple[Signature | None, bytes]:
    """The signature that came with a message, and what was signed; on this machine nothing is.

    Raises:
        MalformedMessage: half a signature.
    """
    if envelope.reply is None:
        return None, envelope.payload
    signature = signatures.beside(envelope.properties)
    found = signatures.unwrap(envelope.payload) if signature is None else None
    return found or (signature, envelope.payload)
