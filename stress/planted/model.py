"""Sequential models for `explore`: the builtins with the operations that tables have beside theirs."""

from __future__ import annotations

from typing import Any

from . import serial

__all__ = ["ModelDict", "ModelHash", "ModelSet"]


class ModelDict(dict[Any, Any]):
    """What a mutable mapping of the package does when nobody else is there."""

    def swap(self, key: Any, new: Any) -> Any:
        """The old value, or MISSING."""
        old = self.get(key, serial.ct.MISSING)
        self[key] = new
        return old

    def compare_and_set(self, key: Any, expected: Any, new: Any) -> bool:
        """Whether the value was `expected`, and then is `new`."""
        if self.get(key, serial.ct.MISSING) != expected:
            return False
        self[key] = new
        return True

    def compare_and_delete(self, key: Any, expected: Any) -> bool:
        """Whether the value was `expected`, and then is gone."""
        if self.get(key, serial.ct.MISSING) != expected:
            return False
        del self[key]
        return True

    def update_many(self, pairs: dict[Any, Any]) -> None:
        """All of them in one step."""
        self.update(pairs)

    def get_many(self, keys: list[Any]) -> dict[Any, Any]:
        """Those that are there."""
        return {key: self[key] for key in keys if key in self}

    def pop_many(self, keys: list[Any]) -> dict[Any, Any]:
        """Those that were there."""
        return {key: self.pop(key) for key in keys if key in self}

    def snapshot(self) -> dict[Any, Any]:
        """A copy, which compares as a FrozenDict does."""
        return dict(self)


class ModelSet(set[Any]):
    """What ConcurrentSet does when nobody else is there."""

    def snapshot(self) -> frozenset[Any]:
        """A copy, which compares as a FrozenSet does."""
        return frozenset(self)


class ModelHash(dict[Any, Any]):
    """What HashTable does when nobody else is there."""

    def set(self, key: Any, value: Any) -> None:
        """Insert or replace."""
        self[key] = value

    def steal(self, key: Any) -> Any:
        """Remove; the value, or None."""
        return self.pop(key, None)
