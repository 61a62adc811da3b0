"""The daemon with one promise broken, to see that the kill tests notice."""

# mypy: disable-error-code="method-assign, assignment, attr-defined"

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import Callable
from typing import Any

from encoder_bridge_simulated import device
from encoder_bridge_simulated.plastic import Plastic

from encoder_bridge.desk import AttemptDesk
from encoder_bridge.driver import Intent
from encoder_bridge.model import Assignment
from encoder_bridge.mqtt import Link
from encoder_bridge.reports import Outgoing
from encoder_bridge.store.outbox import Outbox
from encoder_bridge.store.turns import Turns
from encoder_bridge.telling import Teller

_running: set[asyncio.Task[None]] = set()


def acknowledges_before_the_commit() -> None:
    take = Link._take

    async def taken_later(link: Link, message: Any) -> None:
        async def take_late() -> None:
            await asyncio.sleep(0.05)
            await take(link, message)

        _later(take_late())

    Link._take = taken_later


def forgets_a_report_before_it_is_told() -> None:
    tell = Teller._tell

    async def forgotten(teller: Teller, client: Any, message: Outgoing) -> Any:
        await teller._commits(teller._store.outbox.told, [message.report_id])
        return await tell(teller, client, message)

    Teller._tell = forgotten


def writes_before_the_intent_is_on_disk() -> None:
    intend = AttemptDesk.intend

    async def intended_later(desk: AttemptDesk, intent: Intent) -> None:
        _later(intend(desk, intent))

    AttemptDesk.intend = intended_later


def forgets_which_card_was_begun() -> None:
    claim = Turns.claim

    def afresh(turns: Turns, encoder: str, now: int) -> tuple[Assignment | None, int | None]:
        assignment, ready = claim(turns, encoder, now)
        if assignment is not None:
            assignment = dataclasses.replace(assignment, job=dataclasses.replace(assignment.job, intent=None))
        return assignment, ready

    Turns.claim = afresh


def believes_every_card() -> None:
    def whatever_is_there(image: bytes, plastic: Plastic) -> bytes:
        return plastic.read()

    device.padded = whatever_is_there


def reports_under_a_new_id_each_time() -> None:
    pending = Outbox.pending

    def renamed(outbox: Outbox, *asked: Any) -> list[Outgoing]:
        return [
            dataclasses.replace(message, body=message.body.replace(message.body[13:49], str(uuid.uuid4())))
            if message.kind == "event"
            else message
            for message in pending(outbox, *asked)
        ]

    Outbox.pending = renamed


def _later(coroutine: Any) -> None:
    task = asyncio.ensure_future(coroutine)
    _running.add(task)
    task.add_done_callback(_running.discard)


BREAK: dict[str, Callable[[], None]] = {
    breaks.__name__: breaks
    for breaks in (
        acknowledges_before_the_commit,
        forgets_a_report_before_it_is_told,
        writes_before_the_intent_is_on_disk,
        forgets_which_card_was_begun,
        believes_every_card,
        reports_under_a_new_id_each_time,
    )
}
