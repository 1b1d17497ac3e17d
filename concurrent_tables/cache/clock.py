"""The clock: one thread for each process, which ends entries of all caches on time.

It exists while a cache has something to expire, sleeps until the next bucket of any of them is due,
and keeps no cache alive: of a cache it knows a weak reference and a `Due`, the time at which to call.
A forked child starts its own thread at the next write; until then its caches expire on access. Where
no thread can be started (at the end of the interpreter, in some subinterpreters), they do so as well.
The thread ends when an interpreter begins to end: a subinterpreter must not find it then.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from contextlib import suppress
from math import inf
from typing import Any

from .._hooks import report_unraisable
from .._waits import PerProcess
from .background import new_thread
from .holding import holding

__all__ = ["Due", "idle", "watch_over"]

_LONGEST_SLEEP_SECONDS = 3600.0
_END_SECONDS = 1.0  # how long the end of an interpreter waits for a listener that the clock calls


class Due:
    """When a cache wants to be called: `at` seconds on `time.monotonic`; written by the cache."""

    __slots__ = ("at", "owner")

    def __init__(self, owner: Any) -> None:
        self.at = inf
        self.owner = _Owner(owner, _gone)
        self.owner.due = id(self)


class _Owner(weakref.ref[Any]):
    __slots__ = ("due",)
    due: int


class _State:
    condition = PerProcess(lambda: threading.Condition(threading.RLock()))
    members: dict[int, Due] = {}  # noqa: RUF012  (one clock a process)
    thread: threading.Thread | None = None
    process = 0
    planned = inf
    ending = False  # the interpreter is


class _Inside:
    """The clock's lock. A finalizer that runs in there must not wait for the lock of a cache."""

    __slots__ = ("condition",)

    def __enter__(self) -> threading.Condition:
        holding.depth += 1
        self.condition = _State.condition()
        self.condition.acquire()
        return self.condition

    def __exit__(self, *_: object) -> None:
        self.condition.release()
        holding.depth -= 1


def watch_over(due: Due) -> None:
    """Call the owner of `due` at `due.at`. Cheap when the clock knows about it already."""
    if due.at >= _State.planned and id(due) in _State.members and _running():
        return
    with _Inside():
        _State.members[id(due)] = due
        if _State.ending:
            return
        if not _running():
            _start()
        elif due.at < _State.planned:
            _State.planned = due.at
            _State.condition().notify()


def idle() -> bool:
    """Whether no thread is there; for tests."""
    return not _running()


def _running() -> bool:
    return _State.thread is not None and _State.process == os.getpid()


def _start() -> None:
    _State.planned = -inf  # it looks at everything first
    try:
        thread = new_thread(_run, "clock")
        _State.thread, _State.process = thread, os.getpid()
        thread.start()
    except RuntimeError:
        _State.thread = None


def _finish() -> None:
    """The interpreter begins to end."""
    with _Inside() as condition:
        _State.ending = True
        thread = _State.thread if _running() else None
        condition.notify()
    if thread is not None and thread is not threading.current_thread():
        thread.join(_END_SECONDS)


def _at_the_end(function: Any) -> None:
    """Call `function` before threads are waited for, where this version of Python can do that."""
    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        with suppress(RuntimeError):  # it is ending
            register(function)


_at_the_end(_finish)


def _gone(owner: Any) -> None:
    """A cache died."""
    with _Inside():
        _State.members.pop(owner.due, None)
        _State.planned = -inf
        _State.condition().notify()


def _run() -> None:
    while True:
        with _Inside() as condition:
            if _State.ending:
                _State.thread = None
                return
            due = min([member.at for member in list(_State.members.values())], default=inf)
            if due == inf:
                _State.thread = None
                _State.planned = inf
                return
            _State.planned = due
            delay = due - time.monotonic()
            if delay > 0:
                condition.wait(min(delay, _LONGEST_SLEEP_SECONDS))
                continue
            _State.planned = -inf  # whatever is written now, it looks again before it sleeps
        _call(time.monotonic())


def _call(now: float) -> None:
    for member in list(_State.members.values()):
        if member.at <= now:
            cache = member.owner()
            if cache is not None:
                try:
                    cache._tick()
                except BaseException:
                    member.at = now + 1.0  # not at once again
                    report_unraisable("Exception ignored in the expiry of a cache", cache)
                del cache
