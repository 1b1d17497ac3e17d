"""`ct-stress bench`: how fast tables are, side by side with the builtins and with rivals.

A cell of the space (space.py) is measured by loops generated for it (loops.py), on tables prepared by
the threads that use them (stands.py, crew.py), in interleaved rounds (rounds.py) of which only
undisturbed laps count (laps.py). What is not a time per operation of a cell (memory, growth, latency,
snapshots) is in further.py. A result (results.py) keeps the samples, and every figure follows from
them; judge.py compares it with the goals (goals.py).
"""

from __future__ import annotations

from .judge import Finding, Verdict, judge
from .options import BenchOptions
from .results import BenchResult, CellResult, Measure, Series, Spread
from .run import BenchObserver, run_bench
from .space import Cell, Setting

__all__ = [
    "BenchObserver",
    "BenchOptions",
    "BenchResult",
    "Cell",
    "CellResult",
    "Finding",
    "Measure",
    "Series",
    "Setting",
    "Spread",
    "Verdict",
    "judge",
    "run_bench",
]
