"""PNG files through matplotlib: one for each family and operation."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any

from ..options import UsageError
from .results import BenchResult, CellResult

__all__ = ["load_matplotlib", "write_images"]

_COLOURS = {"builtin": "#8a8f98", "ours": "#2f6fde", "rival": "#d9822b"}


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
    heights = [max(1, len(list(cell.measured()))) for cell in cells]
    figure, axes = plotting.subplots(
        len(cells),
        1,
        figsize=(9, 0.28 * sum(heights) + 0.9 * len(cells)),
        squeeze=False,
        height_ratios=heights,
    )
    for cell, (axis,) in zip(cells, axes, strict=True):
        rows = sorted(cell.measured(), key=lambda series: series.setting, reverse=True)
        spreads = [cell.net_ns(series, clock) for series in rows]
        axis.barh(
            [f"{series.contestant}, {series.setting.name}" for series in rows],
            [spread.median for spread in spreads],
            xerr=[
                [max(0.0, spread.median - spread.low) for spread in spreads],
                [max(0.0, spread.high - spread.median) for spread in spreads],
            ],
            color=[_COLOURS.get(series.side, "#999999") for series in rows],
        )
        axis.set_title(f"{cell.cell.name}, ns per operation", fontsize=9, loc="left")
        axis.tick_params(labelsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plotting.close(figure)
