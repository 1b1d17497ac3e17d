"""Keys and values.

Which thread made an object decides what counting its references costs without the GIL. The objects
that a thread looks up with, or inserts, are made by that thread; those that are in a table from the
start by the thread that makes the table.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from random import Random
from typing import Any

__all__ = ["LIVE", "ComparedKey", "batch_size", "live_keys", "lookup_keys", "make_keys"]
__all__ += ["make_values", "two_values"]

LIVE = {"dict": 1000, "set": 1000, "record": 10}
_SMALL_INTS = 256  # 0 to 255, which every supported interpreter keeps
_SMALL_LIVE = 64  # leaves the others to be inserted and deleted
_BATCH = 2000  # fresh keys that a thread inserts, and then deletes, in one pass
_IDENTICAL = frozenset({"str", "small-int", "heap-str-same", "object-same"})


class ComparedKey:
    """A key whose hash and equality are Python code."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return self.number * 7919

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ComparedKey) and self.number == other.number


def _small_int(number: int) -> int:
    if not 0 <= number < _SMALL_INTS:
        raise ValueError(f"only {_SMALL_INTS} small int keys exist, not number {number}")
    return number


_MAKERS: dict[str, Callable[[int], Any]] = {
    "str": lambda number: sys.intern(f"name_{number}"),
    "heap-str": lambda number: f"name {number}",
    "small-int": _small_int,
    "big-int": lambda number: 10**12 + number * 7919,
    "tuple": lambda number: (number + 1_000, number + 2_000),
    "object": ComparedKey,
}


def make_keys(kind: str, start: int, count: int) -> list[Any]:
    """`count` keys; where the kind has no cached objects, fresh ones at each call."""
    make = _MAKERS[kind.removesuffix("-same")]
    return [make(number) for number in range(start, start + count)]


def live_keys(family: str, kind: str, *, churning: bool) -> int:
    """How many keys are in the table from the start."""
    if kind == "small-int":
        return _SMALL_LIVE if churning else _SMALL_INTS
    return LIVE[family]


def batch_size(kind: str, threads: int) -> int:
    """How many fresh keys each thread inserts at a time."""
    return (_SMALL_INTS - _SMALL_LIVE) // threads if kind == "small-int" else _BATCH


def lookup_keys(kind: str, stored: list[Any], *, seed: int, part: slice) -> list[Any]:
    """What a thread looks up with, shuffled: the stored objects, or equal ones of its own."""
    keys = (stored if kind in _IDENTICAL else make_keys(kind, 0, len(stored)))[part]
    Random(seed).shuffle(keys)
    return keys


_HOT = (["the first hot object"], ["the second hot object"])


def make_values(kind: str, count: int) -> list[Any]:
    """The values that `count` keys have at first."""
    if kind == "per-key":
        return [object() for _ in range(count)]
    if kind == "hot":
        return [_HOT[0]] * count
    return [(None, True, number % 200)[number % 3] for number in range(count)]


def two_values(kind: str) -> tuple[Any, Any]:
    """What passes of a writing loop store by turns: storing the present object may be a no-op."""
    return (_HOT[1], _HOT[0]) if kind == "hot" else (False, True)
