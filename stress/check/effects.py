"""Operations on one cell as what they saw and what they left: the view of the polynomial checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from concurrent_tables import MISSING

from .history import FOREVER, Operation, Raised

__all__ = ["ABSENT", "NOTHING", "Effect", "effect_of"]


class _Word:
    def __init__(self, word: str) -> None:
        self.word = word

    def __repr__(self) -> str:
        return self.word


NOTHING: Final = _Word("nothing")
"""The operation saw, or left, no value that is known."""

ABSENT: Final = _Word("no value")
"""The key is not there."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What one operation saw in the cell, and what it left there (`NOTHING`: as it was)."""

    op: Operation
    saw: Any
    left: Any

    @property
    def invoke(self) -> int:
        return self.op.invoke

    @property
    def response(self) -> int:
        return FOREVER if self.op.unknown else self.op.response


Rule = Callable[[tuple[Any, ...], Any], "tuple[Any, Any] | None"]


def _value(result: Any) -> Any:
    return ABSENT if result is MISSING or result == Raised("KeyError") else result


def _cas(expected: Any, new: Any, result: Any) -> tuple[Any, Any] | None:
    if result is not True:
        return (NOTHING, NOTHING) if result is False else None
    return _value(expected), new


def _dict_get(args: tuple[Any, ...], result: Any) -> tuple[Any, Any]:
    default = args[1] if len(args) > 1 else None
    if result is MISSING or not (result is default or result == default):
        return _value(result), NOTHING
    return NOTHING, NOTHING  # the default, or a value that equals it


def _dict_pop(args: tuple[Any, ...], result: Any) -> tuple[Any, Any]:
    if len(args) > 1 and result is not MISSING and result == args[1]:
        return NOTHING, ABSENT
    return _value(result), (NOTHING if isinstance(result, Raised) else ABSENT)


def _setdefault(args: tuple[Any, ...], result: Any) -> tuple[Any, Any]:
    default = args[1] if len(args) > 1 else None
    if result is default or result == default:
        return NOTHING, result  # written, or there already: it is there now
    return result, NOTHING


def _increment(args: tuple[Any, ...], result: Any) -> tuple[Any, Any] | None:
    delta = args[1] if len(args) > 1 else 1
    default = args[2] if len(args) > 2 else 0
    if isinstance(result, Raised):
        return None
    old = result - delta
    return (NOTHING if old == default else old), result  # it may have been absent


_DICT: dict[str, Rule] = {
    "get": _dict_get,
    "__getitem__": lambda args, result: (_value(result), NOTHING),
    "__setitem__": lambda args, result: (NOTHING, args[1]),
    "set": lambda args, result: (NOTHING, args[1]),
    "__delitem__": lambda args, result: (NOTHING, NOTHING if result is not None else ABSENT),
    "delete": lambda args, result: (NOTHING, NOTHING if result is not None else ABSENT),
    "pop": _dict_pop,
    "setdefault": _setdefault,
    "compute_if_absent": _setdefault,
    "swap": lambda args, result: (_value(result), args[1]),
    "compute": lambda args, result: (NOTHING, _value(args[1])),
    "compare_and_set": lambda args, result: _cas(args[1], args[2], result),
    "compare_and_delete": lambda args, result: _cas(args[1], ABSENT, result),
    "increment": _increment,
    "__contains__": lambda args, result: (NOTHING if result else ABSENT, NOTHING),
}
_REGISTER: dict[str, Rule] = {
    "read": lambda args, result: (result, NOTHING),
    "write": lambda args, result: (NOTHING, args[0]),
    "cas": lambda args, result: _cas(args[0], args[1], result),
}
_KV: dict[str, Rule] = {
    "get": lambda args, result: (result, NOTHING),
    "put": lambda args, result: (NOTHING, args[1]),
}
RULES: dict[str, dict[str, Rule]] = {
    "dict": _DICT,
    "dict-unordered": _DICT,
    "register": _REGISTER,
    "cas-register": _REGISTER,
    "kv": _KV,
}
_UNKNOWN: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "write": lambda args: args[0],
    "put": lambda args: args[1],
    "set": lambda args: args[1],
    "__setitem__": lambda args: args[1],
    "swap": lambda args: args[1],
    "cas": lambda args: args[1],
    "compare_and_set": lambda args: args[2],
}


def effect_of(model: str, op: Operation) -> Effect | None:
    """The effect of one operation on its cell; None if it has no such simple form."""
    if op.unknown:
        left = _UNKNOWN[op.method](op.args) if op.method in _UNKNOWN else None
        return None if left is None else Effect(op, NOTHING, left)
    rule = RULES.get(model, {}).get(op.method)
    pair = None if rule is None else rule(op.args, op.result)
    return None if pair is None else Effect(op, *pair)
