"""`judge`: a history and a model in, a verdict out.

The parts of a history (partition.py) are independent, so threads share them where the interpreter
lets threads run at once. Each part is first searched with a bounded number of steps, which
decides nearly all of them; what is left goes to the polynomial checks (anomalies.py), which
are exact for some histories with unique values, and then to the search without the bound.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .anomalies import decide, find_anomalies
from .history import FOREVER, History, Operation
from .models import model_named
from .models.base import WHOLE, Model
from .native import COMPILED, Limits, Part, judge_parts
from .partition import Prepared, TwiceYielded, parts_of, prepare
from .search import Code, Found
from .verdict import Outcome, Verdict, state_after

__all__ = ["DEFAULT_DEADLINE_SECONDS", "DEFAULT_MEMORY_BYTES", "judge", "judge_windows"]

DEFAULT_DEADLINE_SECONDS = 60.0
DEFAULT_MEMORY_BYTES = 1 << 30
SMALL = 4000  # operations that are not worth a second thread
NO_BOUND = 2**62

REASONS = {
    Code.DEADLINE: "the deadline passed before the search ended",
    Code.MEMORY: "the memory cap was reached before the search ended",
    Code.STEPS: "the bound on steps was reached before the search ended",
}


def judge(
    history: History,
    model: Model | str | None = None,
    *,
    initial: Any = None,
    deadline: float = DEFAULT_DEADLINE_SECONDS,
    memory: int = DEFAULT_MEMORY_BYTES,
    threads: int | None = None,
    compiled: bool = COMPILED,
) -> Verdict:
    """Whether some order of the operations explains the history (is it linearizable?).

    Parameters:
        model: a model or the name of a built-in one; by default the one that the history names.
        initial: content of the object before the first operation (a dict, a set, a value);
            by default the model's initial state.
        deadline: seconds; after them the verdict is unknown.
        memory: bytes for the search's own tables; beyond them the verdict is unknown.
        threads: how many threads share the parts; by default one with a GIL, else one per core.
        compiled: False searches in Python even where the compiled search is there.

    Returns:
        A `Verdict`. An illegal one has the longest linearizable prefix and the operation that cannot
        be placed.

    Raises:
        ModelError: the model does not know a method, or failed in `step`.

    Thread-safety: any number of calls may run at once, also on one history.

    Source: see search.py, partition.py and anomalies.py.

    >>> history = History("register")
    >>> history.append(0, "write", (1,), None, 1, 2)
    >>> history.append(1, "read", (), 0, 3, 4)
    >>> print(judge(history).outcome)
    illegal
    """
    model = _model(model, history)
    limits = Limits(time.monotonic() + deadline, memory, compiled=compiled)
    state = model.initial if initial is None else model.state_of(initial)
    try:
        prepared = prepare(history, model, state)
    except TwiceYielded as error:
        return _twice(history, error)
    parts = parts_of(prepared.history, model, state)
    return _judge(prepared, model, parts, limits, threads)


def judge_windows(
    windows: Sequence[tuple[History, Any]],
    model: Model | str,
    *,
    deadline: float = DEFAULT_DEADLINE_SECONDS,
    memory: int = DEFAULT_MEMORY_BYTES,
    threads: int | None = None,
    compiled: bool = COMPILED,
) -> list[Verdict]:
    """Judge many short histories, each in one piece: what ran between two barriers.

    Parameters:
        windows: (history, content of the object before it) each; the content None means new.

    Returns:
        One verdict for each window. Otherwise as `judge`.
    """
    model = _model(model, None)
    limits = Limits(time.monotonic() + deadline, memory, compiled=compiled)
    joined, starts = _join([history for history, _ in windows])
    twice: dict[int, Verdict] = {}
    parts = []
    states = [model.initial if c is None else model.state_of(c) for _, c in windows]
    if set(joined.methods) & model.weak:
        joined, starts, twice = _prepare_each(windows, states, model)
    prepared = prepare(joined, model, model.initial)
    for number, state in enumerate(states):
        members = range(starts[number], starts[number + 1])
        parts.append(Part(WHOLE, members, state, False))
    _run(prepared.history, model, parts, limits, threads)
    verdicts = [_verdict(prepared, model, [part], len(part.members)) for part in parts]
    for number, verdict in twice.items():
        verdicts[number] = verdict
    return verdicts


def _model(model: Model | str | None, history: History | None) -> Model:
    if model is None:
        model = history.model if history is not None else None
        if model is None:
            raise ValueError("the history does not say which model it is of; name one")
    return model_named(model) if isinstance(model, str) else model


def _join(histories: Sequence[History]) -> tuple[History, list[int]]:
    """One history of all, and where each begins in it. Their tickets need not fit together."""
    joined, starts = History(), [0]
    for history in histories:
        if 1 in history.statuses:
            history = history.select([i for i, s in enumerate(history.statuses) if s != 1])
        for name in History.__slots__:
            if name != "model":
                getattr(joined, name).extend(getattr(history, name))
        starts.append(len(joined))
    return joined, starts


def _prepare_each(
    windows: Sequence[tuple[History, Any]], states: list[Any], model: Model
) -> tuple[History, list[int], dict[int, Verdict]]:
    made: list[History] = []
    twice: dict[int, Verdict] = {}
    for number, (history, _) in enumerate(windows):
        try:
            made.append(prepare(history, model, states[number]).history)
        except TwiceYielded as error:
            made.append(History())
            twice[number] = _twice(history, error)
    joined, starts = _join(made)
    return joined, starts, twice


# --- running ------------------------------------------------------------------------------------


def _judge(
    prepared: Prepared, model: Model, parts: list[Part], limits: Limits, threads: int | None
) -> Verdict:
    _run(prepared.history, model, parts, limits, threads)
    return _verdict(prepared, model, parts, len(prepared.history))


def _run(
    history: History, model: Model, parts: list[Part], limits: Limits, threads: int | None
) -> None:
    if threads is None:
        threads = _default_threads()
    if len(history) < SMALL:
        threads = 1
    _in_threads(history, model, parts, limits, threads)
    left = [part for part in parts if part.found is not None and part.found.code == Code.STEPS]
    left = [part for part in left if not decide(history, model, part)]
    if left:
        _in_threads(history, model, left, replace(limits, max_steps=NO_BOUND), threads)


def _default_threads() -> int:
    gil = bool(getattr(sys, "_is_gil_enabled", lambda: True)())
    return 1 if gil else len(os.sched_getaffinity(0)) if sys.platform == "linux" else 4


def _in_threads(
    history: History, model: Model, parts: list[Part], limits: Limits, threads: int
) -> None:
    threads = max(1, min(threads, len(parts)))
    if threads == 1:
        judge_parts(model, history, parts, limits)
        return
    limits = replace(limits, memory=limits.memory // threads)
    parts = sorted(parts, key=lambda part: len(part.members), reverse=True)
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            judge_parts(model, history, parts[number::threads], limits)
        except BaseException as error:  # raised again by the caller
            errors.append(error)

    others = [threading.Thread(target=work, args=(number,)) for number in range(1, threads)]
    for thread in others:
        thread.start()
    work(0)
    for thread in others:
        thread.join()
    if errors:
        raise errors[0]


# --- verdicts -----------------------------------------------------------------------------------


def _verdict(prepared: Prepared, model: Model, parts: list[Part], operations: int) -> Verdict:
    worst: Part | None = None
    for part in parts:
        if part.found is None or part.found.code == Code.OK:
            continue
        if part.found.code == Code.ILLEGAL:
            return _illegal(prepared, model, part, part.found, operations, len(parts))
        worst = worst or part
    if worst is not None and worst.found is not None:
        reason = REASONS[worst.found.code]
        return Verdict(Outcome.UNKNOWN, reason, operations, len(parts), worst.key)
    return Verdict(Outcome.OK, "", operations, len(parts))


def _illegal(
    prepared: Prepared, model: Model, part: Part, found: Found, operations: int, parts: int
) -> Verdict:
    def operation(local: int) -> Operation:
        index = part.members[local]
        return replace(prepared.history[index], index=prepared.origins[index])

    prefix = tuple([operation(step) for step in found.path])
    blocked = operation(found.blocked) if found.blocked >= 0 else None
    anomalies = tuple(find_anomalies(prepared.history, model, part))
    state = state_after(model, part.initial, prefix)
    reason = "no order of the operations explains the history"
    if blocked is not None:
        reason = f"{blocked} cannot be placed"
    concurrent: tuple[Operation, ...] = ()
    if found.blocked >= 0:
        concurrent = (*map(operation, _overlapping(prepared.history, part, found)),)
    return Verdict(
        Outcome.ILLEGAL,
        reason,
        operations,
        parts,
        part.key,
        prefix,
        blocked,
        anomalies,
        state,
        concurrent,
        part.initial,
    )


def _overlapping(history: History, part: Part, found: Found) -> list[int]:
    placed = {*found.path, found.blocked}
    until = history.responses[part.members[found.blocked]]
    return [
        local
        for local, index in enumerate(part.members)
        if local not in placed and (history.invokes[index] <= until if until != FOREVER else True)
    ]


def _twice(history: History, error: TwiceYielded) -> Verdict:
    operation = history[error.index]
    return Verdict(
        Outcome.ILLEGAL,
        f"{error}: {operation}",
        len(history),
        1,
        blocked=operation,
        anomalies=(f"duplicate on iteration: {error}",),
    )
