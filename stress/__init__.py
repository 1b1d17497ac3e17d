"""A stress harness for dict- and set-like containers, and for the tables of this package.

`ct-stress run` on the command line, `run_campaign` in Python. Many threads run seeded workloads
on fresh containers; every answer is judged by an oracle that knows who wrote what (cells.py), and
containers are checked again at rest. What a container is held to is said in targets.py.

The harness never says "safe": a clean result tells what was exercised, and nothing more.
"""

from __future__ import annotations

from .campaign import Observer, run_campaign
from .options import Options, UsageError
from .targets import Target, resolve, target_of
from .verdicts import CampaignResult, ExitStatus, Violation, WorkloadResult

__all__ = [
    "CampaignResult",
    "ExitStatus",
    "Observer",
    "Options",
    "Target",
    "UsageError",
    "Violation",
    "WorkloadResult",
    "resolve",
    "run_campaign",
    "target_of",
]
