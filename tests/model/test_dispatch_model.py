"""Days at a desk, drawn at random: every message, card and report against the reference, with crashes in between.

`ENCODER_BRIDGE_MODEL_EXAMPLES` and `ENCODER_BRIDGE_MODEL_STEPS` make it longer, and every run then draws another one.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any

from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from rigs.folders import memory_folder

from encoder_bridge import wire
from encoder_bridge.driver import Credential
from encoder_bridge.model import from_ms, iso, to_ms
from encoder_bridge.reports import ReplyAddress
from encoder_bridge.routing import Route
from encoder_bridge.store import Rules

from .bridge import ENCODERS, HAND_OVER_S, KINDS, START, Bridge
from .counting import Numbers, Pace
from .plastic import CARD_CHANGED, HOPELESS, MISREADS, NO_CARD_CHANGED, Piece, World
from .reference import NOT_BEGUN, Contents, Need, Reference, Rule
from .truth import Mark, Truth

EXAMPLES = int(os.environ.get("ENCODER_BRIDGE_MODEL_EXAMPLES", "0"))
STEPS = int(os.environ.get("ENCODER_BRIDGE_MODEL_STEPS", "40"))

MAX_OPEN = 6
OPEN_FOR_MS = 30 * 60_000
DAY_S = 600
FAULTS = (*CARD_CHANGED, *CARD_CHANGED, *NO_CARD_CHANGED, *HOPELESS, *MISREADS)
ROUTES = (
    Rule(encoders=("left",), backup=("right",), entrances=("garage",)),
    Rule(encoders=("right", "attic"), entrances=("gate",)),
    Rule(encoders=("attic",), requesters=("ann",)),
)

methods = st.sampled_from(("m1", "m1", "m2", "m3"))
encoders = st.sampled_from(sorted(ENCODERS))
rounds = st.integers(0, 12)
moments = st.one_of(st.none(), st.integers(-60_000, 0), st.integers(1, 1000))
"""Milliseconds from now."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A need whose times are counted from now."""

    method: str
    at: int | None
    contents: Contents | None
    ends_in: int | None
    encoder: str | None
    expires_in: int | None
    requester: str | None


contents = st.builds(
    Contents,
    room=st.sampled_from(["101", "102"]),
    profile=st.sampled_from([None, None, "suite"]),
    entrances=st.sampled_from([(), ("garage",), ("garage",), ("garage",), ("gate",), ("garage", "gate")]),
    joins=st.sampled_from([False, False, True]),
)
drafts = st.builds(
    Draft,
    method=methods,
    at=moments,
    contents=st.one_of(st.none(), contents, contents),
    ends_in=st.sampled_from([None, None, None, 90_000]),
    encoder=st.sampled_from([None, None, None, None, *ENCODERS]),
    expires_in=st.sampled_from([None, None, None, None, None, -1, 60_000]),
    requester=st.sampled_from([None, "ann", "bob"]),
)


