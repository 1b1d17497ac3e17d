"""The measurements beside the cells: memory, records, growth, latency, snapshots."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence

from ..children import child_command, child_environment
from .contestants import Contestant
from .crew import Crew
from .latency import measure_latency
from .options import BenchOptions
from .plan import Job
from .results import Measure
from .snapshots import measure_snapshots

__all__ = ["ChildError", "run_job"]

_CHILD_SECONDS = 600
# Without the GIL the interpreter's allocator (mimalloc) gives freed pages back a while later; so that
# resident sizes do not depend on when, in those children at once.
_AT_ONCE = {"MIMALLOC_PURGE_DELAY": "0"}
_UNITS = {"memory": "bytes per item", "records": "bytes per record", "growth": "MiB"}


class ChildError(RuntimeError):
    """A process that was to measure ended without figures."""


def run_job(
    job: Job, contestants: Sequence[Contestant], options: BenchOptions, crew: Crew
) -> Iterator[Measure | str]:
    """The figures of one job as they come; a line of text for each contestant that fails."""
    chosen = _chosen(job, contestants, options)
    if job.measure in ("latency", "snapshot"):
        try:
            if job.measure == "latency":
                yield from measure_latency(chosen, crew, rounds=options.rounds)
            else:
                yield from measure_snapshots(chosen, rounds=options.rounds)
        except Exception as error:
            yield f"{job.name}: {type(error).__name__}: {error}"
        return
    for one in chosen:
        try:
            at_once = _AT_ONCE if job.measure in ("memory", "records") else {}
            figures = _in_child(_arguments(job, one), at_once)
        except (ChildError, ValueError) as error:
            yield f"{job.name}: {one.name}: {error}"
            continue
        yield Measure(job.measure, _case(job), one.name, _UNITS[job.measure], figures)


def _chosen(job: Job, contestants: Sequence[Contestant], options: BenchOptions) -> list[Contestant]:
    """The quick run asks only the tables that the goals name, and the builtin, about memory."""
    fitting = [one for one in contestants if job.family in ("", one.family)]
    if job.measure == "growth":
        fitting = [one for one in fitting if job.kind == "pairs" or one.side != "rival"]
    if options.contestants:
        return [one for one in fitting if one.name in options.contestants or one.side == "builtin"]
    if options.preset == "full" or job.measure in ("latency", "snapshot"):
        return fitting
    quick = ("ConcurrentDict", "ConcurrentSet", "SplitDict")
    measured = [one for one in fitting if one.name in quick]
    if job.measure == "growth":
        return measured
    return [one for one in fitting if one.side == "builtin"] + measured


def _case(job: Job) -> str:
    if job.measure == "records":
        return f"{job.count:,} records of 10 str keys"
    if job.measure == "growth":
        return job.kind
    return f"{job.count:,} {job.kind} {'items' if job.family == 'set' else 'keys'}"


def _arguments(job: Job, one: Contestant) -> list[str]:
    if job.measure == "records":
        return [job.measure, one.name, str(job.count)]
    return [job.measure, one.name, job.family, job.kind, str(job.count)]


def _in_child(arguments: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Run child.py in an interpreter like this one, with the same modules to import."""
    try:
        done = subprocess.run(
            child_command(f"{__package__}.child", *arguments),
            env=child_environment(**environment),
            capture_output=True,
            text=True,
            timeout=_CHILD_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ChildError(str(error)) from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ChildError(f"exit status {done.returncode}: {last}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures
