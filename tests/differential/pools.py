"""Small pools of hostile keys and values, so that random operations meet each other."""

from __future__ import annotations

import random
from typing import Any


class Twin:
    """All `Twin` objects have one hash; those with the same name are equal but not identical."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __hash__(self) -> int:
        return 1  # as hash(1): collides with numbers too

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Twin) and self.name == other.name

    def __repr__(self) -> str:
        return f"Twin({self.name!r})"


class Word(str):
    """A str that is not exactly a str."""


NAN = float("nan")
KEYS: tuple[Any, ...] = (
    "a", "b", "c", "".join(["a", ""]), Word("a"), Word("d"), "long " * 20, "é", "",
    0, 1, 2, -1, -2, 8, 16, 2**61 - 1, 2**64, -(2**63),
    0.0, 1.0, -0.0, 2.5, float("inf"), NAN,
    True, False, None, (), (1,), (1.0,), ("a", (1, 2)), b"", b"a", frozenset([1]), Ellipsis,
    Twin("x"), Twin("x"), Twin("y"), Twin("z"), 1 + 0j,
)  # fmt: skip
STR_KEYS: tuple[str, ...] = tuple(f"k{n}" for n in range(12)) + ("a", "".join(["k", "1"]))
UNHASHABLE: tuple[Any, ...] = ([], {}, [1], ([],), bytearray(b"a"))
VALUES: tuple[Any, ...] = (0, 1, 2, 1.0, True, None, "v", NAN, (1,), [1], Twin("v"), Twin("v"))


class Pool:
    """Draws keys and values; `str_only` for records, rarely something unhashable."""

    def __init__(self, rng: random.Random, *, str_only: bool = False) -> None:
        self.rng = rng
        self._keys: tuple[Any, ...] = STR_KEYS if str_only else KEYS
        self._str_only = str_only

    def key(self) -> Any:
        draw = self.rng.random()
        if draw < 0.02:
            return self.rng.choice(UNHASHABLE)
        if draw < (0.021 if self._str_only else 0.10):
            return self.rng.randrange(60)
        return self.rng.choice(self._keys)

    def good_key(self) -> Any:
        return self.rng.choice(self._keys)

    def value(self) -> Any:
        return self.rng.choice(VALUES)

    def keys(self, most: int = 6) -> list[Any]:
        return [self.key() for _ in range(self.rng.randrange(most))]

    def pairs(self, most: int = 6) -> list[tuple[Any, Any]]:
        return [(self.key(), self.value()) for _ in range(self.rng.randrange(most))]

    def good_dict(self, most: int = 6) -> dict[Any, Any]:
        return {self.good_key(): self.value() for _ in range(self.rng.randrange(most))}

    def good_set(self, most: int = 8) -> set[Any]:
        return {self.good_key() for _ in range(self.rng.randrange(most))}
