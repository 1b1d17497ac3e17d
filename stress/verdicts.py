"""What a run found: violations, the result of one workload, the result of the campaign.

The harness never says "safe". It says what was exercised, how often, and what it saw go wrong.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any

__all__ = ["CampaignResult", "ExitStatus", "Violation", "WorkloadResult"]


class ExitStatus(IntEnum):
    """Exit status of `ct-stress run`."""

    CLEAN = 0
    VIOLATION = 1
    USAGE = 2
    NOTHING_EXERCISED = 3
    HARNESS = 4  # the harness failed: nothing is said about the target


@dataclass(frozen=True)
class Violation:
    """One thing that the container's contract does not allow.

    `check` names the rule, `operations` the latest operations around it (oldest first), `round`
    the round of the workload (each has fresh tables), `rerun` a command that repeats the same
    operations, `details` a traceback or the stacks of all threads where there are any, and `timeline`
    the operations as a history (histories.py).
    """

    check: str
    message: str
    target: str
    workload: str
    seed: int
    round: int
    rerun: str
    operations: tuple[str, ...] = ()
    details: str = ""
    timeline: dict[str, Any] | None = None


@dataclass
class WorkloadResult:
    """What one workload did to one target; `verdict` is "clean", "violation" or "not exercised"."""

    target: str
    workload: str
    rounds: int = 0
    operations: int = 0
    refusals: int = 0  # operations that the container may refuse, and did (see targets.py)
    seconds: float = 0.0
    violations: list[Violation] = field(default_factory=list)
    suppressed: int = 0  # further violations of the same workload, counted and not kept
    facts: dict[str, float] = field(default_factory=dict)  # what it counted or measured itself

    @property
    def name(self) -> str:
        return f"{self.target}/{self.workload}"

    @property
    def verdict(self) -> str:
        if self.violations:
            return "violation"
        return "clean" if self.operations else "not exercised"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict}


@dataclass
class CampaignResult:
    """All workload results with the facts a reader needs to judge them."""

    environment: dict[str, Any]
    options: dict[str, Any]
    workloads: list[WorkloadResult] = field(default_factory=list)
    seconds: float = 0.0
    sampling: dict[str, Any] = field(default_factory=dict)  # by target; see sampling/supervisor.py
    stalled: bool = False  # some thread never came back; the process must end without it

    @property
    def violations(self) -> list[Violation]:
        return [violation for result in self.workloads for violation in result.violations]

    @property
    def exit_status(self) -> ExitStatus:
        if self.violations:
            return ExitStatus.VIOLATION
        if not any(result.operations for result in self.workloads):
            return ExitStatus.NOTHING_EXERCISED
        return ExitStatus.CLEAN

    def as_json(self) -> dict[str, Any]:
        """The document that `--json` writes; `schema` rises when a field changes its meaning."""
        return {
            "schema": 1,
            "tool": "ct-stress",
            "command": "run",
            "environment": self.environment,
            "options": self.options,
            "seconds": round(self.seconds, 3),
            "stalled": self.stalled,
            "exit_status": int(self.exit_status),
            "workloads": [result.as_json() for result in self.workloads],
            "sampling": self.sampling,
        }
