"""The order of a scenario's calls that comes nearest to an outcome which none explains.

Every order of the calls is run by one thread on fresh containers, and compared with what was seen: the
one that agrees for the longest time is shown, with the state after each call, and the call whose
answer it cannot explain.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any

from ..histories import history_of_calls, row_of, shortened
from .freeze import freeze
from .outcomes import Outcomes, State
from .weave import Woven

__all__ = ["AT_REST", "nearest"]

_MOST_ORDERS = 200
Place = tuple[int, int]


def nearest(
    woven: Woven,
    outcomes: Outcomes,
    state: State,
    outcome: Any,
    came_first: Container[tuple[Place, Place]] = (),
) -> dict[str, Any]:
    """The history of this outcome for reports; see histories.py.

    `came_first` are pairs of calls the first of which ended before the second began, where that is known.
    """
    scenario, columns = woven.scenario, outcomes.columns
    seen = dict(zip(columns.exact, outcome, strict=False))
    left = list(outcome[len(columns.exact) :])
    best: tuple[int, bool, tuple[Place, ...], list[str]] | None = None
    for number, order in enumerate(_orders([len(calls) for calls in scenario.threads])):
        if number >= _MOST_ORDERS:
            break
        if came_first and _breaks(order, came_first):
            continue
        try:
            agreed, rest, states = _follow(woven, outcomes, state, order, seen, left)
        except Exception:  # the type refuses to be looked at between two calls
            continue
        if best is None or (agreed, rest) > best[:2]:
            best = (agreed, rest, order, states)
    shown = history_of_calls(
        [[call.text for call in calls] for calls in scenario.threads],
        [
            [_text(seen[t, c]) if (t, c) in seen else None for c in range(len(calls))]
            for t, calls in enumerate(scenario.threads)
        ],
        notes=["the threads began together; which call came first was not recorded"],
    )
    if best is not None:
        _mark(shown, best, left)
    return shown


AT_REST = "at rest"  # the lane of what was seen when all threads had ended


def _breaks(order: Sequence[Place], came_first: Container[tuple[Place, Place]]) -> bool:
    """Whether a call stands behind one that began only after it had ended."""
    return any(
        (later, earlier) in came_first
        for number, earlier in enumerate(order)
        for later in order[number + 1 :]
    )


def _follow(
    woven: Woven,
    outcomes: Outcomes,
    state: State,
    order: Sequence[Place],
    seen: dict[Place, Any],
    left: list[Any],
) -> tuple[int, bool, list[str]]:
    """How many calls agree, whether the state at rest does too, and the state before and after each."""
    (a,), (b,), (w,), (i,) = woven.build(1)
    states = [_state(state, a)]
    for number, (thread, index) in enumerate(order):
        result = woven.calls[thread][index](a, b, w, i)
        if (thread, index) in seen:
            plain = (thread, index) in outcomes.columns.plain
            if (result if plain else freeze(result)) != seen[thread, index]:
                return number, False, states
        states.append(_state(state, a))
    return len(order), [column((a, b)[which]) for which, column in state] == left, states


def _mark(
    shown: dict[str, Any], best: tuple[int, bool, tuple[Place, ...], list[str]], left: list[Any]
) -> None:
    agreed, rest, order, states = best
    rows = {}
    for row in shown["operations"]:
        rows[row["thread"], row["invoke"] // 2] = row
    shown["initial"] = states[0]
    for number, place in enumerate(order[:agreed]):
        rows[place].update(place=number, state=states[number + 1])
    looked = row_of(len(shown["threads"]), "what is left at rest", 2 * len(order))
    looked.update(result=_text(left[0]), response=2 * len(order) + 1)
    shown["threads"].append(AT_REST)
    shown["operations"].append(looked)
    if agreed < len(order):
        rows[order[agreed]]["mark"] = "illegal"
    elif not rest:
        looked["mark"] = "illegal"
        shown["notes"].append(
            f"every answer fits this order, but at rest there was {_text(left[0])} instead of {states[-1]}"
        )


def _orders(lengths: list[int], done: tuple[int, ...] = ()) -> Iterator[tuple[Place, ...]]:
    """Every order of the calls that keeps each thread's own."""
    done = done or tuple([0] * len(lengths))
    if list(done) == lengths:
        yield ()
        return
    for thread, (have, most) in enumerate(zip(done, lengths, strict=True)):
        if have < most:
            rest = (*done[:thread], have + 1, *done[thread + 1 :])
            for tail in _orders(lengths, rest):
                yield ((thread, have), *tail)


def _state(state: State, a: Any) -> str:
    return _text(state[0][1](a))


def _text(value: Any) -> str:
    try:
        return shortened(repr(value))
    except Exception as error:
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
