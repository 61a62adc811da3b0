"""Where contents go on a DESFire card, and which profiles, contents and cards are refused."""

from __future__ import annotations

import pytest
from desfire_desk import IMAGE, NEW, SECRETS, key, layout, new_keys, old_keys, secret
from encoder_bridge_cards.desfire.layout import DesfireLayout
from encoder_bridge_cards.link import Activation, Family, Link, NoAnswer, Refused
from encoder_bridge_cards.tables import Table
from virtual.desfire import Desfire

from encoder_bridge.driver import CredentialRejected, SettingsRejected

MIXED = {"0": key("new-0"), "5": key("new-1"), "7": key("new-2")}


class Saying(Link):
    """A card of ISO/IEC 14443-4 that answers every command the same.

    Args:
        answer: what it says; an exception is raised.
    """

    def __init__(self, answer: bytes | Exception) -> None:
        self._answer = answer

    def activate(self) -> Activation:
        return Activation(family=Family.ISO_DEP, uid=bytes.fromhex("04112233445566"))

    def exchange(self, frame: bytes) -> bytes:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def version(head: str, length: int = 28) -> bytes:
    return bytes.fromhex(head).ljust(length, b"\0") + b"\x91\x00"


def test_an_image_fills_a_file_of_64_bytes_unless_the_profile_says_otherwise() -> None:
    assert layout().places(b"\x01" * 17, ndef=False) == {1: b"\x01" * 17 + bytes(47)}
    assert layout(file=0, size=20).places(b"\x01" * 17, ndef=False) == {0: b"\x01" * 17 + bytes(3)}


@pytest.mark.parametrize("size", [1, 64, 8192])
def test_the_largest_image_fits_and_one_byte_more_does_not(size: int) -> None:
    made = layout(size=size)
    assert made.capacity == size
    assert made.places(bytes(size), ndef=False)
    with pytest.raises(CredentialRejected, match=f"room for {size}"):
        made.places(bytes(size + 1), ndef=False)


def test_of_several_files_the_lowest_takes_the_image() -> None:
    made = layout(files={"10": 16, "2": 32})
    assert made.capacity == 32
    assert list(made.places(IMAGE[:20], ndef=False)) == [2]


def test_an_ndef_message_is_refused() -> None:
    with pytest.raises(CredentialRejected, match="NDEF"):
        layout().places(b"\xd1\x01\x00", ndef=True)


def test_contents_that_others_computed_are_whole_files_of_the_profile() -> None:
    made = layout(files={"1": 4, "2": 2})
    assert list(made.raw({2: b"ab", 1: b"abcd"})) == [1, 2]
    assert made.raw({2: b"ab"}) == {2: b"ab"}


@pytest.mark.parametrize("places", [{3: b"abcd"}, {1: b"abc"}, {1: b"abcde"}, {1: b""}, {-1: b"abcd"}, {256: b"abcd"}])
def test_other_contents_that_others_computed_are_refused(places: dict[int, bytes]) -> None:
    with pytest.raises(CredentialRejected, match="File"):
        layout(files={"1": 4}).raw(places)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"application": None}, "application is missing"),
        ({"application": "f512"}, "application has to be 3 bytes"),
        ({"application": "000000"}, "application has to be an application of your own"),
        ({"keys": None}, "keys is missing"),
        ({"keys": {}}, "0 is missing"),
        ({"keys": {"1": key("new-1")}}, "0 is missing"),
        ({"keys": {**new_keys(), "14": key("new-1")}}, "'14' has to be a number from 0 to 13"),
        ({"keys": {**new_keys(), "01": key("new-1")}}, "'01' has to be a number"),
        ({"keys": {**new_keys(), "x": key("new-1")}}, "'x' has to be a number"),
        ({"keys": {"0": key("new-0")}}, r"read_key is 1, and there is no table keys\.1"),
        ({"keys": new_keys(2)}, r"write_key is 2, and there is no table keys\.2"),
        ({"keys": {**new_keys(), "0": {"secret": "new-0"}}}, "version has to be 1 to 255"),
        (
            {"keys": {**new_keys(), "0": key("new-0", "old-0") | {"previous_version": 2}}},
            "another one for the key before",
        ),
        ({"keys": {**new_keys(), "0": {"secret": "new-0", "version": 1, "previous": "old-0"}}}, "version has to be"),
        ({"keys": {**new_keys(), "0": key("nobody")}}, "nobody"),
        ({"picc": {"secret": "picc"}}, "version has to be 1 to 255"),
        ({"max_keys": 2}, "max_keys has to be a whole number from 3 to 14"),
        ({"max_keys": 15}, "max_keys has to be"),
        ({"comm": "secret"}, "comm has to be one of plain, mac, full"),
        ({"protocol": "d40"}, "protocol has to be one of auto, ev1, ev2"),
        ({"file": 32}, "file has to be"),
        ({"size": 0}, "size has to be"),
        ({"size": 8193}, "size has to be"),
        ({"files": {}}, "files has to name a file"),
        ({"files": {"32": 16}}, "'32' has to be a number from 0 to 31"),
        ({"files": {"1": 0}}, "1 has to be a whole number"),
        ({"files": {"1": 16}, "size": 16}, "no setting 'size'"),
        ({"random_uid": 1}, "random_uid has to be true or false"),
        (
            {"random_uid": True, "picc": key("picc") | {"diversify": "01"}, "keys": new_keys(diversify="01")},
            "random_uid needs a key",
        ),
        ({"format_card": True}, "no setting 'format_card'"),
    ],
)
def test_a_wrong_table_is_refused_with_the_name_of_what_is_wrong(settings: dict[str, object], sentence: str) -> None:
    def told(name: str) -> bytes:
        if name not in SECRETS:
            raise SettingsRejected(f"secrets.{name} is missing.")
        return secret(name)

    table = {"application": "f51234", "keys": new_keys(), **settings}
    given = {name: value for name, value in table.items() if value is not None}
    with pytest.raises(SettingsRejected, match=sentence):
        DesfireLayout.parse(Table(given, "profiles.guest.desfire"), told, False)


