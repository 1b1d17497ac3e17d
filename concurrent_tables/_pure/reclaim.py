"""Delayed free: epochs, after FreeBSD's Global Unbounded Sequences (sys/kern/subr_smr.c).

A reader *pins*: it publishes the sequence number that it read in its thread's record. Whatever a
writer unlinks is *retired*: tagged with the next sequence number and kept in the thread's limbo. An
item may be freed once no record is pinned at a sequence below the item's tag: every reader that
could have seen the item has unpinned since. In two cases: if a reader's pin comes before the
writer's scan, the scan sees the pin and the item stays; if it comes after, the reader loads the
block pointer after the unlinking and cannot find the item at all. (In C the order of "publish the
pin" and "load the pointer" needs a fence; here every access is sequentially consistent.)

`poll` runs every 64 retired items or 256 KiB; above 4,096 items or 64 MiB in one thread's limbo
the writer waits for a grace period (back-pressure). A thread that ends hands its limbo over; a
forked child forgets the records of threads that it does not have; at interpreter shutdown retired
references are dropped at once. A full garbage collection polls first, so that cycles through
retired references are found.

No user code runs while a thread is pinned (I5) except what the interpreter itself interrupts the
thread with (a finalizer, a signal handler); pins nest for that reason.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from .._waits import PerProcess

__all__ = ["IDLE", "Domain", "Record", "domain"]

POLL_ITEMS = 64
POLL_BYTES = 256 * 1024
PRESSURE_ITEMS = 4096
PRESSURE_BYTES = 64 * 1024 * 1024
_PRESSURE_SPINS = 2000  # bounded: a reader that never unpins must not stop writers for good
IDLE = 0  # a record's sequence while its thread is not pinned


class _Retired(NamedTuple):
    sequence: int
    item: Any  # dropped, or called when `callback`
    nbytes: int
    callback: bool


class Record:
    """What one thread publishes, and its limbo. Only its own thread pins; any thread scans."""

    __slots__ = ("depth", "limbo", "limbo_bytes", "sequence", "since_poll", "writes")

    def __init__(self) -> None:
        self.sequence = IDLE
        self.depth = 0
        self.limbo: deque[_Retired] = deque()
        self.limbo_bytes = 0
        self.since_poll = 0
        self.writes = 0  # commits by this thread: lookups notice that user code wrote


class _Local(threading.local):
    """Finds the calling thread's record."""

    def __init__(self, owner: Domain) -> None:
        self.record = owner._register()
        self.hand_over = _HandOver(owner, self.record)


class _HandOver:
    """Dies with its thread's local storage, and then hands the thread's limbo over."""

    __slots__ = ("owner", "record")

    def __init__(self, owner: Domain, record: Record) -> None:
        self.owner = owner
        self.record = record

    def __del__(self) -> None:
        self.owner._thread_exit(self.record)


