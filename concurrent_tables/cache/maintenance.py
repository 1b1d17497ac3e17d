"""What happens off the hit path: the policy's books, the timer wheel, and who leaves.

The table of entries changes first, lock-free key by key; what happened is queued here and told to the
policy and the wheel by whoever takes the maintenance lock next. A writer waits for the lock and empties
the queue before it returns, so that afterwards its own entry is counted and the bound is kept: the
table then holds at most `maxsize`, beside what other writers have put in that are not done yet.
A finalizer that interrupts the holder of the lock only queues: the holder looks again.

Under the lock runs no code of the user: entries are handled by identity, and what may die is dropped
after it. Queued changes of one key may come in any order; `Entry.state` sorts them out: an entry that
was taken out before it was counted is never counted.

Lock order: the maintenance lock is taken with no other lock held, and none is taken under it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Any

from .._hooks import report_unraisable
from .._missing import MISSING
from .._waits import PerProcess
from .base import DEAD, LIVE, NEW, Settings, Shared
from .clock import Due, watch_over
from .holding import holding
from .policy import Policy, make_policy
from .removal import RemovalCause
from .wheel import TimerWheel

if TYPE_CHECKING:
    from .._pure.hit_path import Entry

__all__ = ["Maintained"]

_get_ident = threading.get_ident


class Maintained(Shared):
    """The policy and the wheel of a cache, and the ways out of it."""

    def _make_table(self, settings: Settings) -> Any:
        return self._parts.Table()

    def _begin_maintenance(self) -> None:
        settings = self._settings
        self._queue: deque[tuple[Entry | None, Entry | None]] = deque()
        self._gate: PerProcess[Any] = PerProcess(threading.RLock)
        self._holder = 0
        self._policy: Policy | None = None
        if settings.maxsize is not None:
            self._policy = make_policy(settings.policy, settings.maxsize)
        self._wheel = TimerWheel(settings.timer())
        # Another clock than the real one is not driven by a thread: see `expire`.
        self._due = Due(self) if settings.timer is time.monotonic else None

    # -- what happened ----------------------------------------------------------------------------

    def _submit(self, old: Entry | None, new: Entry | None) -> None:
        """Queue a change: `new` took the place of `old`. The same entry twice: it ends otherwise."""
        self._queue.append((old, new))

    def _maintain(self) -> None:
        """Bring the books up to date; what must go is gone when this returns."""
        while self._queue:
            if self._run_held(self._work, RemovalCause.SIZE, wait=True) is None:
                return  # a finalizer: who holds the lock goes on
        self._call_clock()

    def _on_full(self) -> None:
        """A thread's access records are full: book them unless somebody is at it already."""
        self._run_held(self._work, RemovalCause.SIZE, wait=False)

    def _expire_due(self) -> int:
        """Take out what is over; the number of entries."""
        self._maintain()
        removed = self._run_held(self._due_entries, None, wait=True)
        self._call_clock()
        return removed or 0

    def _run_held(self, work: Any, cause: RemovalCause | None, *, wait: bool) -> int | None:
        """Run `work` under the lock, then take out what it names; None when that is not possible.

        The lock is re-entrant: a finalizer may run between taking it and `_holder`.
        """
        if self._holder == _get_ident():
            return None
        gate = self._gate()
        wait = wait and not holding.depth
        holding.depth += 1
        try:
            if not gate.acquire(blocking=wait):
                return None
            try:
                leaving, dropped = self._held(work)
            finally:
                gate.release()
        finally:
            holding.depth -= 1
        removed = 0
        for entry in leaving:
            removed += self._take_out(entry, cause or self._why(entry))
        del dropped
        return removed

    def _tick(self) -> None:
        """The clock calls."""
        self._expire_due()

    def _call_clock(self) -> None:
        due = self._due  # its time is written under the lock only: a late writer must not raise it
        if due is not None and due.at != inf:
            watch_over(due)

    # -- under the lock ---------------------------------------------------------------------------

    def _held(self, work: Any) -> Any:
        broken = self._holder != 0  # forked while another thread was in here
        self._holder = _get_ident()
        try:
            if broken:
                self._rebuild()
            return work()
        finally:
            if self._due is not None:
                self._due.at = self._wheel.next_due
            self._holder = 0

    def _work(self) -> tuple[list[Entry], list[Any]]:
        """Book the queue and the accesses. Returns who must go, and what to drop after unlock."""
        dropped: list[Any] = []
        policy = self._policy
        if policy is not None:
            accessed = self._drain()
            dropped.append(accessed)
            policy.accessed([entry for entry in accessed if entry.state == LIVE])
        queue = self._queue
        while queue:
            change = queue[0]
            self._book(*change)  # may be repeated, should an interrupt come before the next line
            queue.popleft()
            dropped.append(change)
        victims: list[Entry] = []
        while policy is not None and (chosen := policy.victims()):
            for entry in chosen:
                entry.state = DEAD
                self._wheel.cancel(entry)
            victims += chosen
        return victims, dropped

    def _book(self, old: Entry | None, new: Entry | None) -> None:
        policy, wheel = self._policy, self._wheel
        if old is new:
            if new is not None and new.state == LIVE:
                wheel.cancel(new)
                self._schedule(new)
            return
        was_live = old is not None and old.state == LIVE
        if old is not None:
            old.state = DEAD
            wheel.cancel(old)
        if new is not None and new.state == NEW:
            new.state = LIVE
            if policy is not None:
                policy.replaced(old, new) if was_live else policy.added(new)
            self._schedule(new)
        elif was_live and policy is not None:
            policy.removed(old)

    def _schedule(self, entry: Entry) -> None:
        end = self._end_of(entry)
        if end != inf:
            self._wheel.schedule(entry, end)

    def _end_of(self, entry: Entry) -> float:
        """When the entry must leave: expired, and of no use as a stale value any more."""
        return min(entry.deadline, entry.touched + entry.idle) + (
            self._settings.stale_on_error or 0.0
        )

    def _due_entries(self) -> tuple[list[Entry], list[Entry]]:
        now = self._settings.timer() if self._due is None else time.monotonic()
        over: list[Entry] = []
        found = self._wheel.advance(now)
        for entry in found:
            if entry.state != LIVE:
                continue
            if self._end_of(entry) > now:
                self._schedule(entry)
                continue
            entry.state = DEAD
            if self._policy is not None:
                self._policy.removed(entry)
            over.append(entry)
        return over, found

    def _rebuild(self) -> None:
        """In a forked child: the books may be half-written, the table is whole."""
        if self._policy is not None:
            self._policy = make_policy(self._settings.policy, self._settings.maxsize or 0)
        self._wheel = TimerWheel(self._settings.timer())
        self._queue = deque()
        for entry in self._table.values():
            entry.bucket = entry.earlier = entry.later = entry.previous = entry.next = None
            entry.state = NEW
            self._book(None, entry)

    # -- the ways out -----------------------------------------------------------------------------

    def _take_out(self, entry: Entry, cause: RemovalCause) -> bool:
        """Remove exactly this entry from the table; False when somebody else did, or replaced it."""
        try:
            if not self._table.compare_and_delete(entry.key, entry):
                return False
        except BaseException:  # the `__eq__` of a key: the entry stays, but nobody gets it any more
            report_unraisable("Exception ignored removing an entry of a cache", entry.key)
            entry.deadline = -inf
            return False
        self._left(entry, cause)
        return True

    def _take_ended(self, entry: Entry, now: float) -> bool:
        """Remove exactly this entry if it has ended at `now`; not if a `touch` came before."""

        def decide() -> tuple[list[Entry], None]:
            if entry.state != DEAD:
                if self._end_of(entry) > now:
                    return [], None
                if entry.state == LIVE and self._policy is not None:
                    self._policy.removed(entry)
                self._wheel.cancel(entry)
                entry.state = DEAD
            return [entry], None

        return bool(self._run_held(decide, RemovalCause.EXPIRED, wait=True))

    def _left(self, entry: Entry, cause: RemovalCause) -> None:
        """After an entry left the table: count it, book it, tell the listener."""
        try:
            self._tallies.increment(cause)
        except MemoryError:  # the rest must come all the same
            report_unraisable("Exception ignored counting an entry that left a cache", self)
        if entry.state != DEAD:
            self._submit(entry, None)
            self._maintain()
        self._tell(entry, cause)

    def _tell(self, entry: Entry, cause: RemovalCause) -> None:
        listener = self._settings.on_remove
        if listener is not None:
            try:
                listener(entry.key, entry.value, cause)
            except BaseException:
                report_unraisable("Exception ignored in the removal listener of a cache", listener)

    def _on_stale(self, entry: Entry) -> None:
        """The hit path met an entry that may not be served."""
        cause, now = self._why(entry), self._settings.timer()
        if cause is not RemovalCause.EXPIRED:
            self._take_out(entry, cause)
        elif self._end_of(entry) <= now:
            self._take_ended(entry, now)

    def _why(self, entry: Entry) -> RemovalCause:
        return RemovalCause.INVALIDATED if self._fell(entry) else RemovalCause.EXPIRED

    def _reschedule(self, entry: Entry, deadline: float, now: float) -> bool:
        """The entry ends at another time; whether it is there."""

        def prolong() -> tuple[list[Entry], None]:
            if entry.state != DEAD:  # else it is on its way out: it must not be valid again
                entry.touched, entry.deadline = now, deadline
                self._book(entry, entry)
            return [], None

        if self._run_held(prolong, None, wait=True) is None:  # a finalizer
            entry.touched, entry.deadline = now, deadline
            self._submit(entry, entry)
        self._maintain()
        return bool(entry.state != DEAD)

    def _policy_stats(self) -> tuple[int, dict[str, Any]]:
        policy = self._policy
        return (0, {}) if policy is None else (policy.weight, policy.info())

    def _counted(self, name: Any) -> int:
        count: Any = self._tallies.get(name, MISSING)
        return 0 if count is MISSING else count
