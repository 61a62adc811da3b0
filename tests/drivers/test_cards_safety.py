"""What no card may suffer, and what nobody may be told, whatever lies on the reader."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
from cards_bench import SECRETS, TECHNOLOGIES, Bench
from encoder_bridge_cards import looking
from encoder_bridge_cards.encoder import CardEncoder
from encoder_bridge_cards.link import Activation
from encoder_bridge_cards.profile import parse_profiles
from virtual.card import VirtualCard
from virtual.classic import Classic
from virtual.counter import Counter
from virtual.type2 import Ntag

from encoder_bridge.driver import Card, CardRejected, Credential, Desk, Intent, Prompt, SettingsRejected, Unsure

UID = bytes.fromhex("04112233445566")
Tables = Mapping[str, Mapping[str, object]]


class Quiet(Desk):
    """A desk where everything is agreed to."""

    def __init__(self) -> None:
        self.intents: list[Intent] = []

    def ask(self, prompt: Prompt, card: Card | None = None) -> None:
        pass

    def progress(self, done: int, total: int) -> None:
        pass

    async def intend(self, intent: Intent) -> None:
        self.intents.append(intent)

    async def withdrawn(self) -> None:
        await asyncio.Event().wait()


def secret(name: str) -> bytes:
    return SECRETS[name].encode()


def device(card: VirtualCard, profiles: Tables, keys: Callable[[str], bytes] = secret) -> CardEncoder:
    counter = Counter()
    counter.lay(card)
    return CardEncoder(counter, parse_profiles(profiles, keys))


def credential(profile: str = "one", **data: bytes) -> Credential:
    return Credential(
        access_method_id="am", profile=profile, sequence=1, data={name.replace("_", "-"): d for name, d in data.items()}
    )


def test_a_card_that_may_count_wrong_passwords_is_given_one_however_many_profiles_there_are() -> None:
    card = Ntag("ntag213", uid=UID)
    card.poke(card.pwd, b"\x77\x77\x77\x77")
    card.poke(card.cfg_1, b"\x83\x05\0\0")  # reading takes the password, and three wrong ones are the last
    card.poke(card.cfg_0, b"\x04\0\0\x04")
    table = {"format": "raw", "ntag": {"password": {"secret": "six"}, "read_protected": True}}
    reader = device(card, dict.fromkeys(("one", "two", "three"), table))

    async def all_of_it() -> None:
        for _ in range(3):
            assert (await reader.read(Quiet())).fields["state"] == "foreign"
            with pytest.raises(CardRejected):
                await reader.encode(credential(page_4=b"abcd"), Quiet())
            with pytest.raises(CardRejected) as refused:
                await reader.erase(Quiet())
            assert refused.value.raw == "counted_try"

    asyncio.run(all_of_it())
    assert card.failed_passwords == 1
    assert not card.is_locked_out


class Fickle(Ntag):
    """A card that draws another number each time, and does not say so."""

    def activate(self) -> Activation:
        self.uid = bytes([self.uid[0], self.uid[1] ^ 0xFF, *self.uid[2:]])
        return super().activate()


def test_a_number_that_changes_is_found_out_before_anything_is_intended() -> None:
    desk = Quiet()
    with pytest.raises(CardRejected, match="another number each time"):
        asyncio.run(device(Fickle("ntag213", uid=UID), {"one": {"format": "number"}}).encode(credential(), desk))
    assert desk.intents == []


def test_a_kind_of_card_that_the_contents_do_not_fit_is_refused_and_not_the_job() -> None:
    classic = {"sectors": [1], "key_a": {"secret": "six"}, "key_b": {"secret": "other-six"}}
    reader = device(Ntag("ntag213", uid=UID), {"one": {"format": "raw", "ntag": {}, "classic": classic}})
    reader.check(credential(block_4=bytes(16)))
    with pytest.raises(CardRejected, match="take another kind"):
        asyncio.run(reader.encode(credential(block_4=bytes(16)), Quiet()))


def test_a_card_that_would_be_locked_is_not_blanked() -> None:
    card = Ntag("ntag213", uid=UID)
    asyncio.run(device(card, {"one": {"format": "wiegand", "layout": "h10302", "ntag": {}}}).encode(
        Credential(access_method_id="am", profile="one", sequence=1, fields={"card_number": "7"}), Quiet()
    ))  # fmt: skip
    before = card.snapshot()
    locking = {"one": {"format": "wiegand", "layout": "h10302", "ntag": {"lock": True}}}
    with pytest.raises(CardRejected, match="destroy it"):
        asyncio.run(device(card, locking).erase(Quiet()))
    assert card.snapshot() == before


def test_a_card_as_it_was_delivered_is_not_blanked() -> None:
    card = Classic(uid=b"\x3e\x11\x22\x33")
    before = card.snapshot()
    profile = {"one": {"format": "ndef", "uri": "https://example.com/{sequence}", "classic": {"sectors": [1]}}}
    desk = Quiet()
    with pytest.raises(CardRejected, match="blank"):
        asyncio.run(device(card, profile).erase(desk))
    assert (card.snapshot(), desk.intents) == (before, [])


def test_a_key_that_vanishes_in_the_middle_leaves_the_card_unsure() -> None:
    bench = Bench(TECHNOLOGIES["ntag"], Counter())
    left = iter(range(2))  # at the start, and for the look

    def vanishing(name: str) -> bytes:
        if next(left, None) is None:
            raise FileNotFoundError(name)
        return secret(name)

    card = Ntag("ntag213", uid=UID)
    reader = device(card, bench.profiles, vanishing)  # type: ignore[arg-type]
    with pytest.raises(Unsure, match="lay the same card down again"):
        asyncio.run(reader.encode(bench.credential(1), Quiet()))


def test_contents_show_in_no_repr() -> None:
    card = Ntag("ntag213", uid=UID)
    profile = parse_profiles({"one": {"format": "raw", "ntag": {}}}, secret)["one"]
    seen = looking.for_writing(profile, credential(page_4=b"wxyz"), card, card.activate(), resuming=False)
    assert "wxyz" not in repr(seen)


@pytest.mark.parametrize("uri", ["{fields.link}", "https://{fields.host}/x", "https:{fields.rest}", "x"])
def test_a_template_by_which_no_card_could_be_known_is_refused(uri: str) -> None:
    with pytest.raises(SettingsRejected, match="fixed address"):
        parse_profiles({"one": {"format": "ndef", "uri": uri, "ntag": {}}}, secret)
