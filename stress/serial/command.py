"""`ct-stress run --serial`, and `ct-stress replay` of its tokens (repro/command.py has the command)."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from .. import environment
from ..options import DEFAULT_SECONDS, UsageError, check_writable
from ..verdicts import ExitStatus
from .errors import SerialError, TokenError
from .explore import replay
from .points import GRANULARITIES
from .scenarios import ScenarioFinding, ScenarioSearch, replay_scenario
from .strategies import STRATEGIES
from .token import decode

__all__ = ["add_serial_options", "replay_serial", "run_serial", "write_replay"]

_MOST_SCENARIOS = 1_000_000


def add_serial_options(run: argparse.ArgumentParser) -> None:
    """The options of `run` for the serialised mode."""
    group = run.add_argument_group("serialised mode (pure-Python containers)")
    group.add_argument(
        "--serial",
        action="store_true",
        help="one thread at a time, every schedule repeatable; needs --target",
    )
    group.add_argument(
        "--strategy", choices=STRATEGIES, default="bounded", help="how schedules are searched"
    )
    group.add_argument(
        "--granularity",
        choices=GRANULARITIES,
        default="line",
        help="where threads can be switched",
    )
    group.add_argument(
        "--limit", type=int, default=300, metavar="N", help="schedules per scenario (%(default)s)"
    )
    group.add_argument(
        "--scenarios",
        type=int,
        default=_MOST_SCENARIOS,
        metavar="N",
        help="scenarios at most (until the time is over)",
    )


def run_serial(parsed: argparse.Namespace) -> int:
    """`ct-stress run --serial`; the exit status."""
    if parsed.target is None:
        raise UsageError("--serial needs --target MODULE:CLASS, a container written in Python")
    if parsed.list or parsed.only or parsed.ops is not None:
        raise UsageError("--list, --only and --ops are not for --serial; it takes --scenarios")
    if parsed.limit < 1 or parsed.scenarios < 1:
        raise UsageError("--limit and --scenarios must be at least 1")
    check_writable(json=parsed.json)
    _see_current_directory()
    seed = parsed.seed if parsed.seed is not None else time.time_ns() % 2**32
    search = ScenarioSearch(parsed.target, seed, parsed.strategy, parsed.granularity, parsed.limit)
    out = sys.stderr if parsed.json == "-" else sys.stdout
    print(f"{parsed.target}, serialised; seed {seed}", file=out)
    began = time.monotonic()
    try:
        search.run(
            parsed.seconds or DEFAULT_SECONDS,
            parsed.scenarios,
            lambda finding: print(f"\n{finding.text}", file=out),
        )
    except SerialError as error:
        raise UsageError(str(error)) from error
    seconds = time.monotonic() - began
    print(f"\n{_summary(search, seconds)}", file=out)
    _write_json(parsed.json, search, seconds)
    if search.findings:
        return ExitStatus.VIOLATION
    return ExitStatus.CLEAN if search.schedules else ExitStatus.NOTHING_EXERCISED


def _summary(search: ScenarioSearch, seconds: float) -> str:
    text = (
        f"{search.scenarios} scenarios, {len(search.pairs)} pairs of operations, "
        f"{search.schedules} schedules ({search.schedules / max(seconds, 1e-9):.0f}/s), "
        f"{search.steps} {search.granularity}s; strategy {search.strategy}; "
        f"judged by the profile {search.profile!r}"
    )
    if search.skipped:
        text += f"; {search.skipped} scenarios left out"
    found = len(search.findings)
    return f"{text}\n{found} violation{'s' * (found != 1)} found"


def _write_json(path: str | None, search: ScenarioSearch, seconds: float) -> None:
    if path is None:
        return
    document = {
        "schema": 1,
        "tool": "ct-stress",
        "command": "run --serial",
        "environment": environment.describe(),
        "profile": search.profile,
        "target": search.target,
        "seed": search.seed,
        "strategy": search.strategy,
        "granularity": search.granularity,
        "scenarios": search.scenarios,
        "skipped": search.skipped,
        "schedules": search.schedules,
        "steps": search.steps,
        "seconds": round(seconds, 3),
        "pairs": sorted(map(list, search.pairs)),
        "findings": [_as_json(finding) for finding in search.findings],
    }
    text = json.dumps(document, indent=1)
    if path == "-":
        print(text)
        return
    try:
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text + "\n")
    except OSError as error:
        raise UsageError(f"--json {path}: {error.strerror or error}") from error


def _as_json(finding: ScenarioFinding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "message": finding.message,
        "token": finding.token,
        "schedules": finding.schedules,
        "text": finding.text,
        "timeline": finding.timeline,
    }


def replay_serial(parsed: argparse.Namespace) -> int:
    """`ct-stress replay` of a token of this mode: the exit status."""
    _see_current_directory()
    try:
        facts, _ = decode(parsed.token)
        if "target" in facts:
            finding = replay_scenario(parsed.token)
            kind = finding.kind if finding else ""
            text, exact = (finding.text, finding.exact) if finding else ("nothing wrong", False)
            told = [_as_json(finding)] if finding else []
        else:
            again = replay(parsed.token)
            kind, text, exact = again.kind, again.text, again.exact
            told = [{"kind": kind, "message": again.message, "token": again.token, "text": text}]
    except (TokenError, SerialError) as error:
        raise UsageError(str(error)) from error
    if parsed.json:
        found = told if kind else []
        write_replay(parsed.json, {**facts, "exact": exact, "findings": found})
    print(text)
    print("the same run, step for step" if exact else _inexact(facts))
    return ExitStatus.VIOLATION if kind else ExitStatus.CLEAN


def write_replay(path: str, facts: dict[str, Any]) -> None:
    """What `ct-stress replay --json` writes, and `ct-stress report` reads."""
    document = {
        "schema": 1,
        "tool": "ct-stress",
        "command": "replay",
        "environment": environment.describe(),
        **facts,
    }
    try:
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(document, stream, indent=1, default=repr)
            stream.write("\n")
    except OSError as error:
        raise UsageError(f"--json {path}: {error.strerror or error}") from error


def _inexact(facts: dict[str, Any]) -> str:
    return (
        "not the same run: the code, the version of Python (the token's is "
        f"{facts.get('python')}) or PYTHONHASHSEED is another one"
    )


def _see_current_directory() -> None:
    if "" not in sys.path:  # as `python -m` does: find modules of the current directory
        sys.path.insert(0, "")
