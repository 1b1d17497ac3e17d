"""PNG files through matplotlib: one for each family and operation."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any

from ..options import UsageError
from .bars import Bar
from .results import BenchResult, CellResult

__all__ = ["draw_bars", "load_matplotlib", "write_images"]


def load_matplotlib() -> Any:
    """The plotting interface, drawing into files; UsageError where it is not installed."""
    try:
        import_module("matplotlib").use("agg")
        return import_module("matplotlib.pyplot")
    except ImportError as error:
        raise UsageError(
            "--png needs matplotlib: pip install 'concurrent_tables[bench]' (or use --html)"
        ) from error


def write_images(result: BenchResult, directory: str) -> list[str]:
    """Write the files; their paths."""
    plotting = load_matplotlib()
    Path(directory).mkdir(parents=True, exist_ok=True)
    written = []

    def place(one: CellResult) -> tuple[str, str]:
        return one.cell.family, one.cell.operation

    for (family, operation), group in groupby(sorted(result.cells, key=place), key=place):
        path = Path(directory) / f"{family}-{operation}.png"
        _draw(plotting, list(group), result.clock, path)
        written.append(str(path))
    return written


def _draw(plotting: Any, cells: Sequence[CellResult], clock: str, path: Path) -> None:
    """One row of bars for each cell: contestants by setting, quartiles as error bars."""
    charts = []
    for cell in cells:
        bars = []
        for series in sorted(cell.measured(), key=lambda series: series.setting):
            spread = cell.net_ns(series, clock)
            label = f"{series.contestant}, {series.setting.name}"
            bars.append(Bar(label, series.side, spread.low, spread.median, spread.high))
        charts.append((f"{cell.cell.name}, ns per operation", bars))
    draw_bars(plotting, charts, path)


def draw_bars(plotting: Any, charts: Sequence[tuple[str, Sequence[Bar]]], path: Path) -> None:
    """One file with charts under each other, each with its title."""
    heights = [max(1, len(bars)) for _, bars in charts]
    figure, axes = plotting.subplots(
        len(charts),
        1,
        figsize=(9, 0.28 * sum(heights) + 0.9 * len(charts)),
        squeeze=False,
        height_ratios=heights,
    )
    for (title, given), (axis,) in zip(charts, axes, strict=True):
        bars = given[::-1]  # the first one is drawn at the bottom
        axis.barh(
            [bar.label for bar in bars],
            [bar.median for bar in bars],
            xerr=[
                [max(0.0, bar.median - bar.low) for bar in bars],
                [max(0.0, bar.high - bar.median) for bar in bars],
            ],
            color=[bar.colour for bar in bars],
        )
        axis.set_title(title, fontsize=9, loc="left")
        axis.tick_params(labelsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plotting.close(figure)
