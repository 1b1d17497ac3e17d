"""Watchers beside several writing threads: nothing lost, nothing doubled, versions strictly rising."""

from __future__ import annotations

from typing import Any

import pytest

from concurrent_tables import Event, EventKind
from tests.support import MUTABLE_MAPPINGS, MUTABLE_TABLES, new, numbered, run_threads

THREADS = 4
STEPS = 150


@pytest.mark.parametrize("name", MUTABLE_TABLES)
def test_every_version_is_delivered_once(ct: Any, name: str) -> None:
    table = new(ct, name)
    events: list[Event] = []  # appending is atomic
    start = table.version
    table.watch(events.append)

    def write(number: int) -> None:
        for step in range(STEPS):
            if name == "ConcurrentSet":
                table.add((number, step))
                table.remove((number, step))
            else:
                table.increment("shared")
                table[(number, step)] = step
                del table[(number, step)]

    run_threads(*numbered(write, THREADS))
    per_step = 2 if name == "ConcurrentSet" else 3
    versions = sorted(event.version for event in events)
    assert versions == list(range(start + 1, start + 1 + THREADS * STEPS * per_step))
    assert versions[-1] == table.version


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_commit_order_is_version_order(ct: Any, name: str) -> None:
    """Old and new values of one counter chain up when sorted by version."""
    table = new(ct, name, n=0)
    events: list[Event] = []
    table.watch(events.append, keys=["n"])
    run_threads(lambda: [table.increment("n") for _ in range(200)], count=THREADS)
    events.sort(key=lambda event: event.version)
    assert [(event.old, event.new) for event in events] == [
        (n, n + 1) for n in range(200 * THREADS)
    ]


def test_own_events_are_delivered_before_the_call_returns(ct: Any) -> None:
    table = ct.ConcurrentDict()
    seen: set[Any] = set()
    table.watch(lambda event: seen.add(event.key))

    def write(number: int) -> None:
        for step in range(STEPS):
            table[(number, step)] = 1
            assert (number, step) in seen

    run_threads(*numbered(write, THREADS))


def test_watching_while_others_write(ct: Any) -> None:
    """A watch sees every change that began after it was made and none from after its cancel."""
    table = ct.ConcurrentDict()

    def write() -> None:
        for _ in range(600):
            table.increment("n")

    def observe() -> None:
        for _ in range(30):
            events: list[int] = []
            with table.watch(lambda event, events=events: events.append(event.version)):
                before = table.version
                table["mine"] = 1
                after = table.version
            seen = list(events)
            assert len(set(seen)) == len(seen)
            assert any(before < version <= after for version in seen)
            table["mine"] = 2

    run_threads(write, write, observe, observe)
    assert table["n"] == 1200
    assert ct.inspect_table(table).watchers == 0


def test_cancel_from_another_thread(ct: Any) -> None:
    for _ in range(20):
        table = ct.ConcurrentDict()
        cancelled: list[bool] = []
        late: list[Event] = []

        def callback(event: Event, cancelled: Any = cancelled, late: Any = late) -> None:
            if cancelled:
                late.append(event)

        watch = table.watch(callback)

        def cancel(watch: Any = watch, cancelled: Any = cancelled, table: Any = table) -> None:
            watch.cancel()
            cancelled.append(True)
            table["after"] = 1

        run_threads(lambda: [table.increment("n") for _ in range(50)], cancel)
        assert all(event.key != "after" for event in late)
        assert len(late) <= 1  # one that had begun may still have been running


def test_clear_is_one_event_between_writers(ct: Any) -> None:
    table = ct.ConcurrentDict()
    events: list[Event] = []
    table.watch(events.append)

    def write(number: int) -> None:
        for step in range(100):
            table[(number, step)] = step

    def clear() -> None:
        for _ in range(30):
            table.clear()

    run_threads(*numbered(write, 3), clear)
    replay: dict[Any, Any] = {}
    for event in sorted(events, key=lambda event: event.version):
        if event.kind is EventKind.CLEARED:
            assert replay
            replay.clear()
        else:
            assert event.kind is EventKind.ADDED
            replay[event.key] = event.new
    assert table == replay
