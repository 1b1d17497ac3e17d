"""Programs of operations on one key of a dict or a set: one instruction each."""

from __future__ import annotations

from typing import Any

from concurrent_tables import MISSING

from .history import Raised
from .program import (
    ABSENT,
    ANY,
    EQUAL,
    IMPOSSIBLE,
    KEEP,
    OTHER,
    SET,
    Args,
    Code,
    Program,
    Rule,
    Uncompilable,
    cell,
)

__all__ = ["DICT_RULES", "KEY_ERROR", "MEMBER", "SET_RULES", "no_answer"]

KEY_ERROR = Raised("KeyError")
MEMBER = 1  # the value number of every item of a set


def no_answer(result: Any, unknown: bool) -> None:
    """Only None is an answer here; `step` says what a strange one means."""
    if not unknown and result is not None:
        raise Uncompilable


def _number(p: Program, value: Any) -> int:
    return ABSENT if value is MISSING else p.number(value)


def _get(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    if unknown:
        return cell(key, ANY)
    default = args[1] if len(args) > 1 else None
    number = _number(p, result)
    if result is default or result == default:
        return cell(key, EQUAL, number, KEEP, 0, EQUAL, ABSENT)
    return cell(key, EQUAL, number)


def _getitem(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    if unknown:
        return cell(key, ANY)
    return cell(key, EQUAL, ABSENT if result == KEY_ERROR else p.number(result))


def _contains(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    if unknown:
        return cell(key, ANY)
    if result not in (0, 1):  # False and True
        return IMPOSSIBLE
    return cell(key, OTHER if result else EQUAL, ABSENT)


def _set(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    if unknown or result is None:
        return cell(key, ANY, 0, SET, p.number(args[1]))
    return IMPOSSIBLE


def _delete(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    if unknown:
        return cell(key, ANY, 0, SET, ABSENT)
    if result is None:
        return cell(key, OTHER, ABSENT, SET, ABSENT)
    return cell(key, EQUAL, ABSENT) if result == KEY_ERROR else IMPOSSIBLE


def _pop(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    if unknown:
        return cell(key, ANY, 0, SET, ABSENT)
    if isinstance(result, Raised):
        fits = result == KEY_ERROR and len(args) == 1
        return cell(key, EQUAL, ABSENT) if fits else IMPOSSIBLE
    if len(args) > 1 and (result is args[1] or result == args[1]):
        return cell(key, EQUAL, _number(p, result), SET, ABSENT, EQUAL, ABSENT)
    return cell(key, EQUAL, p.number(result), SET, ABSENT)


def _setdefault(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    value = args[1] if len(args) > 1 else None
    if unknown:
        return cell(key, EQUAL, ABSENT, SET, p.number(value))
    number = p.number(result)
    if result is value or result == value:
        return cell(key, EQUAL, number, KEEP, 0, EQUAL, ABSENT, SET, number)
    return cell(key, EQUAL, number)


def _conditional(key: int, expected: int, new: int, result: Any, unknown: bool) -> Code:
    if unknown or result == 1:  # True, or a container's 1
        return cell(key, EQUAL, expected, SET, new)
    return cell(key, OTHER, expected) if result == 0 else IMPOSSIBLE


def _compare_and_set(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    _, expected, new = args
    return _conditional(key, _number(p, expected), p.number(new), result, unknown)


def _compare_and_delete(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    return _conditional(key, _number(p, args[1]), ABSENT, result, unknown)


def _swap(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    new = p.number(args[1])
    if unknown:
        return cell(key, ANY, 0, SET, new)
    return cell(key, EQUAL, _number(p, result), SET, new)


def _compute(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    if unknown or result is args[1] or result == args[1]:
        return cell(key, ANY, 0, SET, _number(p, args[1]))
    return IMPOSSIBLE


def _increment(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    delta = args[1] if len(args) > 1 else 1
    default = args[2] if len(args) > 2 else 0
    if unknown or type(result) is not int or type(delta) is not int:
        raise Uncompilable  # what it becomes depends on what was there
    old, new = p.number(result - delta), p.number(result)
    if default + delta == result:
        return cell(key, EQUAL, old, SET, new, EQUAL, ABSENT, SET, new)
    return cell(key, EQUAL, old, SET, new)


DICT_RULES: dict[str, Rule] = {
    "get": _get,
    "__getitem__": _getitem,
    "__contains__": _contains,
    "contains": _contains,
    "__setitem__": _set,
    "set": _set,
    "__delitem__": _delete,
    "delete": _delete,
    "pop": _pop,
    "setdefault": _setdefault,
    "compute_if_absent": _setdefault,
    "compute": _compute,
    "compare_and_set": _compare_and_set,
    "compare_and_delete": _compare_and_delete,
    "swap": _swap,
    "increment": _increment,
}


def _add(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    no_answer(result, unknown)
    return cell(key, ANY, 0, SET, MEMBER)


def _discard(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    no_answer(result, unknown)
    return cell(key, ANY, 0, SET, ABSENT)


SET_RULES: dict[str, Rule] = {
    "add": _add,
    "discard": _discard,
    "remove": _delete,
    "__contains__": _contains,
    "contains": _contains,
}
