"""Keys whose `__eq__` and `__hash__` do things to the very table that is looking them up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Probe:
    """A key that collides with every other `Probe` and acts when it is compared.

    `action` runs in each comparison until `limit` comparisons have run it; equality is by name.
    """

    compared = 0

    def __init__(self, name: str, action: Callable[[], Any] | None = None, limit: int = 1) -> None:
        self.name = name
        self.action = action
        self.limit = limit
        self.ran = 0

    def __hash__(self) -> int:
        return 42

    def __eq__(self, other: object) -> bool:
        if self.action is not None and self.ran < self.limit:
            self.ran += 1
            self.action()
        if isinstance(other, Probe) and other.action is not None and other.ran < other.limit:
            other.ran += 1
            other.action()
        return isinstance(other, Probe) and self.name == other.name

    def __repr__(self) -> str:
        return f"Probe({self.name!r})"


class HashActs:
    """A key whose `__hash__` acts first."""

    def __init__(self, name: str, action: Callable[[], Any]) -> None:
        self.name = name
        self.action = action

    def __hash__(self) -> int:
        self.action()
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HashActs) and self.name == other.name
