"""Critical sections: locks that a thread gives up rather than deadlock.

Model: CPython's `Py_BEGIN_CRITICAL_SECTION` (Python/critical_section.c). Every thread keeps a stack
of the sections it is in. A section that finds its mutex taken first *suspends* all outer sections
of the thread (their mutexes are released), then blocks holding nothing; when it ends, the section
below it is *resumed* (its mutexes are taken again). No thread ever waits while it holds a
mutex, so crossing sections (`a.update(b)` against `b.update(a)`) cannot deadlock. The price:
whatever a section protects may change across any point where an inner section may begin.

In CPython such points are few. In Python a finalizer or a signal handler may run after any call
and on any backward jump, and may open a section of its own, even on the same table. The rule that
the tables follow is therefore: *plan, then validate and commit in straight-line code*.
Straight-line code (no call to Python code, no loop, no allocation of a container) has no point at which the
interpreter could run anything else in this thread, so a commit is all or nothing, for inner
sections and for asynchronous exceptions alike. (That an exception raised by a signal handler leaves
no mutex locked either, calls of C code and `_discard_stale` see to.) A section that interrupts one
of its own thread on the same mutex therefore simply runs inside it; the interrupted plan fails its
validation.

Sections of several mutexes take them in address order, so that two of them cannot deadlock either.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import compress
from operator import methodcaller
from types import FrameType, TracebackType
from typing import Any

__all__ = ["CriticalSection", "Mutex", "active_sections", "assert_held", "wait_outside"]


# By name: any lock with these methods will do, a modelled one too (`ct-stress run --serial`).
_ACQUIRE = methodcaller("acquire", True)
_TRY_ACQUIRE = methodcaller("acquire", False)
_RELEASE = methodcaller("release")


class Mutex:
    """The lock word of a table. Only `CriticalSection` takes it."""

    __slots__ = ("lock",)

    def __init__(self) -> None:
        # Re-entrant for the sake of interrupting sections only; see the top of this file.
        self.lock = threading.RLock()


# Every thread's stack, so that fork can wait until no section is active.
_stacks: dict[int, list[CriticalSection]] = {}


class _ThreadStack(threading.local):
    """The sections that a thread is in, innermost last."""

    def __init__(self) -> None:
        self.sections: list[CriticalSection] = []
        self.forget = _Forget(self.sections)


class _Forget:
    """Dies with its thread's local storage, and then forgets the thread's stack."""

    __slots__ = ("ident", "sections", "stacks")

    def __init__(self, sections: list[CriticalSection]) -> None:
        self.ident = threading.get_ident()
        self.sections = sections
        self.stacks = _stacks  # the module's globals may be gone before the last thread
        _stacks[self.ident] = sections

    def __del__(self) -> None:
        # An ident is reused once its thread is gone: forget only what is still ours.
        if self.stacks.get(self.ident) is self.sections:
            del self.stacks[self.ident]


_thread = _ThreadStack()


class CriticalSection:
    """`with CriticalSection(mutex, ...):` excludes other sections of the same mutexes.

    Thread-safety: an instance belongs to the thread that entered it and is used once.
    """

    __slots__ = ("frame", "held", "locks", "taking")

    def __init__(self, *mutexes: Mutex) -> None:
        if len(mutexes) > 1:
            # Address order, each mutex once: two sections of the same mutexes cannot cross.
            mutexes = tuple({id(m): m for m in sorted(mutexes, key=id)}.values())
        self.locks = [mutex.lock for mutex in mutexes]
        # The locks held right now; fewer than `locks` while suspended or waiting.
        self.held: list[Any] = []
        # While the mutexes are being taken, a section that interrupts must not do it as well.
        self.taking = True
        self.frame: FrameType | None = None  # of the `with` block: see `_discard_stale`

    def __enter__(self) -> CriticalSection:
        sections = _thread.sections
        if sections:
            _discard_stale(sections)
        self.frame = sys._getframe(1)
        # On the stack first, then look for a fork: the forking thread announces itself first, then
        # looks at the stacks. One of the two sees the other.
        sections.append(self)
        while _fork.pending is not None and not _fork.passes(sections):
            sections.remove(self)
            _fork.done.wait(0.01)
            sections.append(self)
        try:
            self._take(sections)
        except BaseException:  # an asynchronous exception while waiting
            self._drop()
            sections.remove(self)
            self.frame = None
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        self.taking = True  # a section that interrupts must not resume this one
        self._drop()
        sections = _thread.sections
        sections.remove(self)
        self.frame = None  # it refers to this section
        _resume(sections)

    @property
    def suspended(self) -> bool:
        """Whether an inner section made this one give up its mutexes."""
        return not self.taking and len(self.held) != len(self.locks)

    def _take(self, sections: list[CriticalSection]) -> None:
        """Take all mutexes; when one is taken, let go of every other section first."""
        self.taking = True
        while not self._acquire(blocking=False):
            for section in tuple(sections):
                section._drop()
            if sys.is_finalizing():
                break  # the holder was a daemon thread, which will never run again
            if self._acquire(blocking=True):
                break
        self.taking = False

    def _acquire(self, blocking: bool) -> bool:
        # One call of C code notes what it acquires: nothing can come in between.
        acquired = compress(self.locks, map(_ACQUIRE if blocking else _TRY_ACQUIRE, self.locks))
        self.held.extend(acquired)
        # A section that interrupted this may have had to wait, and then let go of ours.
        if len(self.held) == len(self.locks):
            return True
        self._drop()
        return False

    def _drop(self) -> None:
        mine: list[Any] = []
        nothing: list[Any] = []
        releases = map(_RELEASE, mine)
        sink: deque[None] = deque(maxlen=0)
        exhaust = sink.extend
        # Straight-line from here: taken off before the release, with nothing in between. (Not even
        # a container is made: a collection might run finalizers while we hold mutexes unnoted.)
        held = self.held
        self.held = nothing
        mine += held
        exhaust(releases)


def _resume(sections: list[CriticalSection]) -> None:
    """Take the mutexes of the section on top again, if it had to give them up."""
    if sections and sections[-1].suspended:
        sections[-1]._take(sections)


def _discard_stale(sections: list[CriticalSection]) -> None:
    """End the sections whose `with` block is gone.

    An exception that a signal handler raises at the first instruction of `__exit__` keeps it from
    running. No such section is left once its thread begins another one.
    """
    alive = set()
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        alive.add(frame)
        frame = frame.f_back
    for section in tuple(sections):
        if section.frame is not None and section.frame not in alive:
            section._drop()
            sections.remove(section)
            section.frame = None


def wait_outside(wait: Callable[[], None]) -> None:
    """Call `wait`, which may take long, with all sections of this thread suspended.

    There are some only when a finalizer or a signal handler interrupted them. One that comes
    during the wait must not resume them either, as if the section on top were still being taken.
    """
    sections = _thread.sections
    if not sections:
        wait()
        return
    top = sections[-1]
    taking, top.taking = top.taking, True
    for section in tuple(sections):
        section._drop()
    try:
        wait()
    finally:
        top.taking = taking
        _resume(sections)


class _ForkGate:
    """Lets `os.fork` wait until no other thread is inside a section.

    The child then inherits no half-made change and no mutex of a thread that it does not have.
    """

    WAIT_S = 5.0

    def __init__(self) -> None:
        self.pending: int | None = None  # ident of the forking thread
        self.done = threading.Event()

    def before(self) -> None:
        self.done.clear()
        self.pending = threading.get_ident()
        deadline = time.monotonic() + self.WAIT_S
        while self._others_active() and time.monotonic() < deadline:
            time.sleep(0.0001)

    def after_in_parent(self) -> None:
        self.pending = None
        self.done.set()

    def after_in_child(self) -> None:
        self.pending = None
        self.done = threading.Event()
        me = threading.get_ident()
        own = _stacks.get(me)
        _stacks.clear()
        if own is not None:
            _stacks[me] = own

    def passes(self, sections: list[CriticalSection]) -> bool:
        """Whether the section on top may begin: the forking thread's own, or an inner one.

        The fork waits for the outer section of this thread, which ends after the inner one.
        """
        return self.pending == threading.get_ident() or len(sections) > 1

    def _others_active(self) -> bool:
        me = threading.get_ident()
        return any(sections for ident, sections in _stacks.copy().items() if ident != me)


_fork = _ForkGate()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_fork.before,
        after_in_parent=_fork.after_in_parent,
        after_in_child=_fork.after_in_child,
    )


def active_sections() -> list[CriticalSection]:
    """The calling thread's sections, outermost first (for tests and assertions)."""
    return list(_thread.sections)


def assert_held(mutex: Mutex) -> None:
    """Assert that the calling thread is inside an active section of `mutex`."""
    assert any(mutex.lock in section.held for section in _thread.sections), (
        "a *_held function ran outside the table's critical section"
    )
