"""The power goes while the store is written: what was acknowledged is there, whole, and work goes on from it."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import pytest
from rigs.folders import memory_folder

from encoder_bridge import reports, wire
from encoder_bridge.commits import Commits, Connection
from encoder_bridge.driver import Card, Evidence, Intent, Receipt
from encoder_bridge.model import MOVES, Job, Problem, State, iso
from encoder_bridge.reports import ReplyAddress
from encoder_bridge.sqlite import SCHEMA_VERSION, open_store
from encoder_bridge.store import Store

from .desk import MINUTE, SEAL, START, credential, rules

if TYPE_CHECKING:
    from pathlib import Path

    from rigs import powercut
else:
    powercut = pytest.importorskip("rigs.powercut", reason="apsw is not installed: no power cuts can be played")

TABLES = (
    "job",
    "outbox",
    "attempt",
    "event",
    "method",
    "personal",
    "contents",
    "poison",
    "sequence",
    "erasure",
    "pace",
)
RULES = rules(max_open=8, cards_per_minute=4, sequence_window=8)
METHODS = 12
PROBLEM = Problem(type="torn", message="torn")

P = ParamSpec("P")
T = TypeVar("T")
Contents = dict[str, list[tuple[Any, ...]]]


@pytest.fixture
def folder() -> Iterator[Path]:
    with memory_folder() as path:
        yield path


def contents(connection: Connection) -> Contents:
    """Every row of the store; nothing where there is none yet, or none of today."""
    if connection.execute("PRAGMA user_version").fetchone() != (SCHEMA_VERSION,):
        return {}
    return {table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in TABLES}


@dataclass
class Witness:
    """A recorded connection that notes at every COMMIT that returned how far the recording was and what was there."""

    recorder: powercut.Recorder
    path: Path
    synchronous: str
    positions: list[int] = field(default_factory=lambda: [0])
    committed: list[Contents] = field(default_factory=lambda: [{}])
    promises: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])

    def __post_init__(self) -> None:
        self._connection = self.recorder.connect(self.path)

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        if sql.startswith("PRAGMA synchronous"):
            sql = sql if self.synchronous == "FULL" else f"PRAGMA synchronous = {self.synchronous}"
        result = self._connection.execute(sql, parameters)
        if sql == "COMMIT":
            self.positions.append(self.recorder.mark())
            self.committed.append(contents(self._connection))
        return result

    def promise(self) -> None:
        """Somebody was told that the last commit is on disk; SQLite does not sync for one that changed nothing."""
        if self.committed[-1] != self.committed[-2]:
            self.promises.append((self.positions[-1], len(self.committed) - 1))

    def promised(self, cut: int) -> int:
        """The last commit that had been promised when the power went."""
        return self.promises[bisect_right(self.promises, (cut, len(self.committed))) - 1][1]

    def close(self) -> None:
        self._connection.close()


class Life:
    """What a desk goes through on a busy day, drawn from a seed; every step is a call that the daemon could make."""

    def __init__(self, store: Store, commits: Commits, witness: Witness, rng: Random) -> None:
        self._store = store
        self._relaxed = commits.relaxed
        self._durably = commits
        self._witness = witness
        self._rng = rng
        self._now = START
        self._in_hand: dict[str, Job] = {}
        self._events = 0
        self._requests = 0

    async def _commits(self, operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        result = await self._durably(operation, *args, **kwargs)
        self._witness.promise()
        return result

    async def live(self, steps: int) -> None:
        at_work = [self.claims, self.intends, self.intends, self.issues, self.issues, self.doubts, self.puts_back]
        others = [self.needs, self.needs, self.needs, self.told, self.told, self.cancels, self.deletes, self.expires]
        people = [self.asks, self.asks, self.blanks, self.forgets]
        for _ in range(steps):
            self._now += self._rng.randrange(MINUTE)
            await self._rng.choice([*at_work, *others, *people])()

    async def needs(self) -> None:
        """Some at once, so that they share a commit."""
        arriving = []
        for _ in range(self._rng.choice((1, 1, 4))):
            self._events += self._rng.random() < 0.9
            secret = base64.b64encode(self._rng.randbytes(600)).decode()
            block = credential(
                entrances=self._rng.sample(("101", "102", "spa"), self._rng.randrange(3)),
                joins=self._rng.random() < 0.2,
                fields={"guest": f"Guest {self._rng.randrange(4)}"},
                data={"track": secret} if self._rng.random() < 0.7 else {},
            )
            arriving.append(
                self.trigger(
                    "card_encoding_required",
                    occurred_at=self._rng.choice((None, iso(self._now))),
                    credential=self._rng.choice((None, block)),
                )
            )
        await asyncio.gather(*arriving)

    async def trigger(self, event_type: str, **fields: Any) -> None:
        body = {"event_id": f"e{self._events}", "event_type": f"access_method.{event_type}", **fields}
        trigger = wire.Trigger.model_validate({"access_method_id": self._method(), **body})
        requester = self._rng.choice((None, "booking"))
        await self._commits(self._store.needs.accept, trigger, ReplyAddress(topic="answers"), self._now, requester)

    async def deletes(self) -> None:
        if self._rng.random() < 0.3:
            self._events += 1
            await self.trigger(self._rng.choice(("deleted", "issued")))

    async def claims(self) -> None:
        encoder = self._rng.choice(("left", "right"))
        if encoder not in self._in_hand:
            assignment, _ = await self._relaxed(self._store.turns.claim, encoder, self._now)
            if assignment:
                self._in_hand[encoder] = assignment.job

    async def intends(self) -> None:
        for encoder, job in self._in_hand.items():
            intent = Intent(card=self._card(job.job_id))
            await self._commits(self._store.work.intend, job, encoder, intent, self._now)

    async def issues(self) -> None:
        await self._ends(partial(self._store.work.issue, receipt=Receipt(evidence=Evidence.READ_BACK, card=None)))

    async def doubts(self) -> None:
        await self._ends(partial(self._store.work.doubt, problem=PROBLEM, retry_at=0))

    async def puts_back(self) -> None:
        await self._ends(partial(self._rng.choice((self._store.work.requeue, self._store.work.fail)), problem=PROBLEM))

    async def _ends(self, operation: Callable[..., object]) -> None:
        if self._in_hand:
            _, job = self._in_hand.popitem()
            await self._commits(partial(operation, job, now=self._now))

    async def told(self) -> None:
        messages = await self._relaxed(self._store.outbox.pending, self._rng.randrange(1, 6))
        await self._relaxed(self._store.outbox.told, [message.report_id for message in messages])

    async def cancels(self) -> None:
        request = wire.Request(id=self._request(), access_method_id=self._method())
        operation = self._rng.choice((self._store.requests.cancel, self._store.requests.confirm))
        await self._commits(operation, request, ReplyAddress(), self._now)

    async def asks(self) -> None:
        """A person wants a job done here, once more, or says that its card is gone."""
        requests, encoder = self._store.requests, self._rng.choice(("left", "right"))
        asked: dict[str, Any] = {"id": self._request(), "access_method_id": self._method(), "operator": "Anna"}
        card = self._rng.choice(("gone", "destroyed"))
        words: tuple[tuple[Callable[..., object], wire.Request], ...] = (
            (requests.retry, wire.Request(**asked)),
            (requests.claim, wire.Claim(**asked, encoder=encoder)),
            (requests.resolve, wire.Resolve(**asked, card=card, again=self._rng.random() < 0.5)),
        )
        operation, request = self._rng.choice(words)
        await self._commits(partial(operation, request, ReplyAddress(), self._now, "local:clerk"))

    async def blanks(self) -> None:
        """Somebody lays down a card to be blanked, or says that the one that was half so is gone."""
        cards, encoder = self._store.cards, self._rng.choice(("left", "right"))
        resumes = await self._relaxed(cards.unsettled, encoder)
        intent = resumes.intent if resumes else Intent(card=self._card(self._rng.randrange(1, 30)))
        begun = await self._commits(
            partial(cards.begin_erasure, resumes=resumes, even_if_valid=True, requester="local:clerk", operator=None),
            encoder,
            intent,
            self._now,
        )
        if isinstance(begun, Problem):
            return
        receipt = Receipt(evidence=Evidence.READ_BACK, card=begun.intent.card)
        ends: list[Callable[[], object]] = [
            partial(cards.erased, begun, receipt, self._now),
            partial(cards.doubt_erasure, begun, PROBLEM, self._now),
            partial(cards.withdraw_erasure, begun),
            partial(cards.give_up_erasure, encoder, self._now),
        ]
        if self._rng.random() < 0.8:
            await self._commits(self._rng.choice(ends))

    async def forgets(self) -> None:
        who = self._rng.choice((self._method(), f"Guest {self._rng.randrange(4)}"))
        await self._commits(self._store.guests.forget, wire.EraseGuest(id="x", who=who), self._now)

    def _method(self) -> str:
        return f"m{self._rng.randrange(METHODS)}"

    def _request(self) -> str:
        """Most requests come once, some twice."""
        self._requests += self._rng.random() < 0.8
        return f"r{self._requests}"

    @staticmethod
    def _card(number: int) -> Card:
        return Card(technology="test", uid=f"{number:04x}")

    async def expires(self) -> None:
        await self._commits(self._store.waiting.expire, self._now)
        await self._commits(self._store.retention.prune, self._now)


def lived(folder: Path, *, synchronous: str, steps: int, seed: int = 20240229) -> Witness:
    witness = Witness(powercut.Recorder(), folder / "store.db", synchronous)

    async def live() -> None:
        connection = open_store(witness.path, lambda _: witness)
        connection.execute("PRAGMA wal_autocheckpoint = 40")
        store = Store(connection, RULES, SEAL)
        commits = Commits(
            connection,
            take_news=store.take_news,
            on_commit=lambda _: None,
            when_idle=store.retention.tidy,
        )
        try:
            await Life(store, commits, witness, Random(seed)).live(steps)
        finally:
            await commits.close()
            connection.close()

    asyncio.run(live())
    return witness


@dataclass
class Tally:
    disks: int = 0
    lost: int = 0
    states: set[State] = field(default_factory=set)
    erasures: set[str] = field(default_factory=set)


def told_until(witness: Witness) -> list[set[str]]:
    """For each commit, the ids of all events that are no longer in the outbox because they were told."""
    told: list[set[str]] = [set()]
    before: set[str] = set()
    for committed in witness.committed[1:]:
        present = event_ids(committed)
        told.append(told[-1] | (before - present))
        before = present
    return told


def event_ids(committed: Contents) -> set[str]:
    return {json.loads(body)["event_id"] for _, kind, *_, body, _ in committed.get("outbox", []) if kind == "event"}


def cut_everywhere(witness: Witness, folder: Path, *, every: int = 1) -> Tally:
    rng, tally, told = Random(7), Tally(), told_until(witness)
    for cut in witness.recorder.cuts()[::every]:
        returned = bisect_right(witness.positions, cut) - 1
        for disk in witness.recorder.disk_states(cut, rng, how_many=2):
            tally.disks += 1
            # The standard library's own SQLite opens the files: it shares nothing with the recorder.
            with closing(open_store(disk.write_to(folder))) as survivor:
                assert survivor.execute("PRAGMA quick_check").fetchall() == [("ok",)]
                found = contents(survivor)
                # A store that had not been made yet is made by opening it.
                found = found if any(found.values()) else {}
                whole = [committed if any(committed.values()) else {} for committed in witness.committed]
                promised = witness.promised(cut)
                if found in whole[promised : returned + 2]:
                    recovers(survivor, told[min(returned + 1, len(told) - 1)], tally)
                else:
                    assert found in whole[:promised], f"torn at {cut}"
                    tally.lost += 1
    return tally


def recovers(survivor: Connection, told: set[str], tally: Tally) -> None:
    store = Store(survivor, RULES, SEAL)
    ledger = store.work._ledger
    before = ledger.jobs("ORDER BY job_id")
    ((store_id,),) = survivor.execute("SELECT value FROM meta WHERE name = 'store_id'").fetchall()
    in_outbox = event_ids(contents(survivor))
    for job in before:
        tally.states.add(job.state)
        if reports.worth_an_event(job.state):
            # One in doubt that is looked at again, in another attempt, was told in the one before.
            attempts = [replace(job, attempt=attempt) for attempt in range(job.attempt + 1)]
            told_as = {
                json.loads(reports.event(each, store_id=store_id, now=0).body)["event_id"]
                for each in (attempts if job.state is State.UNSURE else attempts[-1:])
            }
            assert told_as & (in_outbox | told), f"job {job.job_id} is {job.state}, and nobody was or will be told"
        assert (job.state is State.ISSUED) == (job.receipt is not None)
        assert job.state not in (State.WRITING, State.UNSURE) or job.intent is not None
    for erasure_id, state, state_at in survivor.execute("SELECT erasure_id, state, state_at FROM erasure").fetchall():
        event_id = str(uuid.uuid5(uuid.UUID(store_id), f"erasure/{erasure_id}/{state}/{state_at}"))
        assert state == "erasing" or event_id in in_outbox | told, f"erasure {erasure_id} is {state}, and nobody knows"
        tally.erasures.add(state)
    every_key_has_a_number_of_its_own(survivor)
    survivor.execute("BEGIN IMMEDIATE")
    store.recovery.recover(START)
    survivor.execute("COMMIT")
    assert survivor.execute("SELECT count(*) FROM erasure WHERE state = 'erasing'").fetchone() == (0,)
    after = ledger.jobs("ORDER BY job_id")
    for was, now in zip(before, after, strict=True):
        assert was.state is now.state or now.state in MOVES[was.state] or was.state is State.WRITING
        assert now.state not in (State.WAITING_FOR_CARD, State.WRITING)
        assert was.state not in (State.WRITING, State.UNSURE) or now.state in (State.UNSURE, State.FAILED)


def every_key_has_a_number_of_its_own(survivor: Connection) -> None:
    """No two cards that were begun, copies apart, have one number for one door."""
    begun = survivor.execute(
        """SELECT profile, value, sequence, job_id FROM job, json_each(scope)
           WHERE job_id IN (SELECT job_id FROM attempt WHERE what = 'intended')
             AND sequence IS NOT NULL AND NOT json_extract(credential, '$.joins')"""
    ).fetchall()
    keys = [key for *key, _ in begun]
    assert len(keys) == len({tuple(key) for key in keys}), begun


def test_no_power_cut_loses_or_tears_what_was_acknowledged(folder: Path) -> None:
    witness = lived(folder, synchronous="FULL", steps=140)
    tally = cut_everywhere(witness, folder, every=2)
    assert len(witness.committed) > 100
    assert tally.disks > 1200
    assert tally.lost == 0
    assert tally.states >= {State.WAITING_FOR_CARD, State.WRITING, State.UNSURE, State.ISSUED, State.CANCELLED}
    assert tally.erasures == {"erasing", "erased", "unsure", "given_up"}


def test_with_less_than_full_sync_this_test_finds_acknowledged_jobs_missing(folder: Path) -> None:
    tally = cut_everywhere(lived(folder, synchronous="NORMAL", steps=60), folder, every=5)
    assert tally.lost > 50
