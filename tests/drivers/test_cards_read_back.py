"""What `CardEncoder.read` says of a card: whole and what was written, blank, of another profile of ours, or foreign."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from encoder_bridge_cards.encoder import CardEncoder
from encoder_bridge_cards.profile import parse_profiles
from virtual.card import VirtualCard
from virtual.classic import Classic
from virtual.counter import Counter
from virtual.desfire import Desfire
from virtual.type2 import Ntag
from virtual.type4 import Type4
from virtual.ultralight_c import UltralightC

from encoder_bridge.driver import Card, CardRejected, Contents, Credential, Intent, Prompt

OURS = {
    "password": "a1b2c3d4e5f6",
    "a": "0a0a0a0a0a01",
    "b": "0b0b0b0b0b01",
    "sixteen": "00112233445566778899aabbccddeeff",
    "mac": "2b7e151628aed2a6abf7158809cf4f3c",
}
SECRETS = {**OURS, **{f"other-{name}": secret[::-1] for name, secret in OURS.items()}}
METHOD = "d7a3ae6e-1dd7-4b95-8a2c-9e7c3b5e9f10"
DOOR = "11111111-2222-3333-4444-555555555555"

Table = Mapping[str, object]


class Clerk:
    """A desk that lets everything happen."""

    def ask(self, prompt: Prompt, card: Card | None = None) -> None:
        pass

    def progress(self, done: int, total: int) -> None:
        pass

    async def intend(self, intent: Intent) -> None:
        pass

    async def withdrawn(self) -> None:
        await asyncio.Event().wait()


@dataclass(frozen=True, kw_only=True)
class What:
    """A format's keys in a profile, and what it tells of the credential."""

    table: Table
    told: Mapping[str, str]
    is_ndef: bool = False


@dataclass(frozen=True, kw_only=True)
class Where:
    """A new card, and a technology's table in a profile."""

    make: Callable[[], VirtualCard]
    technology: str
    table: Table
    takes: Callable[[What], bool] = lambda what: True


WHATS = {
    "uri": What(
        table={"format": "ndef", "uri": "https://e.co/{sequence}?r={fields.room}"},
        told={"uri": "https://e.co/7?r=101%20%26"},
        is_ndef=True,
    ),
    "external": What(
        table={"format": "ndef", "external_type": "e.co:key", "payload": "{fields.room} {sequence}"},
        told={"payload": "101 & 7"},
        is_ndef=True,
    ),
    "wiegand": What(
        table={"format": "wiegand", "layout": "h10301"}, told={"facility_code": "123", "card_number": "4567"}
    ),
    "wiegand of one facility": What(
        table={"format": "wiegand", "layout": "h10304", "facility_code": 45},
        told={"facility_code": "45", "card_number": "4567"},
    ),
    "wiegand without a facility": What(table={"format": "wiegand", "layout": "h10302"}, told={"card_number": "4567"}),
    "open": What(
        table={"format": "open", "key": {"secret": "mac"}},
        told={
            "access_method_id": METHOD,
            "sequence": "7",
            "joins": "false",
            "entrances": f"{DOOR},pool",
            "starts_at": "2026-11-23T14:00:00+00:00",
            "ends_at": "2026-11-25T11:00:00+00:00",
        },
    ),
}


ANOTHER_URI = What(table={"format": "ndef", "uri": "https://example.org/{sequence}"}, told={}, is_ndef=True)


def not_ndef(what: What) -> bool:
    return not what.is_ndef


def ndef_alone(what: What) -> bool:
    return what.is_ndef


def all_but_the_open_layout(what: What) -> bool:
    return what is not WHATS["open"]


PASSWORD: Table = {"password": {"secret": "password"}}
KEY: Table = {"key": {"secret": "sixteen"}}
KEYS: Table = {"key_a": {"secret": "a"}, "key_b": {"secret": "b"}}
APPLICATION: Table = {
    "application": "f51234",
    "size": 96,
    "keys": {str(number): {"secret": "sixteen", "version": 1} for number in range(3)},
}

