"""The threads that run samples, and how they wait for each other.

Threads are kept for many scenarios and replaced now and then, so that thread starts and ends are part
of the exercise. Without a GIL they wait by spinning on one another's journal words, which makes them
leave together within tens of nanoseconds; with one, spinning would only hold up the others. Threads that
spin set off from a CPU each: the scheduler would leave several on one for long, because they offer it to each
other, and what takes two processors at once is not seen meanwhile. They are not held there: on a busy machine
each would wait for the others to get theirs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from time import sleep

from ..environment import pin_thread
from .journal import BARRIER, FORGET, Journal

__all__ = ["Pool", "patience"]

_SPINS = 300
_LONG = 5000
_yield_processor: Callable[[], None] = getattr(os, "sched_yield", lambda: sleep(0))


def patience(spins: int) -> None:
    """What a thread does that spun in vain: offers the processor, later sleeps."""
    if spins < _LONG:
        _yield_processor()
    else:
        sleep(5e-5)


class Pool:
    """`count` threads; `run(job)` calls job(thread number) in the first `used` of them."""

    def __init__(self, count: int, journal: Journal, *, spinning: bool) -> None:
        self.count = count
        self._journal = journal
        self._spinning = spinning
        self._job: Callable[[int], None] | None = None
        self._used = 0
        self._gates = [threading.Semaphore(0) for _ in range(count)]
        self._done = threading.Semaphore(0)
        self._errors: list[BaseException] = []
        self._barrier = threading.Barrier(1)
        self._rows = [[journal.row(t) for t in range(count)] for _ in range(count)]
        self._passed = [0] * count
        self._threads = [
            threading.Thread(target=self._loop, args=(t,), name=f"thread {t}", daemon=True)
            for t in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, job: Callable[[int], None], used: int) -> None:
        """Run and wait; an error of the harness in a thread is raised here."""
        self._job, self._used = job, used
        self._barrier = threading.Barrier(used)
        for t in range(self.count):
            self._passed[t] = 0
            self._rows[t][t][BARRIER] = 0
            self._rows[t][t][0] = 0
        for t in range(used):
            self._gates[t].release()
        for _ in range(used):
            self._done.acquire()
        self._job = None
        errors, self._errors = self._errors, []
        if errors:  # a broken barrier is what an error leaves to the others
            errors.sort(key=lambda error: isinstance(error, threading.BrokenBarrierError))
            raise errors[0]

    def barrier(self, t: int) -> None:
        """Wait until every thread of the job is here."""
        if not self._spinning:
            self._barrier.wait()
            return
        self._passed[t] += 1
        target = self._passed[t]
        rows = self._rows[t]
        rows[t][BARRIER] = target
        for other in range(self._used):
            row = rows[other]
            spins = 0
            while row[BARRIER] < target:
                spins += 1
                if spins > _SPINS:
                    patience(spins)

    def rows(self, t: int) -> tuple[memoryview, ...]:
        """The journal rows of the other threads, for thread `t` alone."""
        return tuple([self._rows[t][other] for other in range(self._used) if other != t])

    def row(self, t: int) -> memoryview:
        return self._rows[t][t]

    def end(self) -> None:
        """Let the threads end."""
        self._job = None
        for gate in self._gates:
            gate.release()
        for thread in self._threads:
            thread.join(5)

    def _loop(self, t: int) -> None:
        while True:
            self._gates[t].acquire()
            job = self._job
            if job is None:
                return
            if self._spinning:
                pin_thread(t, stay=False)
            try:
                job(t)
            except BaseException as error:
                self._errors.append(error)
                self._rows[t][t][BARRIER] = FORGET
                self._rows[t][t][0] = FORGET
                self._barrier.abort()
            finally:
                job = None
                self._done.release()
