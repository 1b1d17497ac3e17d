"""A whole run: which workloads, how much time each, and the facts for the report."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from . import environment
from .options import Options
from .runner import Deadline, run_workload
from .targets import Target, default_targets, target_of
from .verdicts import CampaignResult, WorkloadResult
from .workloads import Round, applicable

__all__ = ["Observer", "run_campaign", "selection"]


class Observer:
    """Hears how a campaign goes on; the base class ignores it all."""

    def started(self, target: str, workload: str, number: int, total: int) -> None:
        """Workload `number` of `total` (from 0) begins."""

    def progress(self, fraction: float) -> None:
        """So much of the current workload's budget is used; a few times a second."""

    def finished(self, result: WorkloadResult) -> None:
        """A workload ended."""


def selection(targets: Iterable[Target], options: Options) -> list[tuple[Target, type[Round]]]:
    """The workloads that `options` select for the targets, in the order of running."""
    return [
        (target, workload)
        for target in targets
        for workload in applicable(target)
        if options.selects(target.name, workload.name)
    ]


def run_campaign(
    targets: Iterable[Target | Callable[..., Any]] | None = None,
    options: Options | None = None,
    observer: Observer | None = None,
) -> CampaignResult:
    """Run the selected workloads one after another; the result tells what was seen.

    Parameters
    ----------
    targets: `Target` objects, classes, or functions that make containers; None means every table
        type of the package.
    options: see `Options`; None means the defaults (20 seconds in total, 8 threads, a new seed).
    observer: told about the progress.

    Errors
    ------
    UsageError (a ValueError): a target is neither dict- nor set-like.

    Threads: the workers are daemon threads of this process; after a stall they are still there
    and `result.stalled` is true. One campaign at a time: the switch interval is the process's.

    >>> from concurrent_tables.stress import Options, run_campaign
    >>> result = run_campaign([dict], Options(seed=1, ops=200, only=("ycsb-a",)))
    >>> result.violations, result.exit_status.name
    ([], 'CLEAN')
    """
    options = options or Options()
    observer = observer or Observer()
    chosen = selection(_targets(targets), options)
    result = CampaignResult(environment.describe(), options.as_json())
    start = time.monotonic()
    with _switching(options.switch_interval):
        for number, (target, workload) in enumerate(chosen):
            observer.started(target.name, workload.name, number, len(chosen))
            seconds = _share(options.budget_seconds, start, len(chosen) - number)
            done, stalled = run_workload(
                target, workload, options, Deadline(seconds, options.ops), observer.progress
            )
            result.workloads.append(done)
            observer.finished(done)
            if stalled:
                result.stalled = True
                break
    result.seconds = time.monotonic() - start
    result.environment["gil_enabled_at_end"] = environment.gil_enabled()
    return result


def _targets(targets: Iterable[Target | Callable[..., Any]] | None) -> list[Target]:
    if targets is None:
        return default_targets()
    return [target if isinstance(target, Target) else target_of(target) for target in targets]


def _share(budget: float | None, start: float, left: int) -> float | None:
    """An equal share of the time that is left; what a workload leaves goes to those after it."""
    if budget is None:
        return None
    return max(0.01, (budget - (time.monotonic() - start)) / left)


@contextmanager
def _switching(interval: float) -> Iterator[None]:
    """With the GIL: switch threads often enough to meet inside an operation."""
    if not environment.gil_enabled():
        yield
        return
    before = sys.getswitchinterval()
    sys.setswitchinterval(interval)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
