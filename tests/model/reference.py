"""The rules of the needs in their plainest form: which message is what, and where a job may go.

Written from the rules, with none of the store's code; it hears of moves as they are made, and objects.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

ARROWS = {
    "held": {"queued", "cancelled", "expired", "superseded", "issued_elsewhere"},
    "queued": {"held", "waiting_for_card", "cancelled", "expired", "superseded", "issued_elsewhere"},
    "waiting_for_card": {"queued", "writing", "failed", "cancelled", "expired", "issued_elsewhere"},
    "writing": {"queued", "unsure", "issued", "failed"},
    "unsure": {"writing", "issued", "failed"},
}
BEGUN = {"writing", "unsure"}
NOT_BEGUN = {"held", "queued", "waiting_for_card"}
TOLD = {"held", "unsure", "issued", "failed", "cancelled", "expired", "superseded", "issued_elsewhere"}


@dataclass(frozen=True, kw_only=True)
class Need:
    """One message that asks for a card."""

    event_id: str
    method: str
    at: int | None
    room: str | None
    """Its contents; None: it brought none."""
    profile: str | None
    """Named in its contents."""
    encoder: str | None
    expires_at: int | None


@dataclass(kw_only=True)
class Known:
    """One job."""

    job_id: int
    method: str
    event_id: str
    at: int | None
    room: str | None
    profile: str | None
    state: str
    reason: str = ""
    """Why it is held."""
    is_confirmed: bool = False
    moved_at: int = 0
    fixed_at: int = 0
    """Since when its contents cannot change any more."""
    written: tuple[str | None, str | None] = (None, None)
    """Room and profile as they were then."""

    @property
    def is_open(self) -> bool:
        return self.state in ARROWS


@dataclass
class Reference:
    """What has to be true."""

    max_open: int
    default_profile: str | None
    jobs: dict[int, Known] = field(default_factory=dict)
    needs: dict[str, Need] = field(default_factory=dict)
    """Those that were taken in, by their id."""
    deleted: set[str] = field(default_factory=set)
    elsewhere: dict[str, int] = field(default_factory=dict)
    visits: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often a job, named by the id of its first message, came to a state that is told."""

    def of(self, method: str) -> list[Known]:
        return [job for _, job in sorted(self.jobs.items()) if job.method == method]

    def newest_open(self, method: str) -> Known | None:
        return next((job for job in reversed(self.of(method)) if job.is_open), None)

    def judge(self, need: Need, now: int) -> str:
        """The answer that a need must get; a need that is taken in is merged into its job."""
        if need.event_id in self.needs:
            return "duplicate" if self.needs[need.event_id] == need else "rejected"
        if need.method in self.deleted or (need.expires_at is not None and need.expires_at <= now):
            return "rejected"
        jobs = self.of(need.method)
        met = [job.moved_at for job in jobs if job.state == "issued"]
        met += [job.moved_at for job in jobs[-1:] if job.state in {"cancelled", "expired"}]
        met += [self.elsewhere[need.method]] if need.method in self.elsewhere else []
        if need.at is not None and met and need.at <= max(met):
            return "stale"
        waiting = next((job for job in reversed(jobs) if job.state in NOT_BEGUN), None)
        if waiting is not None:
            self._merge(need, waiting)
            if waiting.state == "held":
                waiting.reason = self._reason(waiting)
                return "held" if waiting.reason else "accepted"
            return "accepted"
        if sum(job.is_open for job in self.jobs.values()) >= self.max_open:
            return "refused"
        job = Known(
            job_id=max(self.jobs, default=0) + 1,
            method=need.method,
            event_id=need.event_id,
            at=need.at,
            room=need.room,
            profile=need.profile or self.default_profile,
            state="queued",
        )
        job.reason = self._reason(job)
        job.state = "held" if job.reason else "queued"
        self.jobs[job.job_id] = job
        if job.reason:
            self.visits[job.event_id, "held"] += 1
        return "held" if job.reason else "accepted"

    def _merge(self, need: Need, job: Known) -> None:
        is_older = need.at is not None and job.at is not None and need.at < job.at
        brings_contents = need.room is not None
        if brings_contents and not is_older:
            job.room = need.room
            job.profile = need.profile or self.default_profile or job.profile
        job.profile = job.profile or need.profile or self.default_profile
        if need.at is not None:
            job.at = max(need.at, job.at or need.at)

    def _reason(self, job: Known) -> str:
        others = self.of(job.method)
        was_issued = job.method in self.elsewhere or any(other.state == "issued" for other in others)
        if was_issued and job.at is None and not any(other.state in BEGUN for other in others):
            return "confirmation_required"
        return "" if job.profile else "profile_missing"

    def _is_wanted(self, job: Known, predecessors: list[Known]) -> bool:
        met = [other.fixed_at for other in predecessors if other.state == "issued"]
        met += [self.elsewhere[job.method]] if job.method in self.elsewhere else []
        return not met or (job.is_confirmed if job.at is None else job.at > max(met))

    def configured(self, profile: str | None) -> None:
        """The process starts with this default profile."""
        self.default_profile = profile
        if profile:
            for job in self.jobs.values():
                if job.state == "held":
                    job.profile = job.profile or profile

    def moved(self, job_id: int, was: str, to: str, now: int) -> None:
        """A job is moved: object to what must not be."""
        job = self.jobs[job_id]
        assert job.state == was, f"job {job_id} was {job.state}, not {was}"
        assert to in ARROWS.get(was, ()), f"job {job_id}: {was} -> {to}"
        predecessors = [other for other in self.of(job.method) if other.job_id < job_id]
        match to:
            case "waiting_for_card":
                assert not any(other.is_open for other in predecessors), "a successor overtook its predecessor"
                assert job.profile, "nobody knows what to write"
                assert self._is_wanted(job, predecessors), "the need was met before"
            case "writing":
                assert job.method not in self.deleted, "a card was started after its method's deletion"
                if was == "waiting_for_card":
                    job.fixed_at, job.written = now, (job.room, job.profile)
            case "superseded":
                assert job.at is not None
                assert any(other.state == "issued" and job.at <= other.fixed_at for other in predecessors)
            case "held":
                job.reason = "confirmation_required"
            case "queued" if was == "held" and job.reason == "confirmation_required":
                raise AssertionError("a job went on that nobody confirmed")
            case "issued":
                for other in self.of(job.method):
                    if other.state == "held" and other.at is None:
                        other.reason = "confirmation_required"
        job.state, job.moved_at = to, now
        if to in TOLD:
            self.visits[job.event_id, to] += 1
