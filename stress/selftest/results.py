"""What the self-test found, as a table for people and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Outcome", "Row", "Selftest"]

_GOOD = ("found", "clean", "cannot happen")


@dataclass(frozen=True)
class Outcome:
    """What one way of looking came to on one side of a specimen.

    Parameters:
        verdict: "found" or "missed" where there is a bug, "clean" or "accused" where there is none,
            "cannot happen" on this interpreter, "broken" when it could not be looked for.
        what: the kind of the finding, or the reason. tried: how many of `unit` it took.
    """

    verdict: str
    what: str = ""
    tried: int = 0
    unit: str = ""
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether it is as it should be."""
        return self.verdict in _GOOD

    def __str__(self) -> str:
        if self.verdict != "found":
            return self.verdict
        tried = f"{self.tried} {self.unit}, " if self.unit else ""
        return f"{self.what}: {tried}{self.seconds:.1f} s"


@dataclass
class Row:
    """A specimen: outcomes by way ("serial", "parallel", "general", "planted") and side."""

    specimen: str
    about: str
    kind: str
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return all(outcome.good for outcome in self.outcomes.values())


@dataclass
class Selftest:
    """All of it. `not_run` says, by way, why it was left out on this machine."""

    environment: dict[str, Any]
    seed: int
    rows: list[Row] = field(default_factory=list)
    twins: list[Row] = field(default_factory=list)
    not_run: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether all was found that can happen here, and nothing alleged of the twins."""
        return bool(self.rows) and all(row.good for row in [*self.rows, *self.twins])

    def count(self, verdict: str, *, twins: bool = False) -> int:
        """Outcomes with this verdict."""
        rows = self.twins if twins else self.rows
        return sum(o.verdict == verdict for row in rows for o in row.outcomes.values())

    def as_json(self) -> dict[str, Any]:
        """The document that `--json` writes."""
        return {
            "schema": 1,
            "tool": "ct-stress selftest",
            "environment": self.environment,
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
            "good": self.good,
            "not_run": self.not_run,
            "specimens": [asdict(row) for row in self.rows],
            "twins": [asdict(row) for row in self.twins],
        }

    def table(self) -> str:
        """One line for each specimen, then what was not found, could not happen, or was alleged."""
        ways = list(dict.fromkeys([way for row in self.rows for way in row.outcomes]))
        lines = [["specimen", "kind", *ways]]
        for row in self.rows:
            cells = [str(row.outcomes[way]) if way in row.outcomes else "" for way in ways]
            lines.append([row.specimen, row.kind, *cells])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = [
            "  ".join(
                [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
            ).rstrip()
            for line in lines
        ]
        return "\n".join([*text, *self._remarks()])

    def _remarks(self) -> list[str]:
        remarks = [""]
        for row in [*self.rows, *self.twins]:
            for way, outcome in row.outcomes.items():
                if outcome.verdict not in ("found", "clean"):
                    remarks.append(f"{outcome.verdict}: {row.specimen} ({way}): {outcome.what}")
        for way, why in self.not_run.items():
            remarks.append(f"***** NOT RUN: {way}: {why} *****")
        return remarks

    def summary(self) -> str:
        """The last line."""
        twins = sum(len(row.outcomes) for row in self.twins)
        parts = [
            f"{self.count('found')} found",
            f"{self.count('missed') + self.count('broken')} not found",
            f"{self.count('cannot happen')} cannot happen here",
            f"{self.count('accused', twins=True)} of {twins} correct ones accused",
        ]
        return f"{len(self.rows)} specimens: {', '.join(parts)}; {self.seconds:.0f} s"
