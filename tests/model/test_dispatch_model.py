"""Days at a desk, drawn at random: every message, card and report against the reference, with crashes in between.

`ENCODER_BRIDGE_MODEL_EXAMPLES` and `ENCODER_BRIDGE_MODEL_STEPS` make it longer, and every run then draws another one.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path
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

from encoder_bridge import wire
from encoder_bridge.driver import Prompt
from encoder_bridge.model import iso
from encoder_bridge.reports import ReplyAddress
from encoder_bridge.store import Rules
from encoder_bridge.store.needs import Answer

from .bridge import ENCODERS, START, Bridge
from .plastic import CARD_CHANGED, HOPELESS, NO_CARD_CHANGED, World
from .reference import NOT_BEGUN, Need, Reference

EXAMPLES = int(os.environ.get("ENCODER_BRIDGE_MODEL_EXAMPLES", "0"))
STEPS = int(os.environ.get("ENCODER_BRIDGE_MODEL_STEPS", "40"))

MAX_OPEN = 5
OPEN_FOR_MS = 30 * 60_000
DAY_S = 600
FAULTS = (*CARD_CHANGED, *CARD_CHANGED, *NO_CARD_CHANGED, *HOPELESS)

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
    room: str | None
    profile: str | None
    encoder: str | None
    expires_in: int | None


drafts = st.builds(
    Draft,
    method=methods,
    at=moments,
    room=st.sampled_from([None, "101", "102"]),
    profile=st.sampled_from([None, "suite"]),
    encoder=st.sampled_from([None, None, None, "left", "right"]),
    expires_in=st.sampled_from([None, None, None, None, None, -1, 60_000]),
)


class Days(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        shared = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(prefix="model-", dir=shared if shared.is_dir() else None))
        self.world = World()
        self.seen: dict[int, dict[str, Any]] = {}
        """Every report that ever was in the outbox, by its row."""
        self.acknowledged: set[int] = set()
        self.objections: list[str] = []
        self.events = 0

    @initialize(profile=st.sampled_from([None, "room", "room"]), first=st.lists(drafts, min_size=1, max_size=4))
    def begin(self, profile: str | None, first: list[Draft]) -> None:
        self.reference = Reference(max_open=MAX_OPEN, default_profile=profile)
        self.start(START)
        for draft in first:
            self.bring(draft)

    def start(self, now: int) -> None:
        rules = Rules(
            encoders=dict.fromkeys(ENCODERS, "one"),
            default_profile=self.reference.default_profile,
            max_open=MAX_OPEN,
            open_for_ms=OPEN_FOR_MS,
            zone=UTC,
        )
        self.bridge = Bridge(self.folder / "store.db", self.world, rules, now=now, watch=self.moved)

    def moved(self, job_id: int, was: str, to: str) -> None:
        # SQLite swallows what a function raises here, but for its being raised.
        try:
            self.reference.moved(job_id, was, to, self.bridge.clock())
        except AssertionError as error:
            self.objections.append(str(error))

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
                room=draft.room,
                profile=draft.profile if draft.room else None,
                encoder=draft.encoder,
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
            need = replace(need, room="999")
        self.take(need)

    def take(self, need: Need) -> None:
        body = _message(need)

        def arrive() -> None:
            now = self.bridge.clock()
            waiting = self.reference.newest_open(need.method)
            was_asked_for = waiting is not None and waiting.state == "waiting_for_card"
            contents = (waiting.room, waiting.profile) if waiting else None
            expected = self.reference.judge(need, now)
            answer = self.accept(body)
            assert answer.status == expected, f"{need}: {answer.status}, not {expected}"
            if expected in {"accepted", "held"}:
                self.reference.needs[need.event_id] = need
            if waiting and was_asked_for and expected == "accepted" and need.room:
                still_asked_for = waiting.state == "waiting_for_card"
                assert not (still_asked_for and contents != (waiting.room, waiting.profile)), "an old prompt stands"

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
            job = self.reference.newest_open(method)
            was = job.state if job else None
            status = self.ask("cancel", method)
            assert status == ("rejected" if was in {None, "writing"} else "job")
            if job:
                assert job.state == {"writing": "writing", "unsure": "failed"}.get(was or "", "cancelled")

        self.bridge.do(arrive)

    def confirm(self, method: str) -> None:
        def arrive() -> None:
            job = self.reference.newest_open(method)
            is_free = job is None or job.state != "held" or not job.profile
            if job and not is_free:
                job.reason, job.is_confirmed = "", True
            status = self.ask("confirm", method)
            assert status == ("rejected" if job is None or (job.state == "held" and not job.profile) else "job")
            assert is_free or (job and job.state == "queued")

        self.bridge.do(arrive)

    def accept(self, body: dict[str, object]) -> Answer:
        trigger = wire.Trigger.model_validate(body)
        return self.bridge.store.needs.accept(trigger, ReplyAddress(), self.bridge.clock())

    def event(self, kind: str, method: str, **fields: object) -> dict[str, object]:
        self.events += 1
        event = {"event_id": f"e{self.events}", "event_type": f"access_method.{kind}", "access_method_id": method}
        return {**event, **fields}

    def ask(self, verb: str, method: str) -> str:
        operation = getattr(self.bridge.store.requests, verb)
        self.events += 1
        operation(wire.Request(id=f"r{self.events}", access_method_id=method), ReplyAddress(), self.bridge.clock())
        return str(json.loads(self.bridge.store.outbox.pending(10_000)[-1].body)["status"])

    # What people and devices do.

    @rule(seconds=st.sampled_from([0.0, 0.2, 1.0, 1.0, 3.0]))
    def serve(self, seconds: float) -> None:
        """Somebody does what both encoders ask for, and takes away what they do not ask for."""
        self.bridge.rest()
        for encoder in ENCODERS:
            asked = self.world.asked.get(encoder)
            if asked is None:
                self.world.lay(encoder, None)
            elif asked[0] is Prompt.SAME_CARD and asked[1]:
                self.world.lay(encoder, self.world.cards[asked[1]])
            else:
                self.world.lay(encoder, self.world.blank())
        self.bridge.advance(seconds)

    @rule(encoder=encoders, which=st.integers(0, 9), is_lifted=st.booleans(), before=rounds)
    def meddle(self, encoder: str, which: int, is_lifted: bool, before: int) -> None:
        """Somebody lays down any card there is, or takes one off in the middle of it all."""
        self.bridge.spin(before)
        cards = list(self.world.cards.values())
        self.world.lay(encoder, None if is_lifted or not cards else cards[which % len(cards)])

    @rule(encoder=encoders, fault=st.sampled_from([*FAULTS, "unplugged", "plugged in"]), before=rounds)
    def go_wrong(self, encoder: str, fault: str, before: int) -> None:
        self.bridge.spin(before)
        if fault == "unplugged":
            self.world.unplug(encoder)
        elif fault == "plugged in":
            self.world.unplugged.discard(encoder)
        else:
            self.world.faults[encoder].append(fault)

    @rule(seconds=st.sampled_from([0.1, 0.3, 0.6, 3.0, 30.0, 100.0, DAY_S]))
    def time_passes(self, seconds: float) -> None:
        self.bridge.advance(seconds)

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
        assert self.objections == []

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
        for sequence, uids in self.world.touched.items():
            assert len(uids) <= 1, f"job {sequence} was written to {uids}"
        for job in self.reference.jobs.values():
            good = self.world.good(job.job_id)
            assert len(good) <= 1
            assert job.state != "issued" or good, f"job {job.job_id} is issued and no card carries it"
            for uid in good:
                carried = self.world.cards[uid].carries
                assert carried is not None
                assert carried.access_method_id == job.method
                assert (carried.fields.get("room"), carried.profile) == job.written
            if job.state in {"cancelled", "expired", "superseded", "issued_elsewhere", "held", "queued"}:
                assert not self.world.touched[job.job_id], f"job {job.job_id} is {job.state}, and a card was written"

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
            if kind == "event" and report["is_issued"]:
                (job,) = [job for job in self.reference.jobs.values() if job.event_id == report["trigger_event_id"]]
                assert self.world.good(job.job_id) == [report["card"]["uid"]]

    @invariant()
    def every_end_is_told_once_under_an_id_of_its_own(self) -> None:
        self.reports_are_kept()
        events = [report for report in self.seen.values() if report["kind"] == "event"]
        assert len({event["event_id"] for event in events}) == len(events)
        told = Counter((event["trigger_event_id"], event["state"]) for event in events)
        assert told == self.reference.visits

    def teardown(self) -> None:
        try:
            if hasattr(self, "bridge"):
                self.all_ends_well()
                self.bridge.kill()
        finally:
            shutil.rmtree(self.folder)

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
            self.one_need_makes_at_most_one_card,
            self.reports_are_kept,
            self.every_end_is_told_once_under_an_id_of_its_own,
        ):
            check()


def _message(need: Need) -> dict[str, object]:
    block = {"fields": {"room": need.room}, "profile": need.profile} if need.room else None
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
            max_examples=EXAMPLES or 120,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=not EXAMPLES,
            database=None,
            suppress_health_check=list(HealthCheck),
            # Shrinking takes minutes: only for those who came for it.
            phases=[Phase.generate, Phase.shrink] if EXAMPLES else [Phase.generate],
        ),
    )
