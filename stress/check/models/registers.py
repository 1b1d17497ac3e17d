"""Models of one value: register, compare-and-set register, counter; and text values by key."""

from __future__ import annotations

from typing import Any

from ..compile_cells import CounterCompiler, RegisterCompiler
from ..history import Operation
from ..program import Compiler
from .base import REFUSED, Model, same

__all__ = ["CasRegister", "Counter", "KeyValue", "Register"]


class Register(Model):
    """`read() -> value`, `write(value)`. Begins with None."""

    name = "register"
    methods = frozenset({"read", "write"})
    reads = frozenset({"read"})

    def step(self, state: Any, op: Operation) -> Any:
        if op.method == "read":
            return state if op.unknown or same(state, op.result) else REFUSED
        if op.method == "write":
            return op.args[0]
        raise AssertionError(op.method)

    def answers(self, state: Any, method: str, args: tuple[Any, ...]) -> list[tuple[Any, Any]]:
        if method == "read":
            return [(state, state)]
        if method == "write":
            return [(None, args[0])]
        swapped = same(args[0], state)
        return [(swapped, args[1] if swapped else state)]

    def compiler(self) -> Compiler | None:
        return RegisterCompiler()


class CasRegister(Register):
    """A register that also has `cas(expected, new) -> bool`."""

    name = "cas-register"
    methods = frozenset({"read", "write", "cas"})

    def step(self, state: Any, op: Operation) -> Any:
        if op.method != "cas":
            return super().step(state, op)
        expected, new = op.args
        swapped = same(expected, state)
        if not op.unknown and not same(swapped, op.result):
            return REFUSED
        return new if swapped else state


class KeyValue(Model):
    """`get(key) -> text`, `put(key, text)`, `append(key, text)`; every key begins with ""."""

    name = "kv"
    initial = ""
    methods = frozenset({"get", "put", "append"})
    keyed = methods
    reads = frozenset({"get"})

    def step(self, state: Any, op: Operation) -> Any:
        if op.method == "get":
            return state if op.unknown or same(state, op.result) else REFUSED
        return op.args[1] if op.method == "put" else state + op.args[1]


class Counter(Model):
    """`read()`, `increment(n=1)`, `decrement(n=1)`, `add(n)`, `get_and_add(n)`. Begins with 0.

    `increment`, `decrement` and `add` answer the new value, or None where they answer nothing.
    """

    name = "counter"
    initial = 0
    methods = frozenset({"read", "increment", "decrement", "add", "get_and_add"})
    reads = frozenset({"read"})

    def step(self, state: Any, op: Operation) -> Any:
        if op.method == "read":
            return state if op.unknown or same(state, op.result) else REFUSED
        delta = op.args[0] if op.args else 1
        new = state - delta if op.method == "decrement" else state + delta
        answer = state if op.method == "get_and_add" else new
        silent = op.result is None and op.method != "get_and_add"
        return new if op.unknown or silent or same(answer, op.result) else REFUSED

    def compiler(self) -> Compiler | None:
        return CounterCompiler()
