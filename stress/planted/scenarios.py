"""The detectors: small programs that the unmutated build passes and a planted bug does not.

Four kinds: one thread (contract.py), a few threads under many schedules (explored.py), one schedule
through the window of a bug (scripted.py), random programs (programs.py). All but the first need threads
that run in parallel: builds with the GIL leave out what is in `PARALLEL`.
"""

from __future__ import annotations

from . import contract, explored, programs, scripted  # they register themselves
from .registry import PARALLEL, SCENARIOS

__all__ = ["PARALLEL", "SCENARIOS", "contract", "explored", "programs", "scripted"]
