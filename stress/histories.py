"""Histories for reports: who called what when, what it answered, and what a checker made of it.

Every part of the harness knows something else about the order of operations: recorded histories have
a ticket before and after each call, the serialised mode the steps of each call, sampling only the
order within each thread. All of them become one shape here, as JSON data:

    {"order": "tickets" | "steps" | "began" | "threads",
     "threads": ["client 0", ...], "initial": "{}", "key": "'k'" | null, "notes": [...],
     "operations": [{"thread": 0, "text": "get('k')", "result": "1", "invoke": 3, "response": 8,
                     "place": 2, "state": "{'k': 1}", "mark": ""}, ...],
     "events": [{"at": 5, "kind": "resize", "text": "8 to 16 slots"}, ...]}

`place` is the operation's number in the longest order that explains a part of the history, from 0, and
`state` the state after it there; both are null for what stands not in it. `mark` is "illegal" for the
operation that cannot be placed, "overlapping" for those beside it, "in flight" for calls that never
returned, else empty. `response` is null where a call did not return.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .check.history import FOREVER, History, Operation, Raised
from .check.models import model_named
from .check.models.base import REFUSED, WHOLE, Model, step_all
from .check.verdict import Verdict

__all__ = [
    "history_of_calls",
    "history_of_run",
    "history_of_steps",
    "history_of_verdict",
    "row_of",
    "shortened",
]

_MOST = 5_000  # operations of one history; what lies far from the illegal one is left out
_TEXT = 300


def shortened(text: str, limit: int = _TEXT) -> str:
    """At most so many characters."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def history_of_verdict(
    history: History,
    verdict: Verdict,
    model: Model | str | None = None,
    events: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """A judged history: the part that the verdict is about, with the longest prefix in it.

    Parameters:
        history: the one that was judged. verdict: what `judge` said of it.
        model: the one it was judged by; by default the one that the history names.
        events: of moments.py; those during the operations that are shown are kept.
    """
    model = model or history.model
    if isinstance(model, str):
        model = model_named(model)
    notes: list[str] = []
    operations = _part(history, verdict, model, notes)
    places = {op.index: place for place, op in enumerate(verdict.prefix)}
    states, initial = _states(model, verdict)
    beside = {op.index for op in verdict.concurrent}
    clients = sorted({op.client for op in operations})
    lanes = {client: lane for lane, client in enumerate(clients)}
    rows = []
    for op in operations:
        place = places.get(op.index)
        rows.append(
            {
                "thread": lanes[op.client],
                "text": shortened(f"{op.method}({', '.join(map(_repr, op.args))})"),
                "result": None if op.unknown else shortened(_repr(op.result)),
                "invoke": op.invoke,
                "response": None if op.response == FOREVER else op.response,
                "place": place,
                "state": None if place is None or not states else states[place],
                "mark": _mark(op, verdict, beside),
            }
        )
    return {
        "order": "tickets",
        "threads": [f"client {client}" for client in clients],
        "initial": initial,
        "key": None if verdict.key is WHOLE else _repr(verdict.key),
        "notes": notes,
        "operations": rows,
        "events": _during(operations, events),
    }


