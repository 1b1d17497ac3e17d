"""Threads for refreshes and for loads with a timeout: none of them waits for work.

A refresh goes to one of a few workers, which end when nothing is left to do. A load with a timeout gets a
thread of its own, since its callers may leave it behind. All are daemons where there can be such: they
do not hold up the exit.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

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
        self.workers = 0


_crew = PerProcess(_Crew)


def start(job: Callable[[], object], name: str) -> None:
    """Run `job` in a thread of its own; RuntimeError when no thread can be started."""
    new_thread(job, name).start()


def new_thread(job: Callable[[], object], name: str) -> threading.Thread:
    """A thread to be started. A daemon, except in isolated subinterpreters, which allow none."""
    try:
        return threading.Thread(target=job, name=f"concurrent_tables-{name}", daemon=True)
    except RuntimeError:
        return threading.Thread(target=job, name=f"concurrent_tables-{name}", daemon=False)


def enqueue(job: Callable[[], object]) -> None:
    """Run `job` in one of the workers; what it raises goes to `sys.unraisablehook`."""
    crew = _crew()
    with crew.lock:
        crew.jobs.append(job)
        if crew.workers >= _MOST_WORKERS:
            return
        crew.workers += 1
    try:
        start(lambda: _work(crew), "refresh")
    except BaseException:
        with crew.lock:
            crew.workers -= 1
        raise


def _work(crew: _Crew) -> None:
    while True:
        with crew.lock:
            if not crew.jobs:
                crew.workers -= 1
                return
            job = crew.jobs.popleft()
        try:
            job()
        except BaseException:
            report_unraisable("Exception ignored in a refresh of a cache", job)
        del job


def idle() -> bool:
    """Whether no worker is there; for tests."""
    return _crew().workers == 0
