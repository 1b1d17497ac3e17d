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
sections and for asynchronous exceptions alike. A section that interrupts one of its own thread on
the same mutex therefore simply runs inside it; the interrupted plan fails its validation.

Sections of several mutexes take them in address order, so that two of them cannot deadlock either.
"""

from __future__ import annotations

import os
import threading
import time
from types import TracebackType

__all__ = ["CriticalSection", "Mutex", "active_sections", "assert_held"]


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

    __slots__ = ("held", "mutexes")

    def __init__(self, *mutexes: Mutex) -> None:
        if len(mutexes) > 1:
            # Address order, each mutex once: two sections of the same mutexes cannot cross.
            mutexes = tuple({id(m): m for m in sorted(mutexes, key=id)}.values())
        self.mutexes = mutexes
        # The mutexes held right now; shorter than `mutexes` while suspended or waiting. Emptied
        # *before* a release, with no call in between, so that nothing is released twice.
        self.held: tuple[Mutex, ...] = ()

    def __enter__(self) -> CriticalSection:
        if _fork.pending is not None:
            _fork.wait()
        sections = _thread.sections
        sections.append(self)
        try:
            self._take(sections)
        except BaseException:  # an asynchronous exception while waiting
            self._drop()
            sections.remove(self)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        self._drop()
        sections = _thread.sections
        sections.remove(self)
        if sections and sections[-1].suspended:
            sections[-1]._take(sections)

    @property
    def suspended(self) -> bool:
        """Whether an inner section made this one give up its mutexes."""
        return len(self.held) != len(self.mutexes)

    def _take(self, sections: list[CriticalSection]) -> None:
        """Take all mutexes; when one is taken, let go of every other section first."""
        if self._acquire(blocking=False):
            return
        for section in sections:
            section._drop()
        self._acquire(blocking=True)

    def _acquire(self, blocking: bool) -> bool:
        for position, mutex in enumerate(self.mutexes):
            if not mutex.lock.acquire(blocking):
                self._drop()
                return False
            self.held = self.mutexes[: position + 1]
        return True

    def _drop(self) -> None:
        held = self.held
        self.held = ()
        for mutex in reversed(held):
            mutex.lock.release()


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

    def wait(self) -> None:
        """Block a section of another thread than the forking one until the fork is over."""
        while self.pending is not None and self.pending != threading.get_ident():
            if _thread.sections and any(section.held for section in _thread.sections):
                return  # the fork waits for *us*: go on, and stop at the next outermost section
            self.done.wait(0.01)

    def _others_active(self) -> bool:
        me = threading.get_ident()
        return any(
            section.held
            for ident, sections in _stacks.copy().items()
            if ident != me
            for section in list(sections)
        )


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
    assert any(mutex in section.held for section in _thread.sections), (
        "a *_held function ran outside the table's critical section"
    )
