"""The compiled search: parts as flat arrays of numbers, many parts in one call.

A part is a list of operations that are judged together: those on one key, or those of one window.
Parts of a model with a compiler become programs (program.py); the rest are searched with the model's
own `step`, asked once for each transition. Where `_search` was not built, search.py does the work.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .history import History, Status
from .machine import Machine, OutOfMemory
from .models.base import Model
from .program import (
    MACHINE_CELL,
    MACHINE_PYTHON,
    WIDTH,
    Compiler,
    Program,
    Rule,
    Uncompilable,
)
from .search import Code, Found, search

try:
    from .. import _search
except ImportError:  # not built: everything works, more slowly
    _search = None  # type: ignore[assignment]

__all__ = ["COMPILED", "Limits", "Part", "judge_parts"]

COMPILED = _search is not None
"""Whether the compiled search is there."""

UNFIT = (Uncompilable, TypeError, ValueError, AttributeError, LookupError)
"""What an operation with strange arguments or a strange answer may raise: `step` judges it."""

LONG_AGO = -(2**62)
OURS = -1
INFO = int(Status.INFO)
FIRST_TRY_STEPS = 200_000


@dataclass(slots=True)
class Part:
    """Operations that are judged together: their places in the history, and the state before."""

    key: Hashable
    members: Sequence[int]
    initial: Any
    keyed: bool
    found: Found | None = field(
        default=None
    )  # None once judged: ok, and nobody asked for the order


@dataclass(frozen=True, slots=True)
class Limits:
    """What judging may cost: `deadline` in monotonic seconds, `memory` in bytes, steps a part."""

    deadline: float
    memory: int
    max_steps: int = FIRST_TRY_STEPS
    want_order: bool = False
    compiled: bool = COMPILED

    def seconds(self) -> float:
        return max(0.0, self.deadline - time.monotonic())


def judge_parts(model: Model, history: History, parts: Sequence[Part], limits: Limits) -> None:
    """Judge every part; each one's result is left in it."""
    compiler = model.compiler() if limits.compiled else None
    columns = _Columns(history)
    rest = list(parts)
    if compiler is not None:
        for keyed in (True, False):
            chosen = [part for part in parts if part.keyed == keyed]
            rest = [part for part in rest if part.keyed != keyed]
            rest += _judge_compiled(compiler, history, columns, chosen, limits, keyed)
    for part in rest:
        part.found = _judge_by_steps(model, history, columns, part, limits)


# --- programs -----------------------------------------------------------------------------------


class _Columns:
    """A history's columns for one thread: lists and bytes, which threads read without a lock."""

    def __init__(self, history: History) -> None:
        self.methods, self.args, self.results = history.methods, history.args, history.results
        self.statuses = history.statuses.tobytes()
        self.invokes, self.responses = history.invokes.tolist(), history.responses.tolist()

    def tickets(self, order: Sequence[int]) -> tuple[array[int], array[int]]:
        """The calls and returns of these operations; -1 stands for one before all others."""
        invokes, responses = self.invokes, self.responses
        if OURS not in order:
            calls = array("q", [invokes[i] for i in order])
            return calls, array("q", [responses[i] for i in order])
        calls = array("q", [LONG_AGO if i < 0 else invokes[i] for i in order])
        return calls, array("q", [LONG_AGO if i < 0 else responses[i] for i in order])


class _Batch:
    """The arrays of one call."""

    def __init__(self) -> None:
        self.program = Program()
        self.order: list[
            int
        ] = []  # places in the history; OURS: the content that a map begins with
        self.offsets = [0]
        self.initial: list[int] = []
        self.parts: list[Part] = []