class Domain:
    """An epoch domain: one for each interpreter. Thread-safety: every method is atomic."""

    def __init__(self) -> None:
        self.sequence = 1
        # Guards the list of records, the orphans and the counters.
        self._lock = PerProcess(threading.RLock)
        self._records: list[Record] = []
        self._orphans: deque[_Retired] = deque()
        self._retired_total = 0
        self._freed_total = 0
        self._polls = 0
        self._pressure_waits = 0
        self._callback_errors = 0
        self._local = _Local(self)

    # -- readers ---------------------------------------------------------------------------------

    def pin(self) -> Record:
        """Begin a read: nothing retired from now on is freed before `unpin`."""
        record: Record = self._local.record
        record.depth += 1
        if record.sequence == IDLE:
            record.sequence = self.sequence
        return record

    def unpin(self, record: Record) -> None:
        """End a read; the outermost one lets reclamation go on."""
        record.depth -= 1
        if record.depth == 0:
            record.sequence = IDLE

    def record(self) -> Record:
        """The calling thread's record."""
        return self._local.record

    # -- writers ---------------------------------------------------------------------------------

    def retire(self, item: Any, nbytes: int = 0, *, callback: bool = False) -> None:
        """Drop `item` (or call it, when `callback`) after a grace period."""
        if sys.is_finalizing():
            _free([_Retired(0, item, nbytes, callback)], self)
            return
        record = self.record()
        # The tag is above the sequence of every reader that may still see the item: those pinned
        # before this increment published a lower one.
        with self._lock():
            self.sequence += 1
            tag = self.sequence
            self._retired_total += 1
        record.limbo.append(_Retired(tag, item, nbytes, callback))
        record.limbo_bytes += nbytes
        record.since_poll += 1
        if record.since_poll >= POLL_ITEMS or record.limbo_bytes >= POLL_BYTES:
            self.poll()
            if len(record.limbo) > PRESSURE_ITEMS or record.limbo_bytes > PRESSURE_BYTES:
                self._wait_for_room(record)

    def poll(self) -> int:
        """Free what no pinned reader can see, of this thread and of ended ones; how many."""
        record = self.record()
        record.since_poll = 0
        with self._lock():
            self._polls += 1
            oldest = self._oldest_pinned()
            ready = _take_ready(record.limbo, oldest)
            record.limbo_bytes = _limbo_bytes(record)
            ready += _take_ready(self._orphans, oldest)
        return _free(ready, self)

    def synchronize(self, timeout_s: float | None = None) -> bool:
        """Wait until every reader pinned at the call has unpinned; False on a time-out.

        The calling thread's own pin (it has one only inside a finalizer that interrupted a read)
        is not waited for.
        """
        with self._lock():
            self.sequence += 1
            target = self.sequence
        own = self.record()
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        pause_s = 0.0
        while any(
            IDLE < record.sequence < target for record in self._snapshot() if record is not own
        ):
            if sys.is_finalizing():
                break  # a daemon thread, which will not go on reading
            if deadline is not None and time.monotonic() > deadline:
                return False
            time.sleep(pause_s)
            pause_s = min(0.001, pause_s + 0.00005)
        return True

    def flush(self) -> int:
        """Wait for a grace period, then free everything retired before the call; how many.

        What finalizers retire meanwhile is freed too, as far as a bounded number of rounds goes.
        """
        freed = 0
        for _ in range(16):
            self.synchronize()
            ready: list[_Retired] = []
            with self._lock():
                oldest = self._oldest_pinned()
                ready += _take_ready(self._orphans, oldest)
                for record in self._records:
                    ready += _take_ready(record.limbo, oldest)
                    record.limbo_bytes = _limbo_bytes(record)
            if not ready:
                break
            freed += _free(ready, self)
        return freed

    def stats(self) -> dict[str, int]:
        """Counters: items and bytes pending, totals since the start, threads, pinned threads."""
        with self._lock():
            records = list(self._records)
            limbos = [record.limbo.copy() for record in records] + [self._orphans.copy()]
            return {
                "sequence": self.sequence,
                "threads": len(records),
                "pinned": sum(record.sequence != IDLE for record in records),
                "pending_items": sum(map(len, limbos)),
                "pending_bytes": sum(item.nbytes for limbo in limbos for item in limbo),
                "retired_total": self._retired_total,
                "freed_total": self._freed_total,
                "polls": self._polls,
                "pressure_waits": self._pressure_waits,
                "callback_errors": self._callback_errors,
            }

    # -- inside ----------------------------------------------------------------------------------

    def _wait_for_room(self, record: Record) -> None:
        if record.depth:
            return  # inside a finalizer that interrupted our own read: waiting would be for us
        with self._lock():
            self._pressure_waits += 1
        for _ in range(_PRESSURE_SPINS):
            time.sleep(0.0001)
            self.poll()
            if len(record.limbo) <= PRESSURE_ITEMS and record.limbo_bytes <= PRESSURE_BYTES:
                return

    def _snapshot(self) -> list[Record]:
        with self._lock():
            return list(self._records)

    def _oldest_pinned(self) -> int:
        """The lowest published sequence, or the current one when nobody is pinned.

        The current sequence is read before the records: whatever is tagged at or below it was
        unlinked by then, so a reader that pins after its record was looked at cannot find it. An
        item that is retired later has a higher tag and waits for the next look.
        """
        with self._lock():
            ceiling = self.sequence
            return min(
                (sequence for r in self._records if (sequence := r.sequence) != IDLE),
                default=ceiling,
            )

    def _register(self) -> Record:
        record = Record()
        with self._lock():
            self._records.append(record)
        return record

    def _thread_exit(self, record: Record) -> None:
        if sys.is_finalizing():
            return  # nobody polls any more, and a daemon thread may have taken the lock along
        with self._lock():
            if record in self._records:
                self._records.remove(record)
            while record.limbo:
                self._orphans.append(record.limbo.popleft())

    def _before_fork(self) -> None:
        """Hold the lock over the fork: the child must not inherit it from another thread."""
        self._lock().acquire()

    def _after_fork_in_parent(self) -> None:
        self._lock().release()

    def _after_fork_in_child(self) -> None:
        """Only the forking thread goes on: other records are neither pinned nor filled again."""
        own = self.record()
        others = [record for record in self._records if record is not own]
        self._records = [own]
        for record in others:
            while record.limbo:
                self._orphans.append(record.limbo.popleft())


def _limbo_bytes(record: Record) -> int:
    return sum(retired.nbytes for retired in record.limbo.copy())


def _take_ready(limbo: deque[_Retired], oldest: int) -> list[_Retired]:
    """Unlink the items whose tag is at most `oldest`: a reader pinned at that cannot see them.

    The caller holds the domain's lock, so nobody else takes from any limbo; its own thread may
    append meanwhile. Stops at the first item that must wait; limbo is in tag order, but for
    hand-overs, which this only delays.
    """
    ready: list[_Retired] = []
    while limbo and limbo[0].sequence <= oldest:
        ready.append(limbo.popleft())
    return ready


def _free(ready: list[_Retired], owner: Domain) -> int:
    """Drop or call each item, in order. No lock is held: finalizers may do anything (I7)."""
    count = len(ready)
    ready.reverse()
    while ready:
        retired = ready.pop()
        if retired.callback:
            try:
                retired.item()
            except BaseException:
                with owner._lock():
                    owner._callback_errors += 1
                _unraisable(retired.item)
        del retired
    with owner._lock():
        owner._freed_total += count
    return count


def _unraisable(callback: Callable[[], object]) -> None:
    """Hand the current exception to `sys.unraisablehook`, as the interpreter does."""
    from .._hooks import report_unraisable

    report_unraisable("retired callback failed", callback)


domain = Domain()


def _on_gc(phase: str, info: dict[str, int]) -> None:
    """Limbo references are roots: drop the ready ones before a full collection starts."""
    if phase != "start" or info.get("generation") != 2 or sys.is_finalizing():
        return
    if "record" in vars(domain._local):  # else this thread is just being registered
        domain.poll()


gc.callbacks.append(_on_gc)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=domain._before_fork,
        after_in_parent=domain._after_fork_in_parent,
        after_in_child=domain._after_fork_in_child,
    )
