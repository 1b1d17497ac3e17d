"""Keys and values with something to watch: comparisons in Python, last moments, contents in the heap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Key", "Last", "Value", "text"]


def text(number: int) -> str:
    """A str in the heap that nobody else has."""
    return "".join(["key", str(number)])


class Key:
    """Equal by number, all of one hash; every comparison runs Python code (`on_compare`)."""

    __slots__ = ("number",)
    on_compare: Callable[[], Any] | None = None

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return 7

    def __eq__(self, other: object) -> bool:
        hook, Key.on_compare = Key.on_compare, None  # once: the hook compares too
        if hook is not None:
            hook()
        return isinstance(other, Key) and self.number == other.number

    def __repr__(self) -> str:
        return f"Key({self.number})"


class Value:
    """Something whose memory can be freed; reading `number` afterwards shows it."""

    __slots__ = ("__weakref__", "number")

    def __init__(self, number: int) -> None:
        self.number = number


class Last:
    """Calls back when it dies."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call

    def __del__(self) -> None:
        self.call()
