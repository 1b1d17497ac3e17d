"""Detectors of a few threads under many seeded schedules, judged by sequential outcomes (explore.py)."""

from __future__ import annotations

from typing import Any

from . import serial
from .explore import explore
from .keys import text
from .model import ModelDict, ModelSet
from .registry import get, parallel, put, shared


@parallel
def readers_and_popitem() -> None:
    """A reader never gets the value of another key."""
    explore(
        lambda: serial.ct.ConcurrentDict(a=1, b=2),
        [[get("b"), get("c")], [lambda table: table.popitem(), put("c", 3)]],
        model=lambda: ModelDict(a=1, b=2),
    )


@parallel
def readers_and_insertion() -> None:
    """A reader finds an entry whole or not at all."""
    names = [text(number) for number in range(4)]
    explore(
        lambda: serial.ct.ConcurrentDict({names[0]: 0}),
        [
            [put(names[1], 1), put(names[2], 2)],
            [get(text(2)), get(text(1)), get(text(0))],
        ],
        model=lambda: ModelDict({names[0]: 0}),
        schedules=80,
    )


@parallel
def overwrites_and_growth() -> None:
    """An overwrite is not lost to a block that is being replaced."""
    explore(
        lambda: shared(a=0, b=0, c=0, d=0, e=0),
        [[put("a", 1), get("a")], [put("f", 1), put("g", 1)]],
        model=lambda: ModelDict(a=0, b=0, c=0, d=0, e=0),
    )


@parallel
def overwrites_of_one_key() -> None:
    """Each overwrite replaces another value."""
    explore(
        lambda: shared(a=0),
        [[lambda table: table.swap("a", 1)], [lambda table: table.swap("a", 2)], [get("a")]],
        model=lambda: ModelDict(a=0),
    )


@parallel
def snapshots_and_overwrites() -> None:
    """A thread that wrote sees its write in the snapshot that it takes then."""
    explore(
        lambda: shared(a=0, b=0),
        [
            [put("a", 1), lambda table: table.snapshot()],
            [put("b", 1), lambda table: table.snapshot()],
        ],
        model=lambda: ModelDict(a=0, b=0),
    )


@parallel
def snapshots_after_reads() -> None:
    """A thread that has read a new value finds it in the snapshot that it takes then."""

    def make() -> Any:
        table = shared(a=0)
        table.snapshot()
        return table

    explore(
        make,
        [[put("a", 1)], [get("a"), lambda table: table.snapshot()]],
        model=lambda: ModelDict(a=0),
    )


@parallel
def owners_and_strangers() -> None:
    """The only thread of a table so far may be in the middle of a write when another one comes."""
    explore(
        lambda: serial.ct.ConcurrentDict(a=0, b=0),
        [
            [lambda table: table.swap("a", 1), put("c", 1)],
            [lambda table: table.swap("a", 2), put("d", 2)],
        ],
        model=lambda: ModelDict(a=0, b=0),
        owned=True,
    )


@parallel
def sets_in_one_step() -> None:
    """An in-place operator is one step for everybody."""
    explore(
        lambda: serial.ct.ConcurrentSet({1, 2, 3}),
        [
            [lambda table: table.difference_update({1, 2, 3})],
            [lambda table: 1 in table, lambda table: 3 in table, lambda table: 1 in table],
        ],
        model=lambda: ModelSet({1, 2, 3}),
        state=sorted,
    )


@parallel
def records_count_what_is_there() -> None:
    """A record's size does not run ahead of its values."""

    explore(
        lambda: serial.ct.SplitDict(serial.ct.SharedKeys(("a", "b")), a=1),
        [[put("b", 2)], [len, get("b")]],
        model=lambda: ModelDict(a=1),
    )


@parallel
def hash_tables_and_growth() -> None:
    """A lookup in a table that grows uses the size of the block that it looks into."""

    def make() -> Any:
        table = serial.ct.HashTable(hash=lambda key: key, compare=lambda a, b: a == b)
        for number in range(10):
            table.set(number + 16, number)
        return table

    explore(
        make,
        [[get(20), get(25)], [lambda table: table.set(1, 1)]],
        model=_HashModel,
        state=lambda table: [table.get(key) for key in (1, 20, 25)],
    )


class _HashModel(dict[Any, Any]):
    """As `make` of the scenario above."""

    def __init__(self) -> None:
        super().__init__({number + 16: number for number in range(10)})

    def set(self, key: Any, value: Any) -> None:
        self[key] = value
