"""When a `HashTable` may destroy what it no longer holds; for both implementations.

A grace period ends when no *lookup* can still see an entry. A `foreach` cannot be pinned for as long
as its callbacks run (I5), and goes on to show entries of its snapshot that were removed meanwhile. So
walks are registered, in the order in which they began, before they take their snapshot. A destruction
whose grace period is over is handed to the youngest walk; a walk that ends hands what it has to the
next older one, and the oldest runs it. That is late enough for every walk that may show the entry,
and does not wait for walks that began later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from ._hooks import report_unraisable
from ._waits import ForkMark, PerProcess

__all__ = ["Destruction", "Walk", "Walks"]


class Destruction:
    """The destructor calls that one change of a table brings about."""

    __slots__ = ("calls", "walks")

    def __init__(self, calls: list[tuple[Callable[[Any], object], Any]], walks: Walks) -> None:
        self.calls = calls
        self.walks = walks

    def __call__(self) -> None:
        """The grace period is over, or the table is not shared."""
        if not self.walks.defer(self):
            self.run()

    def run(self, ignored: tuple[type[Exception], ...] = ()) -> None:
        """Call the destructors, once; what they raise goes to `sys.unraisablehook`."""
        calls, self.calls = self.calls, []
        for destroy, item in calls:
            try:
                destroy(item)
            except ignored:
                continue
            except BaseException:
                report_unraisable("Exception ignored in HashTable destructor", destroy)


class Walk(ForkMark):
    """One `foreach` that is going on."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Destruction] = []


class Walks:
    """The walks of one table that are going on, oldest first. Thread-safety: atomic.

    `guard` makes what excludes other threads for a few lines; by default a lock of its own.
    """

    __slots__ = ("active", "guard")

    def __init__(self, guard: Callable[[], AbstractContextManager[object]] | None = None) -> None:
        self.active: tuple[Walk, ...] = ()
        # Re-entrant: a finalizer may walk the table in the middle of these methods.
        self.guard = guard or PerProcess(threading.RLock)

    def mine(self) -> bool:
        """Whether the calling thread is inside a walk."""
        if not self.active:
            return False
        me = ForkMark().owner
        return me in [walk.owner for walk in self.active if not walk.void]

    def begin(self) -> Walk:
        """Register a walk; its snapshot is taken afterwards."""
        walk = Walk()
        with self.guard():
            # A forked child takes over from walks whose threads it does not have.
            for lost in self.active:
                if lost.void:
                    walk.waiting += lost.waiting
            # Not a generator: CPython 3.12 and 3.13 crash without the memory for its function.
            self.active = (*[other for other in self.active if not other.void], walk)
        return walk

    def end(self, walk: Walk) -> None:
        """Let go of a walk; runs the destructions that waited for it alone."""
        with self.guard():
            waiting, position = walk.waiting, self.active.index(walk)
            if position:
                self.active[position - 1].waiting += waiting
                waiting = []
            self.active = self.active[:position] + self.active[position + 1 :]
        for destruction in waiting:
            destruction.run()

    def defer(self, destruction: Destruction) -> bool:
        """Hand a destruction to the youngest walk; False when there is none."""
        if not self.active:
            return False
        with self.guard():
            for walk in reversed(self.active):
                if not walk.void:
                    walk.waiting.append(destruction)
                    return True
        return False
