"""Scenario sampling as a workload of the campaign: run by a child process, see sampling/."""

from __future__ import annotations

from ..targets import Kind
from .base import Round, workload

__all__ = ["Scenarios"]


@workload(
    "scenarios",
    "random small scenarios of every operation, sampled in a child process, every outcome judged",
    tuple(Kind),
)
class Scenarios(Round):
    """Not run round by round: campaign.py hands it to sampling/supervisor.py."""

    outside = True
