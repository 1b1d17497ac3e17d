"""The serialised mode: pure-Python containers, one thread at a time, every schedule repeatable.

`explore` runs small programs of two or more threads on a container again and again. Only one thread
runs at any moment; at each line (or instruction) of the container's code a search strategy decides who
goes on (scheduler.py, points.py, strategies.py). Locks of `threading` are replaced by models
(locks.py), so that a deadlock is seen and named. What a schedule gives is compared with what the
container does when whole operations run one after the other (judging.py). A finding has a token
(token.py); `replay` runs its schedule again, the same step for step.

What it cannot see: races inside one line (or inside one instruction), code of C extensions, and
memory orders of a machine. The containers of C are sampled instead (`ct-stress run`).
"""

from __future__ import annotations

from .errors import SerialError, TokenError
from .explore import Exploration, Finding, explore, replay
from .strategies import Bounded, Pct, RandomWalk, Strategy

__all__ = [
    "Bounded",
    "Exploration",
    "Finding",
    "Pct",
    "RandomWalk",
    "SerialError",
    "Strategy",
    "TokenError",
    "explore",
    "replay",
]
