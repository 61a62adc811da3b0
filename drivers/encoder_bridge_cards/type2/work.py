"""Writing one card with pages: look, data, read back, key, protection, proof, lock bits."""

from __future__ import annotations

from encoder_bridge.driver import Card
from encoder_bridge_cards.keys import Key
from encoder_bridge_cards.link import LinkError
from encoder_bridge_cards.personalisation import Contents, Mismatch, Ours, Progress
from encoder_bridge_cards.type2 import refusal, tlv
from encoder_bridge_cards.type2.guard import Configuration, Guard, Opening
from encoder_bridge_cards.type2.locks import STATIC
from encoder_bridge_cards.type2.pages import PAGE, Pages
from encoder_bridge_cards.type2.plan import Plan
from encoder_bridge_cards.type2.steps import Steps


class PagesWork:
    """One card of four-byte pages; see `Work`.

    A new key is written only while the card guards nothing, so that a torn one costs no card: AUTH0 is switched off
    first where the card has an older key of ours, and on again once the new key is proven.  So lifted in that moment, a
    card lies open until it is laid down again.

    Args:
        pages: the memory of the card, which is selected.
        guard: what keeps strangers off it.
        plan: what the profile wants of it.
        uid: its number.
    """

    def __init__(self, pages: Pages, guard: Guard, plan: Plan, uid: bytes) -> None:
        self._pages = pages
        self._guard = guard
        self._plan = plan
        self._uid = uid
        self._area = plan.area(guard.last_page)
        self._found: Configuration | None = None
        self._opening = Opening.REFUSED
        self._container = b""
        self._locked: frozenset[int] = frozenset()
        self._key: Key | None = None
        self._card = Card(technology=guard.technology, uid=uid.hex())

    @property
    def card(self) -> Card:
        """See `Work`."""
        return self._card

    def survey(self, ours: Ours, *, resuming: bool) -> None:
        """See `Work`.

        A key of ours that opens the card proves that it is ours.  The older key is tried only where the card says that
        it does not count wrong ones; where it says that it does, the newest is tried only if `ours` recognises the
        card or it was begun.

        Raises:
            CardRejected: it was left as it was.
        """
        keys = self._keys()
        if self._area.stop - 1 > self._guard.last_page or not self._area:
            raise refusal.too_small()
        if keys and not self._guard.takes_keys:
            raise refusal.no_way_for_keys()
        if keys and self._plan.shield.first_page > self._guard.last_protectable:
            raise refusal.too_small()
        found = self._guard.look()
        if found is None or found.shield.first_page <= self._guard.end:
            found = self._open(keys, found, ours, resuming=resuming)
        elif not resuming and not self._is_free(ours):
            raise refusal.foreign()
        self._found = found
        self._survey_pages(resuming=resuming)
        if found.is_frozen and keys and not self._is_guarded:
            raise refusal.locked()

    def write(self, contents: Contents, progress: Progress) -> None:
        """See `Work`.

        Raises:
            CardRejected: the card is too small for this, or a page that would have to change is locked.
            Mismatch: what was read back differs.
        """
        contents = self._resolved(contents)
        now = self._pages.fetch(contents)
        changed = [page for page in contents if now[page] != contents[page]]
        if not self._locked.isdisjoint(changed):
            raise refusal.locked()
        changed.sort(key=lambda page: page == tlv.CONTAINER)  # which cannot be taken back
        lifts = self._key is not None and self._is_closed and self._opening is not Opening.OPEN
        puts_key = self._key is not None and self._opening is not Opening.OPEN
        puts = self._key is not None and not self._is_guarded
        locking = self._locking() if self._plan.lock else {}
        steps = Steps(len(changed) + lifts + puts_key * self._guard.key_pages + puts * 2 + len(locking), progress)
        for page in changed:
            self._pages.write(page, contents[page])
            steps.done()
        self._compare({page: contents[page] for page in changed})
        if lifts:
            self._guard.lift(steps.done)
        if puts_key and self._key is not None:
            self._guard.put_key(self._key.value, steps.done)
        if puts:
            self._guard.put(self._plan.shield, steps.done)
        if locking:
            self._prove(contents)
        for page, bits in locking.items():
            self._pages.write(page, bits)
            steps.done()

    def verify(self, contents: Contents) -> None:
        """See `Work`.

        Without the key, the card has to say that it is guarded as it should be; where that is hidden, the first hidden
        page must not be read.

        Raises:
            Mismatch: it does not carry this.
        """
        self._prove(contents)
        if self._plan.lock and not self._locked_now().issuperset(self._area):
            raise Mismatch("lock bits")

    def read(self) -> Contents:
        """See `Work`; pages that were read since they were written are not read again."""
        return self._pages.fetch(self._area)

    def blank(self) -> Contents:
        """See `Work`.

        Where the profile is for NDEF an empty message, else zeros; what is blank stays as it is.
        """
        pages = self.read()
        area = b"".join(pages.values())
        if self._is_blank(area, self._area.start):
            return pages
        empty = (tlv.wrapped(b"") if self._plan.ndef else b"").ljust(len(area), b"\0")
        return {page: empty[i * PAGE : i * PAGE + PAGE] for i, page in enumerate(self._area)}

    def _keys(self) -> tuple[Key, ...]:
        if self._plan.key is None:
            return ()
        keys = self._plan.key.of(self._uid)
        self._key = keys[0]
        return keys

    @property
    def _is_closed(self) -> bool:
        return self._found is not None and self._found.shield.first_page <= self._guard.end

    @property
    def _is_guarded(self) -> bool:
        """Whether the newest key and the protection are as they should be."""
        return self._opening is Opening.OPEN and self._found is not None and self._found.shield == self._plan.shield

    def _open(self, keys: tuple[Key, ...], found: Configuration | None, ours: Ours, *, resuming: bool) -> Configuration:
        """Open a card with a key of ours."""
        tries = keys
        if found is None and self._guard.may_count_tries:
            tries = keys[:1]
        elif found is not None and found.counts_tries:
            tries = keys[:1] if resuming or ours(b"".join(self.read().values())) else ()
        for key in tries:
            opening = self._guard.open(key.value)
            if opening is Opening.REFUSED:
                continue
            self._opening = opening if key is keys[0] else Opening.PARTLY
            found = found or self._guard.look()
            if found is None:
                raise LinkError("an open card hides its configuration")
            return found
        if tries and (found is None or found.counts_tries) and self._guard.may_count_tries:
            raise refusal.counted_try()
        raise refusal.untried_key() if len(tries) < len(keys) else refusal.unknown_key()

    def _is_free(self, ours: Ours) -> bool:
        """Whether a card that guards nothing is blank, wherever the profile would use or guard it, or ours."""
        start = self._area.start if self._key is None else min(self._area.start, self._plan.shield.first_page)
        stop = self._area.stop if self._key is None else self._guard.last_page + 1
        pages = self._pages.fetch([STATIC.page, tlv.CONTAINER, *range(start, stop)])  # the first two come for nothing
        held = b"".join(pages[page] for page in range(start, stop))
        return self._is_blank(held, start) or ours(b"".join(pages[page] for page in self._area))

    def _is_blank(self, held: bytes, start: int) -> bool:
        return tlv.is_blank(held) if start == tlv.FIRST else not any(held)

    def _survey_pages(self, *, resuming: bool) -> None:
        head = self._pages.fetch([tlv.CONTAINER, *(lock.page for lock in self._guard.locks)])
        self._container = head[tlv.CONTAINER]
        if self._plan.ndef and any(self._container) and not tlv.holds(self._container, tlv.container(0)):
            raise refusal.no_room_for_message()
        self._locked = self._locked_now()
        if not resuming and not self._locked.isdisjoint(self._area):
            raise refusal.locked()
        if self._plan.lock:
            try:
                self._locking()
            except ValueError:
                raise refusal.not_lockable() from None

    def _resolved(self, contents: Contents) -> dict[int, bytes]:
        """The contents with the capability container that this very card is to have.

        Raises:
            CardRejected: it is too small.
        """
        if not set(contents) <= {*self._area, tlv.CONTAINER}:
            raise refusal.too_small()
        if tlv.CONTAINER not in contents:
            return dict(contents)
        own = self._container if any(self._container) else tlv.container(self._guard.message_size)
        if not tlv.holds(own, contents[tlv.CONTAINER]):
            raise refusal.no_room_for_message()
        return {**contents, tlv.CONTAINER: own}

    def _compare(self, contents: Contents) -> None:
        for page, content in self._pages.fetch(contents).items():
            if page == tlv.CONTAINER and not tlv.holds(content, contents[page]):
                raise Mismatch(f"page {page}")
            if page != tlv.CONTAINER and content != contents[page]:
                raise Mismatch(f"page {page}")

    def _prove(self, contents: Contents) -> None:
        self._pages.select()
        self._keys()
        if self._key is not None:
            self._prove_guard(self._key)
        self._compare(contents)

    def _prove_guard(self, key: Key) -> None:
        wanted = self._plan.shield
        if wanted.hides and self._pages.peek(wanted.first_page, self._guard.end) is not None:
            raise Mismatch("protection")
        found = None if wanted.hides else self._guard.look()
        if not wanted.hides and (found is None or found.shield != wanted):
            raise Mismatch("protection")
        if self._guard.open(key.value) is not Opening.OPEN:
            raise Mismatch("key")
        if wanted.hides and ((found := self._guard.look()) is None or found.shield != wanted):
            raise Mismatch("protection")

    def _locking(self) -> Contents:
        """The lock bits that are still to be set."""
        head = self._pages.fetch(lock.page for lock in self._guard.locks)
        wanted = {lock.page: lock.locking(head[lock.page], self._area) for lock in self._guard.locks}
        return {page: bits for page, bits in wanted.items() if bits is not None}

    def _locked_now(self) -> frozenset[int]:
        head = self._pages.fetch(lock.page for lock in self._guard.locks)
        return frozenset().union(*(lock.locked(head[lock.page]) for lock in self._guard.locks))
