"""Tells a child that hangs from one that is slow, or that the machine has forgotten.

A child shows life by any word of its journal that changes. Without a change it hangs when it used much
processor time meanwhile (it turns in circles), or when we were awake often enough in between: on
a machine that has no time for the child there is hardly any for us either. Interpreters that are slow
(sanitizers) get more of both.
"""

from __future__ import annotations

import time

from ..environment import slowness
from .evidence import processor_seconds
from .journal import Journal

__all__ = ["TICK", "Vigil"]

TICK = 0.1  # seconds between two looks
_MOST_OF_A_TICK = 0.15  # what one look counts for at most
_CIRCLES = 2.5  # seconds of the child's own processor time, of a release build
_START_SECONDS = 10.0  # of a release build


class Vigil:
    """Looks at one child; `hung` is asked once in a tick."""

    def __init__(self, pid: int, journal: Journal, stall_seconds: float) -> None:
        self._pid = pid
        self._journal = journal
        self._stall_seconds = stall_seconds
        self._slowness = slowness()
        self._seen = b""
        self._looked = time.monotonic()
        self._still = self._used = 0.0

    def hung(self) -> bool:
        """Whether the child has shown no life for too long."""
        now = time.monotonic()
        self._still += min(now - self._looked, _MOST_OF_A_TICK)
        self._looked = now
        signs = self._journal.signs()
        if signs != self._seen:
            self._seen, self._still, self._used = signs, 0.0, processor_seconds(self._pid)
            return False
        still = self._still
        if self._journal.progress <= 0:  # the interpreter and the target's modules still start
            still -= _START_SECONDS * self._slowness
        if still > self._stall_seconds:
            return True
        circling = processor_seconds(self._pid) - self._used > _CIRCLES * self._slowness
        return still > 2 and circling
