"""Forgetting a guest, and remembering who is at the desk."""

from __future__ import annotations

from encoder_bridge import reports, texts, wire
from encoder_bridge.model import OPEN
from encoder_bridge.store.ledger import FORGOTTEN, Ledger


class Guests:
    """Operations about people."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._execute = ledger.execute

    def forget(self, request: wire.EraseGuest, now: int) -> wire.Response:
        """Delete a guest's fields everywhere; the history of the cards stays, and who asked for this is in it.

        A job that is still open needs them for its card, so that nothing is deleted as long as there is one.
        """
        jobs = self._ledger.jobs("WHERE access_method_id = ?", (request.who,))
        found = {job.job_id: job for job in jobs}
        for job_id in self._ledger.sealed.having(request.who):
            found[job_id] = self._ledger.job(job_id)
        if not found:
            return self._rejected(request, "unknown_guest")
        if any(job.state in OPEN for job in found.values()):
            return self._rejected(request, "guest_in_use")
        for job in found.values():
            self._ledger.sealed.forget_fields(job.job_id)
            self._execute("UPDATE event SET digest = ? WHERE job_id = ?", (FORGOTTEN, job.job_id))
            self._ledger.log(job, "guest_erased", now, operator=request.operator)
        self._ledger.sealed.left_in_log = True
        return wire.Response(id=request.id, status="done", fields={"jobs": str(len(found))})

    def set_operator(self, request: wire.Operator) -> wire.Response:
        """From now on this person is at the desk, also after a restart."""
        self._ledger.operator = request.operator
        if request.operator:
            self._execute(
                "INSERT INTO meta VALUES ('operator', ?1) ON CONFLICT DO UPDATE SET value = ?1", (request.operator,)
            )
        else:
            self._execute("DELETE FROM meta WHERE name = 'operator'")
        return wire.Response(id=request.id, status="done")

    @staticmethod
    def _rejected(request: wire.EraseGuest, error_type: str) -> wire.Response:
        return reports.response(request.id, "rejected", error=texts.problem(error_type))
