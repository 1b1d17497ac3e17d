"""Goals against a result: what was measured, and whether it is good enough."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from .goals import GOALS, MEASURE_GOALS, RIVALLED, Goal, MeasureGoal
from .results import BenchResult, CellResult, Measure, Series, Spread
from .space import Setting

__all__ = ["Finding", "Verdict", "judge"]


@dataclass(frozen=True)
class Finding:
    """One place where a goal applies: the figure there, and where that is."""

    where: str
    value: Spread
    noisy: bool


@dataclass(frozen=True)
class Verdict:
    """One goal with its findings, the worst first."""

    goal: str
    limit: float
    unit: str
    findings: tuple[Finding, ...]

    @property
    def met_in(self) -> int:
        """In how many places."""
        return sum(finding.value.median <= self.limit for finding in self.findings)

    @property
    def met(self) -> str:
        """`yes`, `no`, `close` (missed only where the quartiles reach over the limit), or `-`."""
        if not self.findings:
            return "-"
        missed = [one for one in self.findings if one.value.median > self.limit]
        if not missed:
            return "yes"
        return "close" if all(one.value.low <= self.limit for one in missed) else "no"

    @property
    def worst(self) -> Finding:
        return self.findings[0]

    @property
    def typical(self) -> float:
        """The median over the places."""
        return median(finding.value.median for finding in self.findings)


def judge(result: BenchResult) -> list[Verdict]:
    """A verdict for each goal that is about this interpreter; without findings if not measured."""
    gil = bool(result.environment.get("gil_enabled", True))
    build = "gil" if gil else "free-threaded"
    verdicts = [
        _verdict(goal.name, goal.limit, "x", _findings(goal, result))
        for goal in GOALS
        if goal.builds in (build, "any")
    ]
    verdicts += [
        _verdict(goal.name, goal.limit, goal.unit, _measured(goal, result))
        for goal in MEASURE_GOALS
    ]
    return verdicts


def _verdict(name: str, limit: float, unit: str, findings: Iterator[Finding]) -> Verdict:
    ranked = sorted(findings, key=lambda finding: -finding.value.median)
    return Verdict(name, limit, unit, tuple(ranked))


def _findings(goal: Goal, result: BenchResult) -> Iterator[Finding]:
    for cell in result.cells:
        if not _applies(goal, cell):
            continue
        for series in cell.measured():
            if not _wanted(goal, series) or (goal.against == "rivals" and _outrun(cell, series)):
                continue
            for other in _others(goal, cell, series):
                value = cell.ratio(series, other, result.clock)
                where = f"{series.contestant}: {cell.cell.name}, {series.setting.name}"
                if goal.against == "rivals":
                    where += f", to {other.contestant}"
                yield Finding(where, value, series.noisy or other.noisy)


def _matches(names: tuple[str, ...], name: str) -> bool:
    return not names or name in names


def _applies(goal: Goal, result: CellResult) -> bool:
    cell = result.cell
    return (
        _matches(goal.families, cell.family)
        and _matches(goal.operations, cell.operation)
        and _matches(goal.keys, cell.keys)
        and _matches(goal.values, cell.values)
        and _matches(goal.reaches, cell.reach)
    )


def _wanted(goal: Goal, series: Series) -> bool:
    """Several threads are judged on one table; a table each is what that is compared with."""
    shared = series.setting.tables == "one" or series.setting.threads == 1
    threads = not goal.threads or series.setting.threads in goal.threads
    return series.contestant in goal.contestants and shared and threads


def _outrun(cell: CellResult, series: Series) -> bool:
    """Whether another table of ours is the faster choice for this use, and meets the rivals."""
    fellows = (cell.find(name, series.setting) for name in RIVALLED)
    return any(one and cell.ratio(one, series).median < 1 for one in fellows)


def _others(goal: Goal, cell: CellResult, series: Series) -> list[Series]:
    if goal.against == "rivals":
        same = [one for one in cell.measured() if one.setting == series.setting]
        return [one for one in same if one.side == "rival"]
    if goal.against == "own tables":
        other = cell.find(series.contestant, Setting(series.setting.threads, "each"))
    else:
        other = cell.baseline(series)
    return [other] if other else []


def _measured(goal: MeasureGoal, result: BenchResult) -> Iterator[Finding]:
    for one in result.measures:
        if one.measure != goal.measure or one.contestant not in goal.contestants:
            continue
        if not _matches(goal.cases, one.case):
            continue
        divisors = _divisors(goal, one, result)
        for figure in goal.figures:
            if figure in one.figures and divisors.get(figure, 0) > 0:
                value = one.figures[figure] / divisors[figure]
                where = f"{one.contestant}: {one.case}, {figure}"
                yield Finding(where, Spread(value, value, value), False)


def _divisors(goal: MeasureGoal, one: Measure, result: BenchResult) -> dict[str, float]:
    """The figures of the contestant that the goal compares with; ones where it names none."""
    if not goal.against:
        return dict.fromkeys(one.figures, 1.0)
    for other in result.measures:
        if (other.measure, other.case, other.contestant) == (one.measure, one.case, goal.against):
            return other.figures
    return {}
