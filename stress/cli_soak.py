"""`ct-stress soak`: the whole harness on our types, or on others, for minutes or hours."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

from .cli_run import see_current_directory
from .documents import documents_of
from .memory import slope_text
from .options import DEFAULT_STALL_SECONDS, DEFAULT_THREADS, Options, check_writable
from .report import PlainReport, head, unmet_lines, write_document
from .soak import Soak, check_time
from .targets import DEFAULT_TARGETS, Target, resolve

__all__ = ["add_soak_command"]

EPILOG = (
    "exit status: 0 no violation seen, 1 violation, 2 usage error, 3 nothing exercised, 4 the harness "
    "failed; pairs of operations that did not meet do not change it"
)


def add_soak_command(commands: Any) -> None:
    """Add `soak` to the subcommands of an argument parser; its `handler` runs it."""
    soak = commands.add_parser(
        "soak",
        help="run everything for minutes or hours",
        epilog=EPILOG,
        description="Rotate targets, workloads, seeds and faults until the time is over; say a line a "
        "minute, and at the end which pairs of operations never met.",
    )
    soak.set_defaults(handler=_soak)
    soak.add_argument("--minutes", type=float, metavar="N", help="how long")
    soak.add_argument("--hours", type=float, metavar="N", help="how long, added to --minutes")
    soak.add_argument(
        "--target",
        nargs="+",
        action="extend",
        default=[],
        metavar="MODULE:CLASS",
        help="containers (default: our tables)",
    )
    soak.add_argument(
        "--threads",
        type=int,
        default=DEFAULT_THREADS,
        metavar="N",
        help="worker threads of the workloads (%(default)s); scenarios use two or three",
    )
    soak.add_argument("--seed", type=int, metavar="N", help="the choices of an earlier soak")
    soak.add_argument(
        "--only",
        nargs="+",
        action="extend",
        default=[],
        metavar="PATTERN",
        help="workloads: shell patterns on 'workload' or 'Type/workload'",
    )
    soak.add_argument(
        "--json",
        metavar="FILE",
        help="keep the report there, also while the soak runs ('-': stdout, at the end, alone)",
    )
    soak.add_argument("--html", metavar="FILE", help="write the report as one HTML file at the end")
    soak.add_argument(
        "--stall",
        type=float,
        default=DEFAULT_STALL_SECONDS,
        metavar="S",
        help="seconds without progress that count as a hang (%(default)g)",
    )


def _soak(parsed: argparse.Namespace) -> int:
    seconds = check_time(parsed.minutes, parsed.hours)
    options = _options(parsed, seconds)
    targets = _targets(parsed.target)
    check_writable(json=parsed.json, html=parsed.html)
    alone = parsed.json == "-"

    def say(line: str) -> None:
        print(line, file=sys.stderr if alone else sys.stdout, flush=True)

    soak = Soak(targets, options, parsed.json, say)
    for line in head(soak.result().environment, options.as_json()):
        say(line)
    with _signals_to(soak.interrupt):
        soak.run()
    document = soak.document()
    if alone:
        write_document(document, sys.stdout)
    else:
        PlainReport(sys.stdout).close(soak.result())
    for line in _closing(document):
        say(line)
    if parsed.html:
        from .html.page import write_page

        write_page(documents_of([document]), parsed.html)
    return soak.exit_status


def _options(parsed: argparse.Namespace, seconds: float) -> Options:
    seed = {} if parsed.seed is None else {"seed": parsed.seed}
    return Options(
        threads=parsed.threads,
        seconds=seconds,
        only=tuple(parsed.only),
        stall_seconds=parsed.stall,
        target_argument=" ".join(parsed.target),
        isolate=True,
        **seed,
    )


def _targets(arguments: list[str]) -> list[tuple[Target, str]]:
    see_current_directory()
    addresses = arguments or [f"concurrent_tables:{name}" for name in DEFAULT_TARGETS]
    return [(resolve(address), address) for address in addresses]


def _closing(document: dict[str, Any]) -> list[str]:
    """How it ended, memory, and the pairs that never met."""
    lines = [
        f"soak {document['ended']} after {document['seconds']:.0f} s, {document['slices']} slices"
    ]
    for name, memory in document["memory"].items():
        largest = f"{memory['largest_bytes'] / (1 << 20):,.0f} MiB"
        lines.append(f"memory of {name}: at most {largest}, {slope_text(memory)}")
    lines += [f"ERROR of the harness: {error}" for error in document["errors"]]
    return lines + unmet_lines(document)


@contextlib.contextmanager
def _signals_to(interrupt: Callable[[int, Any], None]) -> Iterator[None]:
    """SIGTERM ends a soak as Ctrl-C does: with its report."""
    # Who is started in the background may have to ignore Ctrl-C, and goes on doing so.
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN]
    try:
        before = [signal.signal(number, interrupt) for number in numbers]
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
