"""`ct-stress replay TOKEN`, for tokens of both kinds, and the options of `run` for minimising."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ..options import UsageError
from ..serial.command import replay_serial, write_replay
from ..serial.token import PREFIX as SERIAL_PREFIX
from ..verdicts import ExitStatus
from .rates import Rate
from .reproduce import circumstances
from .steps import size_of
from .token import PREFIX, NativeToken, TokenError, decode, is_native
from .trials import Trials, family_of
from .writer import write_test

__all__ = ["add_minimise_options", "add_replay_command"]

DEFAULT_REPLAY_SECONDS = 10.0
_ENOUGH = 10


def add_minimise_options(run: argparse.ArgumentParser) -> None:
    """The options of `run` for what happens with findings of the scenarios."""
    run.add_argument(
        "--minimise",
        type=float,
        metavar="SECONDS",
        help="time for making findings smaller, beside --seconds (a quarter of it, 10 at most; 0: off)",
    )
    run.add_argument(
        "--repro-dir",
        default="",
        metavar="DIR",
        help="write a standalone test for each finding into this directory (default: none)",
    )


def add_replay_command(commands: Any) -> None:
    """`ct-stress replay`."""
    parser = commands.add_parser(
        "replay",
        help="run what a token tells again",
        description="Run again what a token tells: step for step when the serialised mode printed it; "
        "otherwise the same work, many times, by threads that meet as they do.",
        epilog="exit status: 0 not reproduced, 1 reproduced at least once, 2 usage error",
    )
    parser.add_argument(
        "token", metavar="TOKEN", help=f"begins with {PREFIX} or {SERIAL_PREFIX} (serialised mode)"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=DEFAULT_REPLAY_SECONDS,
        metavar="S",
        help="native tokens: how long to sample at most (%(default)g)",
    )
    parser.add_argument(
        "--repro-dir",
        default="",
        metavar="DIR",
        help="native tokens: write a standalone test there",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write what was seen, for `ct-stress report FILE`"
    )
    parser.set_defaults(handler=_replay)


def _replay(parsed: argparse.Namespace) -> int:
    if not is_native(parsed.token.strip()):
        if parsed.token.startswith(SERIAL_PREFIX):
            return replay_serial(parsed)
        decode(parsed.token)  # says what is wrong with it
    if not 0 < parsed.seconds < float("inf"):
        raise UsageError(f"--seconds must be a number above 0, not {parsed.seconds}")
    if "" not in sys.path:
        sys.path.insert(0, "")
    token = decode(parsed.token)
    for line in _told(token):
        print(line)
    with Trials(token.target, token.seed) as trials:
        case = token.case
        kinds = family_of(token.kind)
        trial = trials.measure(
            case.scenario, case.faults, kinds, seconds=parsed.seconds, enough=_ENOUGH
        )
        if trial.refused:
            raise TokenError(
                f"{token.target} no longer takes what the token does ({trial.refused}); replay it with "
                f"the version that it is of: {_versions(token)}"
            )
        if trial.finding:
            print(trial.finding["message"])
            for line in _evidence(trial.finding):
                print(line)
        print(_conclusion(trial.rate, trial.seconds))
        if parsed.json:
            write_replay(parsed.json, _document(token, trial.rate, trial.finding, parsed.token))
        if parsed.repro_dir:
            _write(parsed.repro_dir, token, trial.rate, trial.finding, parsed.token, trials)
    return ExitStatus.VIOLATION if trial.rate.failing else ExitStatus.CLEAN


def _document(
    token: NativeToken, rate: Rate, finding: dict[str, Any] | None, word: str
) -> dict[str, Any]:
    return {
        "target": token.target,
        "seed": token.seed,
        "profile": token.facts.get("profile"),
        "reproduced": f"{rate.failing} of {rate.samples} samples",
        "findings": [{**finding, "token": word.strip()}] if finding else [],
    }


def _told(token: NativeToken) -> list[str]:
    lines = [
        f"{token.target}: a finding of kind {token.kind!r}, {size_of(token.case)}",
        *["  " + line for line in token.case.scenario.lines()],
        *[f"  beside it: {name}" for name in token.case.faults],
        f"  found with seed {token.seed}, {_versions(token)}, profile {token.facts.get('profile')!r}",
    ]
    here = circumstances()
    for name in ("python", "gil_enabled", "implementation", "version", "flags"):
        then = token.facts.get(name)
        if name in token.facts and then != here[name]:
            lines.append(f"  note: {name} was {then!r} then, and is {here[name]!r} now")
    return lines


def _versions(token: NativeToken) -> str:
    facts = token.facts
    build = " free-threaded" if facts.get("free_threaded_build") else ""
    gil = "on" if facts.get("gil_enabled") else "off"
    return (
        f"CPython {facts.get('python')}{build}, GIL {gil}, concurrent_tables {facts.get('version')} "
        f"({facts.get('implementation')}), flags {facts.get('flags') or 'none'}"
    )


def _evidence(finding: dict[str, Any]) -> list[str]:
    lines = [
        f"  {outcome} | {count} | {'expected' if expected else 'NOT EXPECTED'}"
        for outcome, count, expected in finding.get("table", ())
    ]
    evidence = finding.get("evidence") or {}
    return [*lines, *["  " + line for line in evidence.get("stacks", ())[:40]]]


def _conclusion(rate: Rate, seconds: float) -> str:
    return (
        f"reproduced {rate.failing} of {rate.samples} samples in {seconds:.1f} s. This is statistical: the "
        "threads do the same, but how they meet is up to the machine"
        + ("" if rate.failing else "; that it was not seen now does not show that it is gone")
    )


def _write(
    directory: str,
    token: NativeToken,
    rate: Rate,
    finding: dict[str, Any],
    word: str,
    trials: Trials,
) -> None:
    case = token.case
    message = str(finding.get("message") or f"a finding of kind {token.kind!r}")
    expected = trials.expectation(case.scenario)
    written = write_test(
        directory,
        token.target,
        token.kind,
        message,
        case,
        rate,
        word.strip(),
        circumstances(),
        expected,
    )
    print(f"test: {written.path} (reproduced {written.rate} when it was written)")
