"""A short history as text: one line per operation, threads side by side, time from left to right."""

from __future__ import annotations

from ..check import FOREVER, Verdict
from ..check.history import History

__all__ = ["lanes_of"]

_WIDTH = 48
_MOST = 40


def lanes_of(history: History, verdict: Verdict) -> list[str]:
    """Lines; the operation that cannot be placed is marked."""
    operations = sorted(history, key=lambda op: (op.client, op.invoke))
    tickets = sorted({t for op in operations for t in (op.invoke, op.response) if t != FOREVER})
    places = {ticket: number for number, ticket in enumerate(tickets)}
    scale = max(1, len(tickets) - 1)
    lines = []
    for op in operations[:_MOST]:
        start = places[op.invoke] * (_WIDTH - 1) // scale
        end = _WIDTH - 1 if op.response == FOREVER else places[op.response] * (_WIDTH - 1) // scale
        bar = " " * start + "|" + "-" * max(0, end - start - 1) + "|"
        blocked = verdict.blocked is not None and verdict.blocked.index == op.index
        call = f"{op.method}({', '.join(map(repr, op.args))}) -> {op.result!r}"
        mark = "   <-- cannot be placed" if blocked else ""
        lines.append(f"client {op.client}  {bar:{_WIDTH + 1}}  {call}{mark}")
    if len(operations) > _MOST:
        lines.append(f"... {len(operations) - _MOST} more")
    return lines
