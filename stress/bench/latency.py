"""How long single reads take while a writer makes the table grow and shrink."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from statistics import median, quantiles
from typing import Any

from .contestants import Contestant
from .crew import Crew
from .material import lookup_keys, make_keys
from .results import Measure

__all__ = ["measure_latency"]

_LIVE = 1000


def _read(table: Any, keys: list[Any], clock: Callable[[], int], count: int) -> list[int]:
    """Nanoseconds of each read, clock included."""
    times = []
    left = count
    while left > 0:
        for key in keys:
            begin = clock()
            table[key]
            end = clock()
            times.append(end - begin)
        left -= len(keys)
    return times


def _read_nothing(keys: list[Any], clock: Callable[[], int]) -> int:
    """What the clock alone takes, nanoseconds."""
    times = []
    for _ in keys:
        begin = clock()
        end = clock()
        times.append(end - begin)
    return int(median(times))


def _write(table: Any, fresh: list[Any], stop: threading.Event) -> int:
    """Grow the table to many times its size and delete all again, until stopped."""
    rounds = 0
    while not stop.is_set():
        for key in fresh:
            table[key] = None
        for key in fresh:
            del table[key]
        rounds += 1
    return rounds


def measure_latency(
    contestants: Sequence[Contestant],
    crew: Crew,
    *,
    rounds: int,
    fresh: int = 20_000,
    reads: int = 20_000,
) -> list[Measure]:
    """Percentiles for each mapping over interleaved rounds; the clock's own time is subtracted."""
    collected: dict[str, list[int]] = {}
    for _ in range(rounds):
        for contestant in contestants:
            times = _round(contestant, crew, fresh, reads)
            collected.setdefault(contestant.name, []).extend(times)
    return [
        Measure("latency", "reads beside a resizing writer", name, "ns", _percentiles(times))
        for name, times in collected.items()
    ]


def _round(contestant: Contestant, crew: Crew, fresh: int, reads: int) -> list[int]:
    stored = make_keys("str", 0, _LIVE)
    table = contestant.maker()((key, None) for key in stored)
    stop = threading.Event()
    together = threading.Barrier(2, timeout=60)

    def reader() -> list[int]:
        keys = lookup_keys("str", stored, seed=1, part=slice(None))
        overhead = _read_nothing(keys, time.perf_counter_ns)
        together.wait()
        try:
            times = _read(table, keys, time.perf_counter_ns, reads)
        finally:
            stop.set()
        return [max(0, one - overhead) for one in times]

    def writer() -> list[int]:
        keys = make_keys("str", _LIVE, fresh)
        together.wait()
        return [_write(table, keys, stop)]

    return crew.run([reader, writer])[0]


def _percentiles(times: list[int]) -> dict[str, float]:
    cuts = quantiles(times, n=1000, method="inclusive")
    return {"p50": cuts[499], "p99": cuts[989], "p99_9": cuts[998], "max": float(max(times))}
