"""The harness looks for bugs that are known to be there: `ct-stress selftest`.

Four ways to find one, each on the broken side and, expecting nothing, on the correct side:

serial    the specimen's programs, one thread at a time, by bounded search (stress.serial)
parallel  the same programs in real threads on many fresh containers (parallel.py)
general   the sampling of `ct-stress run --target`, which knows nothing of the specimen
planted   the C core built with a bug in it, and its detectors (stress.planted)

A search ends as soon as it has found something. What cannot happen on an interpreter, or cannot be
looked for on a machine, is said with its reason.
"""

from __future__ import annotations

from .results import Outcome, Row, Selftest
from .run import WAYS, run_selftest

__all__ = ["WAYS", "Outcome", "Row", "Selftest", "run_selftest"]
