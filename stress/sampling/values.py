"""What operations are given: keys, values, operands, callables.

A scenario names its values (`K0`, `V3`, `O1`...), and its namespace binds them. Keys and values
are of one style throughout a scenario, so that tables of every kind meet every operation. They
are new objects on the heap for every scenario wherever the style allows it: only their reference
counts tell of references that were lost or given up twice.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from ..keys import ObjectKey
from .hostile import HostileKey

__all__ = ["KEY_STYLES", "VALUE_STYLES", "Factory", "Fresh", "Token", "Values"]

HOT_KEYS = 6  # named K0..K5: what operations on single keys use
_DYING_SHARE = 0.18
_HOSTILE_SHARE = 0.07
_MOST_COLLIDING = 120  # keys: each is compared with all that share one of few hashes, in Python
_FIRST_VALUE = 10**9  # above every cache of small integers


class Token:
    """A value that equals nothing but itself, and can say its name."""

    __slots__ = ("__weakref__", "name")

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Factory:
    """Makes `Fresh`; unlike a class, it dies when a container lets it go."""

    __slots__ = ("__weakref__",)

    def __call__(self) -> Fresh:
        return Fresh()


class Fresh:
    """What a factory makes: all are alike, but each is an object of its own."""

    __slots__ = ("__weakref__",)

    def __repr__(self) -> str:
        return "<fresh>"


def _text_key(number: int, salt: int) -> Any:
    return f"key{number}-{salt}"


def _whole_key(number: int, salt: int) -> Any:
    return _FIRST_VALUE + salt * 4096 + number * 8  # they share their low bits


def _tuple_key(number: int, salt: int) -> Any:
    return (f"key{number}", salt, number)


def _float_key(number: int, salt: int) -> Any:
    return number + 0.5


def _mixed_key(number: int, salt: int) -> Any:
    return (_text_key, _whole_key, _tuple_key)[number % 3](number, salt)


def _object_key(number: int, salt: int) -> Any:
    return ObjectKey(f"{number}-{salt}")


KEY_STYLES: dict[str, Callable[[int, int], Any]] = {
    "tiny": lambda number, salt: number,  # immortal: threads do not meet at their counts
    "interned": lambda number, salt: sys.intern(f"key{number}"),
    "str": _text_key,
    "int": _whole_key,
    "tuple": _tuple_key,
    "float": _float_key,
    "mixed": _mixed_key,
    "object": _object_key,
}

VALUE_STYLES: dict[str, Callable[[int, int], Any]] = {
    "int": lambda number, salt: _FIRST_VALUE + salt * 4096 + number,
    "small": lambda number, salt: number + 1,
    "float": lambda number, salt: number + 1000.25,
    "token": lambda number, salt: Token(f"V{number}"),
}


@dataclass(frozen=True)
class Values:
    """The keys and values of one scenario.

    `style` and `value_style` name entries of the tables above, `size` is how many keys there are
    in all (the first `HOT_KEYS` are those of single-key operations), `salt` keeps keys apart.
    `hostile` is the mode of keys of the style "hostile" (hostile.py). `dying`: everything that is put
    into a container is a new object that nobody else keeps alive, so that what is used after its
    release was really freed; keys and values are floats then, which are equal when they are new.
    """

    style: str
    value_style: str
    size: int
    salt: int
    hostile: str = ""
    dying: bool = False

    @property
    def python_keys(self) -> bool:
        """Whether comparing keys runs Python code."""
        return self.style in ("object", "hostile")

    @property
    def private(self) -> bool:
        """Whether nobody else in the process can hold references to the keys."""
        return self.style not in ("tiny", "interned")

    def namespace(self) -> dict[str, Any]:
        """`K` and `V`: all keys and values; `K0`... the hot ones."""
        make = self._hostile if self.hostile else KEY_STYLES[self.style]
        keys = [make(number, self.salt) for number in range(max(self.size, HOT_KEYS))]
        make_value = VALUE_STYLES[self.value_style]
        values = [make_value(number, self.salt) for number in range(len(keys) + HOT_KEYS)]
        names: dict[str, Any] = {"K": keys, "V": values, "Fresh": Fresh}
        for number in range(HOT_KEYS):
            names[f"K{number}"] = keys[number]
            names[f"V{number}"] = values[len(keys) + number]  # not among the initial values
        return names

    def _hostile(self, number: int, salt: int) -> HostileKey:
        return HostileKey(f"{number}-{salt}", self.hostile)

    @staticmethod
    def draw(rng: Random, *, counts: bool, large: bool, hostile: Sequence[str] = ()) -> Values:
        """Some style and size.

        `counts`: values are numbers that can be added and compared. `hostile`: modes of hostile
        keys that may be drawn.
        """
        style = rng.choices(list(KEY_STYLES), (22, 13, 18, 15, 6, 4, 8, 14))[0]
        kinds = ["int", "small", "float"] if counts else list(VALUE_STYLES)
        size = rng.choice((50, 120, 400, 2000)) if large else rng.randint(2, 12)
        if hostile and rng.random() < _HOSTILE_SHARE:
            salt = rng.randrange(1, 1 << 20)
            mode = rng.choice(hostile)
            return Values("hostile", rng.choice(kinds), rng.randint(2, 12), salt, mode)
        if rng.random() < _DYING_SHARE:
            return Values("float", "float", size, 1, dying=True)
        if style == "object":
            size = min(size, _MOST_COLLIDING)
        return Values(style, rng.choice(kinds), size, rng.randrange(1, 1 << 20))
