"""Troubles of the process that containers must bear: collections, dying threads, signals.

Each is switched on for some scenarios, and counted: the report says how often. Allocation failures are
tried apart from threads (nomemory.py), since the interpreter can fail them for the whole process only.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from random import Random

from .scenario import Scenario

__all__ = ["FAULTS", "Faults", "named"]

_SHARE = 0.06  # of the scenarios, for each kind
_PAUSE = 2e-4


class Faults:
    """Draws faults for scenarios; `counts` says how many scenarios ran with which."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.counts = dict.fromkeys(FAULTS, 0)
        self.on: tuple[str, ...] = ()

    @contextlib.contextmanager
    def around(self, scenario: Scenario) -> Iterator[None]:
        """Run the body with the faults that were drawn."""
        with contextlib.ExitStack() as stack:
            self.on = tuple([name for name in FAULTS if self._rng.random() < _SHARE])
            for name in self.on:
                self.counts[name] += 1
                stack.enter_context(FAULTS[name]())
            yield


@contextlib.contextmanager
def named(names: Iterable[str]) -> Iterator[None]:
    """Run the body with these faults; KeyError when there is none of that name."""
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(FAULTS[name]())
        yield


@contextlib.contextmanager
def _beside(body: object) -> Iterator[None]:
    over = threading.Event()
    thread = threading.Thread(target=body, args=(over,), daemon=True)  # type: ignore[arg-type]
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(5)


def _collect(over: threading.Event) -> None:
    """Everything that walks over all objects."""
    while not over.is_set():
        gc.collect(0)
        gc.freeze()
        gc.unfreeze()
        gc.get_objects()
        over.wait(_PAUSE)


def _churn(over: threading.Event) -> None:
    """Threads that come and go, with objects of their own."""
    while not over.is_set():
        thread = threading.Thread(target=lambda: [dict.fromkeys(range(9)) for _ in range(9)])
        thread.start()
        thread.join()
        over.wait(_PAUSE)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Interrupts of the main thread, whose handler is Python code."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, lambda number, frame: time.sleep(0))
    signal.setitimer(signal.ITIMER_REAL, 1e-3, 1e-3)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


FAULTS: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
    "collections": lambda: _beside(_collect),
    "thread churn": lambda: _beside(_churn),
    "signals": _signals,
}

SOURCES = (_beside, _collect, _churn, _signals)  # what a test of its own needs of them
PAUSE = _PAUSE
