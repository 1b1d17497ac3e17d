"""Timer wheel: which entries end when, in buckets that get finer as their time comes nearer.

Time is cut into ticks. An entry that ends within 64 ticks lies in the bucket of its very tick; one that
ends later lies in a bucket that is due before that, at a multiple of a power of 8 ticks, and moves to a
finer one then: at most log8 moves for each entry, and at most 64 buckets for each power. Buckets exist
only while they are needed, and a heap of their ticks tells which is next, so whoever drives the wheel
can sleep until then.

An entry is never handed out early, and late by at most one tick beyond the driver's delay.
Source: hierarchical timing wheels (Varghese and Lauck, 1987).

Thread-safety: none; the cache's maintenance lock guards it. Only `next_due` is read without it.
"""

from __future__ import annotations

import heapq
from math import ceil, inf
from typing import Any

__all__ = ["TICK_SECONDS", "TimerWheel"]

TICK_SECONDS = 1 / 16
_FINE = 64  # ticks ahead that have a bucket each
_STEP = 8  # how much coarser the next power is
_FARTHEST_SECONDS = 2.0**58  # beyond it a number of ticks is no exact float


class _Bucket:
    """A ring of entries."""

    __slots__ = ("earlier", "later")

    def __init__(self) -> None:
        self.earlier: Any = self
        self.later: Any = self


class TimerWheel:
    """Entries by the time at which somebody must look at them."""

    __slots__ = ("_buckets", "_due", "_now", "next_due")

    def __init__(self, now: float) -> None:
        self._buckets: dict[int, _Bucket] = {}
        self._due: list[int] = []  # heap of the ticks of all buckets
        self._now = int(now / TICK_SECONDS)
        self.next_due = inf  # seconds

    def schedule(self, entry: Any, end: float) -> None:
        """Remember `entry`, which ends at `end` seconds, unless that is further off than any year."""
        if not end < _FARTHEST_SECONDS:
            return
        tick = self._tick_for(end)
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = _Bucket()
            heapq.heappush(self._due, tick)
            self.next_due = self._due[0] * TICK_SECONDS
        last = bucket.earlier
        entry.bucket, entry.earlier, entry.later = bucket, last, bucket
        last.later = bucket.earlier = entry

    def cancel(self, entry: Any) -> None:
        """Forget `entry`; nothing happens if it is not here."""
        if entry.bucket is not None:
            entry.earlier.later, entry.later.earlier = entry.later, entry.earlier
            entry.bucket = entry.earlier = entry.later = None

    def advance(self, now: float) -> list[Any]:
        """Take out the entries of every bucket that is due at `now` seconds.

        Some of them end later: schedule those again.
        """
        self._now = max(self._now, int(now / TICK_SECONDS))
        found = []
        while self._due and self._due[0] <= self._now:
            bucket = self._buckets.pop(heapq.heappop(self._due))
            while bucket.later is not bucket:
                entry = bucket.later
                self.cancel(entry)
                found.append(entry)
        self.next_due = self._due[0] * TICK_SECONDS if self._due else inf
        return found

    def _tick_for(self, end: float) -> int:
        tick = max(ceil(end / TICK_SECONDS), self._now + 1)
        ahead = tick - self._now
        if ahead <= _FINE:
            return tick
        span = 1
        while span * _FINE < ahead:
            span *= _STEP
        return tick // span * span if tick // span * span > self._now else tick
