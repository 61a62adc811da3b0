"""Numbers of cards, and how fast they are started, by the plainest rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from .reference import Known

WINDOW_MS = 60_000


@dataclass
class Numbers:
    """Hears of every claim and of every card that is begun."""

    given: dict[tuple[str, str], dict[int, int]] = field(default_factory=dict)
    """Profile and entrance: job to its number, if a card was begun for it or may yet be."""
    begun: dict[tuple[str, str], dict[int, int]] = field(default_factory=dict)
    """The same, for those cards that were begun."""
    copies: dict[int, int] = field(default_factory=dict)
    """Job of a copy to the job of the card that it joins."""
    of_job: dict[int, tuple[object, int]] = field(default_factory=dict)
    """Job to its number when its card was begun, and what that number counts for."""

    def claimed(self, job: Known, number: int, open_jobs: Mapping[int, Known]) -> None:
        """An encoder takes a job, with this number."""
        places = _places(job)
        others = {
            each
            for place in places
            for other, each in self.given.get(place, {}).items()
            if other != job.job_id
            and (other in self.begun.get(place, {}) or (other in open_jobs and place in _places(open_jobs[other])))
        }
        if job.joins and others and job.job_id not in self.given.get(places[0], {}):
            assert number in others, f"job {job.job_id} copies card {number}, and there is no such card: {others}"
            latest = max((max(self.begun[place].values()) for place in places if self.begun.get(place)), default=0)
            assert number >= latest, f"job {job.job_id} copies card {number}, and card {latest} is newer"
            joined = [other for place in places for other, each in self.given.get(place, {}).items() if each == number]
            self.copies[job.job_id] = self.copies.get(joined[0], joined[0])
        elif job.joins:
            self.copies.setdefault(job.job_id, job.job_id)
        for place in places:
            self.given.setdefault(place, {})[job.job_id] = number

    def begins(self, job: Known, number: int) -> None:
        """A card is about to carry the number."""
        key = _key(job)
        before = self.of_job.get(job.job_id, (key, number))
        assert before[0] != key or before[1] == number, f"job {job.job_id} had number {before[1]}, and now {number}"
        self.of_job[job.job_id] = (key, number)
        for place in _places(job):
            there = self.begun.setdefault(place, {})
            others = [
                each
                for other, each in there.items()
                if other != job.job_id and not self._is_copy(other, each, of=job.job_id, number=number)
            ]
            if not job.joins and job.job_id not in there and others:
                assert number > max(others), f"job {job.job_id} begins card {number} after {max(others)} for {place}"
            there[job.job_id] = number

    def _is_copy(self, job_id: int, its: int, *, of: int, number: int) -> bool:
        """Whether one card joins another, which may be made after it; it is given that one's number then."""
        return its == number and job_id in self.copies and (self.copies[job_id] == of or of < job_id)


@dataclass
class Pace:
    """Hears of every card that is started."""

    limit: int
    started: list[tuple[int, str, str | None]] = field(default_factory=list)
    """When, where and for whom."""

    def starts(self, now: int, encoder: str, requester: str | None) -> None:
        self.started.append((now, encoder, requester))
        recent = [entry for entry in self.started if entry[0] > now - WINDOW_MS]
        for column in (1, 2):
            for name, count in Counter(entry[column] for entry in recent).items():
                assert not self.limit or name is None or count <= self.limit, f"{count} cards in a minute by {name}"


def _places(job: Known) -> list[tuple[str, str]]:
    return [(str(job.profile), place) for place in (sorted(set(job.entrances)) or [f"method {job.method}"])]


def _key(job: Known) -> object:
    return job.profile, tuple(sorted(set(job.entrances))), job.joins
