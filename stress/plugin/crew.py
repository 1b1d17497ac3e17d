"""Threads that start together, end by themselves, and tell where they are when they do not."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from array import array
from collections.abc import Callable
from typing import Any

__all__ = ["HANG_SECONDS", "NEVER", "Meeting", "run_threads", "stacks_of"]

HANG_SECONDS = 60.0
_LONG = 5000  # turns of waiting before a thread sleeps
NEVER = 2**62  # the meeting of a thread that comes no more


def run_threads(
    *functions: Callable[..., Any], count: int = 4, timeout: float = HANG_SECONDS
) -> list[Any]:
    """Run functions at once, from a barrier; their results in order.

    Parameters:
        functions: one is called `count` times, with the thread's number; several once each.
        timeout: seconds until threads that have not ended are a failure.

    Raises:
        The first exception of a thread. AssertionError: threads did not end; it shows their stacks.

    >>> run_threads(lambda number: number * 2, count=3)
    [0, 2, 4]
    """
    if len(functions) == 1:
        only = functions[0]
        calls: list[Callable[[], Any]] = [lambda n=n: only(n) for n in range(count)]  # type: ignore[misc]
    else:
        calls = list(functions)
    results: list[Any] = [None] * len(calls)
    errors: list[BaseException] = []
    start = threading.Barrier(len(calls))

    def run(number: int) -> None:
        try:
            start.wait(timeout)
            results[number] = calls[number]()
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=run, args=(n,), name=f"thread {n}", daemon=True)
        for n in range(len(calls))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout)
    hanging = [thread for thread in threads if thread.is_alive()]
    if hanging:
        raise AssertionError(f"threads did not end within {timeout:g} s\n{stacks_of(hanging)}")
    if errors:
        raise errors[0]
    return results


class Meeting:
    """Where threads wait for each other again and again, without going to sleep if they can help it.

    Threads that are woken start one after the other; those that spin set off together.
    """

    def __init__(self, count: int) -> None:
        self._arrived = [array("q", [0]) for _ in range(count)]
        gil = bool(getattr(sys, "_is_gil_enabled", lambda: True)())
        self._patience = 0 if gil else 300  # turns before the processor is offered to others

    def views(self, thread: int) -> tuple[memoryview, list[memoryview]]:
        """The counter of one thread and those of the others, for this thread alone."""
        others = [memoryview(a) for n, a in enumerate(self._arrived) if n != thread]
        return memoryview(self._arrived[thread]), others

    def wait(self, number: int, mine: memoryview, others: list[memoryview]) -> None:
        """Arrive at the meeting of this number (from 1), and leave when all are there."""
        mine[0] = number
        spins = 0
        for other in others:
            while other[0] < number:
                spins += 1
                if spins > _LONG:
                    time.sleep(5e-5)
                elif spins > self._patience:
                    time.sleep(0)


def stacks_of(threads: list[threading.Thread]) -> str:
    """Where these threads are, as text."""
    frames = sys._current_frames()
    lines = []
    for thread in threads:
        frame = frames.get(thread.ident or 0)
        lines.append(f"{thread.name}:")
        if frame is not None:
            lines += [line.rstrip() for line in traceback.format_stack(frame)[-8:]]
    return "\n".join(lines)
