"""Detectors of one thread: what a table promises it. They catch their bug on every build."""

from __future__ import annotations

import itertools
import sys
import threading
import weakref
from typing import Any

from . import serial
from .keys import Key, Last, Value, text
from .registry import dies, put, scenario, shared


@scenario
def counts_and_index() -> None:
    """Entries come and go; size, index and order are right after each step."""
    table = serial.ct.ConcurrentDict()
    for number in range(60):
        table[number] = number
        if number % 3 == 0:
            del table[number // 2]
        serial.ct.inspect_table(table).check()
        assert len(table) == len(list(table))


@scenario
def versions_rise() -> None:
    """Every change raises `version`; new and deleted keys raise `keys_version` too."""
    for table in (serial.ct.ConcurrentDict(a=1), shared(a=1)):
        seen = [(table.version, table.keys_version)]
        for change in (put("a", 2), put("b", 1), lambda table: table.pop("b")):
            change(table)
            seen.append((table.version, table.keys_version))
        assert all(late[0] > early[0] for early, late in itertools.pairwise(seen)), seen
        assert seen[0][1] == seen[1][1] < seen[2][1] < seen[3][1], seen


@scenario
def events_arrive() -> None:
    """A watcher is told of every change, in order, from the moment it watches."""
    for table in (serial.ct.ConcurrentDict(a=0), shared(a=0)):
        events: list[Any] = []
        with table.watch(events.append):
            table["a"] = 1
            table["b"] = 2
            table["a"] = 3
            del table["b"]
        told = [(event.kind.name, event.key) for event in events]
        wanted = [("MODIFIED", "a"), ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
        assert told == wanted, told
        versions = [event.version for event in events]
        assert versions == sorted(set(versions)), versions


@scenario
def snapshots_are_fresh() -> None:
    """A snapshot shows the table as it is, also when an earlier one is still there."""
    for table in (serial.ct.ConcurrentDict(a=1), shared(a=1)):
        kept = []
        for change in range(4):
            table["a"] = change
            kept.append(table.snapshot())
            assert kept[-1]["a"] == change, kept
        del table["a"]
        assert "a" not in table.snapshot()


@scenario
def iterators_skip_the_dead() -> None:
    """A key deleted before an iterator comes to it is not yielded, whatever became of the block."""
    table = serial.ct.ConcurrentDict((number, number) for number in range(5))
    iterator = iter(table)
    assert next(iterator) == 0
    table.update((number, 0) for number in range(100, 200))
    del table[3]
    assert list(iterator) == [1, 2, 4]


@scenario
def entries_are_not_reused() -> None:
    """What comes after `popitem` is new: an iterator made before does not yield it."""
    table = serial.ct.ConcurrentDict(a=1, b=2, c=3)
    iterator = iter(table)
    next(iterator)
    assert table.popitem() == ("c", 3)
    table["d"] = 4
    assert list(iterator) == ["b"]


@scenario
def comparisons_that_write() -> None:
    """A lookup whose `__eq__` rebuilds the table answers for the table as it is then."""
    table = serial.ct.ConcurrentDict({Key(1): "old"})

    def rebuild() -> None:
        table.update((number, 0) for number in range(100))
        table[Key(1)] = "new"

    Key.on_compare = rebuild
    assert table.get(Key(1)) == "new"
    serial.ct.inspect_table(table).check()


@scenario
def one_entry_a_key() -> None:
    """An insertion whose comparison inserts that very key replaces it then."""
    table = serial.ct.ConcurrentDict({Key(1): "other"})
    Key.on_compare = lambda: table.__setitem__(Key(2), "first")
    table[Key(2)] = "second"
    assert sorted(table.values()) == ["other", "second"], table
    serial.ct.inspect_table(table).check()


@scenario
def finalizers_see_whole_changes() -> None:
    """When a removed value dies, its removal is complete: no entry, no count."""
    table = serial.ct.ConcurrentDict(other=0)
    seen = []
    table["mine"] = Last(lambda: seen.append((len(table), "mine" in table)))
    del table["mine"]
    assert seen == [(1, False)], seen


@scenario
def errors_keep_nothing() -> None:
    """A lookup whose comparison raises keeps no reference to what it looked at."""

    def compare(wanted: Any, stored: Any) -> bool:
        raise ZeroDivisionError

    def make() -> Any:
        table = serial.ct.HashTable(hash=lambda key: 1, compare=compare)
        value = Value(1)
        table.set("a", value)
        try:
            table.get("b")
        except ZeroDivisionError:
            return weakref.ref(value)
        raise AssertionError("the comparison was not asked")

    assert dies(make), "the value of a table that is gone is still there"


@scenario
def references_balance() -> None:
    """What was taken in and given back, or failed, leaves the counts of keys and values as they were."""
    for table in (serial.ct.ConcurrentDict(a=0), shared(a=0)):
        value, key = Value(1), text(1)
        before = sys.getrefcount(value), sys.getrefcount(key)
        for _ in range(50):
            table[key] = value
            assert not table.compare_and_set(key, 1, value)
            assert not table.compare_and_delete(key, 1)
            assert table.setdefault(key, 1) is value
            table[key] = 0
            del table[key]
        serial.ct.reclaim.flush()
        assert (sys.getrefcount(value), sys.getrefcount(key)) == before


@scenario
def hash_table_keeps_all() -> None:
    """A hash table that grows and shrinks keeps every pair."""
    table = serial.ct.HashTable(hash=lambda key: key, compare=lambda a, b: a == b)
    for number in range(200):
        table.set(number, -number)
        assert table.get(number) == -number
    assert [table.get(number) for number in range(200)] == [-number for number in range(200)]
    for number in range(190):
        assert table.steal(number) == -number
    assert [table.get(number) for number in range(190, 200)] == [-n for n in range(190, 200)]
    serial.ct.inspect_table(table).check()


@scenario
def errors_leave_no_pin() -> None:
    """After an error the thread is not pinned, or nothing would be freed any more."""
    table = serial.ct.HashTable()
    table.destroy()
    try:
        table.get(1)
    except serial.ct.TableDestroyedError:
        pass
    else:
        raise AssertionError("a destroyed table answered")
    assert serial.ct.reclaim.stats()["pinned"] == 0


@scenario
def limbo_of_ended_threads() -> None:
    """What a thread retired is freed, though the thread has ended."""
    table = shared(a=0)

    def make() -> Any:
        value = Value(1)
        table["a"] = value

        def replace() -> None:
            table["a"] = 0

        thread = threading.Thread(target=replace)
        thread.start()
        thread.join()
        return weakref.ref(value)

    assert dies(make), "a value that an ended thread retired is still there"
