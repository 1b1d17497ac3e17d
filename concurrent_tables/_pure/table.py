"""What every table of the Python implementation is made of.

A table is a mutex, one reference to an immutable-in-shape *block* (keys, index, entries), two
versions, and the marks "shared", "watched" and "held exclusively". Reads pin, load the block
reference and go; they take no lock. Writes follow one pattern:

1. find the place without the lock (user `__hash__` and `__eq__` run here, unpinned: I6);
2. enter the critical section; give up and start again if the block, the entry or a gate differ;
3. plan; then validate `_version` and `_block` and commit in straight-line code (see
   critical_section.py for why that makes a commit all or nothing);
4. leave; then drop what was unlinked and deliver the events (`Pending`, I7).

I9: the first access by another thread than the owner marks the table shared, inside its section.
I10: what a shared table unlinks is retired; an unshared one drops it directly.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from .._hooks import report_unraisable
from ..events import ALL_KINDS, Event, EventKind, Filter, Record, Subscription, Watch, WatchState
from . import debug
from .critical_section import CriticalSection, Mutex
from .exclusive import Gate
from .reclaim import domain

__all__ = ["NULL", "RETRY", "Pending", "Table", "WriteSection"]

_get_ident = threading.get_ident


class _Null:
    """The value of an empty entry, as NULL is in C. Never leaves the implementation."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<NULL>"


NULL: Any = _Null()
RETRY: Any = object()  # a *_held function found that its plan no longer fits


class Pending:
    """What a mutating call unlinked and recorded, dropped and delivered after its section."""

    __slots__ = ("dropped", "records")

    def __init__(self) -> None:
        self.dropped: list[tuple[Any, int, bool]] = []
        self.records: list[Record] = []

    def drop(self, *items: Any) -> None:
        """Let go of references that the table held."""
        self.dropped += [(item, 0, False) for item in items]

    def drop_block(self, block: Any) -> None:
        """Let go of a block; poisoned once its grace period is over, in debug mode."""
        self.dropped.append((block.release, block.nbytes, True))

    def finish(self, table: Table) -> None:
        """Run after the section: finalizers and callbacks may do anything now."""
        dropped, self.dropped = self.dropped, []
        if table._shared:
            for item, nbytes, callback in dropped:
                domain.retire(item, nbytes, callback=callback)
        else:
            for item, _, callback in dropped:
                if callback:
                    item()
        del dropped
        if self.records:
            records, self.records = self.records, []
            watch = table._watch
            if watch is not None:
                _deliver(watch, table._event_table(), records)


def _deliver(watch: WatchState, table: Any, records: list[Record]) -> None:
    """Tell the watchers; what fails is told with the next delivery."""
    try:
        watch.deliver(table, records)
    except BaseException:
        report_unraisable("Exception ignored while telling the watchers of a table", watch)
        watch.log.lose(records[0][4], records[-1][4])


class WriteSection:
    """`with WriteSection(table, ...):` excludes the writers of these tables.

    Waits for a gate that another thread holds (`exclusive`) outside the section, and takes the
    watch mutex of tables that share their watchers.
    """

    __slots__ = ("section", "tables")

    def __init__(self, *tables: Table) -> None:
        self.tables = tables

    def __enter__(self) -> None:
        while True:
            watches = [table._watch for table in self.tables]
            mutexes = [table._mutex for table in self.tables]
            mutexes += [w.mutex for w in watches if w is not None and w.mutex is not None]
            section = CriticalSection(*mutexes)
            section.__enter__()
            section.frame = sys._getframe(1)  # the `with` block is our caller's
            blocked = next(
                (t for t in self.tables if t._gate is not None and t._gate.foreign), None
            )
            if blocked is None and all(
                t._watch is w for t, w in zip(self.tables, watches, strict=True)
            ):
                self.section = section
                return
            gate = None if blocked is None else blocked._gate
            section.__exit__(None, None, None)
            if gate is not None:
                gate.wait(blocked)

    def __exit__(self, *exc_info: Any) -> None:
        self.section.__exit__(None, None, None)