WHERES = {
    "ntag213": Where(make=lambda: Ntag("ntag213"), technology="ntag", table={}),
    "ntag215": Where(make=lambda: Ntag("ntag215"), technology="ntag", table={}),
    "ntag216": Where(make=lambda: Ntag("ntag216"), technology="ntag", table={}),
    "ntag213 with a password": Where(make=lambda: Ntag("ntag213"), technology="ntag", table=PASSWORD),
    "ntag216 that hides": Where(
        make=lambda: Ntag("ntag216"), technology="ntag", table={**PASSWORD, "read_protected": True}
    ),
    "ultralight ev1 of 20 pages": Where(
        make=lambda: Ntag("ultralight_ev1_20"), technology="ntag", table=PASSWORD, takes=all_but_the_open_layout
    ),
    "ultralight ev1 of 41 pages": Where(make=lambda: Ntag("ultralight_ev1_41"), technology="ntag", table={}),
    "ultralight c": Where(make=UltralightC, technology="ultralight_c", table={}),
    "ultralight c with a key": Where(make=UltralightC, technology="ultralight_c", table=KEY),
    "ultralight c that hides": Where(
        make=UltralightC, technology="ultralight_c", table={**KEY, "read_protected": True}
    ),
    "classic 1k": Where(make=Classic, technology="classic", table={"sectors": [1, 2], **KEYS}, takes=not_ndef),
    "classic 4k with a directory": Where(
        make=lambda: Classic(blocks=256),
        technology="classic",
        table={"sectors": [15, 17], "mad": "4811", **KEYS},
        takes=not_ndef,
    ),
    "classic 1k with ndef": Where(make=Classic, technology="classic", table={"sectors": [1, 2]}, takes=ndef_alone),
    "classic 4k with ndef and a key": Where(
        make=lambda: Classic(blocks=256),
        technology="classic",
        table={"sectors": [15, 17], "key_b": {"secret": "b"}},
        takes=ndef_alone,
    ),
    "desfire ev1": Where(make=lambda: Desfire(version="ev1"), technology="desfire", table=APPLICATION, takes=not_ndef),
    "desfire ev2": Where(make=lambda: Desfire(version="ev2"), technology="desfire", table=APPLICATION, takes=not_ndef),
    "desfire ev3 in plain": Where(
        make=lambda: Desfire(version="ev3"),
        technology="desfire",
        table={**APPLICATION, "comm": "plain"},
        takes=not_ndef,
    ),
    "type 4": Where(make=Type4, technology="type4", table={}, takes=ndef_alone),
}

FAMILIES = {
    "ntag": "type_2",
    "ultralight_c": "type_2",
    "classic": "classic",
    "desfire": "iso_dep",
    "type4": "iso_dep",
}

every_card = pytest.mark.parametrize(
    ("where", "what"),
    [
        pytest.param(where, what, id=f"{card}, {contents}")
        for card, where in WHERES.items()
        for contents, what in WHATS.items()
        if where.takes(what)
    ],
)
every_place = pytest.mark.parametrize("where", WHERES.values(), ids=WHERES)


def profile(where: Where, what: What) -> Table:
    return {**what.table, where.technology: where.table}


def elsewhere(where: Where) -> Table:
    """A profile of the same place under other keys, with contents that none of `WHATS` makes."""
    made = ANOTHER_URI if where.takes(ANOTHER_URI) else WHATS["open"]
    return under_other_keys(profile(where, made))


def under_other_keys(table: Table) -> Table:
    return {
        key: under_other_keys(value) if isinstance(value, Mapping) else f"other-{value}" if key == "secret" else value
        for key, value in table.items()
    }


def encoder(card: VirtualCard, **profiles: Table) -> CardEncoder:
    counter = Counter()
    counter.lay(card)
    return CardEncoder(counter, parse_profiles(profiles, lambda name: SECRETS[name].encode()))


