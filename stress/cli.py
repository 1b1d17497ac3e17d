"""`ct-stress`: the command line.

Each command has a module with a function that adds its parser (`add_<name>_command(commands)`); the
parser's default `handler` takes the parsed arguments and returns the exit status: 0 no violation
seen, 1 a violation, 2 a usage error, 3 nothing exercised. Status 4 is an error of the harness itself,
which says nothing about the target.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from collections.abc import Sequence

from .options import UsageError
from .verdicts import ExitStatus

__all__ = ["main"]

# Module and function of each command, in the order of the help text.
_COMMANDS = (
    (".cli_run", "add_run_command"),
    (".cli_soak", "add_soak_command"),
    (".bench.command", "add_bench_command"),
    (".cli_check", "add_check_command"),
    (".repro.command", "add_replay_command"),
    (".cli_report", "add_report_command"),
    (".cli_selftest", "add_selftest_command"),
    (".cli_list", "add_list_command"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        return int(parsed.handler(parsed))
    except UsageError as error:
        print(f"ct-stress: error: {error}", file=sys.stderr)
        return ExitStatus.USAGE
    except Exception:  # a traceback alone would end with 1, which accuses the target
        traceback.print_exc()
        print(
            "ct-stress: the harness itself failed; this says nothing about the target",
            file=sys.stderr,
        )
        return ExitStatus.HARNESS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ct-stress",
        description="Stress-test and measure dict- and set-like containers from many threads.",
        epilog="exit status: 0 no violation seen, 1 violation, 2 usage error, 3 nothing exercised, "
        "4 the harness failed",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for module, function in _COMMANDS:
        getattr(importlib.import_module(module, __package__), function)(commands)
    return parser
