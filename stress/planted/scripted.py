"""Detectors of one schedule each, which goes through the window of the bug.

For windows that a random schedule seldom meets. The account of the schedule says when a script no
longer fits the code (`missed`); a detector that does not go where it should is a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from . import serial
from .keys import Key, Value, text
from .registry import parallel, scenario, scripted, share, shared


@parallel
def values_outlive_readers() -> None:
    """A reader that has found a value may take its time; others replace it and poll."""

    def replace(table: Any) -> None:
        for number in range(1, 400):
            table["a"] = Value(number)

    read_while(replace)


@parallel
def flush_waits_for_readers() -> None:
    """So may a reader while another thread flushes."""

    def replace(table: Any) -> None:
        table["a"] = Value(1)
        serial.ct.reclaim.flush()

    read_while(replace)


@parallel
def deletions_wait_for_readers() -> None:
    """And so do deletions, whose references go after the section."""
    read_while(lambda table: table.pop("a") and serial.ct.reclaim.stats())


def read_while(replace: Callable[[Any], None]) -> None:
    """One thread finds a value, another one replaces it before the first one has a reference."""
    table = shared(a=Value(-1))

    def read() -> int:
        return int(table["a"].number)

    def write() -> None:
        table["a"] = Value(0)  # of this thread, which frees it at once when it may
        serial.here("stored")
        replace(table)

    order = [(1, "stored"), (0, "value_keep"), (1, None), (0, None)]
    results = scripted(order, read, write)
    assert results[0] == 0, results


@parallel
def misses_are_looked_at_again() -> None:
    """Two threads miss the same key, compared in Python; one of them inserts it, the other replaces it."""
    table = serial.ct.ConcurrentDict({Key(1): "other"})
    bodies = [lambda: table.__setitem__(Key(2), 0), lambda: table.__setitem__(Key(2), 1)]
    order = [(0, "user_compare"), (0, "lock_wait"), (1, None), (0, None)]
    scripted(order, *bodies)
    assert sorted(map(str, table.values())) == ["0", "other"], table
    serial.ct.inspect_table(table).check()


@parallel
def slots_of_misses_are_looked_for_again() -> None:
    """Two threads miss keys that go to one slot of the index; the first to insert takes it."""
    table = share(serial.ct.ConcurrentDict({0: "old"}))
    bodies = [lambda: table.__setitem__(1, "first"), lambda: table.__setitem__(1 + 2**20, "second")]
    scripted([(0, "lock_wait"), (1, None), (0, None)], *bodies)
    assert list(table.items()) == [(0, "old"), (1 + 2**20, "second"), (1, "first")], table
    assert table.get(1 + 2**20) == "second", table
    serial.ct.inspect_table(table).check()


@parallel
def guards_validate_what_they_use() -> None:
    """A guard that another thread refreshes meanwhile does not answer from its old memory."""
    table = serial.ct.ConcurrentDict(a=0)
    guard = table.guard("a")
    assert guard() == 0

    def write_and_ask() -> Any:
        table.update((text(number), 0) for number in range(50))
        table["a"] = 1
        return guard()

    results = scripted([(0, "guard_check"), (1, None), (0, None)], write_and_ask, guard)
    assert results == [1, 1], results


@scenario
def gates_hold_writers() -> None:
    """Between two reads inside `exclusive` nobody writes."""
    for table in (serial.ct.ConcurrentDict(a=0), shared(a=0)):

        def inside(table: Any = table) -> Any:
            with serial.ct.exclusive(table):
                first = table["a"]
                serial.here("inside")
                return first, table["a"]

        def write(table: Any = table) -> None:
            table["a"] = 1

        results = scripted([(0, "inside"), (1, None), (0, None)], inside, write)
        assert results[0] == (0, 0), results
        assert table["a"] == 1


@parallel
def records_become_combined() -> None:
    """A record that a deletion makes combined has its other entries all the while."""
    record = serial.ct.SplitDict(serial.ct.SharedKeys(("a", "b")), a=1, b=2)
    order = [(0, "record_combined"), (1, None), (0, None)]
    results = scripted(order, lambda: record.pop("a"), lambda: record.get("b"))
    assert results == [1, 2], results


@parallel
def batches_over_shards() -> None:
    """A batch over several shards shows at one moment."""
    table = serial.ct.ShardedDict({1: 0, 2: 0}, shards=4)
    shards = serial.ct.inspect_table(table).shards
    assert max(shard.entries for shard in shards) == 1, "the keys must be of different shards"
    order = [(0, "commit"), (1, None), (0, None)]
    results = scripted(
        order, lambda: table.update_many({1: 1, 2: 1}), lambda: (table.get(1), table.get(2))
    )
    assert results[1] in ((0, 0), (1, 1)), results


@parallel
def snapshots_between_preparation_and_commit() -> None:
    """A snapshot taken while a batch over shards is prepared is not kept once the batch is there."""
    table = serial.ct.ShardedDict({1: 0, 2: 0}, shards=4)
    order = [(0, "overlay_publish"), (1, None), (0, None)]
    results = scripted(order, lambda: table.update_many({1: 1, 2: 1}), table.snapshot)
    assert results[1] == {1: 0, 2: 0}, results
    assert table.snapshot() == dict(table.items()) == {1: 1, 2: 1}, table


@parallel
def versions_count_what_shows() -> None:
    """Who has seen a key come or go finds it counted, though the writer is still at it."""
    compact, full = (serial.ct.SplitDict(serial.ct.SharedKeys(("a", "b")), a=0) for _ in range(2))
    full.snapshot()
    table = shared(a=0)
    added = [(table, "commit"), (compact, "record_count"), (full, "commit")]
    for mapping, point in added:
        look_while_counted(mapping, point, partial(mapping.update, b=1), True)
    look_while_counted(table, "commit", lambda: table.pop("b"), False)
    members, chains = serial.ct.ConcurrentSet(), serial.ct.HashTable()
    look_while_counted(members, "commit", lambda: members.add("b"), True)
    look_while_counted(chains, "commit", lambda: chains.set("b", 1), True)


def look_while_counted(table: Any, point: str, write: Callable[[], Any], there: bool) -> None:
    """One thread changes whether "b" is there, another looks before that is counted."""
    before = table.version, table.keys_version

    def look() -> Any:
        return "b" in table, (table.version, table.keys_version)

    results = scripted([(0, point), (1, None), (0, None)], write, look)
    after = table.version, table.keys_version
    assert results[1] == (there, after) and after > before, (table, before, results, after)


@parallel
def versions_count_values_that_show() -> None:
    """Who has seen a new value finds it counted, though nobody took the section for it."""
    for table in (shared(a=0), share(serial.ct.ShardedDict({"a": 0}, shards=2))):
        before = table.version

        def write(table: Any = table) -> None:
            table["a"] = -1

        def look(table: Any = table) -> Any:
            return table["a"], table.version

        order = [(0, "overwrite_count"), (1, None), (0, None)]
        results = scripted(order, write, look)
        assert results[1] == (-1, before + 1), (table, before, results)
