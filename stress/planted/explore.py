"""Small concurrent programs, run under many schedules and judged by all sequential ones.

A program is a few threads of a few operations each. What they may return, and what the table may hold
in the end, is what some interleaving of whole operations gives on a builtin object: all of them are
tried beforehand. A serialised run must come out as one of them, and its table must be sound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from . import serial

__all__ = ["admissible", "explore", "interleavings", "judge"]

Operation = Callable[[Any], Any]  # takes the table (or its model), returns something comparable
Program = Sequence[Sequence[Operation]]


def interleavings(lengths: Sequence[int]) -> Iterator[list[int]]:
    """All orders of the threads' steps, as lists of thread numbers."""
    if not any(lengths):
        yield []
    for number, left in enumerate(lengths):
        if left:
            rest = [*lengths[:number], left - 1, *lengths[number + 1 :]]
            for tail in interleavings(rest):
                yield [number, *tail]


def outcome(operation: Operation, table: Any) -> Any:
    """The result, or the type of the error."""
    try:
        return operation(table)
    except (KeyError, IndexError) as error:
        return type(error)


def admissible(program: Program, model: Callable[[], Any], state: Operation) -> list[Any]:
    """Every (results per thread, final state) of a sequential run."""
    found: list[Any] = []
    for order in interleavings([len(body) for body in program]):
        table = model()
        results: list[list[Any]] = [[] for _ in program]
        for number in order:
            results[number].append(outcome(program[number][len(results[number])], table))
        case = (results, state(table))
        if case not in found:
            found.append(case)
    return found


def judge(run: serial.Run, table: Any, allowed: list[Any], state: Operation) -> None:
    """AssertionError unless the run is one of the allowed ones and left a sound table."""
    for result in run.results:
        if isinstance(result, BaseException):
            raise result
    serial.ct.inspect_table(table).check()
    case = (run.results, state(table))
    assert case in allowed, f"no order of the operations gives {case}\nschedule: {run.trace}"
    serial.ct.reclaim.flush()
    stats = serial.ct.reclaim.stats()
    assert stats["pinned"] == 0, f"a thread stayed pinned: {stats}"


def _fill(held: list[Any], make: Callable[[], Any]) -> None:
    held.append(make())


def _perform(body: Sequence[Operation], held: list[Any]) -> list[Any]:
    return [outcome(operation, held[0]) for operation in body]


def explore(
    make: Callable[[], Any],
    program: Program,
    *,
    model: Callable[[], Any] = dict,
    state: Operation = lambda table: sorted(table.items()),
    schedules: int = 150,
    owned: bool = False,
) -> None:
    """Run the program under random and PCT schedules; AssertionError at the first wrong outcome.

    `owned`: the table is made by the first thread, and nobody else has touched it yet.
    """
    allowed = admissible(program, model, state)
    for seed in range(schedules):
        held = [] if owned else [make()]
        run = serial.serialised(
            ("random", "pct")[seed % 2],
            [partial(_perform, body, held) for body in program],
            seed=seed,
            first=partial(_fill, held, make) if owned else None,
        )
        judge(run, held[0], allowed, state)
