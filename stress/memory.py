"""Memory of child processes over time: the largest, and how fast they grow.

Linux only: elsewhere nothing is measured, and the report says nothing of memory.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Memory", "children", "end_children", "pooled", "slope_of", "slope_text"]

_SETTLED = 0.5  # of a child's life: before that, caches fill and modules load
_FEWEST = 16  # measurements that a slope is made of
_MINUTE = 60.0


@dataclass
class Memory:
    """Resident bytes of this process's children, slice by slice.

    `slopes` are (bytes a minute, weight) of slices: a longer one says more.
    """

    largest: int = 0
    slopes: list[tuple[float, float]] = field(default_factory=list)
    _points: dict[int, list[tuple[float, int]]] = field(default_factory=dict)
    _on: bool = False
    _debugging: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, *, debugging: bool) -> None:
        """A slice begins; a debugging allocator's memory is not what is measured."""
        with self._lock:
            self._points = {}
            self._debugging = debugging
            self._on = True

    def look(self) -> None:
        """Measure now; nothing happens between slices."""
        with self._lock:
            if not self._on:
                return
            now = time.monotonic()
            for pid in children():
                size = resident(pid)
                if size:
                    self.largest = max(self.largest, size)
                    self._points.setdefault(pid, []).append((now, size))

    def end(self) -> None:
        """The slice is over: note the growth of its longest child."""
        with self._lock:
            self._on = False
            points = max(self._points.values(), key=len, default=[])
        settled = points[int(len(points) * _SETTLED) :]
        if len(settled) >= _FEWEST and not self._debugging:
            slope, weight = slope_of(settled)
            self.slopes.append((slope * _MINUTE, weight))

    def as_json(self) -> dict[str, Any]:
        known = pooled(self.slopes)
        return {
            "largest_bytes": self.largest,
            "slope_bytes_per_minute": None if known is None else round(known[0]),
            "error_bytes_per_minute": None if known is None else round(known[1]),
            "slices": len(self.slopes),
        }


def pooled(slopes: list[tuple[float, float]]) -> tuple[float, float] | None:
    """The slope that slices have in common, and its standard error; None for less than two.

    >>> pooled([(10.0, 1.0), (30.0, 3.0)])
    (25.0, 8.660254037844387)
    """
    weights = sum(weight for _, weight in slopes)
    if len(slopes) < 2 or not weights:
        return None
    mean = sum(slope * weight for slope, weight in slopes) / weights
    spread = sum(weight * (slope - mean) ** 2 for slope, weight in slopes)
    return mean, math.sqrt(spread / weights / (len(slopes) - 1))


def slope_text(facts: dict[str, Any]) -> str:
    """The slope of `Memory.as_json` for people."""
    slope, error = facts["slope_bytes_per_minute"], facts["error_bytes_per_minute"]
    if slope is None:
        return "slope not measured: no two slices were long enough"
    return f"slope {slope / (1 << 20):+.1f} \u00b1 {error / (1 << 20):.1f} MiB a minute"


def slope_of(points: list[tuple[float, int]]) -> tuple[float, float]:
    """Bytes a second by least squares, and their weight: the spread of the times.

    >>> slope_of([(0.0, 100), (1.0, 110), (2.0, 120)])
    (10.0, 2.0)
    """
    count = len(points)
    middle = sum(at for at, _ in points) / count
    average = sum(size for _, size in points) / count
    spread = sum((at - middle) ** 2 for at, _ in points)
    if not spread:
        return 0.0, 0.0
    return sum((at - middle) * (size - average) for at, size in points) / spread, spread


def children() -> list[int]:
    """Process ids of this process's children; empty where that cannot be asked."""
    found: list[int] = []
    try:
        tasks = os.listdir("/proc/self/task")
    except OSError:
        return found
    for task in tasks:
        try:
            with open(f"/proc/self/task/{task}/children", encoding="ascii") as stream:
                found += map(int, stream.read().split())
        except (OSError, ValueError):
            continue
    return found


def end_children(others: Container[int]) -> None:
    """End what an interrupted slice left behind, but no `others`."""
    for pid in children():
        if pid not in others:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def resident(pid: int) -> int:
    """Resident bytes of a process; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
