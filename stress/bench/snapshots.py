"""What `snapshot()` costs: repeated, and after a write, against a copy of the builtin."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from .contestants import BASELINES, Contestant
from .material import make_keys
from .results import Measure

__all__ = ["SIZES", "measure_snapshots"]

SIZES = (10, 1_000, 100_000)
_FAMILIES = ("dict", "set")


def _repeated(table: Any, count: int) -> int:
    snapshot = table.snapshot
    begin = time.perf_counter_ns()
    for _ in range(count):
        snapshot()
    return time.perf_counter_ns() - begin


def _mapping_after_writes(table: Any, take: Callable[[], Any], key: Any, count: int) -> int:
    begin = time.perf_counter_ns()
    for number in range(count):
        table[key] = number
        take()
    return time.perf_counter_ns() - begin


def _set_after_writes(table: Any, take: Callable[[], Any], item: Any, count: int) -> int:
    begin = time.perf_counter_ns()
    for _ in range(count):
        table.discard(item)
        table.add(item)
        take()
    return time.perf_counter_ns() - begin


_AFTER_WRITES = {"dict": _mapping_after_writes, "set": _set_after_writes}


def measure_snapshots(
    contestants: Sequence[Contestant], *, rounds: int, sizes: Sequence[int] = SIZES
) -> list[Measure]:
    """One measure for each size and table of ours; one thread, interleaved rounds."""
    measures = []
    for family in _FAMILIES:
        ours = [one for one in contestants if one.family == family and one.side == "ours"]
        builtin = [one for one in contestants if one.family == family and one.side == "builtin"]
        for size in sizes if ours and builtin else ():
            measures += _measure(builtin[0], ours, size, rounds)
    return measures


def _measure(builtin: Contestant, ours: list[Contestant], size: int, rounds: int) -> list[Measure]:
    keys = make_keys("str", 0, size)
    tables = {one.name: one.maker()((key, None) for key in keys) for one in (builtin, *ours)}
    takes = {name: getattr(table, "snapshot", table.copy) for name, table in tables.items()}
    count = max(3, 20_000 // size)
    after: dict[str, list[float]] = {name: [] for name in tables}
    repeated: dict[str, list[float]] = {one.name: [] for one in ours}
    write = _AFTER_WRITES[builtin.family]
    gc.disable()
    try:
        for _ in range(rounds):
            for name, table in tables.items():
                after[name].append(write(table, takes[name], keys[size // 2], count) / count)
            for one in ours:
                repeated[one.name].append(_repeated(tables[one.name], 1000) / 1000)
    finally:
        gc.enable()
    copying = after[BASELINES[builtin.family]]
    case = f"{size:,} {'items' if builtin.family == 'set' else 'keys'}"
    made = [
        Measure("snapshot", case, f"{builtin.name}.copy()", "ns", {"after_write": median(copying)})
    ]
    for one in ours:
        ratios = [mine / copied for mine, copied in zip(after[one.name], copying, strict=True)]
        figures = {
            "repeated": median(repeated[one.name]),
            "after_write": median(after[one.name]),
            "after_write_to_copy": median(ratios),
        }
        made.append(Measure("snapshot", case, one.name, "ns", figures))
    return made
