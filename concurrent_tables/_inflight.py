"""`compute_if_absent`: one factory at a time per key; written once for both implementations.

A *flight* is one run of a factory for one key of one table. The first caller registers its flight
with an atomic `setdefault` and runs the factory with no lock held; later callers wait for the
flight and then look again. The registry is itself a table of this package, so that the `__eq__`
of user keys runs unlocked there as well.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ._missing import MISSING
from ._waits import ForkMark, Latch, wait_for
from .errors import RecursiveComputeError

__all__ = ["compute_if_absent"]


class _Flight(ForkMark):
    __slots__ = ("forsaken", "released")

    def __init__(self) -> None:
        super().__init__()
        self.forsaken = False  # its thread left, perhaps without taking it out of the registry
        self.released = Latch()

    @property
    def void(self) -> bool:
        return self.forsaken or super().void


class _FlightKey:
    """One key of one table, by the table's identity and the key's equality."""

    __slots__ = ("hash", "key", "table")

    def __init__(self, table: object, key: Any) -> None:
        self.table = table
        self.key = key
        self.hash = hash((id(table), key))

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _FlightKey):
            return NotImplemented
        return self.table is other.table and (self.key is other.key or self.key == other.key)


def compute_if_absent(registry: Any, table: Any, key: Any, factory: Callable[[], Any]) -> Any:
    """The value of `key` in `table`, made by `factory()` when there is none.

    `registry` is the ConcurrentDict that holds the flights of the implementation.
    """
    while True:
        value = table.get(key, MISSING)
        if value is not MISSING:
            return value
        flight_key, mine = _FlightKey(table, key), _Flight()
        flight, value = _board(registry, flight_key, mine, factory)
        if flight is mine:
            return value
        # Void: its thread was interrupted, or stayed behind in the parent of a fork. Released: it is
        # not in the registry any more, or could not be taken out.
        if flight.void or flight.released.is_set():
            registry.compare_and_delete(flight_key, flight)
            continue
        name = type(table).__name__
        if flight.owner == threading.get_ident():
            raise RecursiveComputeError(
                f"{name}: the factory for key {key!r} asked for that key itself; "
                "compute the value without compute_if_absent on the same key"
            )
        wait_for(
            flight,
            f"{name}: waiting for the factory of key {key!r} would deadlock, since its thread "
            "waits for something that this thread holds; break the cycle of factories",
        )


# Functions of their own, because they have to stay short: CPython's handlers note where they were with
# an int, which beyond 256 instructions needs memory, and while there is none try for ever.


def _board(
    registry: Any, at: _FlightKey, mine: _Flight, factory: Callable[[], Any]
) -> tuple[_Flight, Any]:
    """Register and run `mine`: itself and the value; or the flight that was there before."""
    try:
        flight: _Flight = registry.setdefault(at, mine)
        return flight, _land(registry, at, mine, factory) if flight is mine else MISSING
    except BaseException:
        # An interrupt may come between any two calls, also of what cleans up; this is none.
        mine.forsaken = True
        raise


def _land(registry: Any, at: _FlightKey, mine: _Flight, factory: Callable[[], Any]) -> Any:
    """Run the factory and release who waits for it."""
    try:
        return _run(at.table, at.key, factory)
    finally:
        try:
            registry.compare_and_delete(at, mine)
        finally:  # the `__eq__` of the key may fail; nobody must wait for ever
            mine.released.set()


def _run(table: Any, key: Any, factory: Callable[[], Any]) -> Any:
    # Another flight may have landed between the first look and the registration.
    value = table.get(key, MISSING)
    if value is not MISSING:
        return value
    value = factory()
    return MISSING if value is MISSING else table.setdefault(key, value)
