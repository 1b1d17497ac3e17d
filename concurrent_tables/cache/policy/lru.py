"""Least recently used, exactly: what was accessed longest ago goes first."""

from __future__ import annotations

from typing import Any

from .chain import Chain

__all__ = ["Lru"]


class Lru:
    """The policy `"lru"`: one chain in the order of the last access.

    Parameters
    ----------
    maxsize: what the weights of the entries may add up to.
    seed: ignored; there is nothing random here.
    """

    def __init__(self, maxsize: int, seed: int = 0) -> None:
        self.maxsize = maxsize
        self.clear()

    @property
    def weight(self) -> int:
        """The weights of all entries together."""
        return self._entries.weight

    def clear(self) -> None:
        self._entries = Chain(1)

    def added(self, entry: Any) -> None:
        self._entries.add(entry)

    def replaced(self, old: Any, new: Any) -> None:
        self._entries.replace(old, new)
        self._entries.refresh(new)

    def accessed(self, entries: list[Any]) -> None:
        for entry in entries:
            self._entries.refresh(entry)

    def removed(self, entry: Any) -> None:
        self._entries.remove(entry)

    def victims(self) -> list[Any]:
        found = []
        while self._entries.weight > self.maxsize:
            oldest = self._entries.oldest()
            self._entries.remove(oldest)
            found.append(oldest)
        return found

    def info(self) -> dict[str, Any]:
        return {"name": "lru"}