def encode(card: VirtualCard, **profiles: Table) -> None:
    """Write with the first profile, and have the others known."""
    credential = Credential(
        access_method_id=METHOD,
        profile=next(iter(profiles)),
        sequence=7,
        entrances=(DOOR, "pool"),
        starts_at=datetime(2026, 11, 23, 14, tzinfo=UTC),
        ends_at=datetime(2026, 11, 25, 11, tzinfo=UTC),
        fields={"room": "101 &", "facility_code": "123", "card_number": "4567"},
        data={"page-4": b"elsewhere computed".ljust(20), "block-4": bytes(range(16)), "file-1": bytes(range(96))},
    )
    asyncio.run(encoder(card, **profiles).encode(credential, Clerk()))


def erase(card: VirtualCard, **profiles: Table) -> None:
    asyncio.run(encoder(card, **profiles).erase(Clerk()))


def stored(card: VirtualCard) -> Hashable:
    """What lies on a card, without a DESFire's count of wrong keys: one try has to tell whether a place is ours."""
    if isinstance(card, Desfire):
        for application in (card.memory.card, *card.memory.applications.values()):
            for key in application.keys:
                key.failures = key.total_failures = key.delay = 0
    return card.snapshot()


def contents(card: VirtualCard, **profiles: Table) -> Contents:
    """What is read, which changes nothing."""
    before = stored(card)
    read = asyncio.run(encoder(card, **profiles).read(Clerk()))
    assert stored(card) == before
    return read


def told(card: VirtualCard, **profiles: Table) -> Mapping[str, str]:
    return contents(card, **profiles).fields


@every_card
def test_a_card_is_whole_with_what_was_written(where: Where, what: What) -> None:
    card, guest = where.make(), profile(where, what)
    for _ in range(2):
        encode(card, guest=guest)
        assert told(card, guest=guest) == {"state": "whole", "profile": "guest", **what.told}


@every_card
def test_a_new_card_is_blank(where: Where, what: What) -> None:
    assert told(where.make(), guest=profile(where, what)) == {"state": "blank"}


@every_card
def test_an_erased_card_is_blank_and_may_be_used_again(where: Where, what: What) -> None:
    card, guest = where.make(), profile(where, what)
    encode(card, guest=guest)
    erase(card, guest=guest)
    assert told(card, guest=guest) == {"state": "blank"}
    with pytest.raises(CardRejected, match="is blank"):
        erase(card, guest=guest)
    encode(card, guest=guest)
    assert told(card, guest=guest)["state"] == "whole"


@every_card
def test_what_somebody_else_made_is_foreign_and_stays_as_it_is(where: Where, what: What) -> None:
    card, guest = where.make(), profile(where, what)
    encode(card, theirs=elsewhere(where))
    assert told(card, guest=guest) == {"state": "foreign"}
    before = stored(card)
    with pytest.raises(CardRejected):
        encode(card, guest=guest)
    with pytest.raises(CardRejected, match="was not made here"):
        erase(card, guest=guest)
    assert stored(card) == before


@every_card
def test_a_card_is_told_with_its_profile_s_name_among_others_of_the_same_keys(where: Where, what: What) -> None:
    card = where.make()
    others = {name: profile(where, other) for name, other in WHATS.items() if where.takes(other) and other is not what}
    others.pop("wiegand without a facility", None)  # all of its numbers of 37 bits could be another's too
    encode(card, guest=profile(where, what), **others)
    expected = {"state": "whole", "profile": "guest", **what.told}
    assert told(card, guest=profile(where, what), **others) == expected
    assert told(card, **others, guest=profile(where, what)) == expected


