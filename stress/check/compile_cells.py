"""Programs of registers and counters: one cell, whose content is the state."""

from __future__ import annotations

from typing import Any, ClassVar

from .history import Raised
from .program import (
    ADD,
    ANY,
    EQUAL,
    IMPOSSIBLE,
    MACHINE_CELL,
    OTHER,
    SET,
    Args,
    Code,
    Compiler,
    Program,
    Rule,
    Uncompilable,
    cell,
)

__all__ = ["CounterCompiler", "RegisterCompiler"]

LARGEST = 2**62


def _read(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    return cell(key, ANY) if unknown else cell(key, EQUAL, p.number(result))


def _write(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    return cell(key, ANY, 0, SET, p.number(args[0]))


def _cas(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    expected, new = args
    if unknown or result == 1:  # True, or a container's 1
        return cell(key, EQUAL, p.number(expected), SET, p.number(new))
    return cell(key, OTHER, p.number(expected)) if result == 0 else IMPOSSIBLE


class RegisterCompiler(Compiler):
    """The cell is the register."""

    machine = MACHINE_CELL
    rules: ClassVar = {"read": _read, "write": _write, "cas": _cas}

    def initial_cell(self, program: Program, state: Any) -> int:
        return program.number(state)


def _whole_number(value: Any) -> int:
    if type(value) is not int or not -LARGEST < value < LARGEST:
        raise Uncompilable
    return value


def _count(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    return cell(key, ANY) if unknown else cell(key, EQUAL, _whole_number(result))


def _adder(sign: int, *, answers_old: bool) -> Rule:
    def rule(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
        delta = sign * _whole_number(args[0] if args else 1)
        if unknown or (result is None and not answers_old):
            return cell(key, ANY, 0, ADD, delta)
        if isinstance(result, Raised):
            return IMPOSSIBLE
        old = _whole_number(result) - (0 if answers_old else delta)
        return cell(key, EQUAL, old, ADD, delta)

    return rule


class CounterCompiler(Compiler):
    """The cell is the count itself."""

    machine = MACHINE_CELL
    rules: ClassVar = {
        "read": _count,
        "increment": _adder(1, answers_old=False),
        "add": _adder(1, answers_old=False),
        "decrement": _adder(-1, answers_old=False),
        "get_and_add": _adder(1, answers_old=True),
    }

    def initial_cell(self, program: Program, state: Any) -> int:
        return _whole_number(state)
