"""Writing and invalidating.

The order of steps is what makes an invalidation beat a load in flight. A load looks at its cells, then
exchanges the entry it saw for its own, then leaves the registry of flights, then looks at its cells
again, its own cell among them (see `loading`). A write or an invalidation of a key first makes the flight
it finds fall, then changes the table:

- It falls before the load's exchange: the entry that the load publishes carries the fallen cell, so no
  reader takes it, and the load's second look removes it.
- It falls after the exchange: the change of the table, which comes later still, removes the entry.
- There is no flight in the registry: a finished one has published before, one that is not there yet
  will call its loader after this invalidation began.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from math import inf, isnan
from random import random
from typing import TYPE_CHECKING, Any

from .._missing import MISSING, MissingType, reject_missing
from .._pure.hit_path import NEVER_AGAIN
from .base import Loaded
from .maintenance import Maintained
from .removal import RemovalCause
from .tags import fallen

if TYPE_CHECKING:
    from .._pure.hit_path import Entry
    from .flights import Flight

__all__ = ["Storing", "seconds"]


def seconds(name: str, value: Any, *, zero: bool = False) -> float | None:
    """A length of time as a float, None for none; TypeError or ValueError with its name."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds or None, not {value!r}")
    if isnan(value) or value < 0 or (value == 0 and not zero):
        raise ValueError(f"{name} must be {'at least' if zero else 'more than'} 0, not {value!r}")
    return float(value)


