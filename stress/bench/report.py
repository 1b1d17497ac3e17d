"""What people read while the benchmark runs and at its end.

`rich` is imported only for a terminal; elsewhere the same tables come as plain text.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TextIO

from ..environment import summary
from ..options import UsageError
from .judge import Verdict
from .options import BenchOptions
from .results import BenchResult, CellResult
from .run import BenchObserver, warnings_of
from .tables import Table, cell_table, errors_and_notes, goal_table, measure_table

__all__ = ["BenchReport", "PlainBenchReport", "RichBenchReport", "open_bench_report"]


class BenchReport(BenchObserver):
    """Shows nothing: for `--json -`."""

    def show(self, result: BenchResult) -> None:
        """The cells of a result that was not measured here."""
        for cell in result.cells:
            self.cell_done(cell, result.clock)

    def close(self, result: BenchResult, verdicts: Sequence[Verdict] | None) -> None:
        """After the last measurement."""

    def abort(self) -> None:
        """Instead of `close`, when the run is interrupted."""


class PlainBenchReport(BenchReport):
    """Lines of text without colours or cursor movements."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def started(self, facts: dict[str, Any], notes: list[str], options: BenchOptions) -> None:
        for line in head(facts):
            self._line(line)
        for line in notes:
            self._line(line)

    def cell_done(self, result: CellResult, clock: str) -> None:
        self._table(cell_table(result, clock))

    def failed(self, line: str) -> None:
        self._line(f"error: {line}")

    def close(self, result: BenchResult, verdicts: Sequence[Verdict] | None) -> None:
        if result.measures:
            self._table(measure_table(result.measures))
        if verdicts is not None:
            self._table(goal_table(verdicts))
        for line in tail(result):
            self._line(line)

    def _line(self, line: str) -> None:
        print(line, file=self._stream, flush=True)

    def _table(self, table: Table) -> None:
        rows = [table.heads, *table.rows]
        widths = [max(len(row[column]) for row in rows) for column in range(len(table.heads))]
        self._line("")
        self._line(table.title)
        for row in rows:
            cells = [
                text.ljust(width) if column in table.texts else text.rjust(width)
                for column, (text, width) in enumerate(zip(row, widths, strict=True))
            ]
            self._line("  " + "  ".join(cells).rstrip())


class RichBenchReport(BenchReport):
    """Tables and a progress bar on a terminal."""

    def __init__(self) -> None:
        try:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        except ImportError as error:
            raise UsageError(
                "the display on a terminal needs rich: pip install 'concurrent_tables[stress]' "
                "(or use --plain, or --json -)"
            ) from error
        self._console = Console()
        self._progress: Any = Progress(
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            auto_refresh=False,  # a refreshing thread would disturb the measured ones
        )
        self._task: Any = None

    def started(self, facts: dict[str, Any], notes: list[str], options: BenchOptions) -> None:
        for line in [*head(facts), *notes]:
            self._loud(line)
        self._progress.start()
        self._task = self._progress.add_task("", total=1)

    def working_on(self, name: str, number: int, total: int) -> None:
        self._progress.update(self._task, description=name, completed=number, total=total)
        self._progress.refresh()

    def cell_done(self, result: CellResult, clock: str) -> None:
        self._table(cell_table(result, clock))

    def failed(self, line: str) -> None:
        self._loud(f"error: {line}")

    def abort(self) -> None:
        self._progress.stop()

    def close(self, result: BenchResult, verdicts: Sequence[Verdict] | None) -> None:
        self._progress.stop()
        if result.measures:
            self._table(measure_table(result.measures))
        if verdicts is not None:
            self._table(goal_table(verdicts))
        for line in tail(result):
            self._loud(line)

    def _loud(self, line: str) -> None:
        style = "bold white on red" if line.startswith("WARNING") else None
        if line.startswith("error"):
            style = "red"
        self._console.print(line, style=style, markup=False, highlight=False)

    def _table(self, table: Table) -> None:
        from rich.table import Table as RichTable
        from rich.text import Text

        shown = RichTable(title=table.title, title_justify="left")
        for column, name in enumerate(table.heads):
            shown.add_column(name, justify="left" if column in table.texts else "right")
        for row in table.rows:
            shown.add_row(*(Text(text, style=_STYLES.get(text, "")) for text in row))
        self._console.print(shown)


_STYLES = {"yes": "green", "no": "bold red", "close": "yellow"}


def head(facts: dict[str, Any]) -> list[str]:
    """What ran where, and what makes that worth less."""
    load = ", ".join(f"{one:g}" for one in facts.get("load_average", []))
    machine = f"{facts.get('cpu')}, {facts.get('usable_cpus')} CPUs usable, load average {load}"
    versions = [f"{name} {version}" for name, version in facts.get("versions", {}).items()]
    against = [f"against the builtins and {', '.join(versions)}"] if versions else []
    return [summary(facts), machine, *against, *warnings_of(facts)]


def tail(result: BenchResult) -> list[str]:
    """The last lines: errors, warnings again, and how much was measured."""
    errors = len(result.all_errors())
    counts = f"{len(result.cells)} cells and {len(result.measures)} further measurements"
    failures = f", {errors} errors" if errors else ""
    lines = errors_and_notes(result)
    lines += [line for line in warnings_of(result.environment) if line.startswith("WARNING")]
    return [*lines, f"{counts} in {result.seconds:.0f} s{failures}"]


def open_bench_report(*, plain: bool, json_on_stdout: bool) -> BenchReport:
    """The report that fits stdout: rich on a terminal, plain text elsewhere."""
    if json_on_stdout:
        return BenchReport()
    if plain or not sys.stdout.isatty():
        return PlainBenchReport(sys.stdout)
    return RichBenchReport()
