"""What a run of children came to, and how the end of a process is read."""

from __future__ import annotations

import os
import signal
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Sampling", "cause_of", "lines_of", "processor_seconds"]

_STACK_LINES = 120
_MOST_PACES = 600


@dataclass
class Sampling:
    """All that sampling of one target came to."""

    target: str
    seconds: float = 0.0
    totals: Counter[str] = field(default_factory=Counter)
    findings: list[dict[str, Any]] = field(default_factory=list)
    repeated: int = 0  # further findings with the same operations
    met: Counter[tuple[str, str]] = field(default_factory=Counter)
    types: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    operations: list[str] = field(default_factory=list)
    pairs: int = 0
    types_in_all: list[tuple[str, str]] = field(default_factory=list)
    paces: list[tuple[float, int]] = field(default_factory=list)  # (seconds, operations so far)
    profile: dict[str, Any] = field(default_factory=dict)
    children: int = 0
    gil: bool = False
    broken: list[str] = field(default_factory=list)  # what the harness itself did wrong

    def pace(self, seconds: float, operations: int) -> None:
        """So many operations more by then; kept at no more moments than a plot can show."""
        so_far = self.paces[-1][1] if self.paces else 0
        self.paces.append((round(seconds, 2), so_far + operations))
        if len(self.paces) > _MOST_PACES:
            self.paces[:] = self.paces[::-2][::-1]

    @property
    def unmet(self) -> list[tuple[str, str]]:
        """Pairs of operations that never met on one instance."""
        names = sorted(self.operations)
        return [(x, y) for x in names for y in names if x <= y and not self.met[x, y]]

    def as_json(self) -> dict[str, Any]:
        known = set(self.operations)
        return {
            "seconds": round(self.seconds, 3),
            **{
                name: self.totals[name] for name in ("scenarios", "samples", "operations", "judged")
            },
            "children": self.children,
            "findings": self.findings,
            "repeated": self.repeated,
            "coverage": {
                "pairs_met": sum(x in known and y in known for x, y in self.met),
                "operations": self.operations,
                "pairs": [[x, y, count] for (x, y), count in sorted(self.met.items())],
                "pairs_in_all": self.pairs,
                "operand_types": [[x, y, count] for (x, y), count in sorted(self.types.items())],
                "operand_types_in_all": [list(pair) for pair in self.types_in_all],
            },
            "faults": dict(self.faults),
            "paces": [list(pace) for pace in self.paces],
            "promised": self.profile,
            "harness_errors": self.broken,
        }


def cause_of(status: int, hung: bool) -> tuple[str, str]:
    if hung:
        return "hang", "the process made no progress any more and was ended"
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        if -status == signal.SIGKILL:
            return (
                "memory",
                "the process was killed by SIGKILL, as the system does when memory is out",
            )
        return ("abort" if -status == signal.SIGABRT else "crash"), f"the process died by {name}"
    return "exit", f"the process ended on its own with status {status}"


def lines_of(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().splitlines()[:_STACK_LINES]
    except OSError:
        return []


def processor_seconds(pid: int) -> float:
    """Processor seconds of a process so far; 0 where that cannot be asked."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stream:
            fields = stream.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0
