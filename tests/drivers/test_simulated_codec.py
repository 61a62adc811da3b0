"""The layout of a credential on a simulated card."""

from __future__ import annotations

import zlib
from dataclasses import replace
from datetime import datetime

import pytest
from cards import read_card
from encoder_bridge_simulated import codec
from hypothesis import given
from hypothesis import strategies as st
from simulated_desk import credential

from encoder_bridge.driver import Credential

CONTENT = 256 * 16


def on_card(image: bytes) -> bytes:
    return image.ljust(CONTENT, b"\0")


def file_of(content: bytes) -> bytes:
    head = b"EBSTOCK1" + b"simulated".ljust(16, b"\0") + (len(content) // 16).to_bytes(2, "big")
    return head.ljust(64, b"\0") + content


def apply(content: bytes, steps: list[codec.Step]) -> bytes:
    for index, block in steps:
        content = content[: index * 16] + block + content[index * 16 + 16 :]
    return content


texts = st.text(max_size=20)
credentials = st.builds(
    Credential,
    access_method_id=texts,
    profile=texts,
    sequence=st.integers(0, 2**64 - 1),
    joins=st.booleans(),
    entrances=st.lists(texts, max_size=4).map(tuple),
    starts_at=st.none() | st.datetimes(timezones=st.timezones()),
    ends_at=st.none() | st.datetimes(timezones=st.timezones()),
    fields=st.dictionaries(texts, texts, max_size=4),
    data=st.dictionaries(texts, st.binary(max_size=60), max_size=3),
)


@given(credentials)
def test_a_credential_comes_back_from_its_blocks(wanted: Credential) -> None:
    image = codec.encode(wanted)
    assert len(image) % 16 == 0
    found = codec.decode(on_card(image))
    assert found is not None
    times = {"starts_at": None, "ends_at": None}
    assert replace(found, **times) == replace(wanted, **times)  # type: ignore[arg-type]
    for mine, theirs in ((found.starts_at, wanted.starts_at), (found.ends_at, wanted.ends_at)):
        assert (mine and mine.isoformat()) == (theirs and theirs.isoformat())
    assert codec.encode(found) == image


@given(credentials)
def test_somebody_elses_reader_agrees(wanted: Credential) -> None:
    seen = read_card(file_of(on_card(codec.encode(wanted))))
    assert isinstance(seen, dict)
    assert seen["access_method_id"] == wanted.access_method_id
    assert seen["sequence"] == wanted.sequence
    assert seen["fields"] == wanted.fields


def test_the_order_in_which_fields_came_does_not_matter() -> None:
    one = credential(fields={"guest": "Ada", "room": "1"}, data={"a": b"1", "b": b"2"})
    other = credential(fields={"room": "1", "guest": "Ada"}, data={"b": b"2", "a": b"1"})
    assert codec.encode(one) == codec.encode(other)


def test_a_blank_card_is_blank() -> None:
    assert codec.decode(bytes(CONTENT)) is None
    assert read_card(file_of(bytes(CONTENT))) == "blank"


@pytest.mark.parametrize("old", [None, 2], ids=["a blank card", "another credential"])
def test_a_write_that_stops_at_any_block_leaves_the_old_state_or_a_torn_card(old: int | None) -> None:
    before = bytes(CONTENT)
    if old is not None:
        before = on_card(codec.encode(credential(old, fields={"guest": "G" * 500})))
    image = codec.encode(credential(1))
    steps = codec.steps(image, before)
    for stop in range(1, len(steps)):
        content = apply(before, steps[:stop])
        with pytest.raises(codec.Torn):
            codec.decode(content)
        assert read_card(file_of(content)) == "torn"
    assert apply(before, steps) == on_card(image)


def test_block_0_is_cleared_first_and_written_last_and_nothing_is_written_twice_between() -> None:
    image = codec.encode(credential(1))
    before = on_card(codec.encode(credential(2, fields={"guest": "G" * 500})))
    order = [index for index, _ in codec.steps(image, before)]
    assert order[0] == order[-1] == 0
    assert sorted(order[1:-1]) == list(range(1, 1 + codec.size(before) // 16 - 1))
    assert [index for index, _ in codec.steps(image, bytes(CONTENT))] == [*range(1, len(image) // 16), 0]


def test_block_0_that_is_marked_stays_so_until_the_end() -> None:
    image = codec.encode(credential(1))
    marked = codec.mark(image) + on_card(codec.encode(credential(2, fields={"guest": "G" * 500})))[16:]
    order = [index for index, _ in codec.steps(image, marked)]
    assert order.count(0) == 1
    assert order[-1] == 0
    assert apply(marked, codec.steps(image, marked)) == on_card(image)
    erasing = codec.mark(b"") + marked[16:]
    assert [index for index, _ in codec.erasing(erasing)][-1] == 0
    assert apply(erasing, codec.erasing(erasing)) == bytes(CONTENT)
    assert codec.made_here(marked)
    with pytest.raises(codec.Torn):
        codec.decode(marked)
    assert codec.mark(image) != codec.mark(codec.encode(credential(2, access_method_id="method-1")))


def test_erasing_touches_only_what_is_written_and_block_0_first() -> None:
    content = on_card(codec.encode(credential()))
    steps = codec.erasing(content)
    assert steps[0] == (0, bytes(16))
    assert apply(content, steps) == bytes(CONTENT)
    assert codec.erasing(bytes(CONTENT)) == []


@given(st.integers(0, CONTENT - 1), st.integers(1, 255))
def test_no_single_wrong_byte_reads_as_another_credential(at: int, wrong: int) -> None:
    content = bytearray(on_card(codec.encode(credential())))
    content[at] ^= wrong
    try:
        found = codec.decode(bytes(content))
    except codec.Torn:
        return
    assert at == 5, "only the reserved byte may change, and the check sum covers that too"
    assert found is None


@given(st.binary(max_size=200).filter(any))
def test_foreign_data_is_torn(noise: bytes) -> None:
    with pytest.raises(codec.Torn):
        codec.decode(on_card(noise))


@pytest.mark.parametrize("body", [b"[]", b"{}", b"nonsense", b"\xff", b'{"access_method_id":1}'])
def test_a_sound_check_sum_over_a_strange_body_is_torn(body: bytes) -> None:
    image = b"EBSC\1\0" + len(body).to_bytes(2, "big") + bytes(8) + body
    image += zlib.crc32(image).to_bytes(4, "big")
    with pytest.raises(codec.Torn):
        codec.decode(on_card(image))


@pytest.mark.parametrize(
    "wrong",
    [
        {"sequence": -1},
        {"sequence": 2**64},
        {"starts_at": datetime(2026, 7, 1)},  # noqa: DTZ001
        {"data": {"block": bytes(60_000)}},
    ],
    ids=["negative", "too large a number", "no zone", "too long"],
)
def test_what_has_no_image_is_unfit(wrong: dict[str, object]) -> None:
    with pytest.raises(codec.Unfit):
        codec.encode(credential(**wrong))  # type: ignore[arg-type]
