"""Operations of the built-in models as little programs of numbers, for the compiled search.

Values and keys become numbers (0: absent). An operation becomes instructions, each a guard and an
effect on one cell, with a second pair tried when the first guard does not hold:

    pop("k", None) -> None     value of "k" is None: absent;  value of "k" is absent: keep
    compare_and_set("k", 1, 2) -> True                        value of "k" is 1: becomes 2

That is possible because the answer is known: it says which states the operation could have met. What
has no such form (an `increment` whose answer nobody saw) is left to the model's own `step`.
An instruction is ten numbers, those of `ct_instruction` in csrc/search.h; several stand one after the
other in a flat tuple.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from .history import History

__all__ = ["Args", "Code", "Compiler", "Program", "Rule", "Uncompilable", "cell", "whole"]

CELL, LEN, CLEAR, LAST, AT = range(5)
ANY, EQUAL, OTHER, NEVER = range(4)
KEEP, SET, ADD = range(3)
ABSENT = 0
MACHINE_CELL, MACHINE_MAP, MACHINE_ORDERED, MACHINE_PYTHON = range(4)
WIDTH = 10  # numbers in an instruction

Args = tuple[Any, ...]
Code = tuple[int, ...]


class Uncompilable(Exception):
    """This operation has no program; the model's `step` must judge it."""


def cell(
    key: int,
    guard1: int,
    value1: int = 0,
    effect1: int = KEEP,
    result1: int = 0,
    guard2: int = NEVER,
    value2: int = 0,
    effect2: int = KEEP,
    result2: int = 0,
) -> Code:
    """One instruction on one cell."""
    return (CELL, key, guard1, value1, effect1, result1, guard2, value2, effect2, result2)


def whole(code: int, key: int, guard: int, value: int = 0, place: int = 0) -> Code:
    """One instruction on the whole map."""
    return (code, key, guard, value, KEEP, 0, NEVER, place, KEEP, 0)


IMPOSSIBLE = cell(0, NEVER)
"""An operation that no state allows."""


class Program:
    """The instructions of many operations, and the numbers of the values in them."""

    __slots__ = ("code", "first", "keys", "universe", "values")

    def __init__(self) -> None:
        self.code: list[int] = []
        self.first: list[int] = [0]  # operation i has the instructions first[i] to first[i + 1]
        self.values: dict[Any, int] = {}
        self.keys: dict[Any, int] = {}
        self.universe: set[Any] = set()  # all keys, for operations on "all others"

    def number(self, value: Any) -> int:
        """The number of a value; equal values have the same, as a container would find them."""
        return self.values.setdefault(value, len(self.values) + 1)

    def key(self, key: Any) -> int:
        """The number of a key."""
        return self.keys.setdefault(key, len(self.keys))

    def add(self, code: Code) -> None:
        """Append one operation."""
        self.code.extend(code)
        self.first.append(len(self.code) // WIDTH)


# A rule: (program, key number, arguments, answer, whether the answer is unknown) -> instructions.
Rule = Callable[[Program, int, Args, Any, bool], Code]


class Compiler:
    """Makes programs of operations.

    `rules`: methods whose first argument is the key; one instruction each. `whole_rules`: the others.
    """

    rules: ClassVar[Mapping[str, Rule]] = {}
    whole_rules: Mapping[str, Rule] = MappingProxyType({})
    machine = MACHINE_MAP  # of a history that is judged in one piece

    def initial_cell(self, program: Program, state: Any) -> int:
        """The number of the state that one key begins with."""
        return ABSENT

    def begin(self, program: Program, state: Any) -> Code:
        """Instructions that make an empty map that state."""
        return ()

    def universe(self, history: History, members: Sequence[int], state: Any) -> set[Any]:
        """All keys that can be in the table, where an operation has to name "all others"."""
        return set()
