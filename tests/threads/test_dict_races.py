"""Windows of a few instructions inside one operation of a dict: what other threads may see there."""

from __future__ import annotations

import weakref
from typing import Any

import pytest

from tests.support import Deadline, duration, run_threads


class Key:
    """A key that only its own `__eq__` can tell apart; many share a hash."""

    __slots__ = ("name",)

    def __init__(self, name: int) -> None:
        self.name = name

    def __hash__(self) -> int:
        return self.name & 3

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.name == other.name


@pytest.mark.parametrize("write", ["overwrite", "delete", "update_many"])
def test_who_saw_the_new_value_gets_no_older_snapshot(ct: Any, write: str) -> None:
    table = ct.ConcurrentDict(seen=0, other=0)
    running = Deadline(duration(0.4))

    def writer() -> None:
        for number in range(1, 1_000_000_000):
            if write == "update_many":
                table.update_many({"seen": number, "other": number})
            elif write == "delete":
                table["seen"] = number
                del table["other"]
                table["other"] = number
            else:
                table["seen"] = number
            if not running:
                return

    def reader() -> None:
        while running:
            table.snapshot()
            value = table["seen"]
            assert table.snapshot()["seen"] >= value

    run_threads(writer, reader)


def test_equal_keys_inserted_at_once_are_one_key(ct: Any) -> None:
    """A lookup that misses notes how many entries there were; each of them must be findable by then."""
    rounds = 0
    running = Deadline(duration(0.6))
    while running or rounds < 3:
        rounds += 1
        table = ct.ConcurrentDict()

        def insert(table: Any = table) -> None:
            for name in range(16):
                table[Key(name)] = name

        run_threads(insert, count=2)
        assert sorted(key.name for key in table) == list(range(16))
        assert len(table) == 16


def test_guard_of_an_absent_key_sees_what_other_readers_see(ct: Any) -> None:
    running = Deadline(duration(0.4))
    table = ct.ConcurrentDict(other=1)
    guard = table.guard("seen")

    def writer() -> None:
        while running:
            table["seen"] = 1
            del table["seen"]

    def reader() -> None:
        while running:
            before = table.keys_version
            seen = table.get("seen")
            now = guard()
            # The same key was there all the time when nothing was added or removed meanwhile.
            if seen is not None and table.keys_version == before:
                assert now == 1

    run_threads(writer, reader)


def test_a_block_at_the_address_of_an_older_one_is_another_block(ct: Any) -> None:
    """A comparison that has the table's block replaced, again and again, by one of the same size."""

    class Swapping(Key):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            if swaps and type(other) is Key:
                swaps.pop()
                table.clear()
                table[Key(4)] = "other"
                table[Key(8)] = "eight"
            return Key.__eq__(self, other)

        __hash__ = Key.__hash__

    for count in range(1, 20):
        swaps = [0] * count
        table = ct.ConcurrentDict({Key(4): "four", Key(0): "zero"})
        assert table.get(Swapping(8)) == "eight"
        swaps = [0] * count
        table[Swapping(8)] = "new"
        assert {key.name: value for key, value in table.items()} == {4: "other", 8: "new"}
        ct.reclaim.flush()


@pytest.mark.parametrize("name", ["ConcurrentDict", "ConcurrentSet"])
def test_snapshots_of_a_large_shared_table_do_not_pile_up(ct: Any, name: str) -> None:
    table = getattr(ct, name)(dict.fromkeys(range(20_000)))
    run_threads(lambda: 1 in table, lambda: 2 in table)
    snapshots = []
    for number in range(40):
        if name == "ConcurrentDict":
            table[1] = number
        else:
            table.add(-1 - number)
        snapshots.append(weakref.ref(table.snapshot()))
    assert sum(snapshot() is not None for snapshot in snapshots) <= 5
