"""How often something failed, and when one rate is clearly below another.

An *event* is a batch of samples with at least one failing sample, or the end of a process. Events are
counted against the samples that it took to see them. Of two cases with the same rate of events per
sample, the second has k of all m events with the probability of the binomial distribution with its
share of all samples: the conditional test of two Poisson rates (J. Przyborowski and H. Wilenski,
Biometrika 31, 1940). Failing samples come in bursts; events hardly do, which is why they are counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

__all__ = ["LEVEL", "Rate", "clearly_below"]

LEVEL = 0.05  # probability of refusing a candidate whose rate is the same


@dataclass(frozen=True)
class Rate:
    """What was measured.

    Parameters:
        samples: how many were taken. events: batches or processes that failed.
        failing: samples that failed: "reproduced `failing` of `samples`".
    """

    samples: int = 0
    events: int = 0
    failing: int = 0

    def __add__(self, other: Rate) -> Rate:
        return Rate(
            self.samples + other.samples,
            self.events + other.events,
            self.failing + other.failing,
        )

    def __str__(self) -> str:
        return f"{self.failing} of {self.samples}"

    @property
    def share(self) -> float:
        """Failing samples of all samples."""
        return self.failing / self.samples if self.samples else 0.0


def clearly_below(candidate: Rate, reference: Rate, level: float = LEVEL) -> bool:
    """Whether the candidate fails less often than the reference, beyond chance.

    >>> clearly_below(Rate(1000, 9), Rate(1000, 10))
    False
    >>> clearly_below(Rate(1000, 1), Rate(1000, 10))
    True
    """
    events = candidate.events + reference.events
    samples = candidate.samples + reference.samples
    if not events or not samples:
        return False
    share = candidate.samples / samples
    chance = sum(
        comb(events, number) * share**number * (1 - share) ** (events - number)
        for number in range(candidate.events + 1)
    )
    return chance < level
