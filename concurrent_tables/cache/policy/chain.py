"""Chains: lists of entries that are linked through the entries themselves.

An entry is in at most one chain at a time, from the oldest to the newest; moving it costs a few stores
and no memory. A chain is a ring that its own head closes, so that no end is a special case. What a
chain needs of an entry: `weight`, `region` (the chain that it is in; 0: none), `previous` and
`next`. All are touched under the maintenance lock of the cache alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["Chain"]


class _Head:
    """What closes the ring."""

    __slots__ = ("next", "previous")

    def __init__(self) -> None:
        self.next: Any = self
        self.previous: Any = self


class Chain:
    """Entries from the oldest to the newest, and their weight together."""

    __slots__ = ("_head", "region", "weight")

    def __init__(self, region: int) -> None:
        self.region = region
        self.weight = 0
        self._head = _Head()

    def add(self, entry: Any) -> None:
        """Make an entry that is in no chain the newest of this one."""
        entry.region = self.region
        self.weight += entry.weight
        self._link(entry)

    def remove(self, entry: Any) -> None:
        """Take out an entry of this chain."""
        entry.region = 0
        self.weight -= entry.weight
        self._unlink(entry)

    def refresh(self, entry: Any) -> None:
        """Make an entry of this chain its newest."""
        self._unlink(entry)
        self._link(entry)

    def replace(self, old: Any, new: Any) -> None:
        """Put an entry that is in no chain in the place of one of this chain."""
        new.region, old.region = self.region, 0
        self.weight += new.weight - old.weight
        new.previous, new.next = old.previous, old.next
        new.previous.next = new.next.previous = new
        old.previous = old.next = None

    def oldest(self) -> Any:
        """The oldest entry, or None."""
        first = self._head.next
        return None if first is self._head else first

    def __iter__(self) -> Iterator[Any]:
        entry = self._head.next
        while entry is not self._head:
            following = entry.next
            yield entry
            entry = following

    def _link(self, entry: Any) -> None:
        head = self._head
        last = head.previous
        entry.previous, entry.next = last, head
        last.next = head.previous = entry

    def _unlink(self, entry: Any) -> None:
        before, after = entry.previous, entry.next
        before.next, after.previous = after, before
        entry.previous = entry.next = None
