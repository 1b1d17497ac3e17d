"""A model's states and operations as numbers, each transition asked for once."""

from __future__ import annotations

import sys
from collections.abc import Hashable
from typing import Any

from .errors import ModelError
from .history import Operation
from .models.base import REFUSED, Model, step_all

__all__ = ["Machine", "OutOfMemory"]


class OutOfMemory(Exception):
    """The states take more than the cap allows."""


class Machine:
    """Gives every state and every kind of operation a number; the initial state is 0.

    Parameters:
        memory: bytes that the states may take, by `sys.getsizeof`; then `OutOfMemory`.
    """

    def __init__(self, model: Model, initial: Hashable, memory: int) -> None:
        self.model = model
        self.memory = memory
        self.states: list[Any] = []
        self.state_numbers: dict[Any, int] = {}
        self.operations: list[Operation] = []
        self.kinds: dict[Any, int] = {}
        self.reads: set[int] = set()
        self.known: dict[tuple[int, int], int] = {}
        self._number(initial)

    def kind(self, op: Operation) -> int:
        """The number of all operations with this call and answer."""
        known = (op.method, op.args, None if op.unknown else op.result, op.unknown)
        try:
            number = self.kinds.setdefault(known, len(self.operations))
        except TypeError:  # unhashable arguments: a kind of its own
            number = len(self.operations)
        if number == len(self.operations):
            self.operations.append(op)
            if op.method in self.model.reads:
                self.reads.add(number)
        return number

    def ask(self, state: int, kind: int) -> int:
        """The number of the next state, -1 for refused."""
        op = self.operations[kind]
        try:
            after = step_all(self.model, self.states[state], op)
            return -1 if after is REFUSED else self._number(after)
        except OutOfMemory:
            raise
        except Exception as error:
            raise ModelError(
                f"the model {self.model.name!r} failed at operation {op.index}: {op}, in state "
                f"{self.states[state]!r}: {type(error).__name__}: {error}"
            ) from error

    def step(self, state: int, kind: int) -> int:
        """`ask`, with a memory."""
        pair = (state, kind)
        after = self.known.get(pair)
        if after is None:
            after = self.known[pair] = self.ask(state, kind)
        return after

    def _number(self, state: Hashable) -> int:
        number = self.state_numbers.setdefault(state, len(self.states))
        if number == len(self.states):
            self.states.append(state)
            self.memory -= sys.getsizeof(state) + 200
            if self.memory < 0:
                raise OutOfMemory
        return number
