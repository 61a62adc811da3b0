"""Making a job's row: from a trigger, or from a job that ended without a card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from encoder_bridge import routing, texts, wire
from encoder_bridge.model import OPEN, Job, Problem, State, to_ms
from encoder_bridge.routing import Facts, Route
from encoder_bridge.sealing import Unreadable
from encoder_bridge.store.ledger import Ledger
from encoder_bridge.store.rows import COLUMNS, to_job, to_json
from encoder_bridge.store.sequences import scope_of

_COPIED = "access_method_id, encoder, profile, credential, origin, occurred_at, is_reissue, scope"
_ANYWHERE = Route(encoders=())


class Opening:
    """Writes the rows; what became of a need is judged elsewhere."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._execute = ledger.execute
        self._rules = ledger.rules

    def insert(
        self, trigger: wire.Trigger, held: Problem | None, *, is_reissue: bool, requester: str | None, now: int
    ) -> Job:
        """Open a job for a need."""
        origin = _origin(trigger)
        route = self.route(trigger, requester) or _ANYWHERE
        return self._add(
            trigger.credential,
            now,
            access_method_id=trigger.access_method_id,
            state=State.HELD if held else State.QUEUED,
            encoder=trigger.encoder,
            profile=self.profile(trigger),
            credential=plain(trigger),
            origin=json.dumps(origin),
            event_id=trigger.event_id,
            occurred_at=to_ms(trigger.occurred_at) if trigger.occurred_at else None,
            is_reissue=is_reissue,
            expires_at=self.expiry(trigger, now),
            error=to_json(held),
            requester=requester,
            route=_names(route.encoders),
            backup=_names(route.backup),
            scope=_scope(trigger, origin),
        )

    def again(self, job: Job, event_id: str, requester: str | None, now: int) -> Job | Problem:
        """Open a job with the contents of another one, before that one drops them.

        Returns:
            the job, or why there is none.
        """
        row = self._execute(f"SELECT {_COPIED} FROM job WHERE job_id = ?", (job.job_id,)).fetchone()  # noqa: S608
        copied = dict(zip(_COPIED.split(", "), row, strict=True))
        credential = json.loads(copied["credential"])
        copied["profile"] = copied["profile"] or self._rules.default_profile
        if copied["profile"] is None:
            return texts.problem("profile_missing")
        expires_at = now + self._rules.open_for_ms
        if credential["ends_at"]:
            expires_at = to_ms(datetime.fromisoformat(credential["ends_at"]))
        if expires_at <= now:
            return texts.problem("validity_past")
        try:
            fields, data = self._ledger.sealed.fields(job.job_id), self._ledger.sealed.data(job.job_id)
        except Unreadable:
            return texts.problem("contents_missing")
        here = [*fields, *data]
        # A job from a store of version 1 does not say what it brought; while it is open all of it is here.
        brought = credential.get("brought", here if job.state in OPEN else None)
        if brought is None or sorted(here) != sorted(brought):
            return texts.problem("contents_missing")
        copied["credential"] = json.dumps(credential | {"brought": here})
        if copied["encoder"] not in self._rules.encoders:
            copied["encoder"] = None
        if copied["encoder"] is None:
            route = self._find(_facts(job, credential["entrances"]))
            if route is None:
                return texts.problem("no_route")
            copied |= {"route": _names(route.encoders), "backup": _names(route.backup)}
        block = wire.CredentialBlock.model_construct(fields=fields, data=data)
        copied |= {"state": State.QUEUED, "event_id": event_id, "expires_at": expires_at}
        return self._add(block, now, **copied, requester=requester or job.requester)

    def replace_contents(self, trigger: wire.Trigger, job: Job) -> bool:
        """Let newer contents take the place of those before.

        Returns:
            False: they are the same.
        """
        block = trigger.credential or wire.CredentialBlock()
        sealed = self._ledger.sealed
        before = self._execute("SELECT credential, profile FROM job WHERE job_id = ?", (job.job_id,)).fetchone()
        try:
            is_same = (sealed.fields(job.job_id), sealed.data(job.job_id)) == (block.fields, block.data)
        except Unreadable:
            is_same = False
        if is_same and before == (plain(trigger), self.profile(trigger)):
            return False
        origin = {**job.origin, **_origin(trigger)}
        self._take_number_back(job, block.joins, self.profile(trigger), _scope(trigger, origin))
        self._execute(
            "UPDATE job SET credential = ?, profile = ifnull(?, profile), origin = ?, scope = ? WHERE job_id = ?",
            (plain(trigger), self.profile(trigger), json.dumps(origin), _scope(trigger, origin), job.job_id),
        )
        sealed.put(job.job_id, block.fields, block.data)
        self._ledger.news.queue = True
        return True

    def route_again(self, job: Job) -> bool:
        """Look the route of a job up anew, in a configuration that may be another one by now.

        Returns:
            whether there is one.
        """
        (text,) = self._execute("SELECT credential FROM job WHERE job_id = ?", (job.job_id,)).fetchone()
        found = self._find(_facts(self._ledger.job(job.job_id), json.loads(text)["entrances"]))
        if found is not None:
            self._execute(
                "UPDATE job SET route = ?, backup = ? WHERE job_id = ?",
                (_names(found.encoders), _names(found.backup), job.job_id),
            )
        return found is not None

    def let_go(self, job: Job, now: int) -> Job:
        """Queue a held job that lacks no more what it was held for, or hold it for the want of a route."""
        if job.encoder is not None or self.route_again(job):
            return self._ledger.move(job, State.QUEUED, now)
        self._ledger.restate(job, texts.problem("no_route"))
        return self._ledger.job(job.job_id)

    def route(self, trigger: wire.Trigger, requester: str | None) -> Route | None:
        """Who makes this card: `Route` without encoders for anybody, None where no rule says so."""
        if trigger.encoder:
            return _ANYWHERE
        facts = Facts(
            entrances=tuple(trigger.credential.entrances) if trigger.credential else (),
            spaces=tuple(trigger.space_ids or ()),
            acs_system=trigger.acs_system_id,
            requester=requester,
        )
        return self._find(facts)

    def expiry(self, trigger: wire.Trigger, now: int) -> int:
        """The moment from which on no card is started."""
        ends_at = trigger.credential.ends_at if trigger.credential else None
        moments = [to_ms(moment) for moment in (trigger.expires_at, ends_at) if moment]
        return min(moments, default=now + self._rules.open_for_ms)

    def set_expiry(self, trigger: wire.Trigger, job: Job, now: int) -> None:
        """Let a later message say until when a card may be started, though not past the stay that is known."""
        expires_at = self.expiry(trigger, now)
        (text,) = self._execute("SELECT credential FROM job WHERE job_id = ?", (job.job_id,)).fetchone()
        ends_at = json.loads(text)["ends_at"]
        if ends_at:
            expires_at = min(expires_at, to_ms(datetime.fromisoformat(ends_at)))
        self._execute("UPDATE job SET expires_at = ? WHERE job_id = ?", (expires_at, job.job_id))

    def profile(self, trigger: wire.Trigger) -> str | None:
        """What decides about the card's contents."""
        return (trigger.credential.profile if trigger.credential else None) or self._rules.default_profile

    def _take_number_back(self, job: Job, joins: bool, profile: str | None, scope: str) -> None:
        """What is to be another card needs another number, even where the one before was on its way to a card."""
        text, *before = self._execute(
            "SELECT credential, profile, scope FROM job WHERE job_id = ?", (job.job_id,)
        ).fetchone()
        is_other = [json.loads(text)["joins"], *before] != [joins, profile or before[0], scope]
        self._ledger.sequences.take_back(job.job_id, is_other=is_other)

    def _find(self, facts: Facts) -> Route | None:
        return routing.find(self._rules.routes, facts) if self._rules.routes else _ANYWHERE

    def _add(self, block: wire.CredentialBlock | None, now: int, **values: Any) -> Job:
        row = {"open": 1, "place": now, "created_at": now, "state_at": now, **values}
        found = self._execute(
            f"INSERT INTO job ({', '.join(row)}) VALUES ({', '.join('?' * len(row))}) RETURNING {COLUMNS}",  # noqa: S608
            (*row.values(),),
        ).fetchone()
        job = to_job(found)
        if block:
            self._ledger.sealed.put(job.job_id, block.fields, block.data)
        self._ledger.added(job, now)
        return job