class Table:
    """Base of the mutable tables: marks, versions, watchers."""

    __slots__ = (
        "__weakref__",
        "_block",
        "_gate",
        "_keys_version",
        "_mutex",
        "_owner",
        "_shared",
        "_snapshot",
        "_started",
        "_version",
        "_watch",
    )

    _block: Any

    def _init_table(self, block: Any) -> None:
        self._block = block
        self._mutex = Mutex()
        self._owner = _get_ident()
        self._shared = False
        # A commit raises `_started` before its first store and `_version` after its last, so
        # `_started == _version` means "at rest": what is read in between is of one moment.
        self._started = 0
        self._version = 0
        self._keys_version = 0
        self._watch: WatchState | None = None
        self._gate: Gate | None = None
        self._snapshot: Any = None
        if debug.ENABLED:
            debug.register(self)

    # -- sharing ---------------------------------------------------------------------------------

    def _touch(self) -> None:
        """I9: note the first access by a thread other than the owner."""
        if not self._shared and self._owner != _get_ident():
            with CriticalSection(self._mutex):
                self._shared = True

    # -- versions --------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """A number that rises with every mutation.

        Equal numbers mean that nothing was written in between. Thread-safety: lock-free.
        """
        return self._at_rest()

    @property
    def keys_version(self) -> int:
        """A number that rises when a key is added or removed, not when a value is overwritten.

        Thread-safety: lock-free.
        """
        while True:
            version, keys_version = self._at_rest(), self._keys_version
            if self._started == version:
                return keys_version

    def _at_rest(self) -> int:
        """The version, read while no commit is half done."""
        while True:
            version = self._version
            if self._started == version:
                return version
            if sys.is_finalizing():
                self._started = version  # of a daemon thread, which will not finish
            time.sleep(0)  # a commit is a few stores long; let its thread finish

    # -- watchers --------------------------------------------------------------------------------

    def watch(
        self,
        callback: Callable[[Event], object],
        *,
        kinds: EventKind | Iterable[EventKind] = ALL_KINDS,
        keys: Iterable[Any] | None = None,
    ) -> Watch:
        """Call `callback(event)` after every change from now on; returns a `Watch`.

        The callback runs in the writing thread, after the change is visible, with no lock held,
        before the mutating call returns. Callbacks of different threads may overlap. What it
        raises goes to `sys.unraisablehook`; the write stands.

        Parameters: `kinds`, the `EventKind` flags wanted; `keys`, an iterable that restricts
        the per-key events (CLEARED, CLONED and DEALLOCATED always pass).
        Errors: TypeError when `callback` is not callable, `kinds` are no flags or a key is
        unhashable.
        Thread-safety: atomic.
        """
        watch = Watch(self, callback, Filter(kinds, keys))
        self._attach(watch, watch._filter)
        return watch

    def subscribe(
        self,
        maxlen: int = 1024,
        *,
        kinds: EventKind | Iterable[EventKind] = ALL_KINDS,
        keys: Iterable[Any] | None = None,
    ) -> Subscription:
        """A `Subscription`: the events from now on as an iterator, in strict version order.

        Parameters: `maxlen`, the number of events kept for a slow consumer; beyond it one
        LOST event names the versions dropped. `kinds` and `keys` as for `watch`.
        Thread-safety: atomic.
        """
        subscription = Subscription(self, maxlen, Filter(kinds, keys))
        self._attach(subscription, subscription._filter)
        return subscription

    def _attach(self, listener: Watch | Subscription, wanted: Filter) -> None:
        self._touch()
        with WriteSection(self):
            state = self._watch
            if state is None:
                state = self._watch = WatchState(self._version)
            wanted.since = state.version
            state.attach(listener)

    def _remove_watch(self, listener: Watch | Subscription) -> None:
        with CriticalSection(self._mutex):
            state = self._watch
            if state is not None:
                state.detach(listener)
                if not len(state) and state.mutex is None:
                    self._watch = None

    def _set_watch_bit(self, bit: int, on: bool) -> None:
        """Set or clear a low-level watcher's bit (watchers.py)."""
        with WriteSection(self):
            state = self._watch
            if state is None:
                state = self._watch = WatchState(self._version)
            state.mask = state.mask | bit if on else state.mask & ~bit
            if not len(state) and state.mutex is None:
                self._watch = None

    def _layout(self) -> Any:
        """What `inspect_table` walks."""
        from .layouts import table_layout

        return table_layout(self)

    def _event_table(self) -> Any:
        """The table that events name."""
        return self

    def _record(self, kind: EventKind, key: Any, old: Any, new: Any) -> Record | None:
        """The record of a change about to be committed; None when nobody watches.

        The version is that of the commit: `commit` code raises `WatchState.version` to it.
        """
        watch = self._watch
        return None if watch is None else (kind, key, old, new, watch.version + 1)

    def _replace_block(
        self,
        block: Any,
        new: Any,
        version: int,
        pending: Pending,
        *,
        bump: int = 0,
        rekey: int = 0,
        events: list[Record] | None = None,
    ) -> bool:
        """Commit a new block in place of `block`; whether the plan was still good.

        `bump` and `rekey` are what the versions rise by: nothing for a mere resize. `events` has
        one record for each change, as planned (none when nobody watched); None when the caller
        sees to them.
        """
        watch = self._watch
        # Straight-line from here to the log: nothing else can run in this thread.
        if self._version != version or self._block is not block:
            return False
        planned = watch.version + 1 if watch is not None else 0
        if events is not None and planned and (not events or events[0][4] != planned):
            return False  # watched since, or an event of another shard came first
        self._started = version + bump
        self._block = new
        self._keys_version += rekey
        self._version = version + bump
        if events and watch is not None:
            watch.version += bump
            watch.log.extend(events)
        pending.drop_block(block)
        return True

    def _publish(
        self,
        block: Any,
        new: Any,
        version: int,
        pending: Pending,
        changes: list[Any],
        rekey: int = 1,
    ) -> bool:
        """Commit a block with other contents and the records of `changes` in one step."""
        watch, count = self._watch, len(changes)
        events = []
        if watch is not None:
            first = watch.version + 1
            events = [(*change, first + offset) for offset, change in enumerate(changes)]
        if not self._replace_block(
            block, new, version, pending, bump=count, rekey=rekey, events=events
        ):
            return False
        pending.records += events
        self._committed(pending, None)
        return True

    def _committed(self, pending: Pending, event: Any, *dropped: Any) -> None:
        """Note what a commit unlinked and recorded; still inside the section."""
        domain.record().writes += 1
        self._drop_snapshot(pending)
        pending.drop(*dropped)
        if event is not None:
            pending.records.append(event)

    def _drop_snapshot(self, pending: Pending) -> None:
        """After a commit: a cached snapshot must not keep alive what was removed."""
        stale = self._snapshot
        if stale is not None:
            self._snapshot = None
            pending.dropped.append((stale, stale[1]._block.nbytes, False))

    def __del__(self) -> None:
        watch = getattr(self, "_watch", None)
        if watch is not None:
            watch.close(self)