class Storing(Maintained):
    """`set`, `pop`, `touch` and the ways to invalidate."""

    def set(
        self,
        key: Any,
        value: Any,
        *,
        ttl: float | MissingType | None = MISSING,
        tags: Iterable[Hashable] = (),
        weight: int | None = None,
    ) -> None:
        """Store `value` under `key`; a load of the key that is in flight will not replace it.

        Parameters: `ttl`, seconds until it expires, None for never, 0 to store nothing; without it
        the cache's. `tags`, for `invalidate_tag`. `weight`, an int in place of the weigher's result.
        Errors: TypeError for an unhashable key or tag, ValueError for MISSING or a negative number.
        Thread-safety: atomic. When it returns, the cache is within its bound.
        """
        plain = ttl is MISSING and weight is None and type(tags) is tuple and not tags
        if plain and self._put(key, value):
            return
        reject_missing(self, key, value)
        cells = self._tags.cells(tags) or None
        epoch = self._tags.next()  # after the cells, which know older numbers
        entry = self._make_entry(key, Loaded(value, ttl=ttl, weight=weight), epoch, cells)
        self._ground(key)
        if entry is None:
            self._remove(key, RemovalCause.EXPLICIT)
            return
        old = self._table.swap(key, entry)
        self._stored(None if old is MISSING else old, entry)

    def _stored(self, old: Entry | None, entry: Entry) -> None:
        """After `entry` took the place of `old` in the table."""
        self._tallies.increment("insertions")
        self._submit(old, entry)
        cause = RemovalCause.REPLACED
        if old is not None:
            if not self._valid(old):
                cause = self._why_not_valid(old)
            self._tallies.increment(cause)
        self._maintain()
        if old is not None:
            self._tell(old, cause)

    def pop(self, key: Any, default: Any = MISSING) -> Any:
        """Remove `key` and return its value; `default`, or KeyError without one, if it is absent.

        Thread-safety: atomic. A load of the key that is in flight will not be kept.
        """
        self._ground(key)
        entry = self._remove(key, RemovalCause.EXPLICIT)
        if entry is not None:
            return entry.value
        if default is MISSING:
            raise KeyError(key)
        return default

    def touch(self, key: Any, ttl: float | MissingType | None = MISSING) -> bool:
        """Let `key` live `ttl` seconds from now (without it: the cache's ttl); whether it is there.

        Also an access for the idle time. Thread-safety: atomic.
        """
        entry = self._peek_entry(key)
        if entry is None:
            return False
        deadline = self._deadline(ttl)
        now = self._settings.timer()
        if deadline is None:
            return self._take_out(entry, RemovalCause.EXPIRED)
        return self._reschedule(entry, deadline, now)

    def expires_in(self, key: Any) -> float | None:
        """Seconds until `key` expires unless it is used; `inf` for never, None if it is absent."""
        entry = self._peek_entry(key)
        if entry is None:
            return None
        end = min(entry.deadline, entry.touched + entry.idle)
        return end if end == inf else max(0.0, end - self._settings.timer())

    # -- invalidation -----------------------------------------------------------------------------

    def invalidate(self, key: Any) -> bool:
        """Drop `key`: no read that begins after this returns sees a value made before it began.

        A load of the key in flight hands its value to those who wait for it already, and is not
        kept; later callers load anew. Returns whether there was a value. Thread-safety: atomic.
        """
        self._ground(key)
        return self._remove(key, RemovalCause.INVALIDATED) is not None

    def invalidate_tag(self, tag: Hashable) -> None:
        """Drop everything that carries `tag`, in one step, whatever its number.

        Loads in flight with that tag (given in the call or told by the loader) are not kept. The
        entries are no longer served, and leave (with the cause `invalidated`) when they are met, or
        at `expire()`. Thread-safety: atomic.
        """
        self._tags.fall(tag)

    def invalidate_where(self, predicate: Callable[[Any, Any], object]) -> int:
        """Drop every key for which `predicate(key, value)` is true; returns how many.

        The value of a load in flight is not known: none of those in flight is kept.
        Thread-safety: weakly consistent: each key atomically. `predicate` runs unlocked.
        """
        self._ground_all()
        removed = 0
        for key, entry in list(self._table.items()):
            if self._valid(entry) and predicate(key, entry.value):
                removed += self._take_out(entry, RemovalCause.INVALIDATED)
        return removed

    def clear(self) -> None:
        """Drop everything, loads in flight too. Thread-safety: atomic."""
        self._clear(RemovalCause.EXPLICIT)

    def _clear(self, cause: RemovalCause) -> None:
        with self._clearing():
            epoch = self._tags.next()
            self._cleared = max(self._cleared, epoch)
        self._ground_all()
        for entry in list(self._table.values()):
            if entry.epoch < epoch:
                self._take_out(entry, cause)

    def expire(self) -> int:
        """Take out what has expired or was invalidated; returns how many entries.

        With a `timer` of your own, nothing else does it for entries that nobody asks for.
        """
        removed = self._expire_due()
        now = self._settings.timer()
        for entry in list(self._table.values()):
            if self._fell(entry):
                removed += self._take_out(entry, RemovalCause.INVALIDATED)
            elif self._end_of(entry) <= now:
                removed += self._take_ended(entry, now)
        return removed

    def _ground(self, key: Any) -> None:
        """Let the flight of `key`, if there is one, fall: what it brings will not be kept."""
        flight = self._flights.get(key)
        if flight is not None:
            self._ground_flight(flight)

    def _ground_all(self) -> None:
        for flight in list(self._flights.values()):
            self._ground_flight(flight)

    def _ground_flight(self, flight: Flight) -> None:
        flight.cells[0].fallen = NEVER_AGAIN
        self._flights.compare_and_delete(flight.key, flight)

    def _remove(self, key: Any, cause: RemovalCause) -> Entry | None:
        """Take out whatever `key` has; the entry if it was valid."""
        entry: Entry | None = self._table.pop(key, None)
        if entry is None:
            return None
        valid = True
        try:
            valid = self._valid(entry)
            if not valid:
                cause = self._why_not_valid(entry)
        finally:  # it has left, even if there was no memory to see whether it was valid
            self._left(entry, cause)
        return entry if valid else None

    def _why_not_valid(self, entry: Entry) -> RemovalCause:
        """Why an entry that has left was not valid.

        Its flight may have fallen and landed all the same: the load drops the flight's own cell then, and
        the entry does not look fallen any more. Without an end that is over it has not expired.
        """
        now, idle = self._settings.timer(), entry.idle
        over = now >= entry.deadline or (idle != inf and now - entry.touched >= idle)
        return RemovalCause.INVALIDATED if not over or self._fell(entry) else RemovalCause.EXPIRED

    # -- entries ----------------------------------------------------------------------------------

    def _fell(self, entry: Entry) -> bool:
        cells = entry.cells
        epoch = entry.epoch
        return epoch < self._cleared or (cells is not None and fallen(cells, epoch))

    def _deadline(self, ttl: float | MissingType | None) -> float | None:
        """When something stored now expires; None when that is at once."""
        given = self._settings.ttl if ttl is MISSING else seconds("ttl", ttl, zero=True)
        if given is None:
            return inf
        if given == 0:
            return None
        if self._settings.jitter:
            given *= 1.0 - self._settings.jitter * random()
        return self._settings.timer() + given

    def _make_entry(
        self, key: Any, loaded: Loaded, epoch: int, cells: tuple[Any, ...] | None
    ) -> Entry | None:
        """An entry for a value, None when it is not to be kept."""
        settings = self._settings
        deadline = self._deadline(loaded.ttl)
        weight = loaded.weight
        if weight is None:
            weight = 1 if settings.weigher is None else settings.weigher(key, loaded.value)
        if isinstance(weight, bool) or not isinstance(weight, int):
            raise TypeError(
                f"{type(self).__name__}: the weight of key {key!r} must be an int, not {weight!r}"
            )
        if weight < 0:
            raise ValueError(
                f"{type(self).__name__}: the weight of key {key!r} must not be negative: {weight}"
            )
        if deadline is None:
            return None
        now = settings.timer()
        refresh_at = inf if settings.refresh_after is None else now + settings.refresh_after
        idle = inf if settings.tti is None else settings.tti
        entry: Entry = self._parts.Entry(
            key, loaded.value, epoch, cells, deadline, idle, now, refresh_at, weight
        )
        return entry
