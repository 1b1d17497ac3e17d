"""Flights: one run of a loader for one key, with everybody who waits for it.

A flight ends once, as one of: a value, an error, or void (its callers look again by themselves). Threads
wait at its latch, coroutines each at a future of their own loop, which is woken with
`call_soon_threadsafe`.

Who waits for whom is recorded, so that a cycle raises an error that names it: a flight knows the flights
that its loader waits for (a context variable tells which loaders a piece of code runs in, also in
child tasks), and a blocked thread is in the table of `_waits`, together with those that wait for
`exclusive` or for the factories of `compute_if_absent`.
"""

from __future__ import annotations

import asyncio
import enum
import threading
from collections import deque
from contextvars import ContextVar
from math import inf
from time import monotonic
from typing import Any

from .. import _waits
from .._missing import MISSING
from .._waits import ForkMark, Latch
from ..errors import DeadlockError, RecursiveComputeError

__all__ = ["Flight", "Outcome", "await_end", "innermost", "loading", "wait_for_end"]

_POLL_SECONDS = 1.0  # how often a waiter looks whether the other side is gone for good

# The innermost load that this thread or task is in; each knows the one around it.
loading: ContextVar[Flight | None] = ContextVar("concurrent_tables_loading", default=None)


def innermost() -> Flight | None:
    """The load that this thread or task is in the middle of.

    One that ended stands there only if an interrupt came, or there was no memory, to take it out.
    """
    flight = loading.get()
    while flight is not None and not flight.going:
        flight = flight.outer
    return flight


def chain_of_loads() -> list[Flight]:
    """All of them, outermost first."""
    chain = []
    flight = loading.get()
    while flight is not None:
        if flight.going:
            chain.append(flight)
        flight = flight.outer
    chain.reverse()
    return chain


class Outcome(enum.Enum):
    """How a flight ended."""

    PENDING = 0
    VALUE = 1
    ERROR = 2
    VOID = 3


