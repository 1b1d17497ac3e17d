"""Least recently used: one list in the order of the last access."""

from __future__ import annotations

from typing import Any

__all__ = ["Lru"]


class _Ends:
    """Both ends of a ring of entries."""

    __slots__ = ("next", "previous")

    def __init__(self) -> None:
        self.next: Any = self
        self.previous: Any = self


class Lru:
    """Evicts what was accessed longest ago."""

    def __init__(self, maxsize: int) -> None:
        self.maxsize = maxsize
        self.clear()

    def clear(self) -> None:
        self.weight = 0
        self._ends = _Ends()

    def added(self, entry: Any) -> None:
        self.weight += entry.weight
        self._append(entry)

    def replaced(self, old: Any, new: Any) -> None:
        self.removed(old)
        self.added(new)

    def accessed(self, entries: list[Any]) -> None:
        for entry in entries:
            self._unlink(entry)
            self._append(entry)

    def removed(self, entry: Any) -> None:
        self.weight -= entry.weight
        self._unlink(entry)

    def victims(self) -> list[Any]:
        found = []
        while self.weight > self.maxsize:
            entry = self._ends.next
            self.removed(entry)
            found.append(entry)
        return found

    def info(self) -> dict[str, Any]:
        return {"name": "lru"}

    def _append(self, entry: Any) -> None:
        last = self._ends.previous
        entry.previous, entry.next = last, self._ends
        last.next = self._ends.previous = entry

    def _unlink(self, entry: Any) -> None:
        entry.previous.next, entry.next.previous = entry.next, entry.previous
        entry.previous = entry.next = None
