"""Verdicts: ok, illegal or unknown, and why."""

from __future__ import annotations

import enum
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from .history import Operation
from .models.base import REFUSED, WHOLE, Model, step_all

__all__ = ["Outcome", "Verdict"]

SHOWN = 12  # operations of the prefix that an explanation shows


class Outcome(enum.Enum):
    """What a history is found to be."""

    OK = "ok"
    ILLEGAL = "illegal"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found, and what for.

    Parameters:
        outcome: ok, illegal or unknown.
        reason: one line: what is wrong, or why it stays unknown.
        operations: how many operations were judged.
        parts: how many parts (keys, windows) they were judged in.
        key: the key of the illegal or unknown part; `WHOLE` if the history was judged in one piece.
        prefix: a longest linearizable prefix of that part, in the order found.
        blocked: the operation that had to come next and cannot be placed.
        anomalies: what is wrong by name, where a polynomial check can name it ("stale read ...").
        state: the model's state after the prefix.
        concurrent: operations that overlap the blocked one and are not in the prefix.
        initial: the model's state before the part; None where nothing is illegal.
    """

    outcome: Outcome
    reason: str = ""
    operations: int = 0
    parts: int = 0
    key: Hashable = WHOLE
    prefix: tuple[Operation, ...] = ()
    blocked: Operation | None = None
    anomalies: tuple[str, ...] = ()
    state: str = ""
    concurrent: tuple[Operation, ...] = field(default=())
    initial: Hashable = None

    def __bool__(self) -> bool:
        raise TypeError("a Verdict has three outcomes; compare verdict.outcome")

    @property
    def ok(self) -> bool:
        """Whether the history is explained. Not the opposite of illegal: it may be unknown."""
        return self.outcome is Outcome.OK

    def explanation(self) -> str:
        """Several lines for people."""
        lines = [f"{self.outcome}: {self.reason}" if self.reason else str(self.outcome)]
        lines += [f"  {anomaly}" for anomaly in self.anomalies]
        if self.blocked is not None:
            lines += self._explain_prefix()
        return "\n".join(lines)

    def _explain_prefix(self) -> list[str]:
        where = "" if self.key is WHOLE else f" on key {self.key!r}"
        lines = [f"  longest linearizable prefix{where}: {len(self.prefix)} operations"]
        if len(self.prefix) > SHOWN:
            lines.append(f"    ... {len(self.prefix) - SHOWN} before")
        lines += [f"    {op}" for op in self.prefix[-SHOWN:]]
        lines.append(f"  state then: {self.state}")
        lines.append(f"  cannot be placed: {self.blocked}")
        lines += [f"    overlapping it, not placed either: {op}" for op in self.concurrent[:SHOWN]]
        return lines

    def as_json(self) -> dict[str, Any]:
        """Everything as JSON data; values by their repr."""
        return {
            "verdict": str(self.outcome),
            "reason": self.reason,
            "operations": self.operations,
            "parts": self.parts,
            "key": None if self.key is WHOLE else repr(self.key),
            "anomalies": list(self.anomalies),
            "prefix": [str(op) for op in self.prefix],
            "state": self.state,
            "blocked": None if self.blocked is None else str(self.blocked),
            "concurrent": [str(op) for op in self.concurrent],
        }


def state_after(model: Model, initial: Any, prefix: tuple[Operation, ...]) -> str:
    """The state that the prefix leads to, for people."""
    state = initial
    for op in prefix:
        state = step_all(model, state, op)
        if state is REFUSED:  # a model whose steps do not repeat
            return "?"
    return model.show(state)