class Days(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folders = ExitStack()
        self.folder = self.folders.enter_context(memory_folder())
        self.world = World(writes=self.writes, blanks=self.blanks)
        self.truth = Truth()
        self.numbers = Numbers()
        self.seen: dict[int, dict[str, Any]] = {}
        """Every report that ever was in the outbox, by its row."""
        self.acknowledged: set[int] = set()
        self.objections = self.world.objections
        self.erases: dict[str, wire.Erase] = {}
        """Encoder to the last that was to be blanked there."""
        self.events = 0

    @initialize(
        profile=st.sampled_from([None, "room", "room"]),
        routes=st.sampled_from([(), ROUTES, ROUTES]),
        limit=st.sampled_from([0, 0, 1, 2]),
        first=st.lists(drafts, min_size=1, max_size=4),
    )
    def begin(self, profile: str | None, routes: tuple[Rule, ...], limit: int, first: list[Draft]) -> None:
        self.reference = Reference(
            max_open=MAX_OPEN, default_profile=profile, routes=routes, kinds=KINDS, open_for_ms=OPEN_FOR_MS
        )
        self.pace = Pace(limit)
        self.start(START)
        for draft in first:
            self.bring(draft)

    def start(self, now: int) -> None:
        rules = Rules(
            encoders=KINDS,
            routes=tuple(
                Route(encoders=each.encoders, backup=each.backup, entrances=each.entrances, requesters=each.requesters)
                for each in self.reference.routes
            ),
            default_profile=self.reference.default_profile,
            max_open=MAX_OPEN,
            open_for_ms=OPEN_FOR_MS,
            cards_per_minute=self.pace.limit,
            zone=UTC,
        )
        self.bridge = Bridge(self.folder / "store.db", self.world, rules, now=now, watch=self)

    # What is put on disk and on cards, heard as it happens.  Whatever is raised here is swallowed, but for its being.

    def moved(self, job_id: int, was: str, to: str) -> None:
        with self.objecting():
            self.reference.moved(job_id, was, to, self.bridge.clock())

    def logged(self, job_id: int, what: str, encoder: str | None, card: str | None, sequence: int | None) -> None:
        with self.objecting():
            job = self.reference.jobs[job_id]
            match what:
                case "prompted" | "resumed":
                    assert encoder is not None
                    assert sequence is not None
                    self.reference.taken(job_id, encoder)
                    open_jobs = {each.job_id: each for each in self.reference.jobs.values() if each.is_open}
                    self.numbers.claimed(job, sequence, open_jobs)
                case "intended":
                    assert encoder is not None
                    assert sequence is not None
                    job.encoder, job.card = encoder, card
                    if job.is_starting:
                        job.is_starting = False
                        self.numbers.begins(job, sequence)
                        self.pace.starts(self.bridge.clock(), encoder, job.requester)
                case "handed_over":
                    rule = self.reference.route(job)
                    assert rule is not None
                    assert job.encoder is None
                    assert min(map(self.bridge.away_s, rule.encoders)) >= HAND_OVER_S, "handed over too soon"
                    job.is_handed_over = True

    def sent(self, report_id: int, kind: str, body: str) -> None:
        if kind == "event":
            with self.objecting():
                self.truth.hear(json.loads(body))

    def writes(self, piece: Piece, job_id: int, credential: Credential) -> None:
        with self.objecting():
            job = self.reference.jobs[job_id]
            assert credential.access_method_id == job.method
            assert credential.sequence == self.numbers.of_job[job_id][1], f"job {job_id} has two numbers"
            self.is_nobody_elses(piece, job_id)
            is_own = piece.uid in self.truth.certain and self.truth.certain[piece.uid][0] == job.method
            assert is_own or not self.is_valid(piece), f"job {job_id} overwrites somebody's card {piece.uid}"

    def blanks(self, piece: Piece, encoder: str, is_resumed: bool) -> None:
        with self.objecting():
            self.is_nobody_elses(piece, None, encoder)
            may = is_resumed or self.erases[encoder].even_if_valid
            assert may or not self.is_valid(piece), f"{encoder} blanks somebody's card {piece.uid}"

    def is_any(self, state: str) -> bool:
        return hasattr(self, "reference") and any(job.state == state for job in self.reference.jobs.values())

    def is_nobody_elses(self, piece: Piece, job_id: int | None, encoder: str | None = None) -> None:
        """Nobody else has yet to look at the card."""
        jobs = [job for job in self.reference.jobs.values() if job.state in {"writing", "unsure"}]
        others = {job.job_id for job in jobs if job.card == piece.uid} - {job_id}
        assert not others, f"card {piece.uid} is changed for {job_id}, and is to be looked at for {others}"
        unsettled = self.bridge.connection.execute(
            "SELECT encoder FROM erasure WHERE card_uid = ? AND state IN ('erasing', 'unsure')", (piece.uid,)
        ).fetchall()
        assert {name for (name,) in unsettled} <= {encoder}, f"card {piece.uid} is half blanked"

    def is_valid(self, piece: Piece) -> bool:
        """Whether the world was told that the card opens doors."""
        if piece.uid not in self.truth.certain or not piece.carries:
            return False
        ends_at = piece.carries.ends_at
        is_over = ends_at is not None and to_ms(ends_at) <= self.bridge.clock()
        return self.truth.certain[piece.uid][0] not in self.reference.deleted and not is_over

    @contextmanager
    def objecting(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.objections.append(f"{type(error).__name__}: {error}")

    # What arrives.

    @rule(draft=drafts, before=rounds)
    def need(self, draft: Draft, before: int) -> None:
        self.bridge.spin(before)
        self.bring(draft)

    def bring(self, draft: Draft) -> None:
        self.events += 1
        now = self.bridge.clock()
        self.take(
            Need(
                event_id=f"e{self.events}",
                method=draft.method,
                at=None if draft.at is None else now + draft.at,
                contents=replace(draft.contents, ends_at=None if draft.ends_in is None else now + draft.ends_in)
                if draft.contents
                else None,
                encoder=draft.encoder,
                requester=draft.requester,
                expires_at=None if draft.expires_in is None else now + draft.expires_in,
            )
        )

    @precondition(lambda self: self.reference.needs)
    @rule(which=st.integers(0, 100), changed=st.sampled_from([False, False, True]), before=rounds)
    def again(self, which: int, changed: bool, before: int) -> None:
        """The same message once more, or its id with other contents."""
        self.bridge.spin(before)
        needs = list(self.reference.needs.values())
        need = needs[which % len(needs)]
        if changed:
            need = replace(need, contents=Contents(room="999"))
        self.take(need)

    def take(self, need: Need) -> None:
        trigger = wire.Trigger.model_validate(_message(need))

        def arrive() -> None:
            now = self.bridge.clock()
            waiting = self.reference.newest_open(need.method)
            was_asked_for = waiting is not None and waiting.state == "waiting_for_card"
            contents = (waiting.contents, waiting.profile) if waiting else None
            expected = self.reference.judge(need, now)
            answer = self.bridge.store.needs.accept(trigger, ReplyAddress(), now, need.requester)
            assert answer.status == expected, f"{need}: {answer.status}, not {expected}"
            if expected in {"accepted", "held"}:
                self.reference.needs[need.event_id] = need
            if waiting and was_asked_for and expected == "accepted" and need.contents:
                still_asked_for = waiting.state == "waiting_for_card"
                assert not (still_asked_for and contents != (waiting.contents, waiting.profile)), "an old prompt stands"

        self.bridge.do(arrive)

    @rule(
        kind=st.sampled_from(["cancel", "confirm", "confirm", "issued", "deleted"]),
        method=methods,
        at=moments,
        before=rounds,
    )
    def word(self, kind: str, method: str, at: int | None, before: int) -> None:
        """Somebody else says something about an access method."""
        self.bridge.spin(before)
        match kind:
            case "cancel":
                self.cancel(method)
            case "confirm":
                self.confirm(method)
            case "issued":
                self.issued_elsewhere(method, at)
            case "deleted":
                self.deletion(method)

    def deletion(self, method: str) -> None:
        def arrive() -> None:
            self.reference.deleted.add(method)
            assert self.accept(self.event("deleted", method)).status == "accepted"
            left = {job.state for job in self.reference.of(method) if job.is_open}
            assert left <= {"writing"}, f"still {left} after the deletion"

        self.bridge.do(arrive)

    def issued_elsewhere(self, method: str, at: int | None) -> None:
        def arrive() -> None:
            issued_at = self.bridge.clock() + (at or 0)
            met = [job for job in self.reference.of(method) if job.state in NOT_BEGUN and (job.at or 0) <= issued_at]
            self.reference.elsewhere[method] = max(issued_at, self.reference.elsewhere.get(method, 0))
            event = self.event("issued", method, occurred_at=None if at is None else iso(issued_at))
            assert self.accept(event).status == "accepted"
            assert {job.state for job in met} <= {"issued_elsewhere"}

        self.bridge.do(arrive)

    def cancel(self, method: str) -> None:
        def arrive() -> None:
            job = self.reference.meant(method)
            was = job.state if job else None
            status = self.ask("cancel", wire.Request, method)
            assert status == ("rejected" if was in {None, "writing"} else "job")
            if job:
                assert job.state == {"writing": "writing", "unsure": "failed"}.get(was or "", "cancelled")

        self.bridge.do(arrive)

    def confirm(self, method: str) -> None:
        def arrive() -> None:
            job = self.reference.newest_open(method)
            expected = "rejected" if job is None or job.state == "held" else "job"
            is_held = bool(job and job.state == "held" and job.profile and job.reason == "confirmation_required")
            if job and is_held:
                job.is_confirmed, expected = True, "job"
                job.reason = "" if self.reference.route(job) else "no_route"
            assert self.ask("confirm", wire.Request, method) == expected
            assert not is_held or (job and (job.state == "queued" or job.reason))

        self.bridge.do(arrive)

    @rule(method=methods, encoder=encoders, before=rounds)
    def claim(self, method: str, encoder: str, before: int) -> None:
        """Somebody wants it done here."""
        self.bridge.spin(before)

        def arrive() -> None:
            job = self.reference.meant(method)
            was, bound = (job.state, job.encoder) if job else (None, None)
            is_foreign = was == "unsure" and bound is not None and KINDS[bound] != KINDS[encoder]
            is_freed = False
            if job and was != "writing" and not is_foreign:
                job.encoder = encoder
                is_freed = (was == "waiting_for_card" and bound != encoder) or job.reason == "no_route"
                job.reason = "" if job.reason == "no_route" else job.reason
            status = self.ask("claim", wire.Claim, method, encoder=encoder)
            assert status == ("rejected" if was in {None, "writing"} or is_foreign else "job")
            assert not is_freed or (job and job.state == "queued"), "it was claimed and is not to be had"

        self.bridge.do(arrive)

    @rule(method=methods, before=rounds)
    def retry(self, method: str, before: int) -> None:
        """Somebody wants it tried again."""
        self.bridge.spin(before)

        def arrive() -> None:
            job, jobs = self.reference.meant(method), self.reference.of(method)
            if job:
                expected = job.state in {"queued", "waiting_for_card", "unsure"}
            else:
                ended = jobs and jobs[-1].state in {"failed", "cancelled", "expired"}
                event_id = f"request/retry/r{self.events + 1}"
                expected = bool(
                    ended
                    and method not in self.reference.deleted
                    and self.reference.again(jobs[-1], event_id, self.bridge.clock())
                )
            assert self.ask("retry", wire.Request, method) == ("job" if expected else "rejected")

        self.bridge.do(arrive)

    @precondition(lambda self: self.is_any("unsure"))
    @rule(
        which=st.integers(0, 9),
        stray=st.sampled_from([None, None, None, "m1"]),
        card=st.sampled_from(["gone", "destroyed"]),
        again=st.booleans(),
        before=st.integers(0, 3),
    )
    def resolve(self, which: int, stray: str | None, card: str, again: bool, before: int) -> None:
        """Somebody says what became of a card in doubt, or of one that is in none."""
        unsure = [job.method for job in self.reference.jobs.values() if job.state == "unsure"]
        method = stray or unsure[which % len(unsure)]
        self.bridge.spin(before)

        def arrive() -> None:
            job = self.reference.meant(method)
            is_unsure = job is not None and job.state == "unsure"
            if job and is_unsure and again and self.reference.newest_open(method) is job:
                event_id = f"request/resolve/r{self.events + 1}"
                is_unsure = self.reference.again(job, event_id, self.bridge.clock())
            status = self.ask("resolve", wire.Resolve, method, card=card, again=again)
            assert status == ("job" if is_unsure else "rejected")
            if job and is_unsure:
                assert job.state == "failed"
                if card == "destroyed":
                    assert job.card is not None
                    self.world.destroy(job.card)

        self.bridge.do(arrive)

    def accept(self, body: dict[str, object]) -> wire.Response:
        trigger = wire.Trigger.model_validate(body)
        return self.bridge.store.needs.accept(trigger, ReplyAddress(), self.bridge.clock())

    def event(self, kind: str, method: str, **fields: object) -> dict[str, object]:
        self.events += 1
        event = {"event_id": f"e{self.events}", "event_type": f"access_method.{kind}", "access_method_id": method}
        return {**event, **fields}

    def ask(self, verb: str, model: type[wire.Request], method: str, **fields: object) -> str:
        self.events += 1
        request = model.model_validate({"id": f"r{self.events}", "access_method_id": method, **fields})
        operation = getattr(self.bridge.store.requests, verb)
        return str(operation(request, ReplyAddress(), self.bridge.clock()).status)

    @rule(encoder=encoders, verb=st.sampled_from(["read", "erase", "erase"]), even=st.booleans(), before=rounds)
    def errand(self, encoder: str, verb: str, even: bool, before: int) -> None:
        """Somebody wants a card read, or blanked."""
        self.bridge.spin(before)
        self.events += 1
        wanted = self.world.asked.get(encoder)
        others = [*self.bridge.errands]
        if verb == "read":
            task = self.bridge.send(wire.Read(id=f"x{self.events}", encoder=encoder))
        else:
            asked = wire.Erase(id=f"x{self.events}", encoder=encoder, even_if_valid=even)
            before_this, self.erases[encoder] = self.erases.get(encoder), asked
            task = self.bridge.send(asked)
            if task.done() and before_this:
                self.erases[encoder] = before_this
        if task.done():
            refusal = task.result()
            assert refusal.status == "rejected"
            assert refusal.error is not None
            could = wanted is not None and wanted.verb == "encode" and not others
            assert not (could and refusal.error.type == "encoder_busy"), "a job that had not begun was not interrupted"

    @precondition(lambda self: hasattr(self, "bridge") and self.bridge.errands)
    @rule(which=st.integers(0, 9), before=rounds)
    def lose_patience(self, which: int, before: int) -> None:
        """Whoever asked for an errand goes away."""
        self.bridge.spin(before)
        self.bridge.errands[which % len(self.bridge.errands)].cancel()

    @rule(encoder=encoders)
    def give_up(self, encoder: str) -> None:
        """A card that was half blanked does not come back; not while an encoder still has it."""
        if encoder not in self.world.erasing:
            self.bridge.do(lambda: self.bridge.store.cards.give_up_erasure(encoder, self.bridge.clock()))

    # What people and devices do.

    @rule(seconds=st.sampled_from([0.0, 0.2, 1.0, 1.0, 3.0]))
    def serve(self, seconds: float) -> None:
        """Somebody does what all encoders ask for, and takes away what they do not ask for."""
        self.bridge.rest()
        for encoder in ENCODERS:
            self.world.lay(encoder, self.what_is_asked_for(encoder))
        self.bridge.advance(seconds)
        self.all_is_settled()

    def what_is_asked_for(self, encoder: str) -> Piece | None:
        wanted = self.world.asked.get(encoder)
        if wanted is None:
            return None
        if wanted.card:
            return self.world.cards.get(wanted.card)
        cards = [piece for piece in self.world.cards.values() if not piece.is_blank]
        return cards[-1] if wanted.verb != "encode" and cards else self.world.blank()

    @rule(encoder=encoders, which=st.integers(0, 9), is_lifted=st.booleans(), before=rounds)
    def meddle(self, encoder: str, which: int, is_lifted: bool, before: int) -> None:
        """Somebody lays down any card there is, or takes one off in the middle of it all."""
        self.bridge.spin(before)
        cards = sorted(self.world.cards.values(), key=lambda piece: (piece.is_whole, piece.is_blank))
        self.world.lay(encoder, None if is_lifted or not cards else cards[which % len(cards)])

    @rule(encoder=encoders, fault=st.sampled_from(FAULTS), before=rounds)
    def go_wrong(self, encoder: str, fault: str, before: int) -> None:
        self.bridge.spin(before)
        self.world.faults[encoder].append(fault)

    @rule(encoder=st.sampled_from(["left", "left", "right", "attic"]), before=rounds)
    def pull_or_plug(self, encoder: str, before: int) -> None:
        """Somebody stumbles over the cable, or puts it back."""
        self.bridge.spin(before)
        if encoder in self.world.unplugged:
            self.world.unplugged.discard(encoder)
        else:
            self.world.unplug(encoder)

    @rule(seconds=st.sampled_from([0.1, 0.3, 0.6, 3.0, 25.0, 100.0, DAY_S]))
    def time_passes(self, seconds: float) -> None:
        self.bridge.advance(seconds)
        self.all_is_settled()

    def all_is_settled(self) -> None:
        """What must hold where nothing is under way but what people and devices take their time for."""
        self.bridge.errands = [task for task in self.bridge.errands if not task.done()]
        for encoder, wanted in self.world.asked.items():
            job = self.reference.jobs[wanted.job] if wanted.job else None
            is_old = job and (job.taken_by != encoder or job.state not in {"waiting_for_card", "unsure"})
            assert not is_old, f"{encoder} still asks for job {wanted.job}"
        for job in self.reference.jobs.values():
            is_over = job.state in NOT_BEGUN and job.expires_at <= self.bridge.clock()
            assert not is_over, f"job {job.job_id} is {job.state} and out of time"
        rows = self.bridge.connection.execute("SELECT encoder FROM erasure WHERE state = 'erasing'").fetchall()
        assert {name for (name,) in rows} <= self.world.erasing, "nobody blanks what is said to be under way"
        in_hand = self.in_hand()
        for uid in self.world.cards:
            if uid not in in_hand and uid not in self.truth.possible:
                made = self.bridge.store.cards.made_here(uid, self.bridge.clock())
                told = self.truth.certain.get(uid)
                assert (made.access_method_id if made else None) == (told[0] if told else None)

    @rule(before=rounds)
    def works(self, before: int) -> None:
        self.bridge.spin(before)

    @rule(limit=st.integers(1, 20), is_acknowledged=st.booleans())
    def deliver(self, limit: int, is_acknowledged: bool) -> None:
        self.reports_are_kept()
        messages = self.bridge.do(lambda: self.bridge.store.outbox.pending(limit))
        self.reports_are_kept()
        if is_acknowledged:
            told = {message.report_id for message in messages}
            self.bridge.do(lambda: self.bridge.store.outbox.told(told))
            self.acknowledged |= told

    # The end of a process, and the next one.

    @rule(before=st.integers(0, 40), away_s=st.sampled_from([0, 0, 1, DAY_S]), profile=st.sampled_from([None, "room"]))
    def crash(self, before: int, away_s: int, profile: str | None) -> None:
        self.bridge.spin(before)
        self.bridge.kill()
        self.next_process(away_s, profile)

    @rule(away_s=st.sampled_from([0, 1, DAY_S]))
    def restart(self, away_s: int) -> None:
        self.bridge.stop()
        self.next_process(away_s, self.reference.default_profile)

    def next_process(self, away_s: int, profile: str | None) -> None:
        now = self.bridge.clock() + away_s * 1000
        self.reference.configured(profile)
        self.start(now)

    # What must hold.

    @invariant()
    def nobody_objects(self) -> None:
        assert not self.objections, self.objections

    @invariant()
    def jobs_stand_where_they_should(self) -> None:
        rows = self.bridge.connection.execute("SELECT job_id, state, open IS NOT NULL FROM job").fetchall()
        assert rows == [(job.job_id, job.state, job.is_open) for job in self.reference.jobs.values()]

    @invariant()
    def every_acknowledged_need_is_known(self) -> None:
        known = {event_id for (event_id,) in self.bridge.connection.execute("SELECT event_id FROM event").fetchall()}
        assert known >= set(self.reference.needs)

    @invariant()
    def one_need_makes_at_most_one_card(self) -> None:
        for job_id, uids in self.world.touched.items():
            assert len(uids) <= 1, f"job {job_id} was written to {uids}"
        for job in self.reference.jobs.values():
            if job.state in {"cancelled", "expired", "superseded", "issued_elsewhere", "held", "queued"}:
                assert not self.world.touched[job.job_id], f"job {job.job_id} is {job.state}, and a card was written"
        for piece in self.world.cards.values():
            if piece.carries and piece.job:
                job = self.reference.jobs[piece.job]
                assert (piece.carries.fields.get("room"), piece.carries.profile) == job.written

    @invariant()
    def the_world_was_told_what_is_on_the_plastic(self) -> None:
        lies = [*self.truth.lies(self.world.cards, self.in_hand())]
        assert not lies, lies

    def in_hand(self) -> dict[str, Mark | None]:
        """What encoders have begun to do to cards by now."""
        found: dict[str, Mark | None] = {}
        for job in self.reference.jobs.values():
            if job.state == "writing" and job.card is not None:
                found[job.card] = (job.method, self.numbers.of_job[job.job_id][1])
        rows = self.bridge.connection.execute("SELECT card_uid FROM erasure WHERE state = 'erasing'").fetchall()
        return found | dict.fromkeys((uid for (uid,) in rows), None)

    @invariant()
    def reports_are_kept(self) -> None:
        """Nothing in the outbox changes or is lost before it is acknowledged; what is told as issued is on a card."""
        rows = self.bridge.connection.execute("SELECT report_id, kind, body FROM outbox").fetchall()
        assert {row[0] for row in rows} >= set(self.seen) - self.acknowledged
        for report_id, kind, body in rows:
            report = {"kind": kind, **json.loads(body)}
            if report_id in self.seen:
                assert self.seen[report_id] == report
                continue
            self.seen[report_id] = report
            if kind == "event" and report.get("is_issued"):
                (job,) = [job for job in self.reference.jobs.values() if job.event_id == report["trigger_event_id"]]
                assert self.world.touched[job.job_id] == {report["card"]["uid"]}
                assert report["sequence"] == self.numbers.of_job[job.job_id][1]

    @invariant()
    def every_end_is_told_once_under_an_id_of_its_own(self) -> None:
        self.reports_are_kept()
        events = [report for report in self.seen.values() if report["kind"] == "event"]
        assert len({event["event_id"] for event in events}) == len(events)
        told = Counter((event["trigger_event_id"], event["state"]) for event in events if "state" in event)
        assert told == self.reference.visits

    def teardown(self) -> None:
        try:
            if hasattr(self, "bridge"):
                self.all_ends_well()
                self.bridge.kill()
        finally:
            self.folders.close()

    def all_ends_well(self) -> None:
        """With patient people and sound devices nothing stays open but what waits for a word."""
        self.world.faults.clear()
        self.world.unplugged.clear()
        for _ in range(200):
            self.bridge.advance(5)
            if all(job.state == "held" or not job.is_open for job in self.reference.jobs.values()):
                break
            self.serve(0.0)
        stuck = {job.job_id: job.state for job in self.reference.jobs.values() if job.is_open and job.state != "held"}
        note(f"at the end: {[(job.job_id, job.state) for job in self.reference.jobs.values()]}")
        assert not stuck, f"nobody serves {stuck}"
        for check in (
            self.nobody_objects,
            self.jobs_stand_where_they_should,
            self.all_is_settled,
            self.one_need_makes_at_most_one_card,
            self.the_world_was_told_what_is_on_the_plastic,
            self.reports_are_kept,
            self.every_end_is_told_once_under_an_id_of_its_own,
        ):
            check()


def _message(need: Need) -> dict[str, object]:
    block = None
    if need.contents:
        ends_at = need.contents.ends_at
        block = {
            "fields": {"room": need.contents.room},
            "profile": need.contents.profile,
            "entrances": need.contents.entrances,
            "joins": need.contents.joins,
            "ends_at": None if ends_at is None else from_ms(ends_at),
        }
    return {
        "event_id": need.event_id,
        "event_type": "access_method.card_encoding_required",
        "access_method_id": need.method,
        "occurred_at": None if need.at is None else iso(need.at),
        "credential": block,
        "encoder": need.encoder,
        "expires_at": None if need.expires_at is None else iso(need.expires_at),
    }


def test_whatever_happens_at_the_desk_the_world_is_told_what_is_on_the_plastic() -> None:
    run_state_machine_as_test(
        Days,
        settings=settings(
            max_examples=EXAMPLES or 250,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=not EXAMPLES,
            database=None,
            suppress_health_check=list(HealthCheck),
            # Shrinking takes minutes: only for those who came for it.
            phases=[Phase.generate, Phase.shrink] if EXAMPLES else [Phase.generate],
        ),
    )
