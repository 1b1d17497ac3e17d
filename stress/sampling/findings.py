"""What sampling found: one kind of trouble with one scenario."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..histories import history_of_calls
from .scenario import Scenario

__all__ = ["Finding"]


@dataclass
class Finding:
    """`kind` is outcome, error, unsound, references, operand, crash, abort, hang, memory, fork or
    shutdown.

    `seen` of `samples` showed it; `table` are (outcome, count, expected) rows; `operations` are the
    calls involved as text, `names` their names; `evidence` has what else is known, `timeline` the calls
    as a history (histories.py).
    """

    kind: str
    message: str
    scenario: Scenario | None
    seen: int = 1
    samples: int = 0
    table: list[tuple[str, int, bool]] = field(default_factory=list)
    operations: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    evidence: dict[str, Any] = field(default_factory=dict)
    timeline: dict[str, Any] | None = None  # what histories.py makes

    def as_json(self) -> dict[str, Any]:
        scenario = self.scenario
        if scenario is not None and not self.operations:
            self.operations = [
                f"thread {number}: {call.text}"
                for number, calls in enumerate(scenario.threads)
                for call in calls
            ]
            self.names = sorted({call.name for call in scenario.calls})
        if scenario is not None and self.timeline is None:
            texts = [[call.text for call in calls] for calls in scenario.threads]
            self.timeline = history_of_calls(texts)
            self._mark_error(self.timeline)
        return {
            "kind": self.kind,
            "message": self.message,
            "seen": self.seen,
            "samples": self.samples,
            "operations": self.operations,
            "names": self.names,
            "scenario": scenario.as_json()
            if scenario is not None
            else self.evidence.get("scenario"),
            "table": [list(row) for row in self.table],
            "evidence": self.evidence,
            "timeline": self.timeline,
        }

    def _mark_error(self, timeline: dict[str, Any]) -> None:
        """The call that raised what it may not is the one that cannot be explained."""
        thread, index, raised = self.evidence.get("raised", (None, None, None))
        for row in timeline["operations"]:
            if row["thread"] == thread and row["invoke"] == 2 * index:
                row.update(result=raised, mark="illegal")
