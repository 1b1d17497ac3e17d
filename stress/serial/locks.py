"""Models of what `threading` offers: the scheduler knows who waits in them, and for what.

They do what their originals do, as far as one thread at a time can tell. A thread that cannot go on
calls `Scheduler.wait` with a condition; nobody is woken by hand, the scheduler asks the condition.
Whoever is chosen first takes what became free: no order among waiters is promised, as in `threading`.

`notify` with nobody waiting is lost, and so is what was notified before a `wait`: missed
notifications end in a deadlock that is reported.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol

from .runs import MAIN, Waiting
from .scheduler import Scheduler

__all__ = ["Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"]

_HERE = __file__


class _Made:
    """The part that all models share: their scheduler, and where they were made."""

    kind = "lock"

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._place = _place()
        self.reset()

    def reset(self) -> None:
        """As if new: for those that live longer than one run."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"the {self.kind} made at {self._place}"

    def _wait(self, waiting: Waiting) -> bool:
        return self._scheduler.wait(waiting)


class Lock(_Made):
    """threading.Lock."""

    kind = "Lock"

    def reset(self) -> None:
        self._owner: int | None = None
        self._taken_at = ""

    def _free(self) -> bool:
        return self._owner is None

    def _holders(self) -> list[int]:
        return [] if self._owner is None else [self._owner]

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        self._scheduler.locking()
        if self._owner is not None:
            if not blocking or timeout == 0:
                return False
            what = f"{self!r}, taken at {self._taken_at}"
            if not self._wait(Waiting(what, self._free, self._holders, timeout > 0)):
                return False
        self._owner = self._scheduler.current()
        self._taken_at = _place()
        return True

    def release(self) -> None:
        if self._owner is None:
            raise RuntimeError("release unlocked lock")
        self._owner = None

    def locked(self) -> bool:
        return self._owner is not None

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error: object) -> None:
        if self._owner is not None:
            self.release()


class RLock(Lock):
    """threading.RLock."""

    kind = "RLock"

    def reset(self) -> None:
        super().reset()
        self._count = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if self._owner != self._scheduler.current() and not super().acquire(blocking, timeout):
            return False
        self._count += 1
        return True

    def release(self) -> None:
        if self._owner != self._scheduler.current():
            raise RuntimeError("cannot release un-acquired lock")
        self._count -= 1
        if not self._count:
            self._owner = None

    def __exit__(self, *error: object) -> None:
        if self._owner == self._scheduler.current():
            self.release()

    def _is_owned(self) -> bool:
        return self._owner == self._scheduler.current()


class _Lockable(Protocol):
    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
    def release(self) -> None: ...


class Condition(_Made):
    """threading.Condition over a modelled lock."""

    kind = "Condition"

    def __init__(self, scheduler: Scheduler, lock: Any = None) -> None:
        self._lock: Any = RLock(scheduler) if lock is None else lock
        super().__init__(scheduler)
        self.acquire = self._lock.acquire
        self.release = self._lock.release

    def reset(self) -> None:
        self._waiters: list[list[bool]] = []
        if isinstance(self._lock, _Made):
            self._lock.reset()

    def __enter__(self) -> bool:
        return bool(self._lock.__enter__())

    def __exit__(self, *error: object) -> None:
        self._lock.__exit__(*error)

    def _owned(self) -> None:
        if getattr(self._lock, "_owner", MAIN) != self._scheduler.current():
            raise RuntimeError("cannot use an un-acquired lock")

    def wait(self, timeout: float | None = None) -> bool:
        self._owned()
        told = [False]
        self._waiters.append(told)
        depth = getattr(self._lock, "_count", 1)
        for _ in range(depth):
            self._lock.release()
        timed = timeout is not None
        try:
            if timeout is not None and timeout <= 0:
                return told[0]
            return self._wait(Waiting(f"a notification of {self!r}", lambda: told[0], list, timed))
        finally:
            if not told[0] and told in self._waiters:
                self._waiters.remove(told)
            for _ in range(depth):
                self._lock.acquire()

    def wait_for(self, predicate: Any, timeout: float | None = None) -> Any:
        while not (result := predicate()):
            if not self.wait(timeout):
                return predicate()
        return result

    def notify(self, n: int = 1) -> None:
        self._owned()
        for told in self._waiters[:n]:
            told[0] = True
        del self._waiters[:n]

    def notify_all(self) -> None:
        self.notify(len(self._waiters))

    notifyAll = notify_all


class Event(_Made):
    """threading.Event."""

    kind = "Event"

    def reset(self) -> None:
        self._flag = False

    def is_set(self) -> bool:
        return self._flag

    isSet = is_set

    def set(self) -> None:
        self._flag = True

    def clear(self) -> None:
        self._flag = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._flag and timeout is not None and timeout <= 0:
            return False
        self._wait(Waiting(f"{self!r} to be set", self.is_set, list, timeout is not None))
        return self._flag


class Semaphore(_Made):
    """threading.Semaphore."""

    kind = "Semaphore"

    def __init__(self, scheduler: Scheduler, value: int = 1) -> None:
        if value < 0:
            raise ValueError("semaphore initial value must be >= 0")
        self._initial = value
        super().__init__(scheduler)

    def reset(self) -> None:
        self._value = self._initial
        self._takers: list[int] = []

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        self._scheduler.locking()
        if not self._value:
            if not blocking or timeout == 0:
                return False
            waiting = Waiting(
                repr(self), lambda: self._value > 0, lambda: self._takers, timeout is not None
            )
            if not self._wait(waiting):
                return False
        self._value -= 1
        self._takers.append(self._scheduler.current())
        return True

    def release(self, n: int = 1) -> None:
        self._value += n
        del self._takers[:n]

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()


class BoundedSemaphore(Semaphore):
    """threading.BoundedSemaphore."""

    def release(self, n: int = 1) -> None:
        if self._value + n > self._initial:
            raise ValueError("Semaphore released too many times")
        super().release(n)


class Barrier(_Made):
    """threading.Barrier, without timeouts and abort."""

    kind = "Barrier"

    def __init__(self, scheduler: Scheduler, parties: int, action: Any = None) -> None:
        self.parties = parties
        self._action = action
        super().__init__(scheduler)

    def reset(self) -> None:
        self._arrived = 0
        self._round = 0

    def wait(self, timeout: float | None = None) -> int:
        place, mine = self._arrived, self._round
        self._arrived += 1
        if self._arrived == self.parties:
            if self._action is not None:
                self._action()
            self._arrived = 0
            self._round += 1
        else:
            self._wait(Waiting(repr(self), lambda: self._round > mine, list))
        return self.parties - 1 - place


def _place() -> str:
    """file:line of the nearest caller outside of this package and of threading."""
    frame = sys._getframe(2)
    while frame.f_back and frame.f_code.co_filename in _OWN:
        frame = frame.f_back
    return f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"


_OWN = {_HERE, _HERE.replace("locks.py", "patching.py")}
