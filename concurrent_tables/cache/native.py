"""Maintenance in C: the table of the core keeps policy and timer wheel itself.

What `maintenance` does with a queue, a lock and Python objects, `CacheTable` does in the same step as the
change of the table, under the table's own lock. It counts in that step, too: no interrupt comes between.
Here is what is left: telling listeners, why an entry left where Python alone knows, and calling the
clock. The entries that the table hands out are looks at what is in it; two looks at one entry have the
same `epoch`.

A change of the table stands once it is made. What comes after it must not fail for lack of memory: numbers
are counted in C, where that takes none; the rest is reported instead of raised.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from math import inf
from random import getrandbits
from typing import TYPE_CHECKING, Any

from .._hooks import report_unraisable
from .clock import Due, watch_over
from .policy import check_policy
from .removal import RemovalCause

if TYPE_CHECKING:
    from .._pure.hit_path import Entry
    from .base import Settings, Shared

    Base = Shared
else:
    Base = object

__all__ = ["NativeMaintenance"]

# Members of an enumeration, looked up in time: that may take memory.
_REPLACED, _SIZE, _EXPIRED = RemovalCause.REPLACED, RemovalCause.SIZE, RemovalCause.EXPIRED
_INSERTIONS = 0  # its place among the numbers that the C table counts; the causes have theirs


class NativeMaintenance(Base):
    """Takes the place of `maintenance.Maintained`, whose methods it overrides."""

    _table: Any

    def _make_table(self, settings: Settings, seed: int | None = None) -> Any:
        if settings.maxsize is not None:
            check_policy(settings.policy)
        return self._parts.Table(
            policy=None if settings.maxsize is None else settings.policy,
            maxsize=min(settings.maxsize or 0, 2**62),
            seed=getrandbits(64) if seed is None else seed,
            stale_seconds=settings.stale_on_error or 0.0,
            tells=settings.on_remove is not None,
        )

    def _begin_maintenance(self) -> None:
        settings = self._settings
        self._due = Due(self) if settings.timer is time.monotonic else None
        plain = (settings.weigher, settings.tti, settings.refresh_after, settings.on_remove)
        if plain == (None,) * 4 and not settings.jitter:
            ttl = inf if settings.ttl is None else settings.ttl
            self._arm_writes(self._tags.counter, self._flights, ttl)

    # -- writes -----------------------------------------------------------------------------------

    def _stored(self, old: Entry | None, entry: Entry) -> None:
        try:
            self._call_clock()
        except MemoryError:
            report_unraisable("Exception ignored calling the clock of a cache", self)
        victims = entry.victims
        if victims is not None:
            try:
                for victim in victims:
                    self._tell(victim, _SIZE)
            except MemoryError:
                report_unraisable("Exception ignored telling who was driven out of a cache", self)
        if old is not None:
            cause = _REPLACED
            try:
                if not self._valid(old):
                    cause = self._why_not_valid(old)
            except MemoryError:  # then it counts as one that was valid
                pass
            self._left(old, cause, _REPLACED)

    def _reschedule(self, entry: Entry, deadline: float, now: float) -> bool:
        there: bool = self._table._touch(entry, deadline, now)
        self._call_clock()
        return there

    # -- the ways out -----------------------------------------------------------------------------

    def _take_out(self, entry: Entry, cause: RemovalCause) -> bool:
        if not self._table.compare_and_delete(entry.key, entry, cause.place):
            return False
        self._left(entry, cause, cause)
        return True

    def _take_ended(self, entry: Entry, now: float) -> bool:
        if not self._table._remove_ended(entry, now):
            return False
        self._left(entry, _EXPIRED, _EXPIRED)
        return True

    def _left(
        self, entry: Entry, cause: RemovalCause, counted: RemovalCause = RemovalCause.EXPLICIT
    ) -> None:
        """The table counts, in the step in which an entry leaves; `pop` takes it for EXPLICIT."""
        if cause is not counted:
            self._table._recount(counted.place, cause.place)
        self._tell(entry, cause)

    def _expire_due(self) -> int:
        now = self._settings.timer() if self._due is None else time.monotonic()
        removed = 0
        try:
            while (ended := self._end(self._table._expire(now))) != 0:
                removed += ended
        finally:
            self._call_clock()
        return removed

    def _end(self, over: Iterator[Entry | None]) -> int:
        """Tell of the entries that ended, None after them; how many."""
        ended = 0
        for entry in over:
            if entry is None:
                break
            cause = _EXPIRED
            try:
                cause = self._why(entry)
            except MemoryError:  # its time was over in any case
                pass
            self._left(entry, cause, _EXPIRED)
            ended += 1
        return ended

    # -- the clock --------------------------------------------------------------------------------

    def _maintain(self) -> None:
        """The books are always up to date."""

    def _tick(self) -> None:
        if self._due is not None:
            self._due.at = inf  # raised here only: writers lower it
        self._expire_due()

    def _call_clock(self) -> None:
        """Whoever comes last has seen the earliest end: it looks again after it has told the clock."""
        due = self._due
        if due is None:
            return
        told = False
        while (at := self._table._next_due()) < due.at:
            due.at = at
            told = True
        if told or at != inf:
            watch_over(due)

    # -- statistics -------------------------------------------------------------------------------

    def _counted(self, name: Any) -> int:
        if name == "insertions" or isinstance(name, RemovalCause):
            place = _INSERTIONS if name == "insertions" else name.place
            count: int = self._table._tallies()[place]
        else:
            count = self._tallies.get(name, 0)
        return count

    def _policy_stats(self) -> tuple[int, dict[str, Any]]:
        name, share, window, probation, protected = self._table._books()
        if name is None:
            return 0, {}
        weight = window + probation + protected
        if name == "lru":
            return weight, {"name": name}
        return weight, {
            "name": name,
            "window_share": share,
            "window": window,
            "probation": probation,
            "protected": protected,
        }
