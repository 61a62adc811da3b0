"""The stream of events: what stands, what changes, and who falls behind."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest

from control.rig import SINCE, Watcher, idle, job, serving
from encoder_bridge.board import Board
from encoder_bridge.control import feed, server, stream
from encoder_bridge.control.feed import Feed
from encoder_bridge.model import State
from encoder_bridge.store import News


def test_a_watcher_is_told_what_stands_and_then_what_changes(tmp_path: Path) -> None:
    with (
        serving(tmp_path, job(1), job(2, State.HELD), job(3, State.ISSUED)) as running,
        Watcher(running.path) as watcher,
    ):
        standing = watcher.until("snapshot")
        assert [(told.kind, told.body.get("name") or told.body.get("access_method_id")) for told in standing] == [
            ("encoder", "desk-1"),
            ("encoder", "desk-2"),
            ("job", "am_1"),
            ("job", "am_2"),
            ("snapshot", None),
        ]
        assert standing[0].body == {
            "name": "desk-1",
            "state": "idle",
            "since": SINCE,
            "not_enforced": [],
            "warnings": [],
        }
        assert standing[2].body["state"] == "queued"
        assert [told.number is None for told in standing] == [True, True, True, True, False]
        assert standing[-1].body == {"is_whole": True}
        running.show("desk-1", state="waiting_for_card", prompt="place_card")
        running.hear(job(1, State.WAITING_FOR_CARD))
        running.hear(job(1, State.CANCELLED))
        changes = [watcher.next() for _ in range(2)]
        assert changes[0] is not None
        assert changes[0].body["prompt"] == "place_card"
        rest = [changes[1]]
        while rest[-1] and rest[-1].body["state"] != "cancelled":
            rest.append(watcher.next())
        numbers = [int(str(told.number).rpartition("-")[2]) for told in [standing[-1], changes[0], *rest] if told]
        assert numbers == sorted(set(numbers))
        assert len({str(told.number).rpartition("-")[0] for told in [*standing[-1:], *changes] if told}) == 1


def test_a_watcher_that_comes_back_is_told_what_changed_meanwhile(tmp_path: Path) -> None:
    with serving(tmp_path, job(1), job(2)) as running:
        with Watcher(running.path) as watcher:
            last = watcher.until("snapshot")[-1].number
        running.hear(job(2, State.ISSUED))
        running.show("desk-2", state="hung")
        with Watcher(running.path, last) as watcher:
            missed = watcher.until("snapshot")
        assert [(told.kind, told.body.get("state")) for told in missed] == [
            ("job", "issued"),
            ("encoder", "hung"),
            ("snapshot", None),
        ]
        assert missed[-1].body == {"is_whole": False}
        with Watcher(running.path, missed[-1].number) as watcher:
            assert [told.kind for told in watcher.until("snapshot")] == ["snapshot"]


@pytest.mark.parametrize(
    "last", ["0123456789abcdef-3", "nonsense", "-1", "{instance}-99999", "{instance}-x", "{instance}-²"]
)
def test_a_number_that_is_not_ours_begins_anew(tmp_path: Path, last: str) -> None:
    with serving(tmp_path) as running:
        instance = running.ask("GET", "/v1/health")[1]["instance"]
        with Watcher(running.path, last.format(instance=instance).encode().decode("latin-1")) as watcher:
            assert watcher.until("snapshot")[-1].body == {"is_whole": True}


def test_the_stream_ends_with_the_bridge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_STOP_S", 60.0)  # which nobody waits for
    with serving(tmp_path) as running, Watcher(running.path) as watcher:
        watcher.until("snapshot")
        running.stop()
        assert watcher.next() is None


def test_silence_is_broken_by_a_heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.01)
    with serving(tmp_path) as running, Watcher(running.path) as watcher:
        watcher.until("snapshot")
        assert watcher.response.readline() == b":\n"


def test_a_watcher_that_does_not_read_is_dropped_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "SLOW_S", 0.2)
    dropped = threading.Event()
    close = Feed.close

    def closed(self: Feed, reader: feed.Reader) -> None:
        close(self, reader)
        dropped.set()

    monkeypatch.setattr(Feed, "close", closed)
    with serving(tmp_path) as running, Watcher(running.path) as slow, Watcher(running.path) as quick:
        slow.until("snapshot")
        quick.until("snapshot")
        number = 0
        while not dropped.is_set():
            number += 1
            running.hear(*(job(n, method=f"am_{number}_{n}_{'x' * 40}") for n in range(20)))
            found = {told.body["access_method_id"] for told in (quick.next() for _ in range(20)) if told}
            assert len(found) == 20
        running.hear(job(1, method="last"))
        assert quick.until("job")[-1].body["access_method_id"] == "last"
        with pytest.raises((ConnectionError, AssertionError, OSError, ValueError)):
            slow.until("snapshot")


def test_a_watcher_that_goes_is_forgotten(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        with Watcher(running.path) as watcher:
            watcher.until("snapshot")
            assert len(running.control._feed._readers) == 1
        for number in range(1000):
            running.show("desk-1", done=number, total=1000)
            if not running.call(lambda: len(running.control._feed._readers)):
                break
        assert not running.control._feed._readers


def feed_of(*names: str) -> Feed:
    board = Board()
    for name in names:
        board.show(name, idle())
    return Feed(board)


def test_the_newest_state_of_a_thing_takes_the_place_of_the_one_before() -> None:
    async def check() -> None:
        one = feed_of()
        reader = one.open(None)
        for state in (State.QUEUED, State.WAITING_FOR_CARD, State.WRITING):
            one.hear(News(jobs={"am_1": job(1, state)}))
            one.hear(News(jobs={"am_2": job(2, State.QUEUED)}))
        one.hear(News(jobs={"am_1": job(1, State.UNSURE)}))
        read = [await reader.next(1), await reader.next(1)]
        assert [(change.thing[1], json.loads(change.body)["state"], change.number) for change in read if change] == [
            ("am_2", "queued", 6),
            ("am_1", "unsure", 7),
        ]
        assert await reader.next(0.001) is None
        assert not reader.is_over

    asyncio.run(check())


def test_a_reader_behind_with_too_many_things_is_let_go() -> None:
    async def check() -> None:
        one = feed_of()
        reader = one.open(None)
        for number in range(feed.MOST_PENDING):
            one.hear(News(jobs={f"am_{number}": job(number)}))
        assert not reader.is_over
        one.hear(News(jobs={"one-more": job(1)}))
        assert reader.is_over
        assert await reader.next(1) is None

    asyncio.run(check())


def test_what_was_heard_before_the_store_was_read_is_newer_than_the_store() -> None:
    async def check() -> None:
        one = feed_of()
        one.hear(News(jobs={"am_1": job(1, State.ISSUED), "am_2": job(2, State.WRITING)}))
        one.begin({"am_1": job(1), "am_2": job(2), "am_3": job(3)})
        standing = {change.thing[1]: json.loads(change.body)["state"] for change in one.open(None).snapshot.changes}
        assert standing == {"am_2": "writing", "am_3": "queued"}

    asyncio.run(check())


def test_whoever_was_away_for_too_many_ends_is_told_everything() -> None:
    async def check() -> None:
        one = feed_of("desk-1")
        one.hear(News(jobs={"am_x": job(1)}))
        before = one.open(None).snapshot.number
        for number in range(feed._ENDED_KEPT):
            one.hear(News(jobs={f"am_{number}": job(number, State.ISSUED)}))
        back = one.open(before).snapshot
        assert (back.is_whole, len(back.changes)) == (False, feed._ENDED_KEPT)
        one.hear(News(jobs={"am_x": job(1, State.ISSUED)}))
        again = one.open(before).snapshot
        assert (again.is_whole, [change.thing for change in again.changes]) == (True, [("encoder", "desk-1")])

    asyncio.run(check())
