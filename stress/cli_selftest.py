"""`ct-stress selftest`: does the harness find the bugs that it should?"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from . import environment
from .options import UsageError, check_writable
from .selftest import WAYS, run_selftest
from .verdicts import ExitStatus

__all__ = ["add_selftest_command"]

EPILOG = (
    "exit status: 0 all that can happen here was found and nothing alleged of the correct twins, "
    "1 not so, 2 usage error, 3 nothing was run"
)


def add_selftest_command(commands: Any) -> None:
    """Add `selftest` to the subcommands of an argument parser; its `handler` runs it."""
    parser = commands.add_parser(
        "selftest",
        help="look for known bugs",
        epilog=EPILOG,
        description="Look for the bugs of a zoo of broken containers, and for bugs planted in the C "
        "core, with all that the harness has; allege nothing of their correct twins.",
    )
    parser.set_defaults(handler=_selftest)
    parser.add_argument(
        "--only",
        nargs="+",
        action="extend",
        default=[],
        choices=WAYS,
        help="ways of looking (default: all)",
    )
    parser.add_argument(
        "--specimens",
        nargs="+",
        action="extend",
        default=[],
        metavar="PATTERN",
        help="shell patterns on the names of specimens and planted bugs",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--json", metavar="FILE", help="write the result as JSON ('-': stdout, alone)"
    )
    parser.add_argument("--quiet", action="store_true", help="the table only, at the end")


def _selftest(parsed: argparse.Namespace) -> int:
    out = sys.stderr if parsed.json == "-" else sys.stdout

    def told(line: str) -> None:
        if not parsed.quiet:
            print(line, file=out, flush=True)

    check_writable(json=parsed.json)
    told(", ".join([f"{name} {value}" for name, value in environment.describe().items()]))
    result = run_selftest(parsed.seed, parsed.only or WAYS, parsed.specimens, told)
    if parsed.json is not None:
        _write(parsed.json, json.dumps(result.as_json(), indent=1) + "\n")
    if not result.rows:
        print("no specimen has such a name", file=sys.stderr)
        return ExitStatus.NOTHING_EXERCISED
    print(f"\n{result.table()}\n{result.summary()}", file=out)
    return ExitStatus.CLEAN if result.good else ExitStatus.VIOLATION


def _write(path: str, text: str) -> None:
    if path == "-":
        print(text, end="")
        return
    try:
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise UsageError(f"--json {path}: {error.strerror or error}") from error
