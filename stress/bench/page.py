"""One HTML file with everything: tables, and bars drawn as inline SVG. It loads nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

from .judge import Verdict
from .report import head
from .results import BenchResult, CellResult, Series
from .tables import Table, cell_table, errors_and_notes, goal_table, measure_table

__all__ = ["write_page"]

_COLOURS = {"builtin": "#8a8f98", "ours": "#2f6fde", "rival": "#d9822b"}
_STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem } h3 { font-size: 1rem }
table { border-collapse: collapse; margin: .5rem 0 } td, th { padding: .15rem .7rem; text-align: right }
th { border-bottom: 1px solid #999; vertical-align: bottom } td.t, th.t { text-align: left }
.yes { color: #187a33 } .no { color: #c02020; font-weight: bold } .close { color: #a05a00 }
.warning { background: #c02020; color: #fff; font-weight: bold; padding: .3rem .6rem }
details { margin: .3rem 0 } summary { cursor: pointer } svg text { font: 11px system-ui, sans-serif }
@media (prefers-color-scheme: dark) {
  body { background: #16181c; color: #d8dade } svg text { fill: #d8dade }
}
"""
_BAR, _GAP, _LEFT, _WIDTH = 14, 4, 260, 620


def write_page(result: BenchResult, verdicts: Sequence[Verdict], path: str) -> None:
    """Write the page; OSError where that is not possible."""
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(page(result, verdicts))


def page(result: BenchResult, verdicts: Sequence[Verdict]) -> str:
    """The whole document."""
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f"<title>ct-stress bench</title><style>{_STYLE}</style></head><body>",
            "<h1>ct-stress bench</h1>",
            *(_paragraph(line) for line in head(result.environment)),
            *(_paragraph(line) for line in errors_and_notes(result)),
            _table(goal_table(verdicts)),
            _table(measure_table(result.measures)) if result.measures else "",
            f"<h2>Times</h2><p>{_LEGEND}</p>",
            *_sections(result),
            "</body></html>\n",
        ]
    )


_LEGEND = (
    "Nanoseconds per operation without the loop: median of the rounds, quartiles as a line. "
    "Grey: the builtin; blue: this package; orange: others."
)


def _paragraph(line: str) -> str:
    kind = ' class="warning"' if line.startswith("WARNING") else ""
    return f"<p{kind}>{escape(line)}</p>"


def _table(table: Table) -> str:
    def cell(tag: str, column: int, text: str) -> str:
        classes = ["t"] if column in table.texts else []
        classes += [text] if text in ("yes", "no", "close") else []
        return f'<{tag} class="{" ".join(classes)}">{escape(text)}</{tag}>'

    heads = "".join(cell("th", column, text) for column, text in enumerate(table.heads))
    rows = "".join(
        f"<tr>{''.join(cell('td', column, text) for column, text in enumerate(row))}</tr>"
        for row in table.rows
    )
    return f"<h2>{escape(table.title)}</h2><table><tr>{heads}</tr>{rows}</table>"


def _sections(result: BenchResult) -> Iterator[str]:
    """A section for each family and operation, a chart for each of its cells."""
    cells = sorted(result.cells, key=lambda one: (one.cell.family, one.cell.operation))
    for (family, operation), group in groupby(
        cells, key=lambda one: (one.cell.family, one.cell.operation)
    ):
        yield f"<h3>{escape(family)}: {escape(operation)}</h3>"
        for one in group:
            table = _table(cell_table(one, result.clock)).partition("</h2>")[2]
            yield (
                f"<details><summary>{escape(one.cell.name)}</summary>"
                f"{_chart(one, result.clock)}{table}</details>"
            )


def _chart(cell: CellResult, clock: str) -> str:
    """Horizontal bars, one for each contestant and setting."""
    rows = sorted(cell.measured(), key=lambda series: series.setting)
    if not rows:
        return "<p>nothing was measured</p>"
    spreads = [cell.net_ns(series, clock) for series in rows]
    most = max(max(spread.high, 1e-9) for spread in spreads)
    height = len(rows) * (_BAR + _GAP) + _GAP
    bars = []
    for number, (series, spread) in enumerate(zip(rows, spreads, strict=True)):
        top = _GAP + number * (_BAR + _GAP)
        scale = (_WIDTH - 70) / most
        bars.append(_bar(series, top, spread.median * scale, spread.median))
        middle = top + _BAR / 2
        bars.append(
            f'<path d="M{_LEFT + spread.low * scale:.1f} {middle}H{_LEFT + spread.high * scale:.1f}" '
            'stroke="currentColor" stroke-opacity=".7"/>'
        )
    return (
        f'<svg width="{_LEFT + _WIDTH}" height="{height}" role="img" '
        f'aria-label="{escape(cell.cell.name)}">{"".join(bars)}</svg>'
    )


def _bar(series: Series, top: int, width: float, value: float) -> str:
    label = f"{series.contestant}, {series.setting.name}"
    base = top + _BAR - 3
    return (
        f'<text x="{_LEFT - 6}" y="{base}" text-anchor="end" fill="currentColor">{escape(label)}</text>'
        f'<rect x="{_LEFT}" y="{top}" width="{max(1.0, width):.1f}" height="{_BAR}" '
        f'fill="{_COLOURS.get(series.side, "#999")}"/>'
        f'<text x="{_LEFT + width + 6:.1f}" y="{base}" fill="currentColor">{value:.1f}</text>'
    )
