"""Troubles of the process that containers must bear, switched on for some scenarios, and counted.

collections          gc.collect, freeze and get_objects from another thread
thread churn         threads that come and go
signals              interrupts of the main thread
forks                children that look at the containers (forks.py)
async exceptions     exceptions that one thread raises in another (interrupts.py)
allocation failures  in a single thread, at one of the next allocations of a method of the container
                     (csrc/nomemory.c)

Counted beside these: watchers that raise, cores built with yield points, and daemon threads at shutdown
(endings.py).

The last three above are for containers that are written in C and promise to bear them
(`Subject.bears`): Python code with a lock need not. Nothing exact is concluded from scenarios with
one of the last two. Where `_search` was not built there are no allocation failures, nor on
CPython 3.12 and 3.13, which crash without the memory for a function or its closure; their count stays 0.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from random import Random

from .endings import NAME as ENDINGS
from .forks import forking
from .interrupts import sending
from .scenario import Scenario

try:
    from .. import _search
except ImportError:  # not built
    _search = None  # type: ignore[assignment]

__all__ = ["CAN_FAIL", "FAULTS", "INSIDE", "Faults", "named", "prepare"]

CAN_FAIL = _search is not None and not (3, 12) <= sys.version_info < (3, 14)  # allocations

INSIDE = frozenset({"allocation failures", "async exceptions"})  # they interrupt operations
_SELDOM = 0.02  # the share of those that cost much, or tell less

_SHARE = 0.06  # of the scenarios, for each kind
_PAUSE = 2e-4


def prepare() -> None:
    """Before there are other threads: what allocation failures need."""
    if _search is not None:
        _search.prepare_failures()


class Faults:
    """Draws faults for scenarios; `counts` says how many scenarios ran with which."""

    def __init__(self, rng: Random, names: Iterable[str] = ()) -> None:
        self._rng = rng
        self._names = [name for name in FAULTS if name in set(names or _EVERYWHERE)]
        if not CAN_FAIL and "allocation failures" in self._names:
            self._names.remove("allocation failures")
        self.counts = dict.fromkeys([*FAULTS, *BESIDES], 0)
        self.on: tuple[str, ...] = ()

    @contextlib.contextmanager
    def around(self, scenario: Scenario) -> Iterator[None]:
        """Run the body with the faults that were drawn."""
        with contextlib.ExitStack() as stack:
            shares = [(name, _SHARE if name in _EVERYWHERE else _SELDOM) for name in self._names]
            self.on = tuple([name for name, share in shares if self._rng.random() < share])
            if scenario.values.hostile or not INSIDE.isdisjoint(self.on):
                # One thing at a time: keys that act, and interrupted operations, explain too much.
                self.on = tuple([name for name in self.on if name not in INSIDE][:1]) or self.on[:1]
                if scenario.values.hostile and not INSIDE.isdisjoint(self.on):
                    self.on = ()
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
    "forks": forking,
    "async exceptions": sending,
    "allocation failures": contextlib.nullcontext,  # the threads' code does it: weave.py
}
# Counted too; not switched on by name.
BESIDES = ("raising watchers", "yield points", ENDINGS)
_EVERYWHERE = ("collections", "thread churn", "signals")

SOURCES = (_beside, _collect, _churn, _signals)  # what a test of its own needs of them
PAUSE = _PAUSE