@pytest.mark.parametrize(
    "settings",
    [
        {"keys": {"0": key("new-0")}, "read_key": 0, "write_key": 0},
        {"keys": MIXED, "read_key": 5, "write_key": 7, "max_keys": 14},
        {"keys": old_keys()},
        {"random_uid": True, "keys": new_keys(diversify="01")},
        {"random_uid": True, "picc": key("picc") | {"diversify": "01"}},
    ],
)
def test_other_tables_are_taken(settings: dict[str, object]) -> None:
    assert layout(**settings).capacity == 64


def test_a_layout_tells_no_key() -> None:
    made = layout(picc=key("picc"))
    told = repr(made) + repr(vars(made))
    assert not any(value.hex() in told or repr(value) in told for value in (*NEW.values(), SECRETS["picc"]))


@pytest.mark.parametrize("generation", ["ev1", "ev2", "ev3"])
def test_a_card_is_known_by_its_hardware(generation: str) -> None:
    card, made = Desfire(version=generation), layout()
    work = made.on(card, card.activate())
    assert work is not None
    assert work.card.technology == f"mifare_desfire_{generation}"
    assert work.card.technology in made.technologies
    assert work.card.uid == "04063f72633480"


def test_a_card_with_a_random_number_has_none_before_somebody_with_a_key_asks() -> None:
    card = Desfire(random_id=True)
    work = layout().on(card, card.activate())
    assert work is not None
    assert work.card.uid is None


@pytest.mark.parametrize(
    "answer",
    [
        version("0401010018"),  # of before EV1
        version("0408013000"),  # Light
        version("0404023000"),  # NTAG 424 DNA
        version("0501010100"),  # of another vendor
        version("04010142"),  # of a generation to come
        version("0401010100", 27),
        bytes.fromhex("911C"),
        bytes.fromhex("6D00"),
        bytes.fromhex("9000"),
        Refused("6982"),
    ],
)
def test_other_cards_are_not_taken_for_one(answer: bytes | Exception) -> None:
    link = Saying(answer)
    assert layout().on(link, link.activate()) is None


@pytest.mark.parametrize("answer", [b"", b"\x91", NoAnswer()])
def test_a_card_that_falls_silent_is_nothing_yet(answer: bytes | Exception) -> None:
    link = Saying(answer)
    with pytest.raises(NoAnswer):
        layout().on(link, link.activate())


def test_a_card_that_never_ends_its_answer_is_nothing_yet() -> None:
    link = Saying(b"\x04" * 59 + b"\x91\xaf")
    with pytest.raises(NoAnswer):
        layout().on(link, link.activate())


@pytest.mark.parametrize("family", [Family.CLASSIC, Family.TYPE_2, Family.OTHER])
def test_cards_of_other_families_are_not_even_asked(family: Family) -> None:
    made, activation = layout(), Activation(family=family, uid=bytes(7))
    assert not made.fits(activation)
    assert made.on(Saying(AssertionError()), activation) is None
