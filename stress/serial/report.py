"""A finding for people: what was seen, what could have been, and the threads side by side."""

from __future__ import annotations

import linecache
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from .judging import Programs, shown
from .runs import Run

if TYPE_CHECKING:
    from .session import Verdict

__all__ = ["lanes", "told"]

_MOST_EXPECTED = 8
_MOST_STEPS = 400
_WIDTH = 44


def told(verdict: Verdict, expected: Collection[Any]) -> str:
    """The verdict with the outcome and those expected."""
    lines = [f"{verdict.kind or 'nothing wrong'}: {verdict.message or 'as expected'}"]
    lines.append(f"outcome:  {_short(verdict.outcome)}")
    for outcome in sorted(expected, key=repr)[:_MOST_EXPECTED]:
        lines.append(f"expected: {_short(outcome)}")
    if len(expected) > _MOST_EXPECTED:
        lines.append(f"          and {len(expected) - _MOST_EXPECTED} more")
    return "\n".join(lines)


def lanes(run: Run, programs: Programs) -> str:
    """One column for each thread, one line for each step; a rule where another thread goes on."""
    texts = ["; ".join(shown(call) for call in calls) for calls in programs]
    return lanes_of(run, texts)


def lanes_of(run: Run, texts: list[str]) -> str:
    """The same for programs that are texts."""
    count = len(texts)
    lines = [
        f"thread {number}: {text} -> {', '.join(map(repr, run.results[number])) or 'no answer'}"
        for number, text in enumerate(texts)
    ]
    lines += run.blocked
    before = -1
    last: tuple[int, str, int] | None = None
    for thread, (file, line, _) in run.trace[:_MOST_STEPS]:
        if (thread, file, line) == last:
            continue  # instructions of the same line
        last = (thread, file, line)
        if thread != before and before >= 0:
            lines.append("-" * min(100, count * _WIDTH))
        before = thread
        source = linecache.getline(file, line).strip()
        text = f"{file.rpartition('/')[2]}:{line} {source}"
        lines.append(f"{thread}| " + " " * (thread * _WIDTH if count < 3 else thread * 8) + text)
    if len(run.trace) > _MOST_STEPS:
        lines.append(f"... and {len(run.trace) - _MOST_STEPS} more steps")
    return "\n".join(lines)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 160 else text[:157] + "..."
