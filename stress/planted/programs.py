"""Random small programs on every kind of table, each under a few schedules: `random_programs(kind, ...)`.

Keys are ints, strs or objects that compare in Python; tables are fresh, or shared and calm (their overwrites
go without a lock), or still the first thread's own. The judge is that of explore.py. To look for bugs
longer: `python -m stress.planted.run_scenario PATH random_ConcurrentDict` with CT_LONG=SECONDS.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from . import serial
from .explore import Operation, explore
from .keys import Key
from .model import ModelDict, ModelHash, ModelSet
from .registry import parallel

__all__ = ["random_programs"]

SCHEDULES = 6
MOST_STEPS = 6  # of all threads: the sequential orders are enumerated
LONG_SECONDS = float(os.environ.get("CT_LONG", "0"))
_values = count(100)


def _call(name: str, *arguments: Any) -> Operation:
    """The operation `table.name(*arguments)`."""

    def operation(table: Any) -> Any:
        return getattr(table, name)(*arguments)

    operation.__name__ = f"{name}{arguments}"
    return operation


def _mapping_operations(a: Any, b: Any, ordered: bool) -> list[Operation]:
    value = next(_values)
    operations = [
        _call("get", a),
        _call("__setitem__", a, value),
        _call("__setitem__", b, value),
        _call("__delitem__", a),
        _call("pop", a, None),
        _call("setdefault", a, value),
        _call("swap", a, value),
        _call("compare_and_set", a, 0, value),
        _call("compare_and_delete", a, 0),
        _call("get_many", [a, b]),
        _call("pop_many", [a, b]),
        _call("update_many", {a: value, b: value}),
        _call("update_many", dict.fromkeys(range(50, 58), value)),  # another block
        _call("clear"),
        _call("__contains__", a),
        _call("snapshot"),
    ]
    return [*operations, _call("popitem"), _call("__len__")] if ordered else operations


def _set_operations(a: Any, b: Any) -> list[Operation]:
    return [
        _call("add", a),
        _call("add", b),
        _call("discard", a),
        _call("remove", a),
        _call("__contains__", a),
        _call("__len__"),
        _call("clear"),
        _call("symmetric_difference_update", {a, b, 60}),
        _call("update", {a, 61, 62, 63, 64}),
        _call("difference_update", {a, b}),
        _call("intersection_update", {a, b}),
        _call("__eq__", {a, b}),
        _call("union", {a}),
        _call("snapshot"),
    ]


def _hash_operations(a: Any, b: Any) -> list[Operation]:
    value = next(_values)
    many = [_call("set", key, value) for key in range(50, 53)]
    return [
        _call("get", a),
        _call("set", a, value),
        _call("set", b, value),
        _call("steal", a),
        _call("clear"),
        _call("__len__"),
        *many,
    ]


def _empty(kind: str) -> Any:
    if kind == "SplitDict":
        return serial.ct.SplitDict(serial.ct.SharedKeys())
    if kind == "ShardedDict":
        return serial.ct.ShardedDict(shards=4)
    if kind == "HashTable":
        return serial.ct.HashTable(hash=hash, compare=lambda a, b: a == b)
    return getattr(serial.ct, kind)()


def _fill(table: Any, contents: list[Any], calm: bool) -> Any:
    """Put the keys in; `calm`: by two threads, and then many overwrites."""
    put = getattr(table, "add", None) or getattr(table, "set", None) or table.__setitem__
    arguments = [(key,) if hasattr(table, "add") else (key, 0) for key in contents]
    for pair in arguments:
        put(*pair)
    if calm:
        thread = threading.Thread(target=lambda: [put(*pair) for pair in arguments * 40])
        thread.start()
        thread.join()
    return table


def _state(kind: str, keys: list[Any]) -> Operation:
    if kind == "ConcurrentSet":
        return lambda table: (sorted(map(str, table)), len(table))
    if kind == "HashTable":
        wanted = [*keys, 50, 51, 52]
        return lambda table: ([table.get(key) for key in wanted], len(table))
    return lambda table: (sorted(map(str, table.items())), len(table))


MODELS: dict[str, Callable[[], Any]] = {"ConcurrentSet": ModelSet, "HashTable": ModelHash}


def _program(kind: str, keys: list[Any], chance: random.Random) -> list[list[Operation]]:
    def operation() -> Operation:
        a, b = chance.choice(keys), chance.choice(keys)
        if kind == "ConcurrentSet":
            return chance.choice(_set_operations(a, b))
        if kind == "HashTable":
            return chance.choice(_hash_operations(a, b))
        return chance.choice(_mapping_operations(a, b, kind != "ShardedDict"))

    while True:
        lengths = [chance.choice((1, 2, 3)) for _ in range(chance.choice((2, 2, 3)))]
        if sum(lengths) <= MOST_STEPS:
            return [[operation() for _ in range(length)] for length in lengths]


def _one(kind: str, seed: int) -> None:
    chance = random.Random(seed)
    keys: list[Any] = list(range(4))
    if chance.random() < 0.6:
        keys = chance.choice([[Key(key) for key in keys], [f"k{key}" for key in keys]])
    contents = chance.sample(keys, chance.randrange(5))
    calm = chance.random() < 0.4
    early = chance.random() < 0.3 and kind != "HashTable"

    def make() -> Any:
        table = _fill(_empty(kind), contents, calm)
        if early:
            table.snapshot()
        return table

    program = _program(kind, keys, chance)
    names = [[operation.__name__ for operation in body] for body in program]
    try:
        _explore(kind, make, program, keys, contents, chance.random() < 0.4)
    except AssertionError as error:
        about = f"{kind}, seed {seed}, {contents} in the beginning, calm {calm}, then {names}"
        raise AssertionError(f"{about}: {error}") from error


def _explore(
    kind: str,
    make: Callable[[], Any],
    program: list[list[Operation]],
    keys: list[Any],
    contents: list[Any],
    owned: bool,
) -> None:
    explore(
        make,
        program,
        model=lambda: _fill(MODELS.get(kind, ModelDict)(), contents, False),
        state=_state(kind, keys),
        schedules=SCHEDULES,
        owned=owned,
    )


def _seeds(seconds: float, programs: int) -> Iterator[int]:
    end = time.monotonic() + seconds
    for seed in count(random.randrange(1 << 30) if seconds else 0):
        if seed >= programs if not seconds else time.monotonic() > end:
            return
        yield seed


def random_programs(kind: str, programs: int) -> None:
    """Run that many programs, or CT_LONG seconds of others; AssertionError names the seed."""
    for seed in _seeds(LONG_SECONDS, programs):
        _one(kind, seed)


@parallel
def random_ConcurrentDict() -> None:
    random_programs("ConcurrentDict", 40)


@parallel
def random_ConcurrentSet() -> None:
    random_programs("ConcurrentSet", 40)


@parallel
def random_ShardedDict() -> None:
    random_programs("ShardedDict", 12)


@parallel
def random_SplitDict() -> None:
    random_programs("SplitDict", 40)


@parallel
def random_HashTable() -> None:
    random_programs("HashTable", 40)
