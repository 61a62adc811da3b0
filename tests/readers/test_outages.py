"""The PC/SC service dies, the reader is pulled out: no job is lost, and the daemon goes on by itself."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import pytest
from encoder_bridge_cards.link import Activation
from virtual import usb
from virtual.card import VirtualCard
from virtual.desfire import Desfire

from readers.conftest import OpenDesk
from readers.desk import stay

UID = bytes.fromhex("04112233445566")
needs_usb = pytest.mark.skipif(usb.available() is not None, reason=str(usb.available()))


class Deadly(VirtualCard):
    """A card that acts on one exchange, and something ends before its answer is heard."""

    def __init__(self, card: VirtualCard, at: int, end: Callable[[], None]) -> None:
        self.atqa, self.sak, self.ats = card.atqa, card.sak, card.ats
        self._card, self._left, self._end = card, at, end

    def activate(self) -> Activation:
        return self._card.activate()

    def exchange(self, frame: bytes) -> bytes:
        answer = self._card.exchange(frame)
        self._left -= 1
        if not self._left:
            self._end()
        return answer

    def interrupt(self, frame: bytes) -> None:
        self._card.interrupt(frame)

    def snapshot(self) -> Hashable:
        return self._card.snapshot()


@pytest.mark.parametrize("kill", [True, False])
def test_a_job_outlives_a_restart_of_the_service_while_it_waits_for_a_card(desk: OpenDesk, kill: bool) -> None:
    with desk() as running:
        running.trigger(stay("one", "desfire"))
        running.asks("one")
        before = running.now()
        running.pcsc.restart(kill=kill)
        running.asks("one", after=before)
        running.slot.lay(Desfire(uid=UID))
        assert running.event("one")["is_issued"] is True


def test_a_card_that_was_begun_when_the_service_died_is_finished_after_it_is_back(desk: OpenDesk) -> None:
    with desk() as running:
        card = Desfire(uid=UID)
        running.trigger(stay("one", "desfire"))
        running.asks("one")
        running.slot.lay(Deadly(card, 16, running.pcsc.kill), waits=False)
        state = running.stands("one", "unsure")
        assert state["is_issued"] is False
        running.slot.lift()
        before = running.now()
        running.pcsc.start()
        running.asks("one", "same_card", after=before)
        running.slot.lay(card)
        assert running.event("one")["card"]["uid"] == UID.hex()


@needs_usb
def test_a_reader_that_is_pulled_out_and_put_in_again_goes_on_with_its_job(desk: OpenDesk) -> None:
    with desk(usb=True) as running:
        running.trigger(stay("one", "desfire"))
        running.asks("one")
        before = running.now()
        running.pcsc.unplug()
        running.shows(state="offline", after=before)
        before = running.now()
        running.pcsc.plug("RR123456")
        running.asks("one", after=before)
        running.slot.lay(Desfire(uid=UID))
        assert running.event("one")["is_issued"] is True


@needs_usb
def test_a_reader_pulled_out_in_the_middle_of_a_card_leaves_it_unsure_until_both_are_back(desk: OpenDesk) -> None:
    with desk(usb=True) as running:
        card = Desfire(uid=UID)
        running.trigger(stay("one", "desfire"))
        running.asks("one")
        running.slot.lay(card, waits=False)
        running.slot.tear(16, "after")
        running.until(lambda: running.slot.is_torn)
        running.pcsc.unplug()
        running.stands("one", "unsure")
        running.slot.lift()
        before = running.now()
        running.pcsc.plug("RR123456")
        running.asks("one", "same_card", after=before)
        running.slot.lay(card)
        assert running.event("one")["card"]["uid"] == UID.hex()
