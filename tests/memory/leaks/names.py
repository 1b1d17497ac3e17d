"""Names that C looks up in Python objects: the same strings every time.

The interpreter's method cache looks a name up by its address and keeps it. Of names that are made
anew for every call it gathers some thousands, which looks like a leak that gets slower and slower.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import concurrent_tables as ct
from tests.memory.leaks.measure import held

ROUNDS = 300
MOST = ROUNDS // 3  # blocks; one name a round is three times as much, less a few that share a place

forget_names = getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache


def _hash_table() -> Any:
    table = ct.HashTable(hash, lambda a, b: a == b)
    table.set(1, 2)
    return table


def _written_in_foreach(table: Any) -> None:
    with suppress(ct.TableMutationError):
        table.foreach(lambda key, value: table.set(key, value))


def _destroyed() -> None:
    table = _hash_table()
    table.destroy()
    with suppress(ct.TableDestroyedError):
        table.get(1)


def _exclusive(table: Any) -> None:
    with ct.exclusive(table):
        table["a"] = 2


def _rejected(call: Callable[[], Any]) -> None:
    with suppress(TypeError, ValueError):
        call()


def _of_every_mapping() -> Iterator[tuple[str, Callable[[], Any]]]:
    for make in (
        lambda: ct.ConcurrentDict(a=1, b=2),
        lambda: ct.ShardedDict(a=1, b=2),
        lambda: ct.SplitDict(ct.SharedKeys(), a=1, b=2),
    ):
        table: Any = make()
        name = type(table).__name__
        yield f"{name} watch", lambda t=table: t.watch(print).cancel()
        yield f"{name} subscribe", lambda t=table: t.subscribe(4).close()
        yield f"{name} exclusive", lambda t=table: _exclusive(t)
        yield (
            f"{name} views",
            lambda t=table: (t.keys() - ["a"], repr(t.items()), ("a", 1) in t.items()),
        )
        yield f"{name} many", lambda t=table: (t.get_many(["a"]), t.pop_many(["q"]))
        yield f"{name} copy", lambda t=table: (copy.copy(t), t.__reduce__(), t.__sizeof__())
        yield f"{name} update", lambda t=table: (t.update(t), t == t.snapshot(), t | {"a": 1})
        yield f"{name} unhashable", lambda t=table: _rejected(lambda: t.update({1: ct.MISSING}))
        yield f"{name} layout", lambda t=table: ct.inspect_table(t).check()


def operations() -> Iterator[tuple[str, Callable[[], Any]]]:
    yield from _of_every_mapping()
    frozen, items, generic = ct.FrozenDict(a=1), ct.ConcurrentSet("abc"), _hash_table()
    yield (
        "FrozenDict",
        lambda: (frozen == {"a": 1}, ct.FrozenDict.fromkeys("ab"), copy.copy(frozen)),
    )
    yield (
        "ConcurrentSet",
        lambda: (copy.copy(items), items.freeze() in {1}, items == {1}, items & {1}),
    )
    yield "set of sets", lambda: (ct.ConcurrentSet([ct.FrozenSet("a")]), items.__contains__({1}))
    yield "HashTable", lambda: (generic.foreach(lambda key, value: None), repr(generic))
    yield "HashTable in foreach", lambda: _written_in_foreach(generic)
    yield "HashTable destroyed", _destroyed
    yield from caches()


def caches() -> Iterator[tuple[str, Callable[[], Any]]]:
    now = [0.0]
    cache = ct.Cache(10, ttl=5.0, timer=lambda: now[0])
    function = ct.cached(ct.Cache(2))(lambda number, more=0: number)
    numbers = iter(range(10**9))

    def expired() -> None:
        cache.set(1, 2)
        now[0] += 6.0
        cache.get(1)

    def earlier() -> None:
        with_clock = ct.Cache(10, ttl=1000.0)
        with_clock.set(1, 2)

    yield "Cache watch", lambda: cache.watch(print).cancel()
    yield "Cache expired", expired
    yield "Cache ttl", earlier
    yield "cached missed", lambda: function(next(numbers) % 5)
    yield "cached keyword", lambda: function(1, more=2)


def main() -> None:
    growing = {}
    for name, operation in operations():
        for _ in range(5):
            operation()
        forget_names()
        for _ in range(5):
            operation()
        before = held()[0]
        for _ in range(ROUNDS):
            operation()
        grown = held()[0] - before
        if grown > MOST:
            growing[name] = grown
    print("names:", growing if growing else "none")
    sys.exit(bool(growing))


if __name__ == "__main__":
    main()
