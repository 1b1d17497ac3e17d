"""Makes a case smaller as long as it fails as readily: greedy, bounded by time, judged by numbers.

A step is kept when the smaller case was seen to fail and its rate is not clearly below that of the case
it was made of, nor below that of the first (rates.py: one-sided, 5 %). Whoever looks again and again
is deceived now and then: so each candidate gets enough samples to see about `_EVENTS` events at the rate
of its parent, and is dropped early only when it is clearly below. Where failures are so rare that the time
does not allow for that, seeing one is enough, and not seeing one is a refusal.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .rates import Rate, clearly_below
from .steps import Case, size_of, smaller
from .trials import Trial, Trials, family_of

__all__ = ["Minimised", "minimise"]

_FIRST_EVENTS = 16  # of the case that was found
_EVENTS = 8
_FIRST_SHARE = 0.3  # of the time, for measuring it
_PASSES = (0.04, 0.15)  # of the time for one candidate: quickly at first, then patiently
_LAST_SHARE = 0.1  # of the time, for the rate of what is left
_LOOKS = 3  # at a candidate, before all its samples are there


@dataclass
class Minimised:
    """What minimising came to.

    Parameters:
        case: the smallest case that was accepted. rate: its rate. first: that of the case found.
        steps: what was done, in order. tried: how many candidates were measured.
        complete: whether every step away from `case` was tried and refused.
        finding: the first failure of `case` (message, outcomes) as a finding.
    """

    case: Case
    rate: Rate
    first: Rate
    steps: list[str] = field(default_factory=list)
    tried: int = 0
    seconds: float = 0.0
    complete: bool = False
    finding: dict[str, object] = field(default_factory=dict)

    def lines(self, before: Case) -> list[str]:
        """For people."""
        if not self.first.events:
            return [
                f"not seen again in {self.first.samples} samples: nothing was minimised",
            ]
        end = "nothing more can be left out" if self.complete else "the time was over"
        return [
            f"minimised from {size_of(before)} to {size_of(self.case)} in {self.seconds:.1f} s "
            f"({len(self.steps)} of {self.tried} steps kept; {end})",
            f"reproduced {self.rate} samples (before: {self.first}); how threads meet is up to the "
            "machine, so this is statistical",
        ]


def minimise(
    case: Case,
    kind: str,
    trials: Trials,
    seconds: float,
    progress: Callable[[], None] = lambda: None,
) -> Minimised:
    """The smallest case that still shows a finding of this kind; takes about `seconds`."""
    began = time.monotonic()
    until = began + seconds * (1 - _LAST_SHARE)
    kinds = family_of(kind)
    first = trials.measure(
        case.scenario, case.faults, kinds, seconds=seconds * _FIRST_SHARE, enough=_FIRST_EVENTS
    )
    if not first.rate.events:
        again = trials.measure(
            case.scenario, case.faults, kinds, seconds=seconds * _FIRST_SHARE, enough=1
        )
        again.rate += first.rate
        again.seconds += first.seconds
        first = again
    result = Minimised(case, first.rate, first.rate, finding=first.finding)
    for share in _PASSES if first.rate.events else ():
        limit = min(_limit(first), seconds * share)
        while _one_step(kinds, trials, result, limit, until, progress):
            pass
        if time.monotonic() > until:
            break
    else:
        result.complete = bool(first.rate.events)
    if result.steps and result.rate.events < _EVENTS:
        last = trials.measure(
            result.case.scenario,
            result.case.faults,
            kinds,
            seconds=seconds * _LAST_SHARE,
            enough=_EVENTS,
        )
        result.rate += last.rate
    result.seconds = time.monotonic() - began
    return result


def _one_step(
    kinds: frozenset[str],
    trials: Trials,
    result: Minimised,
    limit: float,
    until: float,
    progress: Callable[[], None],
) -> bool:
    """Try the steps until one is kept; whether one was."""
    for text, candidate in smaller(result.case):
        progress()
        left = until - time.monotonic()
        if left <= 0:
            return False
        result.tried += 1
        trial = _as_readily(candidate, kinds, trials, result, min(left, limit))
        if trial is not None:
            result.case, result.rate, result.finding = candidate, trial.rate, trial.finding
            result.steps.append(text)
            return True
    return False


def _limit(first: Trial) -> float:
    """Seconds for one candidate: what the case found took for so many events, twice."""
    return max(0.3, 2 * first.seconds * _EVENTS / max(1, first.rate.events))


def _as_readily(
    candidate: Case, kinds: frozenset[str], trials: Trials, result: Minimised, seconds: float
) -> Trial | None:
    """The candidate's measurement, or None when it is refused."""
    reference = result.rate
    fitting = max(1.0, reference.samples / max(1, reference.events)) * _EVENTS
    until = time.monotonic() + seconds
    whole: Trial | None = None
    for look in range(1, _LOOKS + 1):
        rate = whole.rate if whole is not None else Rate()
        more = fitting * look / _LOOKS - rate.samples
        left = until - time.monotonic()
        if left <= 0.02:
            break
        if more <= 0:
            continue
        trial = trials.measure(
            candidate.scenario,
            candidate.faults,
            kinds,
            seconds=left,
            enough=_EVENTS - rate.events,
            samples=more,
        )
        if trial.refused:
            return None
        trial.rate = rate + trial.rate
        if whole is not None:
            trial.finding = whole.finding or trial.finding
        whole = trial
        if whole.rate.events >= _EVENTS:
            break
        if clearly_below(whole.rate, reference) or clearly_below(whole.rate, result.first):
            return None
    if whole is None or not whole.rate.events:
        return None
    below = clearly_below(whole.rate, reference) or clearly_below(whole.rate, result.first)
    return None if below else whole
