"""`ct-stress bench` on the command line."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ..options import UsageError, check_writable
from ..verdicts import ExitStatus
from .cache_command import run_cache_command
from .contestants import find_contestants
from .images import load_matplotlib, write_images
from .judge import judge
from .options import AXES, BenchOptions, parse_threads
from .page import write_page
from .plan import cells_of, jobs_of
from .report import BenchReport, open_bench_report
from .results import BenchResult
from .run import run_bench
from .space import available_cpus

__all__ = ["add_bench_command"]

_EPILOG = "exit status: 0 measured, 1 errors in some cells, 2 usage error, 3 nothing measured"


def add_bench_command(commands: Any) -> None:
    """Add `bench` to the subcommands of an argument parser; its `handler` runs it."""
    parser = commands.add_parser(
        "bench",
        help="measure tables side by side with the builtins",
        description="Measure the tables against dict and set, and against rivals where installed, "
        "in interleaved rounds of one run.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(handler=run_command)
    parser.add_argument(
        "subject",
        nargs="?",
        choices=("tables", "cache"),
        default="tables",
        help="what to measure (%(default)s); of the options below, cache takes --full, --threads, "
        "--contestants, --rounds, --judge, --from, --json, --html and --png",
    )
    _add_selection(parser)
    _add_effort(parser)
    _add_output(parser)


def _add_selection(parser: argparse.ArgumentParser) -> None:
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick", action="store_true", help="the cells that the goals are about (the default)"
    )
    size.add_argument("--full", action="store_true", help="the whole space: takes hours")
    parser.add_argument(
        "--only",
        nargs="+",
        action="extend",
        default=[],
        metavar="PATTERN",
        help="shell patterns on names such as dict/getitem/str/immortal/global or memory/*",
    )
    for option, axis in _AXIS_OPTIONS.items():
        parser.add_argument(
            option,
            dest=axis,
            nargs="+",
            action="extend",
            default=[],
            metavar="NAME",
            help=f"of {', '.join(AXES[axis])}",
        )
    parser.add_argument(
        "--threads",
        nargs="+",
        action="extend",
        default=[],
        metavar="N",
        help=f"numbers of threads, or all ({available_cpus()} here)",
    )
    parser.add_argument(
        "--contestants",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="ConcurrentDict, cereggii, ...; the builtins are always measured",
    )
    parser.add_argument("--list", action="store_true", help="name what would be measured and end")


_AXIS_OPTIONS = {
    "--ops": "operations",
    "--keys": "keys",
    "--values": "values",
    "--reach": "reaches",
}


def _add_effort(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rounds",
        type=int,
        default=BenchOptions.rounds,
        metavar="N",
        help="interleaved rounds of each cell (%(default)s)",
    )
    parser.add_argument(
        "--seconds-per-cell",
        type=float,
        default=BenchOptions.seconds_per_cell,
        metavar="S",
        help="measuring time of each cell, all contestants together (%(default)s)",
    )
    parser.add_argument(
        "--clock",
        default=BenchOptions.clock,
        metavar="NAME",
        help="wall, or cpu: the thread's CPU time, without waits for locks (%(default)s)",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--judge", action="store_true", help="compare with the goals")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="FILE",
        help="show, judge or draw the JSON of an earlier run instead of measuring",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write everything as JSON ('-': stdout, alone)"
    )
    parser.add_argument("--html", metavar="FILE", help="write one HTML file with charts")
    parser.add_argument("--png", metavar="DIR", help="write charts as PNG files (needs matplotlib)")
    parser.add_argument(
        "--plain", action="store_true", help="no colours and bars on a terminal either"
    )


def run_command(parsed: argparse.Namespace) -> int:
    """Run `ct-stress bench`; the exit status."""
    if parsed.subject == "cache":
        return run_cache_command(parsed)
    options = _options(parsed)
    if parsed.list:
        return _list(options)
    if parsed.png is not None:
        load_matplotlib()  # complain before a long run, not after it
    check_writable(json=parsed.json, html=parsed.html)
    report = open_bench_report(plain=parsed.plain, json_on_stdout=parsed.json == "-")
    result = _read(parsed.source, report) if parsed.source else _measure(options, report)
    verdicts = judge(result)
    report.close(result, verdicts if parsed.judge else None)
    if parsed.json is not None:
        _write_json(parsed.json, result)
    if parsed.html is not None:
        write_page(result, verdicts, parsed.html)
    if parsed.png is not None:
        write_images(result, parsed.png)
    return _status(result)


def _status(result: BenchResult) -> int:
    if not any(cell.series for cell in result.cells) and not result.measures:
        return ExitStatus.NOTHING_EXERCISED
    return ExitStatus.VIOLATION if result.all_errors() else ExitStatus.CLEAN


def _options(parsed: argparse.Namespace) -> BenchOptions:
    axes = {axis: tuple(getattr(parsed, axis)) for axis in AXES}
    names = {one.name for one in find_contestants()[0]}
    for name in parsed.contestants:
        if name not in names:
            raise UsageError(f"contestants: {name!r} is not here; {', '.join(sorted(names))} are")
    return BenchOptions(
        preset="full" if parsed.full else "quick",
        only=tuple(parsed.only),
        contestants=tuple(parsed.contestants),
        threads=parse_threads(parsed.threads),
        rounds=parsed.rounds,
        seconds_per_cell=parsed.seconds_per_cell,
        clock=parsed.clock,
        **axes,
    )


def _list(options: BenchOptions) -> int:
    names = [cell.name for cell in cells_of(options)] + [job.name for job in jobs_of(options)]
    for name in names:
        print(name)
    return ExitStatus.CLEAN if names else ExitStatus.NOTHING_EXERCISED


def _measure(options: BenchOptions, report: BenchReport) -> BenchResult:
    try:
        return run_bench(options, report)
    except BaseException:
        report.abort()
        raise


def _read(path: str, report: BenchReport) -> BenchResult:
    try:
        result = BenchResult.from_json(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"--from {path}: {error}") from error
    report.started(result.environment, [], BenchOptions())
    report.show(result)
    return result


def _write_json(path: str, result: BenchResult) -> None:
    text = result.dumps() + "\n"
    if path == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    Path(path).write_text(text, encoding="utf-8")
