"""Measured in a fresh process: how much memory tables take, and whether churn makes them grow.

Run as a module with the name of the measurement and its arguments; prints one line of JSON. In a
process that has already held and freed tables, resident memory says little.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from .contestants import find_contestants
from .material import make_keys

__all__ = ["LIVE_KEYS", "growth_of", "main", "memory_of", "records_of"]

LIVE_KEYS = 100
_THREADS = 2
_NAMES = tuple([f"field_{number}" for number in range(10)])
Figures = dict[str, float]


def resident_bytes() -> int:
    """Resident size of this process; elsewhere than on Linux its peak."""
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _maker(name: str, family: str) -> Callable[..., Any]:
    for contestant in find_contestants()[0]:
        if (contestant.name, contestant.family) == (name, family):
            return contestant.maker()
    raise ValueError(f"no contestant {name!r} in family {family!r}")


def _sizes(make: Callable[[], Any], sizeof: Callable[[Any], int], items: int) -> Figures:
    """Bytes per item by each way of asking; `make` runs twice, once under tracemalloc."""
    gc.collect()
    before = resident_bytes()
    made = make()
    resident = resident_bytes() - before
    asked = sizeof(made)
    del made
    gc.collect()
    return {
        "getsizeof": asked / items,
        "traced": _traced(make) / items,
        "resident": resident / items,
    }


def _traced(make: Callable[[], Any]) -> int:
    """Bytes that the interpreter's allocators gave out for what `make` returns."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        made = make()
        traced = tracemalloc.get_traced_memory()[0] - before
        del made
    finally:
        tracemalloc.stop()
    return traced


def memory_of(name: str, family: str, keys: str, count: int) -> Figures:
    """Bytes per item of one table, filled key by key; the keys themselves are not counted."""
    make = _maker(name, family)
    items = make_keys(keys, 0, count)

    def fill() -> Any:
        table = make(())
        if family == "set":
            for item in items:
                table.add(item)
        else:
            for item in items:
                table[item] = None
        return table

    return _sizes(fill, sys.getsizeof, count)


def records_of(name: str, count: int) -> Figures:
    """Bytes per record of ten fields whose values take no memory; the list of them is not counted."""
    make = _maker(name, "record")
    rows = [(field, number) for number, field in enumerate(_NAMES)]
    kept: list[Any] = [None] * count

    def fill() -> Any:
        for number in range(count):
            kept[number] = None  # of an earlier call
        for number in range(count):
            kept[number] = make(rows)
        return kept

    return _sizes(fill, lambda made: sum(map(sys.getsizeof, made)), count)


def growth_of(name: str, family: str, kind: str, pairs: int) -> Figures:
    """MiB that resident memory grows by while two threads do so many pairs in all."""
    make = _maker(name, family)
    table = make((number, None) for number in range(LIVE_KEYS))
    body = _BODIES[family, kind]
    _in_threads(body, table, max(1, pairs // 50), start=0)
    gc.collect()
    before = resident_bytes()
    begin = time.perf_counter()
    highest = _in_threads(body, table, pairs, start=2 * pairs)
    seconds = time.perf_counter() - begin
    return {
        "growth_mib": (max(highest, resident_bytes()) - before) / 2**20,
        "pairs": float(pairs),
        "ns_per_pair": seconds * 1e9 / pairs,
    }


Body = Callable[[Any, int, int], None]


def _in_threads(body: Body, table: Any, pairs: int, *, start: int) -> int:
    """Run the body in threads with ranges of their own; the highest resident size seen."""
    each = pairs // _THREADS + 1
    base = 10**9 + start  # above the live keys, and of no earlier thread
    threads = [
        threading.Thread(target=body, args=(table, base + number * each, each), daemon=True)
        for number in range(_THREADS)
    ]
    highest = 0
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        highest = max(highest, resident_bytes())
        threads[0].join(0.02)
        threads[-1].join(0.02)
    return highest


def _dict_pairs(table: Any, first: int, pairs: int) -> None:
    for key in range(first, first + pairs):
        table[key] = None
        del table[key]


def _set_pairs(table: Any, first: int, pairs: int) -> None:
    add, discard = table.add, table.discard
    for item in range(first, first + pairs):
        add(item)
        discard(item)


def _dict_pops(table: Any, first: int, pairs: int) -> None:
    popitem = table.popitem
    for key in range(first, first + pairs):
        popitem()
        table[key] = None


def _set_pops(table: Any, first: int, pairs: int) -> None:
    pop, add = table.pop, table.add
    for item in range(first, first + pairs):
        pop()
        add(item)


_BODIES: dict[tuple[str, str], Body] = {
    ("dict", "pairs"): _dict_pairs,
    ("dict", "popitem"): _dict_pops,
    ("set", "pairs"): _set_pairs,
    ("set", "popitem"): _set_pops,
}


def main(arguments: list[str]) -> None:
    """Measure what the arguments name and print it."""
    what, name, *rest = arguments
    if what == "memory":
        figures = memory_of(name, rest[0], rest[1], int(rest[2]))
    elif what == "records":
        figures = records_of(name, int(rest[0]))
    elif what == "growth":
        figures = growth_of(name, rest[0], rest[1], int(rest[2]))
    else:
        raise ValueError(f"nothing to measure is called {what!r}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
