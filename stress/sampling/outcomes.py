"""Which outcomes a scenario may have: its operations in every order, on fresh containers.

The type itself is the specification: it is run by one thread, call by call, in every order that
keeps each thread's own. A call that is promised key by key runs as its steps, with those of other
threads between them. When the type gives different outcomes for the same order, it is not
deterministic, and nothing follows from an outcome.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ..profiles import Effect, Result
from .freeze import SCALARS, Raised, freeze
from .weave import Woven

__all__ = ["Columns", "Outcomes", "State", "TooSlow", "admissible"]

_MOST_ORDERS = 400
_REPEATED = 4  # orders that are run again, to see whether the type is deterministic
_MOST_SECONDS = 0.25  # of this thread's processor time: other processes take none of it
_MOST_WAITING = 2.0  # seconds

# What is looked at when all is at rest: (0 for a or 1 for b, how to freeze it).
State = list[tuple[int, Callable[[Any], Any]]]


@dataclass
class Columns:
    """Which results are part of an outcome, which are only looked at, and which need freezing."""

    exact: list[tuple[int, int]] = field(default_factory=list)
    loose: list[tuple[int, int]] = field(default_factory=list)
    plain: set[tuple[int, int]] = field(default_factory=set)


@dataclass
class Outcomes:
    """The admissible outcomes, each with an order that leads to it.

    `exact` is false when the state at rest cannot be judged (some call promises too little, the
    type is not deterministic, or there are too many orders). `errors` are the exceptions that some
    order raised, per call; `complete` is false when not every order was run. `seconds` is how long the
    slowest call took, `whole` one order with all around it.
    """

    columns: Columns
    exact: bool = True
    orders: dict[Any, tuple[tuple[int, int, int], ...]] = field(default_factory=dict)
    errors: dict[tuple[int, int], set[str]] = field(default_factory=dict)
    complete: bool = True
    seconds: float = 0.0
    whole: float = 0.0


class TooSlow(Exception):
    """Running every order would take too long."""


def admissible(
    woven: Woven, state: State, beat: Callable[[], None], *, patient: bool = False
) -> Outcomes:
    """Run every order; `state` freezes what is left at rest, column by column.

    `beat` is called after each order; TooSlow is raised when they take too long together, unless
    `patient`.
    """
    scenario = woven.scenario
    columns = Columns()
    for thread, calls in enumerate(scenario.threads):
        for index, call in enumerate(calls):
            (columns.exact if call.result is Result.EXACT else columns.loose).append(
                (thread, index)
            )
    orders = list(islice(_orders(woven), _MOST_ORDERS + 1))
    few = len(orders) <= _MOST_ORDERS  # else some outcome that is right could be missing
    outcomes = Outcomes(columns, exact=scenario.judged and few, complete=few)
    if any(call.steps for call in scenario.calls):
        # Nobody has to let others in between. Never more than with steps; cut off, nothing is exact.
        orders += islice(_orders(woven, whole=True), _MOST_ORDERS)
    clock = _Clock()
    until, latest = time.thread_time() + _MOST_SECONDS, time.monotonic() + _MOST_WAITING
    ran = []
    for order in orders:
        ran.append(_run(woven, order, columns, state, clock))
        beat()
        if not patient and (time.thread_time() > until or time.monotonic() > latest):
            raise TooSlow
        for place, result in ran[-1].results.items():
            if isinstance(result, Raised):
                outcomes.errors.setdefault(place, set()).add(result.name)
    columns.plain = {
        place for place in columns.exact if all(_plain(one.results[place], woven) for one in ran)
    }
    for order, one in zip(orders, ran, strict=True):
        outcomes.orders.setdefault(one.key(columns), order)
    outcomes.seconds = max(clock.least.values(), default=0) * 1e-9
    outcomes.whole = clock.whole * 1e-9 / max(1, len(orders))
    for one, order in zip(ran[:_REPEATED], orders, strict=False):
        if _run(woven, order, columns, state, clock).key(columns) != one.key(columns):
            outcomes.exact = False
    return outcomes


def _orders(woven: Woven, *, whole: bool = False) -> Iterator[tuple[tuple[int, int, int], ...]]:
    """Every order of (thread, call, step); step -1 is the whole call."""
    lists = []
    for thread, calls in enumerate(woven.scenario.threads):
        parts: list[tuple[int, int, int]] = []
        for index, call in enumerate(calls):
            if call.effect is Effect.STEPS and call.steps and not whole:
                parts += [(thread, index, step) for step in range(len(call.steps))]
            else:
                parts.append((thread, index, -1))
        lists.append(parts)
    yield from _merges(lists)


def _merges(
    lists: list[list[tuple[int, int, int]]],
) -> Iterator[tuple[tuple[int, int, int], ...]]:
    if not any(lists):
        yield ()
        return
    for number, parts in enumerate(lists):
        if parts:
            rest = [*lists[:number], parts[1:], *lists[number + 1 :]]
            for tail in _merges(rest):
                yield (parts[0], *tail)


def _run(
    woven: Woven,
    order: tuple[tuple[int, int, int], ...],
    columns: Columns,
    state: State,
    clock: _Clock,
) -> _Ran:
    began = time.perf_counter_ns()
    (a,), (b,), (w,), (i,) = woven.build(1)
    results: dict[tuple[int, int], Any] = {}
    for thread, index, step in order:
        call = woven.calls[thread][index] if step < 0 else woven.steps[thread][index][step]
        started = time.perf_counter_ns()
        results[thread, index] = call(a, b, w, i)
        clock.took((thread, index, step), time.perf_counter_ns() - started)
    frozen = {place: freeze(results[place]) for place in columns.exact}
    at_rest = [column((a, b)[which]) for which, column in state]
    clock.whole += time.perf_counter_ns() - began
    return _Ran(results, frozen, at_rest)


@dataclass
class _Ran:
    """One order: what calls returned, the same frozen, and what was left."""

    results: dict[tuple[int, int], Any]
    frozen: dict[tuple[int, int], Any]
    at_rest: list[Any]

    def key(self, columns: Columns) -> tuple[Any, ...]:
        """The outcome as one hashable value."""
        values = [
            self.results[place] if place in columns.plain else self.frozen[place]
            for place in columns.exact
        ]
        return (*values, *self.at_rest)


class _Clock:
    """How long calls take at least, in nanoseconds."""

    def __init__(self) -> None:
        self.least: dict[tuple[int, int, int], int] = {}
        self.whole = 0

    def took(self, part: tuple[int, int, int], nanoseconds: int) -> None:
        self.least[part] = min(nanoseconds, self.least.get(part, nanoseconds))


def _plain(value: Any, woven: Woven) -> bool:
    """Whether a result is compared as it is: keys and values are, what is made of them is not."""
    if type(value) in SCALARS or type(value) is Raised:
        return True
    return any(value is each for each in woven.names["K"]) or any(
        value is each for each in woven.names["V"]
    )
