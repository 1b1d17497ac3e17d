"""The hit path of a cache: lookup, validity and access record, without a lock.

An *entry* is one value of one key; it never changes its value, a new value is a new entry. Whether an
entry may be served is told by numbers alone:

- `epoch`: the cache's epoch when the making of the value began. Clearing the cache raises `_cleared`
  to a new epoch: every entry that began before it has fallen.
- `cells`: one `Cell` for each tag, and one for the load in flight that made the value while that
  load lands. Invalidating a tag stores a new epoch in its cell: entries that began before it have
  fallen. Nothing has to be searched, and a load that began before an invalidation cannot publish
  a value that would be served after it.
- `deadline` and `idle`: seconds on the cache's timer; the clock is read only for entries that have one.

A hit is counted and recorded in stripes of which each belongs to one thread. The records are lossy:
when a stripe is full and nobody could drain it, they are dropped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import inf
from typing import Any

__all__ = ["NEVER_AGAIN", "Cell", "Entry", "HitPath"]

NEVER_AGAIN = 2**63 - 1  # in `Cell.fallen`: nothing that carries the cell will ever be valid
BUFFER_SIZE = 64

_get_ident = threading.get_ident


class Cell:
    """The epoch of the last invalidation of one tag, or of one load in flight."""

    __slots__ = ("__weakref__", "fallen")

    def __init__(self, fallen: int = 0) -> None:
        self.fallen = fallen


class Entry:
    """One value of one key, and what tells whether it may be served. Compared by identity."""

    victims: list[Entry] | None = None  # in C: those that it drove out

    __slots__ = (
        "__weakref__",
        "bucket",
        "cells",
        "deadline",
        "earlier",
        "epoch",
        "frequency",
        "hash",
        "idle",
        "key",
        "later",
        "next",
        "previous",
        "refresh_at",
        "region",
        "state",
        "touched",
        "value",
        "weight",
    )

    def __init__(
        self,
        key: Any,
        value: Any,
        epoch: int,
        cells: tuple[Cell, ...] | None,
        deadline: float,
        idle: float,
        now: float,
        refresh_at: float,
        weight: int,
    ) -> None:
        self.key = key
        self.hash = hash(key)
        self.value = value
        self.epoch = epoch
        self.cells = cells
        self.deadline = deadline
        self.idle = idle
        self.touched = now
        self.refresh_at = refresh_at
        self.weight = weight
        self.state = 0
        self.bucket: Any = None  # of the timer wheel, as are earlier and later
        self.earlier: Any = None
        self.later: Any = None
        self.region = 0  # of the policy, as are the next three
        self.frequency = 0
        self.previous: Any = None
        self.next: Any = None


class _Stripe:
    """What one thread counted and recorded."""

    __slots__ = ("hits", "misses", "records")

    def __init__(self) -> None:
        self.hits = 0
        self.misses = 0
        self.records: list[Entry] = []


class HitPath:
    """The lock-free reads of a cache over a table of entries.

    A subclass gives `_on_stale(entry)`, which takes an entry away that is not valid any more, and
    `_on_full()`, which drains the records if it can do so without waiting.
    """

    __slots__ = ("__weakref__", "_cleared", "_records", "_stripes", "_table", "_timer")

    def __init__(self, table: Any, timer: Callable[[], float], records: bool) -> None:
        self._table = table
        self._timer = timer
        self._records = records
        self._cleared = 0
        self._stripes: dict[int, _Stripe] = {}

    def get(self, key: Any, default: Any = None) -> Any:
        """The value of `key`, or `default`; counts a hit or a miss. Lock-free."""
        entry = self._find(key)
        return default if entry is None else entry.value

    def _arm_writes(self, epochs: Any, flights: Any, ttl: float) -> bool:
        """Whether `_put` writes from now on; only in C."""
        return False

    def _put(self, key: Any, value: Any) -> bool:
        """Whether a plain write was made here; only in C."""
        return False

    def peek(self, key: Any, default: Any = None) -> Any:
        """As `get`, but leaves no trace: no count, no access, nothing is taken away. Lock-free."""
        entry = self._peek_entry(key)
        return default if entry is None else entry.value

    def __contains__(self, key: Any) -> bool:
        return self._peek_entry(key) is not None

    def _find(self, key: Any) -> Entry | None:
        entry: Entry | None = self._table.get(key)
        stripe = self._stripe()
        if entry is None:
            stripe.misses += 1
            return None
        if not self._valid(entry, touch=True):
            stripe.misses += 1
            self._on_stale(entry)
            return None
        stripe.hits += 1
        if self._records:
            records = stripe.records
            if len(records) < BUFFER_SIZE:
                records.append(entry)
                if len(records) >= BUFFER_SIZE:
                    self._on_full()
            else:
                self._on_full()
        return entry

    def _peek_entry(self, key: Any) -> Entry | None:
        entry: Entry | None = self._table.get(key)
        return entry if entry is not None and self._valid(entry) else None

    def _valid(self, entry: Entry, touch: bool = False) -> bool:
        epoch = entry.epoch
        if epoch < self._cleared:
            return False
        cells = entry.cells
        if cells is not None:
            for cell in cells:
                if cell.fallen > epoch:
                    return False
        idle = entry.idle
        if entry.deadline != inf or idle != inf:
            now = self._timer()
            if now >= entry.deadline:
                return False
            if idle != inf:
                if now - entry.touched >= idle:
                    return False
                if touch:
                    entry.touched = now
        return True

    def _stripe(self) -> _Stripe:
        # A thread that comes after another one of the same ident goes on with its stripe.
        ident = _get_ident()
        stripe = self._stripes.get(ident)
        return stripe if stripe is not None else self._stripes.setdefault(ident, _Stripe())

    def _drain(self) -> list[Entry]:
        """Take all records; under the maintenance lock. Those being appended may be lost."""
        drained: list[Entry] = []
        for stripe in list(self._stripes.values()):
            records, stripe.records = stripe.records, []
            drained += records
        return drained

    def _counts(self) -> tuple[int, int]:
        """Hits and misses, exact at rest."""
        stripes = list(self._stripes.values())
        hits = sum([stripe.hits for stripe in stripes])
        return hits, sum([stripe.misses for stripe in stripes])

    def _on_stale(self, entry: Entry) -> None:
        raise NotImplementedError

    def _on_full(self) -> None:
        raise NotImplementedError
