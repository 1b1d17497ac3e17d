"""What `ct-stress bench cache` measured as charts: one HTML page, or PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from .bars import Bar, bar_of, svg_of
from .cache_judge import judge_cache
from .cache_rounds import WORKLOADS, CacheCell
from .images import draw_bars, load_matplotlib
from .page import document, table_text
from .report import head
from .tables import Table

__all__ = ["Chart", "charts_of", "write_cache_images", "write_cache_page"]

_LEGEND = (
    "Medians of interleaved rounds, quartiles as a line. Blue: this package; grey: the standard library "
    "and an exact LRU; orange: others."
)


class Chart(NamedTuple):
    """Bars of one group, which is a section of the page and a file."""

    group: str
    title: str
    bars: list[Bar]


def charts_of(result: dict[str, Any]) -> list[Chart]:
    """Everything in a result (as JSON) that can be drawn."""
    cells = [CacheCell(**cell) for cell in result["cells"]]
    charts = []
    for workload, text in WORKLOADS.items():
        for ttl in (False, True):
            group = [cell for cell in cells if cell.workload == workload and cell.ttl == ttl]
            if group:
                title = f"{workload}{', ttl' if ttl else ''}: {text}, million operations a second"
                charts.append(Chart("throughput", title, _throughput(group)))
    for row in result["traces"]:
        title = f"{row['trace']} @{row['maxsize']}: hits in percent"
        charts.append(Chart("hit-ratio", title, _ratios(row)))
    if result["memory"]:
        bars = [bar_of(name, _side(name), [size]) for name, size in result["memory"].items()]
        charts.append(Chart("memory", "bytes per entry with ttl, without key and value", bars))
    return charts


def _throughput(cells: Sequence[CacheCell]) -> list[Bar]:
    bars = []
    for cell in cells:
        each = ", a cache each" if cell.caches == "each" else ""
        where = f"{cell.threads} thread{'s' if cell.threads > 1 else ''}{each}"
        for name, rounds in cell.rounds.items():
            millions = [1e3 * cell.threads / nanoseconds for nanoseconds in rounds]
            bars.append(bar_of(f"{name}, {where}", _side(name), millions))
    return bars


def _ratios(row: dict[str, Any]) -> list[Bar]:
    bars = [
        bar_of("Cache, tinylfu", "ours", [row["tinylfu"]]),
        bar_of("Cache, lru", "ours", [row["lru"]]),
        bar_of("exact LRU", "builtin", [row["exact_lru"]]),
    ]
    return bars + [bar_of(name, "rival", [one]) for name, one in row.get("others", {}).items()]


def _side(name: str) -> str:
    return {"Cache": "ours", "lru_cache": "builtin"}.get(name, "rival")


def write_cache_page(result: dict[str, Any], path: str) -> None:
    """Write the page; OSError where that is not possible."""
    Path(path).write_text(_page(result), encoding="utf-8")


def _page(result: dict[str, Any]) -> str:
    parts = [table_text(_goals(result)), f"<p>{_LEGEND}</p>"]
    group = ""
    for chart in charts_of(result):
        if chart.group != group:
            group = chart.group
            parts.append(f"<h2>{group.replace('-', ' ').capitalize()}</h2>")
        parts.append(f"<h3>{escape(chart.title)}</h3>{svg_of(chart.bars, chart.title)}")
    lines = head(result["environment"])
    if result.get("rest_percent") is not None:
        lines.append(_rest(result))
    lines += result.get("not_measured", [])
    lines += [f"{name} is not installed" for name in result["not_installed"]]
    return document("ct-stress bench cache", lines, parts)


def _rest(result: dict[str, Any]) -> str:
    return f"The clock used {result['rest_percent']:.2f} % of a core at rest."


def _goals(result: dict[str, Any]) -> Table:
    rows: list[tuple[str, ...]] = [
        (one.goal, f"{one.figure:.2f}", f"{one.sense} {one.limit:.2f}", "yes" if one.met else "no")
        for one in judge_cache(result)
    ]
    return Table("Goals", ("goal", "measured", "target", "met"), rows)


def write_cache_images(result: dict[str, Any], directory: str) -> list[str]:
    """Write a PNG file for each group of charts; their paths."""
    plotting = load_matplotlib()
    Path(directory).mkdir(parents=True, exist_ok=True)
    groups: dict[str, list[tuple[str, Sequence[Bar]]]] = {}
    for chart in charts_of(result):
        groups.setdefault(chart.group, []).append((chart.title, chart.bars))
    written = []
    for group, charts in groups.items():
        path = Path(directory) / f"cache-{group}.png"
        draw_bars(plotting, charts, path)
        written.append(str(path))
    return written
