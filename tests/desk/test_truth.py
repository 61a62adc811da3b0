"""The judge itself: every kind of lie is found, and the truth is none."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from desk.truth import lies

Told = list[dict[str, Any]]


def content(method: str, sequence: int) -> bytes:
    body = json.dumps({"access_method_id": method}).encode()
    image = b"EBSC\x01\x00" + len(body).to_bytes(2, "big") + sequence.to_bytes(8, "big") + body
    image += zlib.crc32(image).to_bytes(4, "big")
    return image + bytes(-len(image) % 16)


def put(stock: Path, uid: str, image: bytes = b"") -> None:
    head = b"EBSTOCK1" + b"simulated".ljust(16, b"\0") + (16).to_bytes(2, "big") + bytes(38)
    (stock / f"{uid}.card").write_bytes(head + image.ljust(256, b"\0"))


def event(number: int, kind: str, uid: str | None, method: str, sequence: int, **more: Any) -> dict[str, Any]:
    return {
        "event_id": f"report-{number}",
        "event_type": kind,
        "trigger_event_id": f"need-{method}",
        "access_method_id": method,
        "sequence": sequence,
        "is_issued": kind == "access_method.issued",
        "receipt": {"digest": hashlib.sha256(content(method, sequence)).hexdigest()},
        "card": {"technology": "simulated", "uid": uid},
        **more,
    }


@pytest.fixture
def stock(tmp_path: Path) -> Path:
    """Cards `one` and `two` carry a and b, `gone` was given up, `new` is in its place, the others are blank."""
    put(tmp_path, "one", content("a", 1))
    put(tmp_path, "two", content("b", 2))
    put(tmp_path, "gone", content("c", 3))
    put(tmp_path, "new", content("c", 4))
    put(tmp_path, "erased")
    put(tmp_path, "blank")
    return tmp_path


@pytest.fixture
def told() -> Told:
    return [
        event(1, "access_method.issued", "one", "a", 1),
        event(2, "access_method.issued", "two", "b", 2),
        event(3, "access_method.issued", "erased", "e", 1),
        event(4, "encoder_bridge.card_erased", "erased", "e", 1),
        event(5, "encoder_bridge.job_unsure", "gone", "c", 3),
        event(6, "access_method.failed_to_issue", "gone", "c", 3, error={"type": "card_gone"}),
        event(7, "access_method.issued", "new", "c", 4, trigger_event_id="request/resolve/1"),
        event(8, "access_method.issued", "shredded", "d", 1),
        event(9, "access_method.failed_to_issue", "shredded", "d", 2, error={"type": "card_destroyed"}),
        event(1, "access_method.issued", "one", "a", 1),  # delivered again
    ]


def test_the_truth_is_no_lie(stock: Path, told: Told) -> None:
    assert lies(told, stock) == []


@pytest.mark.parametrize("found", [b"", content("c", 3), b"EBSC\x01torn"], ids=["blank", "whole", "torn"])
def test_a_card_that_is_gone_may_carry_anything_that_was_begun(stock: Path, told: Told, found: bytes) -> None:
    put(stock, "gone", found)
    assert lies(told, stock) == []


def set_(number: int, **values: Any) -> Callable[[Told], None]:
    return lambda told: told[number].update(values)


def two_reports_of_one_need(told: Told) -> None:
    told[1].update(trigger_event_id=told[0]["trigger_event_id"])


@pytest.mark.parametrize(
    "falsify",
    [
        pytest.param(lambda told: told.pop(1), id="a card that nobody was told of"),
        pytest.param(lambda told: told.append(event(20, "access_method.issued", "blank", "x", 1)), id="no such write"),
        pytest.param(lambda told: told.append(event(20, "access_method.issued", "lost", "x", 1)), id="no such card"),
        pytest.param(lambda told: told.pop(3), id="an erasure that nobody was told of"),
        pytest.param(lambda told: told.append({**told[3], "event_id": "r", "card": told[1]["card"]}), id="not erased"),
        pytest.param(lambda told: (told.pop(4), told.pop(4)), id="a card in doubt that nobody was told of"),
        pytest.param(set_(5, error={"type": "card_destroyed"}), id="not destroyed"),
        pytest.param(lambda told: told.pop(8), id="destroyed without a word"),
        pytest.param(set_(1, card={"technology": "simulated", "uid": "blank"}), id="another card"),
        pytest.param(set_(1, card={"technology": "simulated"}), id="no card named"),
        pytest.param(set_(1, sequence=3), id="another sequence"),
        pytest.param(set_(1, sequence=None), id="no sequence"),
        pytest.param(set_(1, access_method_id="x"), id="another access method"),
        pytest.param(set_(1, receipt={"digest": "0" * 64}), id="another receipt"),
        pytest.param(set_(9, evidence="attested"), id="a repetition that differs"),
        pytest.param(two_reports_of_one_need, id="one need, two cards"),
    ],
)
def test_a_false_report_is_found(stock: Path, told: Told, falsify: Callable[[Told], object]) -> None:
    falsified = deepcopy(told)
    falsify(falsified)
    assert lies(falsified, stock)


@pytest.mark.parametrize(
    ("uid", "image"),
    [
        pytest.param("one", b"", id="blanked"),
        pytest.param("one", content("b", 2), id="another's"),
        pytest.param("one", content("a", 2), id="another sequence"),
        pytest.param("one", content("a", 1)[:16], id="torn"),
        pytest.param("one", content("a", 1).ljust(64, b"\0") + b"left over", id="something left over"),
        pytest.param("blank", content("a", 1), id="a second card"),
        pytest.param("blank", b"EBSC\x01", id="a torn blank"),
        pytest.param("erased", content("e", 1), id="not erased"),
        pytest.param("gone", content("b", 2), id="something else on the card that is gone"),
        pytest.param("new", b"", id="no new card"),
        pytest.param("shredded", b"", id="not shredded"),
        pytest.param("found", content("z", 9), id="a stranger"),
    ],
)
def test_a_false_card_is_found(stock: Path, told: Told, uid: str, image: bytes) -> None:
    put(stock, uid, image)
    assert lies(told, stock)


def test_a_card_that_is_missing_is_found(stock: Path, told: Told) -> None:
    (stock / "two.card").unlink()
    assert lies(told, stock)
