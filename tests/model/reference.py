"""The rules of the needs in their plainest form: which message is what, and where a job may go.

Written from the rules, with none of the store's code; it hears of moves as they are made, and objects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

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
class Rule:
    """Who makes which cards."""

    encoders: tuple[str, ...]
    backup: tuple[str, ...] = ()
    entrances: tuple[str, ...] = ()
    requesters: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a card has to carry."""

    room: str
    profile: str | None = None
    entrances: tuple[str, ...] = ()
    joins: bool = False
    ends_at: int | None = None


@dataclass(frozen=True, kw_only=True)
class Need:
    """One message that asks for a card."""

    event_id: str
    method: str
    at: int | None
    contents: Contents | None
    encoder: str | None
    expires_at: int | None
    requester: str | None


@dataclass(kw_only=True)
class Known:
    """One job."""

    job_id: int
    method: str
    event_id: str
    at: int | None
    profile: str | None
    contents: Contents | None
    encoder: str | None
    """Where it must be done: asked for, claimed or bound by a card that was begun."""
    requester: str | None
    expires_at: int
    is_handed_over: bool = False
    by_hand: bool = False
    """A person asked for it after another job had ended."""
    free: str | None = None
    """The encoder it goes back to when it turns out that no card was changed."""
    taken_by: str | None = None
    card: str | None = None
    """The last that was begun for it."""
    is_starting: bool = False
    state: str
    reason: str = ""
    """Why it is held."""
    is_confirmed: bool = False
    moved_at: int = 0
    fixed_at: int = 0
    """Since when its contents cannot change any more."""
    written: tuple[str | None, str | None] | None = None
    """Room and profile as they were then."""

    @property
    def is_open(self) -> bool:
        return self.state in ARROWS

    @property
    def room(self) -> str | None:
        return self.contents.room if self.contents else None

    @property
    def entrances(self) -> tuple[str, ...]:
        return self.contents.entrances if self.contents else ()

    @property
    def joins(self) -> bool:
        return self.contents is not None and self.contents.joins


