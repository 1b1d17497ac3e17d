"""Sequential models for `explore`: the builtins with the operations that tables have beside theirs."""

from __future__ import annotations

from typing import Any

__all__ = ["ModelDict", "ModelSet"]


class ModelDict(dict[Any, Any]):
    """What a mutable mapping of the package does when nobody else is there."""

    def swap(self, key: Any, new: Any) -> Any:
        """The old value, which must be there."""
        old = self[key]
        self[key] = new
        return old

    def update_many(self, pairs: dict[Any, Any]) -> None:
        """All of them in one step."""
        self.update(pairs)

    def snapshot(self) -> dict[Any, Any]:
        """A copy, which compares as a FrozenDict does."""
        return dict(self)


class ModelSet(set[Any]):
    """What ConcurrentSet does when nobody else is there."""

    def snapshot(self) -> frozenset[Any]:
        """A copy, which compares as a FrozenSet does."""
        return frozenset(self)
