"""The cards, where they lie, and what is left of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from cards import read_cards
from encoder_bridge_simulated import Stock
from simulated_desk import plastic


def test_opening_a_stock_twice_changes_nothing(tmp_path: Path) -> None:
    first = Stock.open(tmp_path / "new" / "stock", cards=3)
    before = plastic(tmp_path / "new" / "stock")
    again = Stock.open(tmp_path / "new" / "stock", cards=7)
    assert len(before) == 3
    assert plastic(tmp_path / "new" / "stock") == before
    assert again.uids() == first.uids()
    assert set(read_cards(tmp_path / "new" / "stock").values()) == {"blank"}


def test_uids_are_seven_bytes_and_repeat_with_a_seed(tmp_path: Path) -> None:
    uids = [Stock.open(tmp_path / str(number), cards=4, seed=number % 2).uids() for number in range(4)]
    assert uids[0] == uids[2]
    assert uids[1] == uids[3] != uids[0]
    unseeded = Stock.open(tmp_path / "u", cards=4).uids()
    for uid in [*uids[0], *unseeded]:
        assert len(bytes.fromhex(uid)) == 7
        assert uid.startswith("04")


def test_a_card_lies_in_one_place_and_everybody_sees_it(tmp_path: Path) -> None:
    mine, theirs = Stock.open(tmp_path, cards=2), Stock.open(tmp_path)
    one, other = mine.uids()
    mine.lay("a", one)
    assert theirs.lying("a") == one
    theirs.lay("b", one)
    assert (mine.lying("a"), mine.lying("b")) == (None, one)
    mine.lay("b", other)
    assert theirs.lying("b") == other
    assert theirs.lift("b") == other
    assert (mine.lying("b"), mine.lift("b")) == (None, None)


def test_a_card_that_is_not_there_cannot_be_laid_or_read(tmp_path: Path) -> None:
    stock = Stock.open(tmp_path, cards=1)
    with pytest.raises(LookupError):
        stock.lay("a", "04000000000000")
    with pytest.raises(LookupError):
        stock.read("04000000000000")
    with pytest.raises(ValueError, match="no name"):
        stock.lay("a", "../elsewhere")


def test_a_block_is_written_in_place_and_nothing_else_changes(tmp_path: Path) -> None:
    stock = Stock.open(tmp_path, cards=1)
    uid = stock.uids()[0]
    before = plastic(tmp_path)[f"{uid}.card"]
    stock.write(uid, 3, b"0123456789abcdef")
    after = plastic(tmp_path)[f"{uid}.card"]
    assert after[64 + 48 : 64 + 64] == b"0123456789abcdef"
    assert after[: 64 + 48] + bytes(16) + after[64 + 64 :] == before
    for index, block in ((-1, bytes(16)), (256, bytes(16)), (0, b"short")):
        with pytest.raises(ValueError, match="do not fit"):
            stock.write(uid, index, block)


def test_only_blank_ordinary_cards_that_lie_nowhere_are_fresh(tmp_path: Path) -> None:
    stock = Stock.open(tmp_path, cards=4, seed=1)
    written, aside, elsewhere, free = stock.uids()
    stock.write(written, 9, b"0123456789abcdef")
    stock.set_aside(aside)
    assert stock.asides() == [aside]
    stock.lay("elsewhere", elsewhere)
    stock.add(technology="foreign")
    stock.add(locked=True)
    stock.add(blocks=2)
    assert Stock.open(tmp_path).fresh() == free
    mine = Stock.open(tmp_path)
    assert mine.lay_fresh("mine") == free
    assert mine.lay_fresh("mine") is None, "the last one lies on this very encoder"
    mine.lift("elsewhere")
    assert mine.lay_fresh("mine") == elsewhere


def test_cards_that_are_foreign_locked_or_small_are_put_in_from_outside_and_lie_where_they_are_laid(
    tmp_path: Path,
) -> None:
    stock = Stock.open(tmp_path, cards=1)
    theirs = stock.add(content=b"somebody else's data on it")
    locked = stock.add(locked=True)
    assert stock.read(theirs)[:26] == b"somebody else's data on it"
    assert read_cards(tmp_path)[theirs] == "torn"
    daemon = Stock.open(tmp_path)
    for uid in (theirs, locked):
        stock.lay("a", uid)
        assert daemon.lying("a") == uid
    with pytest.raises(ValueError, match="do not fit"):
        stock.add(blocks=1, content=bytes(17))


def test_a_new_box_is_opened_when_none_is_left(tmp_path: Path) -> None:
    stock = Stock.open(tmp_path, cards=1)
    laid = set()
    for _ in range(5):
        uid = stock.lay_fresh("a", box=2)
        assert uid is not None
        stock.write(uid, 0, b"0123456789abcdef")
        laid.add(uid)
    assert len(laid) == 5
    assert len(stock.uids()) == 5


def test_a_card_put_back_is_fresh_again_after_the_others(tmp_path: Path) -> None:
    stock = Stock.open(tmp_path, cards=2)
    first = stock.lay_fresh("a")
    assert first is not None
    stock.set_aside(first)
    stock.lift("a")
    stock.set_aside(first, aside=False)
    stock.put_back(first)
    second = stock.lay_fresh("a")
    assert second not in (None, first)
    assert stock.lay_fresh("a") == first


def test_cards_that_somebody_else_adds_are_found(tmp_path: Path) -> None:
    stock = Stock.open(tmp_path, cards=1)
    used = stock.fresh()
    assert used is not None
    stock.write(used, 0, b"0123456789abcdef")
    assert stock.fresh() is None
    uid = Stock.open(tmp_path).add()
    assert stock.fresh() == uid
