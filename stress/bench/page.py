"""One HTML file with everything: tables, and bars drawn as inline SVG. It loads nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

from .bars import Bar, svg_of
from .judge import Verdict
from .report import head
from .results import BenchResult, CellResult
from .tables import Table, cell_table, errors_and_notes, goal_table, measure_table

__all__ = ["document", "table_text", "write_page"]

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


def write_page(result: BenchResult, verdicts: Sequence[Verdict], path: str) -> None:
    """Write the page; OSError where that is not possible."""
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(page(result, verdicts))


def page(result: BenchResult, verdicts: Sequence[Verdict]) -> str:
    """The whole document."""
    return document(
        "ct-stress bench",
        [*head(result.environment), *errors_and_notes(result)],
        [
            table_text(goal_table(verdicts)),
            table_text(measure_table(result.measures)) if result.measures else "",
            f"<h2>Times</h2><p>{_LEGEND}</p>",
            *_sections(result),
        ],
    )


def document(title: str, lines: Sequence[str], parts: Sequence[str]) -> str:
    """A page of a title, lines of text about the run, and parts in HTML."""
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            *(_paragraph(line) for line in lines),
            *parts,
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


def table_text(table: Table) -> str:
    """A heading and a table."""

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
            table = table_text(cell_table(one, result.clock)).partition("</h2>")[2]
            yield (
                f"<details><summary>{escape(one.cell.name)}</summary>"
                f"{_chart(one, result.clock)}{table}</details>"
            )


def _chart(cell: CellResult, clock: str) -> str:
    """Horizontal bars, one for each contestant and setting."""
    rows = sorted(cell.measured(), key=lambda series: series.setting)
    bars = []
    for series in rows:
        spread = cell.net_ns(series, clock)
        label = f"{series.contestant}, {series.setting.name}"
        bars.append(Bar(label, series.side, spread.low, spread.median, spread.high))
    return svg_of(bars, cell.cell.name)
