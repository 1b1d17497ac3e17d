"""Watcher ids after CPython's C API: eight ids, a bit mask per table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from concurrent_tables import EventKind
from tests.support import MUTABLE_TABLES, Boom, implementation_environment, new, run_child


@pytest.fixture
def ids(ct: Any) -> Iterator[Any]:
    """Adds watchers and clears them after the test."""
    made: list[int] = []

    def add(callback: Any) -> int:
        watcher = ct.watchers.add_watcher(callback)
        made.append(watcher)
        return int(watcher)

    yield add
    for watcher in made:
        try:
            ct.watchers.clear_watcher(watcher)
        except ValueError:
            pass  # the test cleared it


@pytest.mark.parametrize("name", MUTABLE_TABLES)
def test_watch_and_unwatch(ct: Any, ids: Any, name: str) -> None:
    events: list[Any] = []
    watcher = ids(events.append)
    table = new(ct, name)
    table.clear()
    assert events == []
    ct.watchers.watch(watcher, table)
    ct.watchers.watch(watcher, table)
    assert ct.inspect_table(table).watchers == 1
    table.update(["ab"] if name != "ConcurrentSet" else ["a"])
    table.clear()
    assert [event.kind for event in events][-1] is EventKind.CLEARED
    count = len(events)
    assert count == 2
    ct.watchers.unwatch(watcher, table)
    ct.watchers.unwatch(watcher, table)
    table.update(["ab"])
    assert len(events) == count
    assert ct.inspect_table(table).watchers == 0


def test_one_callback_many_tables(ct: Any, ids: Any) -> None:
    events: list[Any] = []
    watcher = ids(events.append)
    tables = [ct.ConcurrentDict() for _ in range(3)]
    for table in tables[:2]:
        ct.watchers.watch(watcher, table)
    for table in tables:
        table["a"] = 1
    assert [event.table is table for event, table in zip(events, tables, strict=False)] == [
        True,
        True,
    ]
    assert len(events) == 2


def test_eight_ids(ct: Any, ids: Any) -> None:
    numbers = [ids(lambda event: None) for _ in range(8)]
    assert sorted(numbers) == list(range(8))
    with pytest.raises(RuntimeError):
        ids(lambda event: None)
    ct.watchers.clear_watcher(numbers[3])
    assert ids(lambda event: None) == numbers[3]


def test_ids_are_bits_of_one_table(ct: Any, ids: Any) -> None:
    calls: list[int] = []
    watchers = [ids(lambda event, n=n: calls.append(n)) for n in range(8)]
    table = ct.ConcurrentDict()
    for number in (1, 4, 6):
        ct.watchers.watch(watchers[number], table)
    table["a"] = 1
    assert sorted(calls) == [1, 4, 6]


@pytest.mark.parametrize("bad", [-1, 8, 100, 5])
def test_bad_ids(ct: Any, bad: int) -> None:
    table = ct.ConcurrentDict()
    for call in (lambda: ct.watchers.watch(bad, table), lambda: ct.watchers.unwatch(bad, table),
                 lambda: ct.watchers.clear_watcher(bad)):  # fmt: skip
        with pytest.raises(ValueError):
            call()


def test_cleared_watcher_is_silent(ct: Any, ids: Any) -> None:
    events: list[Any] = []
    watcher = ids(events.append)
    table = ct.ConcurrentDict()
    ct.watchers.watch(watcher, table)
    ct.watchers.clear_watcher(watcher)
    table["a"] = 1
    assert events == []


def test_a_reused_id_does_not_inherit_tables(ct: Any, ids: Any) -> None:
    table = ct.ConcurrentDict()
    first = ids(lambda event: None)
    ct.watchers.watch(first, table)
    ct.watchers.clear_watcher(first)
    events: list[Any] = []
    assert ids(events.append) == first
    table["a"] = 1
    assert events == []


def test_callback_that_raises(ct: Any, ids: Any, unraisable: list[Any]) -> None:
    def fail(event: Any) -> None:
        raise Boom

    table = ct.ConcurrentDict()
    ct.watchers.watch(ids(fail), table)
    table["a"] = 1
    assert table == {"a": 1}
    assert [type(entry.exc_value) for entry in unraisable] == [Boom]


def test_arguments(ct: Any, ids: Any) -> None:
    with pytest.raises(TypeError):
        ct.watchers.add_watcher(5)
    watcher = ids(print)
    for thing in (5, None, ct.FrozenDict(), "x"):
        with pytest.raises(TypeError):
            ct.watchers.watch(watcher, thing)


AT_THE_END = """
from concurrent_tables import ConcurrentDict, ConcurrentSet, ShardedDict, SharedKeys, SplitDict
from concurrent_tables.watchers import add_watcher, watch
class Callback:
    def __call__(self, event):
        pass
number = add_watcher(Callback())
tables = [ConcurrentDict(a=1), ShardedDict(a=1), SplitDict(SharedKeys(), a=1), ConcurrentSet("a")]
for table in tables:
    watch(number, table)
print("end")
"""


def test_tables_that_end_with_the_interpreter(ct: Any) -> None:
    """Nothing can be imported any more when their last event is delivered."""
    done = run_child(AT_THE_END, **implementation_environment(ct))
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