@dataclass
class Reference:
    """What has to be true."""

    max_open: int
    default_profile: str | None
    routes: Sequence[Rule]
    kinds: Mapping[str, str]
    """Encoder to its driver."""
    open_for_ms: int
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

    def meant(self, method: str) -> Known | None:
        """The job that a word about a method means: the one in doubt before any other."""
        jobs = [job for job in self.of(method) if job.is_open]
        return next((job for job in reversed(jobs) if job.state == "unsure"), jobs[-1] if jobs else None)

    def route(self, job: Known) -> Rule | None:
        """The first rule that fits, or one that lets everybody; None: none fits."""
        if job.encoder is not None or not self.routes:
            return Rule(encoders=())
        for rule in self.routes:
            fits = not rule.entrances or any(name in rule.entrances for name in job.entrances)
            if fits and (not rule.requesters or job.requester in rule.requesters):
                return rule
        return None

    def may_serve(self, job: Known, encoder: str) -> bool:
        if job.encoder is not None:
            return job.encoder == encoder
        rule = self.route(job)
        if rule is None:
            return False
        served = {*rule.encoders, *(rule.backup if job.is_handed_over else ())}
        return not served or encoder in served

    def expiry(self, need: Need, now: int) -> int:
        ends_at = need.contents.ends_at if need.contents else None
        return min((at for at in (need.expires_at, ends_at) if at is not None), default=now + self.open_for_ms)

    def judge(self, need: Need, now: int) -> str:
        """The answer that a need must get; a need that is taken in is merged into its job."""
        if need.event_id in self.needs:
            known = self.needs[need.event_id]
            # Who sends it, and until when, is no part of what a message means.
            is_same = replace(known, requester=need.requester, expires_at=need.expires_at) == need
            return "duplicate" if is_same else "rejected"
        if need.method in self.deleted or self.expiry(need, now) <= now:
            return "rejected"
        jobs = self.of(need.method)
        met = [job.moved_at for job in jobs if job.state == "issued"]
        met += [job.moved_at for job in jobs[-1:] if job.state in {"cancelled", "expired"}]
        met += [self.elsewhere[need.method]] if need.method in self.elsewhere else []
        if need.at is not None and met and need.at <= max(met):
            return "stale"
        waiting = next((job for job in reversed(jobs) if job.state in NOT_BEGUN), None)
        if waiting is not None:
            self._merge(need, waiting, now)
            if waiting.state == "held":
                waiting.reason = self._reason(waiting)
                return "held" if waiting.reason else "accepted"
            return "accepted" if self.route(waiting) else "held"
        if sum(job.is_open for job in self.jobs.values()) >= self.max_open:
            return "refused"
        job = Known(
            job_id=max(self.jobs, default=0) + 1,
            method=need.method,
            event_id=need.event_id,
            at=need.at,
            profile=(need.contents.profile if need.contents else None) or self.default_profile,
            contents=need.contents,
            encoder=need.encoder,
            requester=need.requester,
            expires_at=self.expiry(need, now),
            state="queued",
        )
        job.reason = self._reason(job)
        job.state = "held" if job.reason else "queued"
        self.jobs[job.job_id] = job
        if job.reason:
            self.visits[job.event_id, "held"] += 1
        return "held" if job.reason else "accepted"

    def again(self, job: Known, event_id: str, now: int) -> bool:
        """A person wants another card in place of one; whether that can be."""
        ends_at = job.contents.ends_at if job.contents else None
        other = replace(
            job,
            job_id=max(self.jobs) + 1,
            event_id=event_id,
            profile=job.profile or self.default_profile,
            expires_at=now + self.open_for_ms if ends_at is None else ends_at,
            state="queued",
            reason="",
            is_handed_over=False,
            by_hand=True,
            taken_by=None,
            card=None,
            moved_at=0,
            fixed_at=0,
            written=None,
        )
        if other.profile is None or other.expires_at <= now or self.route(other) is None:
            return False
        self.jobs[other.job_id] = other
        return True

    def _merge(self, need: Need, job: Known, now: int) -> None:
        is_older = need.at is not None and job.at is not None and need.at < job.at
        if not is_older:
            if need.contents is not None:
                profile = need.contents.profile or self.default_profile
                before = replace(job.contents, profile=None) if job.contents else None
                if before != replace(need.contents, profile=None) or (job.profile or profile) != profile:
                    job.is_handed_over, job.requester = False, need.requester
                job.contents = need.contents
                job.profile = profile or job.profile
            if need.contents is not None or need.expires_at is not None:
                job.expires_at = self.expiry(need, now)
                if job.contents and job.contents.ends_at is not None:
                    job.expires_at = min(job.expires_at, job.contents.ends_at)
            job.encoder = need.encoder or job.encoder
        job.profile = job.profile or (need.contents.profile if need.contents else None) or self.default_profile
        if need.at is not None:
            job.at = max(need.at, job.at or need.at)

    def _reason(self, job: Known) -> str:
        others = self.of(job.method)
        was_issued = job.method in self.elsewhere or any(other.state == "issued" for other in others)
        if was_issued and job.at is None and not any(other.state in BEGUN for other in others):
            return "confirmation_required"
        if not job.profile:
            return "profile_missing"
        return "" if self.route(job) else "no_route"

    def _is_wanted(self, job: Known, predecessors: list[Known]) -> bool:
        if job.by_hand:
            return True
        met = [other.fixed_at for other in predecessors if other.state == "issued"]
        met += [self.elsewhere[job.method]] if job.method in self.elsewhere else []
        return not met or (job.is_confirmed if job.at is None else job.at > max(met))

    def configured(self, profile: str | None) -> None:
        """The process starts with this default profile."""
        self.default_profile = profile
        for job in self.jobs.values():
            if job.is_open and job.encoder is None:
                job.is_handed_over = False
            if job.state == "held":
                job.profile = job.profile or profile
                if job.reason == "profile_missing":
                    job.reason = self._reason(job)

    def taken(self, job_id: int, encoder: str) -> None:
        """An encoder takes a job."""
        job = self.jobs[job_id]
        assert self.may_serve(job, encoder), f"{encoder} takes job {job_id}, which is not for it"
        job.taken_by = encoder

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
                assert was == "unsure" or job.method not in self.deleted, "a card was started after a deletion"
                if was == "waiting_for_card":
                    assert now < job.expires_at, "a card was started too late"
                    job.fixed_at, job.written = now, (job.room, job.profile)
                    job.free, job.is_starting = job.encoder, True
            case "superseded":
                assert job.at is not None
                assert any(other.state == "issued" and job.at <= other.fixed_at for other in predecessors)
            case "held":
                job.reason = self._reason(job)
                assert job.reason, "a job is held for no reason"
            case "queued" if was == "held":
                assert not job.reason, f"a job went on in spite of {job.reason}"
            case "queued" if was == "writing":
                job.encoder = job.free
            case "issued":
                for other in self.of(job.method):
                    if other.state == "held" and other.at is None:
                        other.reason = "confirmation_required"
        job.state, job.moved_at = to, now
        if to not in {"waiting_for_card", "writing", "unsure"}:
            job.taken_by = None
        if to in TOLD:
            self.visits[job.event_id, to] += 1
