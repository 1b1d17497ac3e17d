"""Runs the self-test: way after way, each specimen until it is found."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from .. import environment
from ..children import child_command, child_environment
from ..planted import Proof, missing, prove
from ..sampling.supervisor import sample
from ..serial import SerialError, explore
from ..zoo import ZOO, Specimen
from .results import Outcome, Row, Selftest

__all__ = ["WAYS", "run_selftest"]

WAYS = ("serial", "parallel", "general", "planted")
SCHEDULES = 400  # every schedule of two preemptions of the longest program that needs as many
PARALLEL_SECONDS = 40.0  # at most, for one specimen
GENERAL_OPERATIONS = 2_000_000  # at most; ten times as many as most need
GENERAL_SECONDS = 180.0
TWIN_PARALLEL_SECONDS = 0.4
TWIN_GENERAL_SECONDS = 3.0
_SWEEP = 0.2  # of the scenarios are for pairs of operations that never met
_HANG_SECONDS = 60.0  # of the child, beyond the time that it was given
Progress = Callable[[str], None]


def run_selftest(
    seed: int = 1,
    ways: Iterable[str] = WAYS,
    only: Iterable[str] = (),
    progress: Progress = lambda text: None,
) -> Selftest:
    """Look for every known bug in every way that there is for it.

    Parameters:
        seed: of all choices. ways: of `WAYS`. only: shell patterns on names of specimens and patches.
        progress: told, in a line, what was done.

    Thread-safety: one at a time in a process.
    """
    began = time.monotonic()
    result = Selftest(environment.describe(), seed)
    chosen = [each for each in ZOO if _selected(each.name, only)]
    rows = {each.name: Row(each.name, each.about, each.kind) for each in chosen}
    result.rows = list(rows.values())
    twins = {each.name: Row(f"twin of: {each.name}", "the same, correct", "") for each in chosen}
    result.twins = list(twins.values())
    runners = {"serial": _serial, "parallel": _parallel, "general": _general}
    for way in WAYS:
        if way not in ways:
            result.not_run[way] = "not asked for"
        elif way == "planted":
            _planted(result, only, progress)
        elif chosen:
            for name, side, outcome in runners[way](chosen, seed):
                (rows if side == "broken" else twins)[name].outcomes[way] = outcome
                if side == "broken" or not outcome.good:
                    progress(f"{way:9} {rows[name].specimen}: {outcome}")
    result.rows = [row for row in result.rows if row.outcomes]
    result.twins = [row for row in result.twins if row.outcomes]
    result.seconds = time.monotonic() - began
    return result


def _selected(name: str, only: Iterable[str]) -> bool:
    patterns = list(only)
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


Results = Iterator[tuple[str, str, Outcome]]


def _serial(specimens: list[Specimen], seed: int) -> Results:
    for specimen in specimens:
        if not specimen.programs:
            continue
        for side in ("broken", "correct"):
            yield specimen.name, side, _explored(specimen, side, seed)


def _explored(specimen: Specimen, side: str, seed: int) -> Outcome:
    make = specimen.broken if side == "broken" else specimen.correct
    try:
        done = explore(
            make,
            specimen.programs,
            seed=seed,
            limit=SCHEDULES,
            granularity=specimen.granularity,
        )
    except SerialError as error:
        return Outcome("broken", str(error))
    if done.found is None:
        verdict = "missed" if side == "broken" else "clean"
        return Outcome(verdict, str(done), done.schedules, "schedules", done.seconds)
    verdict = "found" if side == "broken" else "accused"
    what = done.found.kind if side == "broken" else done.found.text
    return Outcome(verdict, what, done.schedules, "schedules", done.seconds)


def _parallel(specimens: list[Specimen], seed: int) -> Results:
    gil = environment.gil_enabled()
    specimens = [each for each in specimens if each.programs]
    here = [each for each in specimens if not (gil and each.atomic_with_gil)]
    for specimen in specimens:
        if specimen not in here:
            yield specimen.name, "broken", Outcome("cannot happen", specimen.atomic_with_gil)
    orders = [
        ([[each.name, "broken"] for each in here], PARALLEL_SECONDS),
        ([[each.name, "correct"] for each in specimens], TWIN_PARALLEL_SECONDS),
    ]
    for jobs, seconds in orders:
        left = {(name, side) for name, side in jobs}
        for said in _child(jobs, seconds, seed):
            left.discard((said["name"], said["side"]))
            yield said["name"], said["side"], _heard(said)
        for name, side in sorted(left):
            yield name, side, Outcome("broken", "the process that ran it came to no end")


def _heard(said: dict[str, Any]) -> Outcome:
    broken = said["side"] == "broken"
    verdict = (
        ("found" if broken else "accused") if said["kind"] else "missed" if broken else "clean"
    )
    what = said["kind"] if verdict == "found" else said["message"]
    if verdict == "missed":
        what = f"not in {said['samples']} runs, {said['seconds']} s"
    return Outcome(verdict, what, said["samples"], "runs", said["seconds"])


def _child(jobs: list[Any], seconds: float, seed: int) -> Iterator[dict[str, Any]]:
    """What the child of the parallel runs says, while it says something."""
    package = __name__.rpartition(".")[0]
    with tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(
            child_command(f"{package}.parallel"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=child_environment(),
        )
        assert child.stdin is not None and child.stdout is not None
        guard = threading.Timer(len(jobs) * seconds + _HANG_SECONDS, child.kill)
        guard.start()
        try:
            json.dump({"specimens": jobs, "seconds": seconds, "seed": seed}, child.stdin)
            child.stdin.close()
            for line in child.stdout:
                yield json.loads(line)
        finally:
            guard.cancel()
            guard.join()
            child.kill()
            child.wait()
            child.stdout.close()


def _general(specimens: list[Specimen], seed: int) -> Results:
    known: dict[Any, Outcome] = {}
    for specimen in specimens:
        if not specimen.general:
            continue
        yield specimen.name, "broken", _sampled(specimen.broken, "broken", seed)
        twin = specimen.correct
        if twin not in known:
            known[twin] = _sampled(twin, "correct", seed)
        yield specimen.name, "correct", known[twin]


def _sampled(make: Callable[[], Any], side: str, seed: int) -> Outcome:
    target = f"{make.__module__}:{make.__qualname__}"
    seconds = GENERAL_SECONDS if side == "broken" else TWIN_GENERAL_SECONDS
    most = GENERAL_OPERATIONS if side == "broken" else None
    done = sample(target, seed, seconds, operations=most, enough=1, sweep=_SWEEP)
    tried = done.totals["operations"]
    if not done.findings:
        verdict = "missed" if side == "broken" else "clean"
        return Outcome(verdict, f"not in {tried} operations", tried, "operations", done.seconds)
    first = done.findings[0]
    verdict = "found" if side == "broken" else "accused"
    what = first["kind"] if side == "broken" else first["message"]
    return Outcome(verdict, what, tried, "operations", first["seconds"])


def _planted(result: Selftest, only: Iterable[str], progress: Progress) -> None:
    why = missing()
    if why:
        result.not_run["planted bugs of the C core"] = why
        return

    def told(proof: Proof) -> None:
        progress(f"planted   {proof.name or 'the sources as they are'}: {proof.verdict}")

    for proof in prove(told, select=lambda name: _selected(name, only)):
        outcome = Outcome(proof.verdict, proof.how, 0, "", proof.seconds)
        row = Row(proof.name or proof.bug, proof.bug, "C core", {"planted": outcome})
        if proof.name:
            result.rows.append(row)
        else:
            result.twins.append(row)