def plain(trigger: wire.Trigger) -> str:
    """What is neither personal nor secret, as JSON; of the rest the names alone."""
    block = trigger.credential or wire.CredentialBlock()
    kept = block.model_dump(mode="json", include={"joins", "entrances", "starts_at", "ends_at"})
    return json.dumps(kept | {"brought": [*block.fields, *block.data]})


def _origin(trigger: wire.Trigger) -> dict[str, Any]:
    return trigger.model_dump(
        include={"acs_system_id", "workspace_id", "access_grant_ids", "space_ids"}, exclude_none=True
    )


def _scope(trigger: wire.Trigger, origin: Mapping[str, object]) -> str:
    entrances = trigger.credential.entrances if trigger.credential else []
    return scope_of(entrances, _texts(origin.get("access_grant_ids")), trigger.access_method_id)


def _facts(job: Job, entrances: Sequence[str]) -> Facts:
    return Facts(
        entrances=tuple(entrances),
        spaces=_texts(job.origin.get("space_ids")),
        acs_system=str(job.origin["acs_system_id"]) if "acs_system_id" in job.origin else None,
        requester=job.requester,
    )


def _names(encoders: tuple[str, ...]) -> str | None:
    return json.dumps(encoders) if encoders else None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(each) for each in value) if isinstance(value, list) else ()
