"""A result as rows of text, for every way of showing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .judge import Verdict
from .results import BenchResult, CellResult, Measure, Series
from .space import EMPTY_LOOP, Setting

__all__ = ["Table", "cell_table", "errors_and_notes", "goal_table", "measure_table"]


@dataclass(frozen=True)
class Table:
    """A title, the heads of the columns, and rows; the columns in `texts` are flush left."""

    title: str
    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]
    texts: tuple[int, ...] = (0,)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def cell_table(result: CellResult, clock: str) -> Table:
    """One row for each contestant, and columns for each setting.

    Net nanoseconds, with the ratio to the builtin in the same setting and the quartiles of that; for
    several threads also the ratio to one thread of the same contestant. The row of the empty loop
    has what was subtracted.
    """
    settings = sorted({series.setting for series in result.series})
    heads = ["ns per operation, loop subtracted"]
    for setting in settings:
        heads += [setting.name, "to 1"] if setting.threads > 1 else [setting.name]
    names = list(dict.fromkeys(series.contestant for series in result.series))
    rows = []
    for name in names:
        row = [name if name != EMPTY_LOOP else "(subtracted: empty loop)"]
        for setting in settings:
            row += _entries(result, name, setting, clock)
        rows.append(tuple(row))
    return Table(result.cell.name, tuple(heads), rows)


def _entries(result: CellResult, name: str, setting: Setting, clock: str) -> list[str]:
    series = result.find(name, setting)
    several = setting.threads > 1
    if series is None:
        return ["", ""] if several else [""]
    if name == EMPTY_LOOP:
        return [f"{result.gross_ns(series, clock).median:.1f}", *([""] if several else [])]
    net = result.net_ns(series, clock).median
    entry = f"{_mark(series)}{net:.1f}{_ratio(result, series, clock)}"
    if not several:
        return [entry]
    scaling = result.scaling(series, clock)
    return [entry, f"{scaling.median:.2f}" if scaling else ""]


def _mark(series: Series) -> str:
    return "~" if series.noisy else ""


def _ratio(result: CellResult, series: Series, clock: str) -> str:
    baseline = result.baseline(series)
    if baseline is None or baseline is series:
        return ""
    ratio = result.ratio(series, baseline, clock)
    return f"  {ratio.median:.2f}x [{ratio.low:.2f}-{ratio.high:.2f}]"


def measure_table(measures: Sequence[Measure]) -> Table:
    """Every further measurement, a row for each contestant."""
    rows: list[tuple[str, ...]] = [
        (
            one.measure,
            one.case,
            one.contestant,
            ", ".join(f"{name} {_number(value)}" for name, value in one.figures.items()),
            one.unit,
        )
        for one in measures
    ]
    heads = ("measurement", "case", "contestant", "figures", "unit")
    return Table("Further measurements", heads, rows, texts=(0, 1, 2, 3, 4))


def goal_table(verdicts: Sequence[Verdict]) -> Table:
    """Goal, target, what was measured in the worst place and typically, and whether it is met."""
    rows: list[tuple[str, ...]] = []
    for one in verdicts:
        limit = f"{_number(one.limit)} {one.unit}" if one.unit != "x" else f"{one.limit:g}x"
        if not one.findings:
            rows.append((one.goal, limit, "not measured", "", "", "-", ""))
            continue
        mark = "~" if one.worst.noisy else ""
        rows.append(
            (
                one.goal,
                limit,
                f"{mark}{_number(one.worst.value.median)}",
                _number(one.typical),
                f"{one.met_in}/{len(one.findings)}",
                one.met,
                one.worst.where,
            )
        )
    heads = ("goal", "target", "worst", "typical", "places", "met", "worst place")
    return Table("Goals", heads, rows, texts=(0, 6))


def errors_and_notes(result: BenchResult) -> list[str]:
    """Lines about what was left out or went wrong."""
    return [*result.notes, *(f"error: {line}" for line in result.all_errors())]