class Flight(ForkMark):
    """One load. `cells` are those of an entry: the flight's own, then the `tag_cells`."""

    __slots__ = (
        "_claim",
        "_futures",
        "cells",
        "ends_at",
        "epoch",
        "forsaken",
        "joined",
        "key",
        "late_tags",
        "led",
        "loop",
        "name",
        "outcome",
        "outer",
        "released",
        "result",
        "returned",
        "tag_cells",
        "task",
        "traceback",
        "waits",
    )

    def __init__(
        self, name: str, key: Any, epoch: int, own_cell: Any, tag_cells: tuple[Any, ...]
    ) -> None:
        super().__init__()
        self.name = name
        self.key = key
        self.epoch = epoch
        self.cells = (own_cell, *tag_cells)
        self.tag_cells = tag_cells
        self.ends_at = inf  # the hard timeout, on time.monotonic
        self.loop: asyncio.AbstractEventLoop | None = None
        self.task: asyncio.Task[None] | None = None
        self.outcome = Outcome.PENDING
        self.result: Any = MISSING
        self.traceback: Any = None
        self.released = Latch()
        self.waits: list[Flight] = []  # guarded by the lock of _waits
        self.joined = 0  # how many have waited for it
        # Who should have ended it did not come to that: interrupted, or at the limit of the stack.
        self.forsaken = False
        self.late_tags: tuple[Any, ...] = ()  # which only the loader told
        self.outer: Flight | None = None  # the load that its loader runs in
        self.led = False  # its caller runs its loader
        self.returned = False  # its loader has
        self._claim = {None}  # whoever takes it ends the flight
        self._futures: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()

    @property
    def going(self) -> bool:
        """Whether it is under way."""
        return self.outcome is Outcome.PENDING and not self.forsaken

    @property
    def void(self) -> bool:
        """Whether nobody will end this flight: forsaken, after a fork, or its loop is closed."""
        if self.outcome is not Outcome.PENDING:
            return False
        if self.forsaken:
            return True
        if self.loop is not None and self.loop.is_closed():
            return True
        return super().void

    def end(self, outcome: Outcome, result: Any = MISSING, traceback: Any = None) -> bool:
        """End the flight and wake everybody; False when it has ended before."""
        try:
            self._claim.pop()
        except KeyError:
            return False
        self.result = result
        self.traceback = traceback
        self.outcome = outcome
        self.released.set()
        self._wake()
        return True

    def future(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """A future of `loop` that is resolved when the flight has ended."""
        future: asyncio.Future[None] = loop.create_future()
        self._futures.append((loop, future))
        if self.released.is_set():  # else `end` comes after the append, and sees it
            self._wake()
        return future

    def _wake(self) -> None:
        while self._futures:
            try:
                loop, future = self._futures.popleft()
            except IndexError:
                return
            try:
                loop.call_soon_threadsafe(_resolve, future)
            except RuntimeError:  # that loop is closed: nobody waits there any more
                continue


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def wait_for_end(flight: Flight, until: float) -> bool:
    """Block until the flight ends or is void, or `until` (time.monotonic); whether it ended.

    RecursiveComputeError and DeadlockError instead of a wait that cannot end.
    """
    me = threading.get_ident()
    before = _enter(flight, me)
    try:
        while True:
            left = until - monotonic()
            flight.released.wait(max(0.0, min(left, _POLL_SECONDS)))
            if flight.outcome is not Outcome.PENDING:  # an interrupt may have kept the latch closed
                return True
            if left <= 0 or flight.void:
                return False
    finally:
        _exit(flight, me, before)


async def await_end(flight: Flight, until: float) -> bool:
    """As `wait_for_end`, without blocking the event loop."""
    before = _enter(flight, None)
    future = None
    try:
        future = flight.future(asyncio.get_running_loop())
        while True:
            left = until - monotonic()
            await asyncio.wait((future,), timeout=max(0.0, min(left, _POLL_SECONDS)))
            if flight.outcome is not Outcome.PENDING:
                return True
            if left <= 0 or flight.void:
                return False
    finally:
        _exit(flight, None, before)
        if future is not None and not future.done():
            future.cancel()


def _enter(flight: Flight, me: int | None) -> tuple[Any, Flight | None]:
    """Record the wait; returns what `_exit` puts back."""
    chain = chain_of_loads()
    with _waits._State.lock:
        path = _path_back(flight, chain, me)
        if path is None:
            outer = None if me is None else _waits._waiting.get(me)
            if me is not None:
                _waits._waiting[me] = flight
            above = chain[-1] if chain else None
            if above is not None:
                above.waits.append(flight)
            flight.joined += 1
            return outer, above
    if flight in chain:
        raise RecursiveComputeError(
            f"{flight.name}: the loader of {_text(flight)} asks for that key itself: "
            f"{_cycle([*chain[chain.index(flight) :], flight])}; "
            "load the value without the cache inside the loader"
        )
    raise DeadlockError(
        f"{flight.name}: waiting for the loader of {_text(flight)} would never end: "
        f"{_cycle([*chain[-1:], *path])}; break the cycle of loaders"
    )


def _exit(flight: Flight, me: int | None, before: tuple[Any, Flight | None]) -> None:
    outer, above = before
    with _waits._State.lock:
        if above is not None:
            above.waits.remove(flight)
        if me is not None:
            if outer is None:
                _waits._waiting.pop(me, None)
            else:
                _waits._waiting[me] = outer


def _path_back(flight: Flight, chain: list[Flight], me: int | None) -> list[Any] | None:
    """From `flight` along waits to something that the waiter itself must finish; None if none."""
    seen: set[int] = set()
    stack: list[tuple[Any, list[Any]]] = [(flight, [flight])]
    while stack:
        current, path = stack.pop()
        if id(current) in seen or current.released.is_set():
            continue
        seen.add(id(current))
        if current in chain or (me is not None and current.owner == me and not current.void):
            return path
        following = list(getattr(current, "waits", ()))
        blocked_at = _waits._waiting.get(current.owner)
        if blocked_at is not None:
            following.append(blocked_at)
        stack += [(after, [*path, after]) for after in following]
    return None


def _cycle(path: list[Any]) -> str:
    if path[0] is not path[-1]:
        path = [*path, path[0]]
    return " waits for ".join([_text(step) for step in path])


def _text(step: Any) -> str:
    if not isinstance(step, Flight):
        return f"a {type(step).__name__.strip('_')} of another thread"
    try:
        return repr(step.key)
    except Exception:
        return object.__repr__(step.key)
