"""Keys of the rounds: strings, integers, and objects that collide and compare in Python code.

A round uses one style throughout, so that tables of every kind (unicode-only, general, with
user code in the middle of a probe) meet every workload.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate
from random import Random
from typing import Any

__all__ = ["STYLES", "ObjectKey", "Zipf", "make_key"]


class ObjectKey:
    """A key whose hash collides with many others and whose `__eq__` is Python code."""

    __slots__ = ("__weakref__", "name")

    def __init__(self, name: str) -> None:
        self.name = name

    def __hash__(self) -> int:
        return hash(self.name) & 31

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectKey) and self.name == other.name

    def __repr__(self) -> str:
        return f"ObjectKey({self.name!r})"


def _int_key(owner: int, number: int) -> int:
    return owner * 1_000_003 + number * 8  # multiples of 8: many share their low bits


_MAKERS: dict[str, Callable[[int, int], Any]] = {
    "str": lambda owner, number: f"k{owner}_{number}",
    "int": _int_key,
    "object": lambda owner, number: ObjectKey(f"{owner}_{number}"),
}
STYLES = tuple(_MAKERS)


def make_key(style: str, owner: int, number: int) -> Any:
    """A key that no other (owner, number) of the same style equals."""
    return _MAKERS[style](owner, number)


class Zipf:
    """Draws 0..count-1 with weights 1/(rank+1): the skewed choice of YCSB (Gray et al., 1994)."""

    def __init__(self, count: int) -> None:
        self._cumulated = list(accumulate(1.0 / rank for rank in range(1, count + 1)))

    def draw(self, rng: Random) -> int:
        return bisect_left(self._cumulated, rng.random() * self._cumulated[-1])
