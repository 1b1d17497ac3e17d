"""`ct-stress run`: workloads on our tables, or on one target, and what they saw."""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import os
import sys
from typing import Any, NoReturn

from . import environment
from .campaign import run_campaign, selection
from .lastresort import LastResort
from .options import (
    DEFAULT_SECONDS,
    DEFAULT_STALL_SECONDS,
    DEFAULT_THREADS,
    Options,
    check_writable,
)
from .report import Silent, open_report, write_json
from .repro.command import add_minimise_options
from .serial.command import add_serial_options, run_serial
from .targets import Target, default_targets, resolve
from .verdicts import CampaignResult, ExitStatus
from .workloads import WORKLOADS, applicable

__all__ = ["EPILOG", "add_run_command", "leave", "see_current_directory"]

EPILOG = (
    "exit status: 0 no violation seen, 1 violation, 2 usage error, 3 nothing exercised, "
    "4 the harness failed"
)


def add_run_command(commands: Any) -> None:
    """Add `run` to the subcommands of an argument parser; its `handler` runs it."""
    run = commands.add_parser(
        "run",
        help="run workloads and judge what they see",
        epilog=EPILOG,
        description="Run seeded workloads on every table type, or on one target, and judge them.",
    )
    run.set_defaults(handler=_run)
    run.add_argument(
        "--target", metavar="MODULE:CLASS", help="any dict- or set-like class (default: our tables)"
    )
    run.add_argument(
        "--threads",
        type=int,
        default=DEFAULT_THREADS,
        metavar="N",
        help="worker threads (%(default)s)",
    )
    run.add_argument(
        "--seconds", type=float, metavar="S", help=f"total time ({DEFAULT_SECONDS:g} without --ops)"
    )
    run.add_argument("--ops", type=int, metavar="N", help="operations per workload")
    run.add_argument("--seed", type=int, metavar="N", help="repeat the choices of an earlier run")
    run.add_argument(
        "--only",
        nargs="+",
        action="extend",
        default=[],
        metavar="PATTERN",
        help="workloads to run: shell patterns on 'workload' or 'Type/workload'",
    )
    run.add_argument("--list", action="store_true", help="name the workloads and end")
    run.add_argument("--json", metavar="FILE", help="write the result as JSON ('-': stdout, alone)")
    run.add_argument(
        "--plain", action="store_true", help="no colours and bars on a terminal either"
    )
    run.add_argument(
        "--stall",
        type=float,
        default=DEFAULT_STALL_SECONDS,
        metavar="S",
        help="seconds without progress of any thread that count as a hang (%(default)g)",
    )
    add_minimise_options(run)
    add_serial_options(run)


def _run(parsed: argparse.Namespace) -> int:
    if parsed.serial:
        return run_serial(parsed)
    options = _options(parsed)
    targets = _targets(parsed.target)
    if parsed.list:
        return _list(targets, options, everything=parsed.target is None)
    json_on_stdout = parsed.json == "-"
    report = open_report(plain=parsed.plain, json_on_stdout=json_on_stdout)
    check_writable(json=parsed.json)
    report.open(environment.describe(), options.as_json())
    if not faulthandler.is_enabled():
        faulthandler.enable()  # a crash of the interpreter shows where its threads were
    result = _campaign(targets, options, report)
    report.close(result)
    _write_json(parsed.json, result)
    if result.stalled:
        leave(result.exit_status)
    return result.exit_status


def _campaign(targets: list[Target], options: Options, report: Silent) -> CampaignResult:
    guard = LastResort(report, 2 * options.stall_seconds)
    # What runs in children is watched there; this process only waits for them.
    observer = report if options.isolate else guard
    try:
        return run_campaign(targets, options, observer)
    except BaseException:
        report.abort()
        raise
    finally:
        guard.cancel()


def _options(parsed: argparse.Namespace) -> Options:
    seed = {} if parsed.seed is None else {"seed": parsed.seed}
    return Options(
        threads=parsed.threads,
        seconds=parsed.seconds,
        ops=parsed.ops,
        only=tuple(parsed.only),
        stall_seconds=parsed.stall,
        target_argument=parsed.target or "",
        isolate=parsed.target is not None,
        minimise=parsed.minimise,
        repro_dir=parsed.repro_dir,
        **seed,
    )


def _targets(argument: str | None) -> list[Target]:
    if argument is None:
        return default_targets()
    see_current_directory()
    return [resolve(argument)]


def see_current_directory() -> None:
    """Find modules of the current directory, as `python -m` does."""
    if "" not in sys.path:
        sys.path.insert(0, "")


def _list(targets: list[Target], options: Options, *, everything: bool) -> int:
    """Every selected workload with one line each, and the targets that it fits."""
    chosen = {(target.name, cls.name) for target, cls in selection(targets, options)}
    for name, cls in WORKLOADS.items():
        fitting = [t.name for t in targets if cls in applicable(t) and (t.name, name) in chosen]
        if fitting:
            print(f"{name:16} {cls.summary}")
            if everything:
                print(f"{'':16} {', '.join(fitting)}")
    return ExitStatus.CLEAN if chosen else ExitStatus.NOTHING_EXERCISED


def _write_json(path: str | None, result: CampaignResult) -> None:
    if path is None:
        return
    if path == "-":
        write_json(result, sys.stdout)
        return
    with open(path, "w", encoding="utf-8") as stream:
        write_json(result, stream)


def leave(status: int) -> NoReturn:
    """End the process although threads hang in it: no interpreter shutdown could wait for them."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)