def _judge_compiled(
    compiler: Compiler,
    history: History,
    columns: _Columns,
    parts: Sequence[Part],
    limits: Limits,
    keyed: bool,
) -> list[Part]:
    """Judge the parts that can be compiled; the others."""
    batch = _Batch()
    cells = keyed or compiler.machine == MACHINE_CELL
    left = [p for p in parts if not _add(batch, compiler, history, columns, p, cells)]
    if not batch.parts:
        return left
    calls, returns = columns.tickets(batch.order)
    results = _search.search(
        MACHINE_CELL if cells else compiler.machine,
        array("q", batch.offsets),
        array("q", batch.initial),
        calls,
        returns,
        array("q", batch.program.first),
        array("q", batch.program.code),
        None,
        limits.seconds(),
        limits.memory,
        limits.max_steps,
        limits.want_order,
    )
    for part, result, begin in zip(batch.parts, results, batch.offsets, strict=False):
        ours = result is not None and batch.order[begin : begin + 1] == [OURS]
        part.found = _found(result, shift=int(ours))
    return left


def _found(result: tuple[int, list[int], int, int] | None, shift: int) -> Found | None:
    if result is None:
        return None
    code, path, blocked, steps = result
    if shift:  # the first operation is ours: it puts the content of the table
        path = [op - shift for op in path if op >= shift]
        blocked = max(-1, blocked - shift)
    return Found(Code(code), path, blocked, steps)


def _add(
    batch: _Batch,
    compiler: Compiler,
    history: History,
    columns: _Columns,
    part: Part,
    cells: bool,
) -> bool:
    """Append one part to the batch; False, and nothing appended, if it cannot be compiled."""
    program = batch.program
    before = len(program.code), len(program.first), len(batch.order)
    initial = 0
    try:
        if cells:
            initial = compiler.initial_cell(program, part.initial)
            _compile_cells(program, compiler.rules, columns, part.members)
        else:
            if part.initial:
                program.add(compiler.begin(program, part.initial))
                batch.order.append(OURS)
            program.universe = compiler.universe(history, part.members, part.initial)
            _compile_whole(program, compiler, columns, part.members)
    except UNFIT:
        del program.code[before[0] :]
        del program.first[before[1] :]
        del batch.order[before[2] :]
        return False
    batch.order.extend(part.members)
    batch.offsets.append(len(batch.order))
    batch.initial.append(initial)
    batch.parts.append(part)
    return True


def _compile_cells(
    program: Program, rules: Mapping[str, Rule], columns: _Columns, members: Sequence[int]
) -> None:
    """Each operation is one instruction: a loop as short as it can be, it is most of the work."""
    methods, args, results = columns.methods, columns.args, columns.results
    statuses, extend = columns.statuses, program.code.extend
    for i in members:
        extend(rules[methods[i]](program, 0, args[i], results[i], statuses[i] == INFO))
    begin = program.first[-1] + 1
    program.first.extend(range(begin, begin + len(members)))


def _compile_whole(
    program: Program, compiler: Compiler, columns: _Columns, members: Sequence[int]
) -> None:
    rules, whole_rules = compiler.rules, compiler.whole_rules
    methods, args, results = columns.methods, columns.args, columns.results
    statuses, keys, code = columns.statuses, program.keys, program.code
    end = program.first.append
    for i in members:
        rule = rules.get(methods[i])
        key = 0
        if rule is None:
            rule = whole_rules[methods[i]]
        else:
            key = keys.setdefault(args[i][0], len(keys))
        code.extend(rule(program, key, args[i], results[i], statuses[i] == INFO))
        end(len(code) // WIDTH)


# --- the model's own steps ----------------------------------------------------------------------


def _judge_by_steps(
    model: Model, history: History, columns: _Columns, part: Part, limits: Limits
) -> Found | None:
    machine = Machine(model, part.initial, limits.memory)
    kinds = array("q", (machine.kind(history[i]) for i in part.members))
    calls, returns = columns.tickets(part.members)
    try:
        if not limits.compiled:
            return search(
                calls, returns, kinds, machine.reads, machine.step, 0,
                limits.deadline, limits.memory, limits.max_steps,
            )  # fmt: skip
        (result,) = _search.search(
            MACHINE_PYTHON,
            array("q", (0, len(kinds))),
            array("q", (0,)),
            calls,
            returns,
            array("q", (2 * kind + (kind in machine.reads) for kind in kinds)),
            array("q"),
            machine.ask,
            limits.seconds(),
            limits.memory,
            limits.max_steps,
            limits.want_order,
        )
    except OutOfMemory:
        return Found(Code.MEMORY)
    return _found(result, shift=0)
