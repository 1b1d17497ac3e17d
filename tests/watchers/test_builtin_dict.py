"""`watch` on a builtin dict: through the interpreter on 3.12+, a clear error on 3.11."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

import concurrent_tables
from concurrent_tables import MISSING, EventKind
from tests.support import Boom, run_child

SUPPORTED = sys.version_info >= (3, 12)
needs_3_12 = pytest.mark.skipif(
    not SUPPORTED, reason="the interpreter has no dict watchers before 3.12"
)
watch = concurrent_tables.watch


@pytest.mark.skipif(SUPPORTED, reason="dict watchers exist from 3.12 on")
def test_clear_error_before_3_12() -> None:
    with pytest.raises(concurrent_tables.WatchError, match=r"3\.12"):
        watch({}, print)


@needs_3_12
def test_events() -> None:
    table: dict[Any, Any] = {"a": 1}
    events: list[Any] = []
    with watch(table, events.append):
        table["b"] = 2
        table["b"] = 3
        del table["a"]
        table.clear()
    table["quiet"] = 1
    assert [(e.kind, e.key, e.old, e.new) for e in events] == [
        (EventKind.ADDED, "b", MISSING, 2),
        (EventKind.MODIFIED, "b", 2, 3),
        (EventKind.DELETED, "a", 1, MISSING),
        (EventKind.CLEARED, MISSING, MISSING, MISSING),
    ]
    assert all(event.table is table for event in events)
    assert all(event.version == 0 for event in events)


@needs_3_12
def test_events_come_before_the_change() -> None:
    table: dict[str, int] = {}
    seen: list[Any] = []
    with watch(table, lambda event: seen.append(dict(table))):
        table["a"] = 1
        table["a"] = 2
    assert seen == [{}, {"a": 1}]


@needs_3_12
def test_cloned() -> None:
    table: dict[str, int] = {}
    source = {"x": 1, "y": 2}
    events: list[Any] = []
    with watch(table, events.append):
        table.update(source)
    assert events
    if events[0].kind is EventKind.CLONED:
        assert events[0].new == source
    else:  # the interpreter may copy key by key
        assert {event.key for event in events} == {"x", "y"}


@needs_3_12
def test_filters() -> None:
    table: dict[str, int] = {}
    events: list[Any] = []
    with watch(table, events.append, kinds=EventKind.ADDED, keys=["a"]):
        table["a"] = 1
        table["a"] = 2
        table["b"] = 1
    assert [(event.kind, event.key) for event in events] == [(EventKind.ADDED, "a")]


@needs_3_12
def test_several_watches_of_several_dicts() -> None:
    first: dict[str, int] = {}
    second: dict[str, int] = {}
    events: list[Any] = []
    watches = [
        watch(first, lambda e: events.append((1, e.key))),
        watch(first, lambda e: events.append((2, e.key))),
        watch(second, lambda e: events.append((3, e.key))),
    ]
    first["a"] = 1
    second["b"] = 1
    assert sorted(events) == [(1, "a"), (2, "a"), (3, "b")]
    watches[0].cancel()
    watches[0].cancel()
    first["c"] = 1
    assert sorted(events)[2:] == [(2, "c"), (3, "b")] or (2, "c") in events
    assert (1, "c") not in events
    for each in watches:
        each.cancel()


@needs_3_12
def test_many_dicts_take_one_interpreter_id() -> None:
    tables: list[dict[str, int]] = [{} for _ in range(40)]
    events: list[Any] = []
    watches = [watch(table, events.append) for table in tables]
    for number, table in enumerate(tables):
        table["k"] = number
    assert [event.new for event in events] == list(range(40))
    for each in watches:
        each.cancel()


@needs_3_12
def test_callback_that_raises(unraisable: list[Any]) -> None:
    table: dict[str, int] = {}
    events: list[Any] = []

    def fail(event: Any) -> None:
        raise Boom

    with watch(table, fail), watch(table, events.append):
        table["a"] = 1
    assert table == {"a": 1}
    assert len(events) == 1
    assert [type(entry.exc_value) for entry in unraisable] == [Boom]


@needs_3_12
def test_deallocated() -> None:
    events: list[Any] = []
    table: dict[str, int] = {"a": 1}
    kept = watch(table, lambda event: events.append(event.kind))
    del table
    assert events[-1] is EventKind.DEALLOCATED
    kept.cancel()


@needs_3_12
def test_callback_may_write() -> None:
    table: dict[str, int] = {}
    other = concurrent_tables.ConcurrentDict()
    with watch(table, lambda event: other.increment(event.key)):
        for number in range(10):  # storing the same object again is no change
            table["a"] = number
    assert other == {"a": 10}


@needs_3_12
def test_threads() -> None:
    counts = concurrent_tables.ConcurrentDict()
    tables: list[dict[int, int]] = [{} for _ in range(4)]
    watches = [watch(table, lambda event: counts.increment("n")) for table in tables]

    def write(table: dict[int, int]) -> None:
        for number in range(200):
            table[number] = number

    threads = [threading.Thread(target=write, args=(table,)) for table in tables]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == {"n": 800}
    for each in watches:
        each.cancel()


@needs_3_12
def test_instances_of_dict_subclasses() -> None:
    events: list[Any] = []
    thing = type("Sub", (dict,), {})()
    with watch(thing, events.append):
        thing["a"] = 1
    thing["b"] = 2
    assert [(event.kind, event.key) for event in events] == [(EventKind.ADDED, "a")]


@needs_3_12
@pytest.mark.parametrize("thing", [[], 5, set()])
def test_only_dicts(thing: Any) -> None:
    with pytest.raises((TypeError, concurrent_tables.WatchError)):
        watch(thing, print)


@needs_3_12
def test_interpreter_exit_with_a_watched_dict() -> None:
    done = run_child(
        "import concurrent_tables as c\n"
        "d = {}\n"
        "w = c.watch(d, lambda e: None)\n"
        "globals_watch = c.watch(globals(), lambda e: None)\n"
        "d['a'] = 1\n"
        "print('end')\n"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "end\n"
    assert "Fatal" not in done.stderr
