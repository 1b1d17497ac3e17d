"""Findings of a campaign made small: tokens, minimal scenarios, standalone tests."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .. import environment
from ..options import UsageError
from ..sampling.facts import scenario_from
from .minimise import Minimised, minimise
from .rates import Rate
from .steps import Case
from .token import NativeToken, encode
from .trials import Trials
from .writer import write_test

__all__ = ["circumstances", "reproduce"]

_LEAST_SECONDS = 0.5
_FLAGS = (
    "CONCURRENT_TABLES_DEBUG",
    "CONCURRENT_TABLES_PURE",
    "PYTHONHASHSEED",
    "PYTHONMALLOC",
    "PYTHON_GIL",
)


def circumstances() -> dict[str, Any]:
    """Versions, build and flags of this process: what tokens and written tests tell."""
    flags = [f"{name}={os.environ[name]}" for name in _FLAGS if os.environ.get(name)]
    flags += [f"-X {name}" for name in sorted(sys._xoptions)]
    try:
        ours = version("concurrent-tables")
    except PackageNotFoundError:
        from concurrent_tables import __version__ as ours
    return {**environment.describe(), "version": ours, "flags": " ".join(flags)}


def reproduce(
    target: str,
    seed: int,
    findings: list[dict[str, Any]],
    seconds: float,
    directory: str = "",
    profile: str = "",
    progress: Callable[[], None] = lambda: None,
) -> None:
    """Give each finding its token, a minimal scenario, and a test file; it is changed in place.

    Parameters:
        target: `module:Class`, or the name of one of our tables. seed: of the campaign.
        findings: as the sampling campaign tells them (sampling/findings.py).
        seconds: for minimising them all; 0 for none.
        directory: where tests are written; empty: nowhere. profile: the name of what was promised.
    """
    left = seconds
    for number, finding in enumerate(findings):
        facts = (finding.get("scenario") or {}).get("facts")
        if not facts:
            continue
        case = Case(scenario_from(facts), tuple(finding.get("faults") or ()))
        rate = Rate(finding.get("samples", 0), 1, finding.get("seen", 0))
        finding["token"] = _token(target, finding["kind"], case, seed, rate, profile)
        share = left / (len(findings) - number)
        if share < _LEAST_SECONDS and not directory:
            continue
        with Trials(target, seed) as trials:
            small = Minimised(case, rate, rate)
            if share >= _LEAST_SECONDS:
                began = time.monotonic()
                small = minimise(case, finding["kind"], trials, share, progress)
                left -= time.monotonic() - began
                finding["minimised"] = _told(target, finding["kind"], case, small, seed, profile)
            if directory:
                _write(target, finding, small, trials, directory)


def _told(
    target: str, kind: str, before: Case, small: Minimised, seed: int, profile: str
) -> dict[str, Any]:
    return {
        "summary": small.lines(before),
        "scenario": small.case.scenario.as_json(),
        "faults": list(small.case.faults),
        "failing": small.rate.failing,
        "samples": small.rate.samples,
        "steps": small.steps,
        "tried": small.tried,
        "seconds": round(small.seconds, 2),
        "complete": small.complete,
        "message": small.finding.get("message", ""),
        "token": _token(target, kind, small.case, seed, small.rate, profile),
    }


def _write(
    target: str, finding: dict[str, Any], small: Minimised, trials: Trials, directory: str
) -> None:
    told = finding.get("minimised") or finding
    try:
        written = write_test(
            directory,
            target,
            finding["kind"],
            str(told.get("message") or finding["message"]),
            small.case,
            small.rate,
            told["token"],
            circumstances(),
            trials.expectation(small.case.scenario),
        )
    except UsageError as error:
        finding["file"] = {"error": str(error)}
        return
    finding["file"] = {
        "path": str(written.path),
        "failing": written.rate.failing,
        "samples": written.rate.samples,
    }


def _token(target: str, kind: str, case: Case, seed: int, rate: Rate, profile: str) -> str:
    here = circumstances()
    kept = ("python", "free_threaded_build", "gil_enabled", "implementation", "version", "flags")
    facts = {name: here[name] for name in kept}
    facts |= {"profile": profile, "rate": [rate.failing, rate.samples]}
    return encode(NativeToken(target, kind, case, seed, facts))