def _during(operations: list[Operation], events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    first = min([op.invoke for op in operations], default=0)
    last = max(
        [op.invoke if op.response == FOREVER else op.response for op in operations], default=0
    )
    return [event for event in events if first <= event["at"] <= last]


def history_of_calls(
    threads: Sequence[Sequence[str]],
    results: Sequence[Sequence[str | None]] | None = None,
    *,
    in_flight: Sequence[tuple[int, int]] = (),
    returned: Sequence[int] | None = None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Calls of which only the order within each thread is known.

    Parameters:
        threads: the calls of each thread as text. results: what they answered, where that is known.
        in_flight: (thread, call) of those that never returned.
        returned: how many calls of each thread ended; None: all that are not in flight.
    """
    flying = set(in_flight)
    rows = []
    for thread, calls in enumerate(threads):
        for index, text in enumerate(calls):
            known = results[thread][index] if results is not None else None
            stuck = (thread, index) in flying
            late = returned is not None and index > returned[thread]
            rows.append(
                {
                    "thread": thread,
                    "text": shortened(text),
                    "result": known if known is None else shortened(known),
                    "invoke": 2 * index,
                    "response": None if stuck else 2 * index + 1,
                    "place": None,
                    "state": None,
                    "mark": "in flight" if stuck else "not begun" if late else "",
                }
            )
    return {
        "order": "threads",
        "threads": [f"thread {number}" for number in range(len(threads))],
        "initial": None,
        "key": None,
        "notes": list(notes),
        "operations": rows,
        "events": [],
    }


def history_of_run(run: Any, threads: Sequence[Sequence[str]]) -> dict[str, Any]:
    """A schedule of the serialised mode (`serial.runs.Run`): every call with its first and last step."""
    rows = []
    for thread, calls in enumerate(threads):
        spans, results = run.spans[thread], run.results[thread]
        for index, text in enumerate(calls[: len(spans) + 1]):
            ended = index < len(spans)
            began = spans[index][0] if ended else spans[-1][1] + 1 if spans else 0
            rows.append(
                {
                    "thread": thread,
                    "text": shortened(text),
                    "result": shortened(_repr(results[index])) if ended else None,
                    "invoke": began,
                    "response": spans[index][1] if ended else None,
                    "place": None,
                    "state": None,
                    "mark": "" if ended else "in flight",
                }
            )
    return {
        "order": "steps",
        "threads": [f"thread {number}" for number in range(len(threads))],
        "initial": None,
        "key": None,
        "notes": list(run.blocked),
        "operations": rows,
        "events": [],
    }


def history_of_steps(steps: Sequence[tuple[float, int, str]]) -> dict[str, Any]:
    """The latest operations of threads: (when it began, thread, text), by the time they began.

    Each ended before the next one of its thread began, or runs still.
    """
    threads = sorted({thread for _, thread, _ in steps})
    lanes = {thread: lane for lane, thread in enumerate(threads)}
    rows: list[dict[str, Any]] = []
    latest: dict[int, dict[str, Any]] = {}
    for number, (_, thread, text) in enumerate(steps):
        before = latest.get(thread)
        if before is not None:
            before["response"] = 2 * number - 1
        row = row_of(lanes[thread], text, 2 * number)
        latest[thread] = row
        rows.append(row)
    for row in latest.values():
        row["response"] = 2 * len(steps)
    return {
        "order": "began",
        "threads": [f"thread {thread}" for thread in threads],
        "initial": None,
        "key": None,
        "notes": ["only when each operation began is known; it ended before the thread's next one"],
        "operations": rows,
        "events": [],
    }


def row_of(thread: int, text: str, invoke: int) -> dict[str, Any]:
    """An operation of which no more is known than when it began."""
    return {
        "thread": thread,
        "text": shortened(text),
        "result": None,
        "invoke": invoke,
        "response": None,
        "place": None,
        "state": None,
        "mark": "",
    }


def _mark(op: Operation, verdict: Verdict, beside: set[int]) -> str:
    if verdict.blocked is not None and op.index == verdict.blocked.index:
        return "illegal"
    if op.index in beside:
        return "overlapping"
    return "in flight" if op.unknown else ""


def _part(
    history: History, verdict: Verdict, model: Model | None, notes: list[str]
) -> list[Operation]:
    """The operations of the part that was judged, and no more than can be shown."""
    told = [*verdict.prefix, *verdict.concurrent]
    if verdict.blocked is not None:
        told.append(verdict.blocked)
    indices = {op.index for op in told}
    whole = verdict.key is WHOLE or model is None
    operations = [
        op
        for op in history
        if whole or op.index in indices or (model is not None and model.key(op) == verdict.key)
    ]
    if whole and told:
        first = min(op.invoke for op in told)
        kept = [op for op in operations if op.index in indices or op.response >= first]
        if len(kept) < len(operations):
            notes.append(f"{len(operations) - len(kept)} operations before this part: not shown")
        operations = kept
    if len(operations) > _MOST:
        operations = _around(operations, verdict, notes)
    return operations


def _around(operations: list[Operation], verdict: Verdict, notes: list[str]) -> list[Operation]:
    centre = next(
        (
            n
            for n, op in enumerate(operations)
            if verdict.blocked and op.index == verdict.blocked.index
        ),
        len(operations) - 1,
    )
    start = max(0, min(centre - _MOST * 3 // 4, len(operations) - _MOST))
    notes.append(f"{_MOST} of {len(operations)} operations, around the one that cannot be placed")
    return operations[start : start + _MOST]


def _states(model: Model | None, verdict: Verdict) -> tuple[list[str], str | None]:
    """The state after each operation of the prefix, and the one before it."""
    if model is None:
        return [], None
    state = model.initial if verdict.initial is None else verdict.initial
    before = shortened(model.show(state))
    shown = []
    for op in verdict.prefix:
        state = step_all(model, state, op) if state is not REFUSED else REFUSED
        shown.append("?" if state is REFUSED else shortened(model.show(state)))
    return shown, before


def _repr(value: Any) -> str:
    if isinstance(value, Raised):
        return repr(value)
    try:
        return repr(value)
    except Exception as error:
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
