"""A history as text: one lane for each thread, one line for each call and return."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from .histories import shortened

__all__ = ["lanes_of_history", "outcome_table", "ranks_of"]

_MOST_LINES = 80
_WIDTH = 38
_PREFIX = {"illegal": "!! ", "overlapping": "~ "}


def ranks_of(history: dict[str, Any]) -> dict[int, int]:
    """The place of every ticket among all of them, from 0."""
    tickets = set()
    for op in history["operations"]:
        tickets.add(op["invoke"])
        if op["response"] is not None:
            tickets.add(op["response"])
    return {ticket: rank for rank, ticket in enumerate(sorted(tickets))}


def lanes_of_history(history: dict[str, Any], most: int = _MOST_LINES) -> list[str]:
    """Lines for a terminal; of a long history those around the illegal operation."""
    ranks = ranks_of(history)
    moments: dict[int, list[tuple[int, str]]] = {}
    running: dict[int, list[tuple[int, int]]] = {}
    last = len(ranks)
    for op in history["operations"]:
        began = ranks[op["invoke"]]
        ended = last if op["response"] is None else ranks[op["response"]]
        moments.setdefault(began, []).append((op["thread"], _call(op)))
        if op["response"] is not None:
            moments.setdefault(ended, []).append((op["thread"], _return(op)))
        running.setdefault(op["thread"], []).append((began, ended))
    shown = sorted(moments)
    centre = next(
        (ranks[op["invoke"]] for op in history["operations"] if op["mark"] == "illegal"), 0
    )
    start = 0
    if len(shown) > most:
        start = max(0, min(len(shown) - most, shown.index(centre) - most // 2 if centre else 0))
    lines = [f"note: {note}" for note in history.get("notes", ())]
    if history.get("initial") is not None:
        lines.append(f"state before: {shortened(history['initial'], 150)}")
    chosen = shown[start : start + most]
    # Only the threads that do something there: there may be many.
    lanes = sorted({thread for rank in chosen for thread, _ in moments[rank]})
    width = max(24, min(_WIDTH, 150 // max(1, len(lanes))))
    names = [shortened(history["threads"][lane], width - 2).ljust(width) for lane in lanes]
    lines.append("  " + "".join(names).rstrip())
    if start:
        lines.append(f"  ... {start} lines before")
    beside = _events(history, ranks)
    for rank in chosen:
        lines += [f"  == {text}" for text in beside.get(rank, ())]
        lines += _lines(rank, moments[rank], running, lanes, width)
    rest = len(shown) - start - most
    if rest > 0:
        lines.append(f"  ... {rest} lines after")
    placed = sum(op["place"] is not None for op in history["operations"])
    if placed:
        lines.append(f"[n]: place in the longest order that explains a part, {placed} operations")
    illegal = next((op for op in history["operations"] if op["mark"] == "illegal"), None)
    if illegal is not None:
        lines.append(f"!! cannot be placed: {illegal['text']} -> {illegal['result']}")
        if (state := last_state(history)) is not None:
            lines.append(f"   state before it: {state}")
    return lines


def _events(history: dict[str, Any], ranks: dict[int, int]) -> dict[int, list[str]]:
    """Resizes and collections, by the rank of the moment that comes after them."""
    tickets = sorted(ranks)
    found: dict[int, list[str]] = {}
    for event in history.get("events", ()):
        place = bisect_left(tickets, event["at"])
        found.setdefault(place, []).append(f"{event['kind']}: {event['text']}")
    return found


def last_state(history: dict[str, Any]) -> str | None:
    """The state after the longest order, or the first one; None when it is not known."""
    placed = [op for op in history["operations"] if op["place"] is not None]
    state = max(placed, key=lambda op: int(op["place"]))["state"] if placed else history["initial"]
    return None if state is None else str(state)


def _lines(
    rank: int,
    events: list[tuple[int, str]],
    running: dict[int, list[tuple[int, int]]],
    lanes: list[int],
    width: int,
) -> list[str]:
    """The calls and returns of one moment; two of one thread take two lines."""
    lines = []
    left = list(events)
    while left:
        cells = []
        for thread in lanes:
            text = next((text for t, text in left if t == thread), None)
            if text is None:
                inside = any(a < rank < b for a, b in running.get(thread, ()))
                text = "|" if inside else ""
            else:
                left.remove((thread, text))
            cells.append(shortened(text, width - 2).ljust(width))
        lines.append("  " + "".join(cells).rstrip())
    return lines


def _call(op: dict[str, Any]) -> str:
    return f"+ {_PREFIX.get(op['mark'], '')}{op['text']}"


def _return(op: dict[str, Any]) -> str:
    answer = "" if op["result"] is None else f" -> {op['result']}"
    place = "" if op["place"] is None else f" [{op['place'] + 1}]"
    return f"+{place}{answer or ' returns'}"


def outcome_table(rows: list[tuple[str, int, bool]]) -> list[str]:
    """RESULT / SAMPLES / FREQUENCY / EXPECTED, aligned."""
    whole = sum(count for _, count, _ in rows) or 1
    cells = [("RESULT", "SAMPLES", "FREQUENCY", "EXPECTED")]
    for outcome, count, expected in rows:
        cells.append(
            (
                shortened(outcome, 100),
                f"{count:,}",
                f"{count / whole:.2%}",
                "yes" if expected else "NO",
            )
        )
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    return [
        f"{row[0].ljust(widths[0])}  {row[1].rjust(widths[1])}  {row[2].rjust(widths[2])}  {row[3]}"
        for row in cells
    ]
