"""Which laps count: those in which every thread of the setting was running all the time.

The system takes CPUs away whenever something else wants to run. What a thread measures meanwhile says
nothing about tables; and while one thread waits, the other has the shared table to itself. Every lap
comes with the CPU time of its thread and its context switches. A lap is *clean* when its thread had a CPU
throughout, or gave it up itself to wait for a lock, and every other thread was, throughout, in laps of
which the same is true.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from .stands import Lap

__all__ = ["Sample", "sample_of"]

COVERED = 0.85  # of a clean lap, the least part that clean laps of each other thread cover

Laps = Sequence[Sequence[Lap]]


@dataclass(frozen=True)
class Sample:
    """One round of one series: nanoseconds per operation, and the part of the laps that was clean."""

    wall_ns: float
    cpu_ns: float
    clean: float


def sample_of(visit: Laps, *, taking_turns: bool = False) -> Sample:
    """Mean over the threads of the mean of each one's clean laps.

    Without clean laps it is the mean over the laps that overlap with laps of every other thread;
    without those, over all.
    Threads that take turns, as those do that share a GIL, cannot have clean laps: all laps count.
    """
    every = [list(range(len(laps))) for laps in visit]
    if taking_turns:
        return _sample(visit, every, 1.0)
    undisturbed = [[number for number, lap in enumerate(laps) if lap.undisturbed] for laps in visit]
    clean = _covered(visit, undisturbed)
    part = sum(map(len, clean)) / sum(map(len, visit))
    if all(clean):
        return _sample(visit, clean, part)
    overlapping = _covered(visit, every)
    return _sample(visit, overlapping if all(overlapping) else every, 0.0)


def _covered(visit: Laps, chosen: list[list[int]]) -> list[list[int]]:
    """Those of the chosen laps that chosen laps of each other thread cover."""
    return [
        [
            number
            for number in chosen[own]
            if all(
                _coverage(visit[own][number], [visit[other][one] for one in chosen[other]])
                >= COVERED
                for other in range(len(visit))
                if other != own
            )
        ]
        for own in range(len(visit))
    ]


def _coverage(lap: Lap, others: Sequence[Lap]) -> float:
    together = sum(
        max(0, min(lap.end, other.end) - max(lap.begin, other.begin)) for other in others
    )
    return together / max(1, lap.end - lap.begin)


def _sample(visit: Laps, chosen: list[list[int]], clean: float) -> Sample:
    laps = [[visit[own][number] for number in numbers] for own, numbers in enumerate(chosen)]
    return Sample(
        wall_ns=fmean(_mean([lap.busy for lap in own], own) for own in laps),
        cpu_ns=fmean(_mean([lap.cpu for lap in own], own) for own in laps),
        clean=clean,
    )


def _mean(times: Sequence[int], laps: Sequence[Lap]) -> float:
    """Per operation, over all the laps. Not their median: where threads queue for a lock, most laps
    find it free, and the time goes into the few that wait."""
    return sum(times) / sum(lap.operations for lap in laps)
