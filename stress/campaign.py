"""A whole run: which workloads, how much time each, and the facts for the report."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from . import environment
from .isolation import run_isolated
from .options import Options, UsageError
from .repro.reproduce import reproduce
from .runner import Deadline, run_workload
from .sampling.report import workload_result
from .sampling.supervisor import sample
from .targets import DEFAULT_TARGETS, Target, default_targets, resolve, target_of
from .verdicts import CampaignResult, WorkloadResult
from .workloads import Round, applicable

__all__ = ["Observer", "run_campaign", "selection"]

_SAMPLING_WEIGHT = 30.0  # beside 1 of every other workload, for containers that are not ours
_NO_LIMIT = 24 * 3600.0


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
    found = [
        (target, workload)
        for target in targets
        for workload in applicable(target)
        if options.selects(target.name, workload.name)
        and not (workload.outside and _address(target, options) is None)
    ]
    # What runs in processes of its own comes first: a container can end ours.
    return sorted(found, key=lambda chosen: not chosen[1].outside)


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
    began = start = time.monotonic()
    with _switching(options.switch_interval):
        for number, (target, workload) in enumerate(chosen):
            if options.isolate and not workload.outside:
                _isolated(target, chosen, number, options, observer, result, start)
                break
            observer.started(target.name, workload.name, number, len(chosen))
            seconds = _share(options.budget_seconds, start, chosen[number:])
            if workload.outside:
                done, facts, extra = _run_outside(target, options, seconds, observer.progress)
                start += extra  # it is not taken from the other workloads
                result.sampling[target.name] = facts
                result.workloads.append(done)
                observer.finished(done)
                continue
            done, stalled = run_workload(
                target, workload, options, Deadline(seconds, options.ops), observer.progress
            )
            result.workloads.append(done)
            observer.finished(done)
            if stalled:
                result.stalled = True
                break
    result.seconds = time.monotonic() - began
    result.environment["gil_enabled_at_end"] = environment.gil_enabled()
    return result


def _isolated(
    target: Target,
    chosen: list[tuple[Target, type[Round]]],
    number: int,
    options: Options,
    observer: Observer,
    result: CampaignResult,
    start: float,
) -> None:
    """All workloads from `number` on, in a child process."""
    names = [workload.name for _, workload in chosen[number:]]
    budget = options.budget_seconds
    seconds = None if budget is None else max(0.05, budget - (time.monotonic() - start))

    def started(name: str) -> None:
        observer.started(target.name, name, number + names.index(name), len(chosen))

    done, result.stalled = run_isolated(
        target.name, names, options, seconds, started, observer.progress
    )
    for each in done:
        result.workloads.append(each)
        observer.finished(each)


def _targets(targets: Iterable[Target | Callable[..., Any]] | None) -> list[Target]:
    if targets is None:
        return default_targets()
    return [target if isinstance(target, Target) else target_of(target) for target in targets]


def _share(
    budget: float | None, start: float, left: list[tuple[Target, type[Round]]]
) -> float | None:
    """A share of the time that is left; what a workload leaves goes to those after it."""
    if budget is None:
        return None
    weights = [_weight(target, workload) for target, workload in left]
    return max(0.01, (budget - (time.monotonic() - start)) * weights[0] / sum(weights))


def _weight(target: Target, workload: type[Round]) -> float:
    """Scenario sampling covers every operation, and needs the time for it."""
    return (2.0 if target.native else _SAMPLING_WEIGHT) if workload.outside else 1.0


def _address(target: Target, options: Options) -> str | None:
    """How another process finds the target; None when it cannot."""
    if options.target_argument:
        return options.target_argument
    if target.native and target.name in DEFAULT_TARGETS:
        return target.name
    kind = target.type
    address = f"{kind.__module__}:{kind.__qualname__}"
    with suppress(UsageError):
        if kind.__module__ != "__main__" and resolve(address).type is kind:
            return address
    return None


def _run_outside(
    target: Target,
    options: Options,
    seconds: float | None,
    progress: Callable[[float], None],
) -> tuple[WorkloadResult, dict[str, Any], float]:
    """Scenario sampling of one target, in child processes; the seconds for minimising come last."""
    address = _address(target, options)
    assert address is not None
    sampling = sample(
        address,
        options.seed,
        _NO_LIMIT if seconds is None else seconds,
        operations=options.ops,
        stall_seconds=options.stall_seconds,
        progress=progress,
    )
    began = time.monotonic()
    reproduce(
        address,
        options.seed,
        sampling.findings,
        options.minimise_seconds,
        options.repro_dir,
        str(sampling.profile.get("name", "")),
        lambda: progress(1.0),
    )
    extra = time.monotonic() - began
    return workload_result(target, options, sampling), sampling.as_json(), extra


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
