"""Threads for refreshes and for loads with a timeout: none of them waits for work.

A refresh goes to one of a few workers, which end when nothing is left to do. A load with a timeout gets a
thread of its own, since its callers may leave it behind. All are daemons in the main interpreter: they
do not hold up the exit. The end of a subinterpreter waits for them: one that finds a daemon there
ends the process, or leaves it with memory that the daemon still uses.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module

from .._hooks import report_unraisable
from .._waits import PerProcess

__all__ = ["enqueue", "idle", "me", "new_thread", "start"]

me = threading.get_ident

_MOST_WORKERS = 8


class _Crew:
    """The workers of this process, and what waits for them."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.jobs: deque[Callable[[], object]] = deque()
        self.workers: set[object] = set()  # one token each


_crew = PerProcess(_Crew)


def start(job: Callable[[], object], name: str) -> None:
    """Run `job` in a thread of its own; RuntimeError when no thread can be started."""
    new_thread(job, name).start()


def new_thread(job: Callable[[], object], name: str) -> threading.Thread:
    """A thread to be started; a daemon where the interpreter can end beside it."""
    daemon = _in_main_interpreter()
    return threading.Thread(target=job, name=f"concurrent_tables-{name}", daemon=daemon)


@cache
def _in_main_interpreter() -> bool:
    for name in ("_interpreters", "_xxsubinterpreters"):  # from CPython 3.13 on, before it
        with suppress(ImportError):
            interpreters = import_module(name)
            return bool(interpreters.get_current() == interpreters.get_main())
    return True  # there is one only


def enqueue(job: Callable[[], object]) -> None:
    """Run `job` in one of the workers; what it raises goes to `sys.unraisablehook`.

    RuntimeError when no thread can be started, and none is there.
    """
    crew, token = _crew(), object()
    with crew.lock:
        crew.jobs.append(job)
        if len(crew.workers) >= _MOST_WORKERS:
            return
        crew.workers.add(token)
    try:
        start(lambda: _work(crew, token), "refresh")
    except BaseException as error:
        with crew.lock:
            crew.workers.discard(token)  # an interrupt: it may be at work all the same
            alone = not crew.workers
            if alone and job in crew.jobs:  # nobody would ever come to it
                crew.jobs.remove(job)
        if alone or not isinstance(error, RuntimeError):
            raise


def _work(crew: _Crew, token: object) -> None:
    while True:
        with crew.lock:
            if not crew.jobs:
                crew.workers.discard(token)
                return
            job = crew.jobs.popleft()
        try:
            job()
        except BaseException:
            report_unraisable("Exception ignored in a refresh of a cache", job)
        del job


def idle() -> bool:
    """Whether no worker is there; for tests."""
    return not _crew().workers
