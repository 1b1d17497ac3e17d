"""What people and programs read: progress, the result table, violations, JSON.

`rich` is imported only when something is shown on a terminal; elsewhere the same facts come as
plain text.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from .campaign import Observer
from .environment import gil_warning, summary
from .options import UsageError
from .sampling.report import summary as summarize_sampling
from .verdicts import CampaignResult, ExitStatus, Violation, WorkloadResult

__all__ = [
    "PlainReport",
    "RichReport",
    "Silent",
    "head",
    "open_report",
    "unmet_lines",
    "unmet_pairs",
    "write_document",
    "write_json",
]

_COLUMNS = ("target", "workload", "rounds", "operations", "per second", "verdict")
_NUMBERS = frozenset({"rounds", "operations", "per second"})


class Silent(Observer):
    """Shows nothing: for `--json -`."""

    def open(self, facts: dict[str, Any], options: dict[str, Any]) -> None:
        """Before the first workload."""

    def close(self, result: CampaignResult) -> None:
        """After the last one."""

    def abort(self) -> None:
        """Instead of `close`, when the run is interrupted."""


class PlainReport(Silent):
    """Lines of text without colours or cursor movements."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def open(self, facts: dict[str, Any], options: dict[str, Any]) -> None:
        for line in head(facts, options):
            self._write(line)

    def close(self, result: CampaignResult) -> None:
        rows = [_COLUMNS, *(_row(done) for done in result.workloads)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
        for row in rows:
            cells = [
                text.rjust(width) if name in _NUMBERS else text.ljust(width)
                for text, width, name in zip(row, widths, _COLUMNS, strict=True)
            ]
            self._write("  ".join(cells).rstrip())
        for line in _tail(result):
            self._write(line)

    def _write(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class RichReport(Silent):
    """Progress bars and a table on a terminal."""

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
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[now]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            auto_refresh=False,  # by our own ticks: no further thread beside the workers
        )
        self._whole: Any = None
        self._part: Any = None
        self._shown_at = 0.0

    def open(self, facts: dict[str, Any], options: dict[str, Any]) -> None:
        for line in head(facts, options):
            style = "bold white on red" if line.startswith("WARNING") else None
            self._console.print(line, style=style, markup=False, highlight=False)
        self._progress.start()
        self._whole = self._progress.add_task("all workloads", total=1.0, now="")
        self._part = self._progress.add_task("this one", total=1.0, now="")

    def started(self, target: str, workload: str, number: int, total: int) -> None:
        self._progress.update(
            self._whole, total=total, completed=number, now=f"{number + 1} of {total}"
        )
        self._progress.update(self._part, completed=0.0, now=f"{target}/{workload}")

    def progress(self, fraction: float) -> None:
        self._progress.update(self._part, completed=fraction)
        now = time.monotonic()
        if now - self._shown_at > 0.1:
            self._shown_at = now
            self._progress.refresh()

    def finished(self, result: WorkloadResult) -> None:
        self._progress.advance(self._whole)

    def abort(self) -> None:
        self._progress.stop()

    def close(self, result: CampaignResult) -> None:
        from rich.table import Table

        self._progress.stop()
        table = Table()
        for name in _COLUMNS:
            table.add_column(name, justify="right" if name in _NUMBERS else "left")
        for done in result.workloads:
            style = {"violation": "bold red", "not exercised": "yellow"}.get(done.verdict)
            table.add_row(*_row(done), style=style)
        self._console.print(table)
        for line in _tail(result):
            style = "bold white on red" if line.startswith("WARNING") else None
            self._console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def open_report(*, plain: bool, json_on_stdout: bool) -> Silent:
    """The report that fits stdout: rich on a terminal, plain text elsewhere."""
    if json_on_stdout:
        return Silent()
    if plain or not sys.stdout.isatty():
        return PlainReport(sys.stdout)
    return RichReport()


def write_json(result: CampaignResult, stream: TextIO) -> None:
    """The whole result as one JSON document."""
    write_document(result.as_json(), stream)


def write_document(document: dict[str, Any], stream: TextIO) -> None:
    """JSON data, indented."""
    json.dump(document, stream, indent=2, default=repr)
    stream.write("\n")
    stream.flush()


def unmet_lines(document: dict[str, Any]) -> list[str]:
    """How many pairs of operations met on each target, and every pair that did not; also operands."""
    lines = []
    for target, sampling in document["sampling"].items():
        coverage = sampling["coverage"]
        missing = unmet_pairs(coverage)
        lines.append(
            f"pairs of operations of {target}: {coverage['pairs_in_all'] - len(missing)} of "
            f"{coverage['pairs_in_all']} met"
        )
        if missing:
            lines.append("  never met:")
        lines += _grouped(missing)
        taken = [(x, y) for x, y in coverage.get("operand_types_in_all", ())]
        seen = {(x, y) for x, y, count in coverage.get("operand_types", ()) if count}
        strange = sorted(pair for pair in taken if pair not in seen)
        if taken:
            lines.append(
                f"operations of {target} with types of operands: {len(taken) - len(strange)} of "
                f"{len(taken)} sampled"
            )
        if strange:
            lines.append("  never sampled:")
        lines += _grouped(strange)
    return lines


def _grouped(pairs: list[tuple[str, str]]) -> list[str]:
    lines = []
    for first in sorted({x for x, _ in pairs}):
        others = ", ".join(y for x, y in pairs if x == first)
        lines.append(f"    {first} with {others}")
    return lines


def unmet_pairs(coverage: dict[str, Any]) -> list[tuple[str, str]]:
    """The pairs of operations of a target that never met, by name."""
    met = {(x, y) for x, y, count in coverage["pairs"] if count}
    names = sorted(coverage["operations"])
    return [(x, y) for x in names for y in names if x <= y and (x, y) not in met]


def head(facts: dict[str, Any], options: dict[str, Any]) -> list[str]:
    """What ran where, and with which seed, as lines."""
    lines = [summary(facts)]
    budget = []
    if options["seconds"] is not None:
        budget.append(f"{options['seconds']:g} s in all")
    if options["ops"] is not None:
        budget.append(f"{options['ops']} operations per workload")
    lines.append(f"seed {options['seed']}, {options['threads']} threads, {', '.join(budget)}")
    warning = gil_warning(facts)
    return [*lines, warning] if warning else lines


def _row(done: WorkloadResult) -> tuple[str, ...]:
    rate = done.operations / done.seconds if done.seconds > 0 else 0.0
    return (
        done.target,
        done.workload,
        str(done.rounds),
        f"{done.operations:,}",
        f"{rate:,.0f}",
        done.verdict,
    )


def _tail(result: CampaignResult) -> list[str]:
    lines: list[str] = []
    for violation in result.violations:
        lines += ["", *_violation(violation)]
    for done in result.workloads:
        if done.suppressed:
            lines.append(f"{done.name}: {done.suppressed} further violations not shown")
        if done.refusals:
            lines.append(f"{done.name}: {done.refusals} operations refused, as its contract allows")
    for target, sampling in result.sampling.items():
        lines += summarize_sampling(target, sampling)
    warning = gil_warning(result.environment)
    if warning:
        lines.append(warning)
    lines.append(_VERDICTS[result.exit_status](result))
    return lines


def _exercised(result: CampaignResult) -> str:
    operations = sum(done.operations for done in result.workloads)
    rounds = sum(done.rounds for done in result.workloads)
    count = sum(bool(done.operations) for done in result.workloads)
    return (
        f"exercised {count} workloads, {rounds} rounds, {operations:,} operations "
        f"in {result.seconds:.1f} s"
    )


_VERDICTS: dict[ExitStatus, Callable[[CampaignResult], str]] = {
    ExitStatus.CLEAN: lambda result: f"{_exercised(result)}: no violation seen",
    ExitStatus.VIOLATION: lambda result: (
        f"{_exercised(result)}: {len(result.violations)} VIOLATIONS"
    ),
    ExitStatus.NOTHING_EXERCISED: lambda result: (
        "nothing was exercised: no workload fits or was selected"
    ),
}


def _violation(violation: Violation) -> list[str]:
    lines = [
        f"VIOLATION of {violation.check!r} in {violation.target}/{violation.workload}, "
        f"round {violation.round}, seed {violation.seed}",
        f"  {violation.message}",
    ]
    if violation.operations:
        lines.append("  latest operations, by the time they began:")
        lines += [f"    {operation}" for operation in violation.operations]
    if violation.details:
        lines += [f"  | {line}" for line in violation.details.rstrip().splitlines()]
    lines.append(f"  again: {violation.rerun}")
    return lines
