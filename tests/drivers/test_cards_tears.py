"""A card lifted at any exchange of an encode, by the whole device: asked for again, looked at and finished."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from cards_bench import TECHNOLOGIES, Bench, Technology, secret
from encoder_bridge_cards.encoder import CardEncoder
from encoder_bridge_cards.profile import parse_profiles
from virtual.counter import Counter

from encoder_bridge.driver import Card, Desk, Intent, Prompt, Receipt, Unsure


class OneDesk(Desk):
    """A desk whose clerk lays what is asked for, keeps what was intended and gives up when no card does."""

    def __init__(self, bench: Bench, *, fresh: bool) -> None:
        self.intent: Intent | None = None
        self._bench = bench
        self._fresh = fresh

    def ask(self, prompt: Prompt, card: Card | None = None) -> None:
        if prompt is Prompt.PLACE_CARD and self._fresh:
            self._bench.fresh(prompt)
        elif prompt in {Prompt.SAME_CARD, Prompt.PLACE_CARD}:
            self._bench.lift()
            self._bench.again(prompt, card)

    def progress(self, done: int, total: int) -> None:
        assert 0 < done <= total

    async def intend(self, intent: Intent) -> None:
        self.intent = intent

    async def withdrawn(self) -> None:
        await asyncio.Event().wait()


async def torn(technology: Technology, at: int, how: str) -> tuple[bool, str]:
    """Tear one encode at one exchange and bring it to its end.

    Returns:
        Whether the tear struck, and how it ended.
    """
    counter = Counter()
    bench = Bench(technology, counter)
    device = CardEncoder(counter, parse_profiles(bench.profiles, secret))
    credential = bench.credential(1)
    counter.tears.append((at, how))
    desk = OneDesk(bench, fresh=True)
    first = asyncio.create_task(device.encode(credential, desk))
    lifted = asyncio.create_task(until_torn(counter))
    done, _ = await asyncio.wait({first, lifted}, return_when=asyncio.FIRST_COMPLETED, timeout=20)
    assert done
    struck = lifted.done()
    lifted.cancel()
    if struck and not first.done():
        done, _ = await asyncio.wait({first}, timeout=0.05)
    if not first.done():  # nothing was intended yet: the device waits for the card, which is laid down once more
        assert desk.intent is None
        assert bench.snapshot() == {}
        bench.again(Prompt.PLACE_CARD, None)
        first_receipt = await asyncio.wait_for(first, 20)
        return struck, judged(bench, first_receipt)
    try:
        return struck, judged(bench, first.result())
    except Unsure:
        assert desk.intent is not None
    try:
        receipt = await asyncio.wait_for(device.encode(credential, OneDesk(bench, fresh=False), desk.intent), 20)
    except Unsure as error:
        assert bench.carries(credential) == 0
        return struck, f"unsure for good: {error}"
    return struck, judged(bench, receipt)


async def until_torn(counter: Counter) -> None:
    while not counter.is_torn:
        await asyncio.sleep(0)


def judged(bench: Bench, receipt: Receipt) -> str:
    assert receipt.card is not None
    assert bench.carries(bench.credential(1)) == 1
    return "one good card"


@pytest.mark.parametrize("technology", TECHNOLOGIES)
def test_a_card_torn_at_any_exchange_ends_as_one_good_card(technology: str) -> None:
    ends: dict[str, int] = {}
    for at in itertools.count():
        struck = False
        for how in ("before", "during", "after"):
            struck, end = asyncio.run(torn(TECHNOLOGIES[technology], at, how))
            ends[end] = ends.get(end, 0) + 1
        if not struck:
            break
    print(f"\n{technology}: {at} exchanges, {ends}")
    assert set(ends) == {"one good card"}
    assert at > 10
