"""What is known of single cards: what they carry, whether they may be overwritten, and how they were blanked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from encoder_bridge import reports, texts, wire
from encoder_bridge.driver import Intent, Receipt
from encoder_bridge.model import OPEN, Job, Problem, State, iso, to_ms, uid_of
from encoder_bridge.store.ledger import Ledger
from encoder_bridge.store.rows import to_intent, to_json

_TO_BE_LOOKED_AT = """
    SELECT 1 FROM job
    WHERE open AND job_id IS NOT ?1 AND state IN ('writing', 'unsure') AND intent ->> '$.card.uid' = ?2
    UNION ALL
    SELECT 1 FROM erasure WHERE erasure_id IS NOT ?3 AND state IN ('erasing', 'unsure') AND card_uid = ?2
"""
_LAST_ISSUED_ON = """
    SELECT access_method_id, ifnull(issued_at, state_at), state = 'issued', credential,
           (SELECT operator FROM attempt WHERE attempt.job_id = job.job_id AND what = 'issued' LIMIT 1)
    FROM job WHERE card_uid = ? ORDER BY ifnull(issued_at, state_at) DESC, job_id DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """A blanking that has begun."""

    erasure_id: int
    intent: Intent


class Cards:
    """Operations about plastic, whichever job it belongs to."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._execute = ledger.execute

    def made_here(self, uid: str | None, now: int) -> wire.MadeHere | None:
        """The last that was made with a card here and was not erased again."""
        found = self._execute(_LAST_ISSUED_ON, (uid,)).fetchone() if uid is not None else None
        if found is None:
            return None
        access_method_id, issued_at, is_issued, text, operator = found
        credential = json.loads(text)
        is_deleted = self._ledger.is_deleted(access_method_id)
        ends_at = credential["ends_at"]
        return wire.MadeHere(
            access_method_id=access_method_id,
            issued_at=iso(issued_at),
            starts_at=credential["starts_at"],
            ends_at=ends_at,
            entrances=credential["entrances"],
            is_deleted=is_deleted,
            is_valid=not is_deleted and (ends_at is None or to_ms(datetime.fromisoformat(ends_at)) > now),
            is_certain=bool(is_issued),
            operator=operator,
        )

    def is_in_use(self, uid: str, job: Job, now: int) -> bool:
        """Whether a card must not be overwritten for this job.

        It has yet to be looked at for another one, or it carries another access method's credential that is still
        valid.  One without an end is valid until its access method is deleted or the card is erased.
        """
        if self._execute(_TO_BE_LOOKED_AT, (job.job_id, uid, None)).fetchone():
            return True
        made = self.made_here(uid, now)
        if made is None or not made.is_certain:  # of what was given up in doubt, to be overwritten is the best end
            return False
        return made.is_valid and made.access_method_id != job.access_method_id

    def came_late(self, job: Job, receipt: Receipt, now: int) -> None:
        """A card carries a credential although its job ended without one, or with another: the world is told."""
        uid = uid_of(receipt)
        if job.state in OPEN or (job.state is State.ISSUED and uid_of(job.receipt) == uid):
            return
        self._execute(
            "UPDATE job SET card_uid = ifnull(card_uid, ?) WHERE job_id = ?",
            (uid, job.job_id),
        )
        report = reports.card_event(
            reports.CARD_NOT_WANTED,
            store_id=self._ledger.store_id,
            name=f"late/{job.job_id}/{uid}/{now}",
            now=now,
            encoder=job.encoder or "",
            card=receipt.card,
            access_method_id=job.access_method_id,
            receipt=receipt,
            error=texts.problem("late_receipt", card=uid),
        )
        self._ledger.send(report, now)

    def unsettled(self, encoder: str) -> Erasure | None:
        """The blanking on this encoder of which nobody knows how it ended."""
        found = self._execute(
            """SELECT erasure_id, intent FROM erasure WHERE encoder = ? AND state IN ('erasing', 'unsure')
               ORDER BY erasure_id DESC LIMIT 1""",
            (encoder,),
        ).fetchone()
        return Erasure(erasure_id=found[0], intent=to_intent(json.loads(found[1]))) if found else None

    def begin_erasure(
        self,
        encoder: str,
        intent: Intent,
        now: int,
        *,
        resumes: Erasure | None,
        even_if_valid: bool,
        requester: str | None,
        operator: str | None,
    ) -> Erasure | Problem:
        """Put on disk that a card is about to be blanked, or say why it must not be."""
        known = resumes.erasure_id if resumes else None
        uid = uid_of(intent)
        if uid is not None and self._execute(_TO_BE_LOOKED_AT, (None, uid, known)).fetchone():
            return texts.problem("card_in_use")
        if resumes:
            self._execute("UPDATE erasure SET intent = ? WHERE erasure_id = ?", (to_json(intent), known))
            return Erasure(erasure_id=resumes.erasure_id, intent=intent)
        made = self.made_here(uid, now)
        if made and made.is_valid and made.is_certain and not even_if_valid:
            return texts.problem("card_still_valid")
        (erasure_id,) = self._execute(
            """INSERT INTO erasure (state, encoder, card_uid, access_method_id, intent, requester, operator,
                                    begun_at, state_at)
               VALUES ('erasing', ?, ?, ?, ?, ?, ?, ?, ?) RETURNING erasure_id""",
            (
                encoder,
                uid,
                made.access_method_id if made else None,
                to_json(intent),
                requester,
                operator or self._ledger.operator,
                now,
                now,
            ),
        ).fetchone()
        return Erasure(erasure_id=erasure_id, intent=intent)

    def erased(self, erasure: Erasure, receipt: Receipt, now: int) -> None:
        """A card is blank; what was made with it is there no more."""
        self._end(erasure.erasure_id, "erased", now, receipt=receipt)

    def doubt_erasure(self, erasure: Erasure, problem: Problem, now: int) -> None:
        """Nobody knows how far the blanking came: it is the next thing this encoder is asked to erase."""
        self._end(erasure.erasure_id, "unsure", now, error=problem)

    def withdraw_erasure(self, erasure: Erasure) -> None:
        """The call changed no card after all; what an earlier one left in doubt stays so."""
        self._execute("DELETE FROM erasure WHERE erasure_id = ? AND state = 'erasing'", (erasure.erasure_id,))

    def give_up_erasure(self, encoder: str, now: int) -> bool:
        """The card that was half blanked will not come back; one that is being blanked is left to its end."""
        found = self._execute(
            "SELECT erasure_id FROM erasure WHERE encoder = ? AND state = 'unsure' ORDER BY erasure_id DESC LIMIT 1",
            (encoder,),
        ).fetchone()
        if found:
            self._end(found[0], "given_up", now, error=texts.problem("card_gone"))
        return found is not None

    def recover(self, now: int) -> None:
        """At start: a blanking that was under way is in doubt."""
        for (erasure_id,) in self._execute("SELECT erasure_id FROM erasure WHERE state = 'erasing'").fetchall():
            self._end(erasure_id, "unsure", now, error=texts.problem("erase_unsure"))

    def _end(
        self, erasure_id: int, state: str, now: int, *, receipt: Receipt | None = None, error: Problem | None = None
    ) -> None:
        self._execute(
            "UPDATE erasure SET state = ?, state_at = ?, receipt = ?, error = ? WHERE erasure_id = ?",
            (state, now, to_json(receipt), to_json(error), erasure_id),
        )
        encoder, uid, method, intent = self._execute(
            "SELECT encoder, card_uid, access_method_id, intent FROM erasure WHERE erasure_id = ?", (erasure_id,)
        ).fetchone()
        if state == "erased" and uid is not None:
            issued = self._ledger.jobs("WHERE card_uid = ? AND state = 'issued'", (uid,))
            self._execute("UPDATE job SET card_uid = NULL WHERE card_uid = ?", (uid,))
            for job in issued:
                self._ledger.tell_again(job, now)
        card = (receipt.card if receipt else None) or to_intent(json.loads(intent)).card
        report = reports.card_event(
            reports.CARD_ERASED if receipt else reports.CARD_UNSURE,
            store_id=self._ledger.store_id,
            name=f"erasure/{erasure_id}/{state}/{now}",
            now=now,
            encoder=encoder,
            card=card,
            access_method_id=method,
            receipt=receipt,
            error=error,
        )
        self._ledger.send(report, now)
