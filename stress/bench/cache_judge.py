"""The goals of the cache against what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from .cache_rounds import CacheCell
from .cache_traces import TRACE_GOALS

__all__ = ["CacheVerdict", "judge_cache"]

OURS, STANDARD = "Cache", "lru_cache"
_SMALLER, _LARGER = "at most", "at least"


class CacheVerdict(NamedTuple):
    """One goal and the figure there; `met` is None when it was not measured."""

    goal: str
    figure: float
    sense: str
    limit: float

    @property
    def met(self) -> bool:
        return self.figure <= self.limit if self.sense == _SMALLER else self.figure >= self.limit


def judge_cache(result: dict[str, Any]) -> list[CacheVerdict]:
    """A verdict for everything in the result (as JSON) that a goal is about."""
    cells = [CacheCell(**cell) for cell in result["cells"]]
    return [
        *_speed(cells),
        *_ratios(result["traces"]),
        *_memory(result["memory"]),
        *_rest(result.get("rest_percent")),
    ]


def _speed(cells: list[CacheCell]) -> Iterator[CacheVerdict]:
    for cell in cells:
        if OURS not in cell.rounds or cell.caches != "one" or cell.threads > 2:
            continue
        ours = cell.nanoseconds(OURS)
        others = [cell.nanoseconds(n) for n in cell.rounds if n not in (OURS, STANDARD)]
        if cell.workload == "hits" and others:
            if cell.threads == 1:
                goal = f"{cell.name}: time to the fastest other"
                yield CacheVerdict(goal, ours / min(others), _SMALLER, 1.0)
            else:
                goal = f"{cell.name}: throughput to the fastest other"
                yield CacheVerdict(goal, min(others) / ours, _LARGER, 2.0)
        if cell.workload == "hits" and cell.threads == 2:
            yield from _against_each(cell, cells)
        if cell.workload == "calls" and not cell.ttl and STANDARD in cell.rounds:
            standard = cell.nanoseconds(STANDARD)
            if cell.threads == 1:
                yield CacheVerdict(f"{cell.name}: to lru_cache", ours / standard, _SMALLER, 1.3)
            else:
                goal = f"{cell.name}: throughput to lru_cache"
                yield CacheVerdict(goal, standard / ours, _LARGER, 2.0)


def _against_each(cell: CacheCell, cells: list[CacheCell]) -> Iterator[CacheVerdict]:
    for other in cells:
        same = (other.workload, other.threads, other.ttl) == (cell.workload, 2, cell.ttl)
        if same and other.caches == "each" and OURS in other.rounds:
            figure = cell.nanoseconds(OURS) / other.nanoseconds(OURS)
            yield CacheVerdict(f"{cell.name}: to a cache each", figure, _SMALLER, 1.3)


def _ratios(traces: list[dict[str, Any]]) -> Iterator[CacheVerdict]:
    goals = {(goal.trace, goal.maxsize): goal.percent for goal in TRACE_GOALS}
    for one in traces:
        name = f"{one['trace']} @{one['maxsize']}"
        limit = goals.get((one["trace"], one["maxsize"]))
        if limit is not None:
            yield CacheVerdict(f"{name}: hit ratio of tinylfu", one["tinylfu"], _LARGER, limit)
        floor = one["exact_lru"] - 0.5
        yield CacheVerdict(f"{name}: tinylfu is not below LRU", one["tinylfu"], _LARGER, floor)
        apart = abs(one["lru"] - one["exact_lru"])
        yield CacheVerdict(f"{name}: lru to an exact LRU, points apart", apart, _SMALLER, 0.5)


def _memory(memory: dict[str, float]) -> Iterator[CacheVerdict]:
    others = [size for name, size in memory.items() if name not in (OURS, STANDARD)]
    if OURS in memory and others:
        figure = memory[OURS] / min(others)
        yield CacheVerdict("bytes per entry with ttl, to the leanest other", figure, _SMALLER, 1.5)


def _rest(percent: float | None) -> Iterator[CacheVerdict]:
    if percent is not None:
        goal = "clock at rest, a million entries with ttl: percent of a core"
        yield CacheVerdict(goal, percent, _SMALLER, 2.0)