@every_card
def test_a_card_is_told_with_its_profile_s_name_among_one_of_other_keys(where: Where, what: What) -> None:
    card, guest, staff = where.make(), profile(where, what), elsewhere(where)
    encode(card, guest=guest)
    expected = {"state": "whole", "profile": "guest", **what.told}
    assert told(card, guest=guest, staff=staff) == expected
    if where is WHERES["ntag216 that hides"]:  # it may count wrong passwords, so no second one is tried
        assert told(card, staff=staff, guest=guest) == {"state": "foreign"}
        return
    assert told(card, staff=staff, guest=guest) == expected
    erase(card, staff=staff, guest=guest)
    assert told(card, staff=staff, guest=guest) == told(card, guest=guest, staff=staff) == {"state": "blank"}


@pytest.mark.parametrize(
    "where",
    [WHERES[name] for name in ("ntag213 with a password", "ultralight c with a key", "classic 1k", "desfire ev2")],
    ids=lambda where: str(where.technology),
)
def test_what_was_computed_elsewhere_is_unknown_until_it_is_erased(where: Where) -> None:
    card, guest = where.make(), {"format": "raw", where.technology: where.table}
    encode(card, guest=guest)
    assert told(card, guest=guest) == {"state": "unknown"}
    assert told(card, guest=guest, other=profile(where, WHATS["open"])) == {"state": "unknown"}
    erase(card, guest=guest)
    assert told(card, guest=guest) == {"state": "blank"}


@every_place
def test_the_number_is_told_whatever_is_on_the_card(where: Where) -> None:
    card = where.make()
    uid = card.activate().uid.hex()
    what = next(what for what in WHATS.values() if where.takes(what))
    assert contents(card, guest=profile(where, what)).card.uid == uid
    assert contents(card, number={"format": "number"}) == Contents(
        card=Card(technology=FAMILIES[where.technology], uid=uid)
    )
    encode(card, guest=profile(where, what))
    assert contents(card, guest=profile(where, what)).card.uid == uid
    assert contents(card, theirs=elsewhere(where)).card.uid == uid


def test_a_desfire_card_with_a_random_number_is_whole_and_tells_its_own() -> None:
    card, guest = Desfire(), {**WHATS["open"].table, "desfire": {**APPLICATION, "random_uid": True}}
    uid = card.activate().uid.hex()
    encode(card, guest=guest)
    assert card.activate().has_random_uid
    read = contents(card, guest=guest)
    assert (read.card.uid, read.fields) == (uid, {"state": "whole", "profile": "guest", **WHATS["open"].told})


@every_card
def test_a_card_that_goes_over_to_another_profile_of_the_same_keys_is_whole(where: Where, what: What) -> None:
    new = profile(where, what)
    for old in (profile(where, other) for other in WHATS.values() if where.takes(other) and other is not what):
        card = where.make()
        encode(card, old=old)
        try:
            encode(card, guest=new)
        except CardRejected:
            assert told(card, guest=new) == {"state": "foreign"}
        else:
            assert told(card, guest=new, old=old) == {"state": "whole", "profile": "guest", **what.told}


@pytest.mark.parametrize("where", [where for where in WHERES.values() if where.takes(ANOTHER_URI)])
def test_nothing_of_the_guest_before_stays_behind_a_shorter_message(where: Where) -> None:
    card = where.make()
    long, short = (
        {"format": "ndef", "uri": uri, where.technology: where.table}
        for uri in ("https://e.co/{sequence}?g=THE.GUEST.BEFORE", "https://e.co/{sequence}")
    )
    encode(card, guest=long)
    encode(card, guest=short)
    lying = bytes(card.ndef) if isinstance(card, Type4) else str(card.snapshot()).encode()
    assert b"BEFORE" not in lying


def test_a_card_is_not_blank_because_another_profile_s_place_on_it_is() -> None:
    card = Ntag()
    guest = {"format": "raw", "ntag": {**PASSWORD, "last_page": 15}}
    staff = {"format": "open", "key": {"secret": "mac"}, "ntag": {**PASSWORD, "first_page": 16, "protect_from": 4}}
    encode(card, guest=guest)
    assert told(card, guest=guest, staff=staff) == {"state": "unknown"}
    assert told(card, staff=staff, guest=guest) == {"state": "unknown"}
