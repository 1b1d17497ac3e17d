"""The model of a set: a builtin set. A state is a frozenset; `pop` may take any item."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from ..compile_maps import SetCompiler
from ..errors import ModelError
from ..history import Operation, Raised
from ..program import Compiler
from .base import REFUSED, Model, OneOf, same

__all__ = ["Set"]

ALIASES = {
    "contains": "__contains__",
    "len": "__len__",
    "items": "copy",
    "snapshot": "copy",
    "__ior__": "update",
    "__iand__": "intersection_update",
    "__isub__": "difference_update",
    "__ixor__": "symmetric_difference_update",
}
KEYED = frozenset({"add", "discard", "remove", "__contains__", "contains"})
IN_PLACE = frozenset(
    {"update", "intersection_update", "difference_update", "symmetric_difference_update"}
)
ANSWERS = frozenset(
    {
        *("union", "intersection", "difference", "symmetric_difference", "copy"),
        *("isdisjoint", "issubset", "issuperset", "__eq__", "__len__"),
    }
)
WEAK = frozenset({"iter", "__iter__"})


class Set(Model):
    """A set: `add`, `discard`, `remove`, `in`, `pop`, `clear`, `len`, and the set operations.

    `iter` is weakly consistent, as a dict's is; `copy` (or `items`, `snapshot`) is of one moment.
    """

    name = "set"
    initial: Hashable = frozenset()
    methods = KEYED | IN_PLACE | ANSWERS | WEAK | ALIASES.keys() | {"pop", "clear", "__bool__"}
    keyed = KEYED
    reads = ANSWERS | {"__contains__", "contains", "len", "items", "snapshot", "__bool__"}
    weak = WEAK

    def state_of(self, content: Any) -> Hashable:
        """The state of a set with these items."""
        return frozenset(content)

    def step(self, state: Any, op: Operation) -> Any:
        method = ALIASES.get(op.method, op.method)
        if method == "pop" and state:
            return self._pop(state, op)
        plain = set(state)
        expected = self._call(plain, method, op.args)
        answer = op.result
        if isinstance(expected, set) and isinstance(answer, (list, tuple)):
            answer = frozenset(answer) if len(set(answer)) == len(answer) else None
        if not op.unknown and not same(expected, answer):
            return REFUSED
        return frozenset(plain)

    @staticmethod
    def _pop(state: frozenset[Any], op: Operation) -> Any:
        if op.unknown:
            return OneOf(state - {item} for item in state)
        try:
            return state - {op.result} if op.result in state else REFUSED
        except TypeError:  # an answer that no set can hold
            return REFUSED

    def answers(self, state: Any, method: str, args: tuple[Any, ...]) -> list[tuple[Any, Any]]:
        method = ALIASES.get(method, method)
        if method == "pop" and state:
            return [(item, state - {item}) for item in state]
        plain = set(state)
        answer = self._call(plain, method, args)
        return [(answer, frozenset(plain))]

    @staticmethod
    def _call(plain: set[Any], method: str, args: tuple[Any, ...]) -> Any:
        if method == "__bool__":
            return len(plain) > 0
        args = (*map(set, args),) if method == "__eq__" else args
        try:
            return getattr(plain, method)(*args)
        except KeyError:
            return Raised("KeyError")
        except TypeError as error:
            raise ModelError(f"{method}{args!r}: {error}") from error

    def compiler(self) -> Compiler | None:
        return SetCompiler()
