"""Runs the rounds of one workload, and finds out when they hang.

Threads start from a barrier and are new in every round, so that thread starts and exits are part
of the exercise. A round is also set up and checked in a thread of its own: a container that was
left locked then stalls that thread and not the harness. The main thread only watches. When no
thread has finished an operation for the grace time, the stacks of all threads become a
violation; Python threads cannot be stopped, so a stall ends the campaign.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .arena import Arena, RoundOver, Worker
from .options import DEFAULT_THREADS, Options
from .targets import Target
from .verdicts import WorkloadResult
from .workloads.base import Round

__all__ = ["Deadline", "Stalled", "run_workload"]

_TICK_SECONDS = 0.05
KEPT_VIOLATIONS = 10  # per workload


class Stalled(Exception):
    """Some thread never came back."""


class Deadline:
    """When to stop: after some seconds, after some operations, or whichever comes first."""

    def __init__(self, seconds: float | None, operations: int | None) -> None:
        self._start = time.monotonic()
        self._seconds = seconds
        self._operations = operations

    def over(self) -> bool:
        """Whether the time is over; a thread asks after every step."""
        return self._seconds is not None and self.elapsed() >= self._seconds

    def elapsed(self) -> float:
        return time.monotonic() - self._start

    def left(self, done: int) -> int | None:
        """Operations still to do, None when only the time bounds them."""
        return None if self._operations is None else max(0, self._operations - done)

    def fraction(self, done: int) -> float:
        """How much of the budget is used, 0 to 1."""
        parts = [0.0]
        if self._seconds is not None:
            parts.append(self.elapsed() / self._seconds)
        if self._operations is not None:
            parts.append(done / self._operations)
        return min(1.0, max(parts))


def run_workload(
    target: Target,
    workload: type[Round],
    options: Options,
    deadline: Deadline,
    progress: Callable[[float], None] = lambda fraction: None,
) -> tuple[WorkloadResult, bool]:
    """Rounds until the deadline or the first round with a violation; also whether it stalled."""
    result = WorkloadResult(target.name, workload.name)
    if workload.threads_wanted and options.threads == DEFAULT_THREADS:
        options = replace(options, threads=workload.threads_wanted)
    stalled = False
    while not stalled:
        arena = Arena(target, workload.name, result.rounds, options)
        quotas = _quotas(workload, options.threads, deadline.left(result.operations))
        try:
            _run_round(arena, workload, quotas, deadline, progress, result.operations)
        except Stalled:
            stalled = True
        result.rounds += 1
        result.operations += sum(worker.operations for worker in arena.workers)
        result.refusals += sum(worker.refusals for worker in arena.workers)
        for name, number in arena.facts.items():
            result.facts[name] = result.facts.get(name, 0) + number
        room = KEPT_VIOLATIONS - len(result.violations)
        result.violations += arena.violations[:room]
        result.suppressed += arena.suppressed + max(0, len(arena.violations) - room)
        progress(deadline.fraction(result.operations))
        if result.violations or deadline.over() or deadline.left(result.operations) == 0:
            break
    result.seconds = deadline.elapsed()
    return result, stalled


def _quotas(workload: type[Round], threads: int, left: int | None) -> list[int]:
    """Operations of each thread in the next round."""
    if left is None or left >= workload.quota * threads:
        return [workload.quota] * threads
    share, more = divmod(left, threads)
    return [share + (index < more) for index in range(threads)]


def _run_round(
    arena: Arena,
    workload: type[Round],
    quotas: list[int],
    deadline: Deadline,
    progress: Callable[[float], None],
    done_before: int,
) -> None:
    watch = _Watchdog(arena, lambda done: progress(deadline.fraction(done_before + done)))
    made: list[Round] = []
    watch.run([lambda: made.append(workload(arena))], "set up")
    if not made:
        return
    body = made.pop()
    barrier = threading.Barrier(arena.threads)
    watch.run(
        [
            _thread_body(body, worker, quota, barrier, deadline)
            for worker, quota in zip(arena.workers, quotas, strict=True)
        ],
        "run",
    )
    if not arena.violations:
        watch.run([body.at_rest], "check at rest")


def _thread_body(
    body: Round, worker: Worker, quota: int, barrier: threading.Barrier, deadline: Deadline
) -> Callable[[], None]:
    arena = worker.arena

    def run() -> None:
        try:
            body.begin(worker)
        except BaseException:
            barrier.abort()  # or the others would wait for this thread
            raise
        barrier.wait()
        for _ in range(quota):
            if arena.stopping:
                break
            body.step(worker)
            worker.operations += 1
            if deadline.over():  # asked last: even a short share of the time exercises something
                break
        body.finish(worker)

    return run


class _Watchdog:
    """Runs thread bodies and waits for them as long as they make progress."""

    def __init__(self, arena: Arena, tick: Callable[[int], None]) -> None:
        self._arena = arena
        self._tick = tick

    def run(self, bodies: list[Callable[[], Any]], phase: str) -> None:
        """Start every body in a thread and wait for all; an error in one is a violation."""
        threads = [
            threading.Thread(target=self._guarded, args=(body, phase, number), daemon=True)
            for number, body in enumerate(bodies)
        ]
        for thread in threads:
            thread.start()
        self._wait(threads, phase)

    def _guarded(self, body: Callable[[], Any], phase: str, number: int) -> None:
        worker = self._arena.workers[number] if phase == "run" else None
        try:
            body()
        except RoundOver:
            pass
        except threading.BrokenBarrierError:
            pass
        except BaseException as error:  # whatever a container raises is a finding
            message = f"{type(error).__name__} while threads {phase}: {error}"
            self._arena.fail("exception", message, traceback.format_exc(), worker=worker)

    def _wait(self, threads: list[threading.Thread], phase: str) -> None:
        seen = -1
        since = time.monotonic()
        while True:
            waiting = [thread for thread in threads if thread.is_alive()]
            if not waiting:
                return
            waiting[0].join(_TICK_SECONDS)
            done = sum(worker.operations for worker in self._arena.workers)
            self._tick(done)
            # Threads that ended count as progress too.
            state = done * len(threads) - sum(thread.is_alive() for thread in threads)
            if state != seen:
                seen, since = state, time.monotonic()
            elif time.monotonic() - since > self._arena.options.stall_seconds:
                self._stall(waiting, phase)

    def _stall(self, waiting: list[threading.Thread], phase: str) -> None:
        names = ", ".join(sorted(thread.name for thread in waiting))
        self._arena.fail(
            "stall",
            f"no thread made progress for {self._arena.options.stall_seconds:g} seconds during "
            f"{phase!r}; still running: {names}",
            _stacks(),
        )
        raise Stalled


def _stacks() -> str:
    """The stack of every thread of the process."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = []
    for ident, frame in sys._current_frames().items():
        parts.append(f"Thread {names.get(ident, ident)}:\n")
        parts.append("".join(traceback.format_stack(frame)))
    return "".join(parts)
