"""Who waits for whom: cycles of waiting threads are found before they hang.

Shared by exclusive gates and by the flights of `compute_if_absent`, so that a cycle through both
is found too. A *resource* has an `owner` (a thread ident), a `released` latch and a flag `void`
that tells that its owner stayed behind in the parent of a fork.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from .errors import DeadlockError

__all__ = ["ForkMark", "Latch", "PerProcess", "Resource", "wait_for"]

_T = TypeVar("_T")

_get_ident = threading.get_ident
_POLL_S = 1.0
_AT_THE_END = -1


class Latch:
    """Closed until `set()`, open for ever after it.

    In place of a `threading.Event`, of which a `set()` that lacks memory halfway can leave the lock
    locked, so that the next one never returns. This one does its work before anything can fail
    that its waiters, who look again every `_POLL_S` seconds, depend on; so it may be repeated.
    """

    __slots__ = ("_lock", "_open")

    def __init__(self) -> None:
        self._open = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def is_set(self) -> bool:
        return self._open

    def set(self) -> None:
        """Open the latch. The thread that does so is one and the same, should it try again."""
        if not self._open:
            self._open = True
            self._lock.release()

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds; whether the latch is open."""
        if not self._open and self._lock.acquire(timeout=timeout):
            self._lock.release()  # the next one in the row
        return self._open


class Resource(Protocol):
    """Something that one thread holds and others wait for."""

    owner: int
    released: Latch

    @property
    def void(self) -> bool: ...


class _State:
    generation = 0  # rises in a forked child,
    survivor = 0  # whose only thread this is
    lock = threading.RLock()


_waiting: dict[int, Resource] = {}


class ForkMark:
    """Remembers in which process a resource was taken, and by which thread."""

    __slots__ = ("generation", "owner")

    def __init__(self) -> None:
        self.owner = _get_ident()
        self.generation = _State.generation

    @property
    def void(self) -> bool:
        """Whether the owner is a thread that this process does not have.

        It stayed behind in the parent of a fork, or it is a daemon thread and this is the end.
        """
        if self.generation != _State.generation:
            return self.owner != _State.survivor
        return sys.is_finalizing() and self.owner != _get_ident()


class PerProcess(Generic[_T]):
    """A lock that a forked child makes anew: a thread that it does not have may have held it.

    So may, when the interpreter shuts down, a daemon thread that does not run any more.
    """

    __slots__ = ("generation", "make", "value")

    def __init__(self, make: Callable[[], _T]) -> None:
        self.make = make
        self.generation = _State.generation
        self.value = make()

    def __call__(self) -> _T:
        if sys.is_finalizing():  # one thread is left
            if self.generation != _AT_THE_END:
                self.generation, self.value = _AT_THE_END, self.make()
        elif self.generation != _State.generation:
            with _State.lock:
                if self.generation != _State.generation:
                    self.value = self.make()
                    self.generation = _State.generation
        return self.value


def wait_for(resource: Resource, message: str) -> None:
    """Wait until `resource` is released or void; DeadlockError(message) instead of a cycle."""
    me = _get_ident()
    outer = _waiting.get(me)  # set when a signal handler waits inside a wait
    try:
        with _State.lock:
            if _leads_to(resource, me):
                raise DeadlockError(message)
            _waiting[me] = resource
        while not resource.released.wait(_POLL_S) and not resource.void:
            pass
    finally:
        # Without the lock: an interrupt while it is waited for would leave the note behind.
        if outer is None:
            _waiting.pop(me, None)
        else:
            _waiting[me] = outer


def _leads_to(resource: Resource, thread: int) -> bool:
    """Whether the owner of `resource` waits, directly or through others, for `thread`."""
    seen: set[int] = set()
    current: Resource | None = resource
    while current is not None and current.owner not in seen and not current.released.is_set():
        if current.owner == thread:
            return True
        seen.add(current.owner)
        current = _waiting.get(current.owner)
    return False


def _after_fork_in_child() -> None:
    _State.generation += 1
    _State.survivor = _get_ident()
    _State.lock = threading.RLock()
    _waiting.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
