"""`ct-stress check`: judge histories in files."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from .check import (
    FORMATS,
    MODELS,
    History,
    HistoryError,
    Model,
    ModelError,
    Outcome,
    Verdict,
    judge,
    read_history,
)
from .check.judge import DEFAULT_DEADLINE_SECONDS, DEFAULT_MEMORY_BYTES
from .histories import history_of_verdict
from .options import UsageError
from .verdicts import ExitStatus

__all__ = ["add_check_command"]

MEBIBYTE = 1 << 20
EPILOG = "exit status: 0 none is illegal, 1 one is illegal, 2 a file cannot be read"


def add_check_command(commands: Any) -> None:
    """Add `check` to the subcommands of an argument parser; its `handler` runs it."""
    check = commands.add_parser(
        "check",
        help="judge recorded histories",
        epilog=EPILOG,
        description="Print 'FILE verdict' for each file: ok, illegal or unknown.",
    )
    check.set_defaults(handler=_run_check)
    check.add_argument("files", nargs="+", metavar="FILE", help="histories")
    check.add_argument(
        "--format", choices=sorted(FORMATS), default="json", help="of all files (%(default)s)"
    )
    check.add_argument(
        "--model", choices=sorted(MODELS), help="judge by this one (default: what the file names)"
    )
    check.add_argument(
        "--deadline",
        type=float,
        default=DEFAULT_DEADLINE_SECONDS,
        metavar="S",
        help="seconds for one file, then its verdict is unknown (%(default)g)",
    )
    check.add_argument(
        "--memory",
        type=int,
        default=DEFAULT_MEMORY_BYTES // MEBIBYTE,
        metavar="MIB",
        help="mebibytes for one search, then its verdict is unknown (%(default)s)",
    )
    check.add_argument(
        "--explain", action="store_true", help="say why: prefix, state, what cannot be placed"
    )
    check.add_argument("--json", action="store_true", help="one JSON object a line for each file")


def _run_check(parsed: argparse.Namespace) -> int:
    """Judge the files; the exit status."""
    if parsed.deadline <= 0 or parsed.memory <= 0:
        raise UsageError("--deadline and --memory must be greater than 0")
    outcomes, unreadable = set(), False
    for name in parsed.files:
        try:
            verdict, history, model = _judge(name, parsed)
        except (HistoryError, ModelError) as error:
            text = str(error)
            if not text.startswith(name):
                text = f"{name}: {text}"
            print(f"ct-stress: error: {text}", file=sys.stderr)
            unreadable = True
            continue
        outcomes.add(verdict.outcome)
        _show(name, verdict, history, model, parsed)
    if unreadable:
        return ExitStatus.USAGE
    return ExitStatus.VIOLATION if Outcome.ILLEGAL in outcomes else ExitStatus.CLEAN


def _judge(name: str, parsed: argparse.Namespace) -> tuple[Verdict, History, str | Model]:
    history = read_history(name, parsed.format)
    model = parsed.model or history.model
    if model is None:
        raise ModelError("the file names no model; --model does")
    verdict = judge(history, model, deadline=parsed.deadline, memory=parsed.memory * MEBIBYTE)
    return verdict, history, model


def _document(name: str, verdict: Verdict, history: History, model: str | Model) -> dict[str, Any]:
    """What `--json` prints and `ct-stress report` reads."""
    told = model if isinstance(model, str) else model.name
    document = {"file": name, "model": told, **verdict.as_json()}
    if verdict.outcome is Outcome.ILLEGAL:
        document["history"] = history_of_verdict(history, verdict, model)
    return document


def _show(
    name: str, verdict: Verdict, history: History, model: str | Model, parsed: argparse.Namespace
) -> None:
    if parsed.json:
        print(json.dumps(_document(name, verdict, history, model)), flush=True)
        return
    print(f"{name} {verdict.outcome}", flush=True)
    if parsed.explain and verdict.outcome is not Outcome.OK:
        lines: Sequence[str] = verdict.explanation().splitlines()
        print("\n".join(f"    {line}" for line in lines), flush=True)
