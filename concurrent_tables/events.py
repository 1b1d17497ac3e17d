"""Events, watches and subscriptions: what both implementations tell about their changes.

A table that nobody watches pays one comparison for each change. A watched table appends a *record*
`(kind, key, old, new, version)` to the log of its `WatchState` inside the critical section that
commits the change, so the log is in commit order. Everything else happens after the section:
the log is drained to the subscriptions (one drainer at a time, hence in order; who finds another
one at work leaves its records to it), and the writing thread calls the callbacks for its own
records. Nobody waits for a thread that runs a callback or the `__eq__` of a filtered key.

Memory may run out anywhere in this. A record stays in the log until every subscription has it, so
the next one who looks at the log goes on with it. Callbacks cannot be called later by another
thread: the versions that they may not have heard of are kept with the log (`lose`), and the next
delivery begins with one LOST event that names them.
"""

from __future__ import annotations

import asyncio
import enum
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, ClassVar, NamedTuple

from ._hooks import report_unraisable
from ._missing import MISSING
from ._waits import ForkMark, PerProcess

__all__ = [
    "ALL_KINDS",
    "Event",
    "EventKind",
    "Filter",
    "Record",
    "Subscription",
    "Watch",
    "WatchState",
]


_AT_A_TIME = 64  # records that a writer feeds before another one may go on with it
_A_MOMENT = 1e-6  # seconds; not 0: a thread that lets the GIL go for no time mostly gets it back


class EventKind(enum.IntFlag):
    """What happened to a table; kinds combine with `|` to filter.

    >>> EventKind.ADDED | EventKind.DELETED
    <EventKind.ADDED|DELETED: 5>
    """

    ADDED = 1
    MODIFIED = 2
    DELETED = 4
    CLEARED = 8
    CLONED = 16
    DEALLOCATED = 32
    LOST = 64


ALL_KINDS = EventKind(127)
_PER_KEY = EventKind.ADDED | EventKind.MODIFIED | EventKind.DELETED

# (kind, key, old, new, version): what a commit logs.
Record = tuple[EventKind, Any, Any, Any, int]


class Event(NamedTuple):
    """One change of a table. `old` and `new` are `MISSING` where there is no such value.

    - ADDED, MODIFIED, DELETED: `key` with its `old` and `new` value (sets: the item as `key`).
    - CLEARED: everything was removed by one call.
    - CLONED: an empty table was filled from a whole mapping; `new` is what it was filled with.
    - DEALLOCATED: the table is going away.
    - LOST: events of the versions `old` to `new`, both included, were dropped: by a subscription
      that was full, or since there was no memory to tell them. It passes every filter.
    """

    kind: EventKind
    table: Any
    key: Any
    old: Any
    new: Any
    version: int

    @property
    def lost(self) -> range:
        """The versions that a LOST event stands for; empty for every other kind."""
        if self.kind is not EventKind.LOST:
            return range(0)
        return range(self.old, self.new + 1)


def as_kinds(kinds: EventKind | Iterable[EventKind]) -> EventKind:
    """One flag value from a flag or an iterable of flags."""
    if isinstance(kinds, EventKind):
        return kinds
    if isinstance(kinds, int) or not isinstance(kinds, Iterable):
        raise TypeError(f"kinds must be EventKind flags or an iterable of them, not {kinds!r}")
    combined = EventKind(0)
    for kind in kinds:
        if not isinstance(kind, EventKind):
            raise TypeError(f"kinds must be EventKind flags, not {kind!r}")
        combined |= kind
    return combined


class Filter:
    """Which records a watch or subscription wants: kinds, keys, and nothing before it began."""

    __slots__ = ("keys", "kinds", "since")

    def __init__(
        self, kinds: EventKind | Iterable[EventKind], keys: Iterable[Any] | None, since: int = 0
    ) -> None:
        self.kinds = as_kinds(kinds)
        self.keys = None if keys is None else frozenset(keys)
        self.since = since  # set inside the section that attaches the listener

    def admits(self, record: Record) -> bool:
        """Whether the record passes; may run the `__eq__` of a key (no lock is held)."""
        kind, key, _, _, version = record
        if kind is EventKind.LOST:
            return bool(version > self.since)
        if not kind & self.kinds or (version <= self.since and kind != EventKind.DEALLOCATED):
            return False
        return self.keys is None or not kind & _PER_KEY or key in self.keys


class Watch:
    """A callback registered with one table; also a context manager that cancels itself.

    Thread-safety: every method is atomic. After `cancel()` returns, no new delivery starts; one
    that another thread has begun may still be running.
    """

    __slots__ = ("__weakref__", "_active", "_filter", "_table", "callback")

    def __init__(self, table: Any, callback: Callable[[Event], object], filter: Filter) -> None:
        if not callable(callback):
            raise TypeError(f"the watch callback must be callable, not {callback!r}")
        self.callback = callback
        self._filter = filter
        self._table = weakref.ref(table)
        self._active = True

    @property
    def active(self) -> bool:
        """Whether the callback still receives events."""
        return self._active

    @property
    def kinds(self) -> EventKind:
        """The kinds that the callback receives."""
        return self._filter.kinds

    def cancel(self) -> None:
        """Stop the deliveries. Cancelling twice does nothing."""
        if self._active:
            self._active = False
            table = self._table()
            if table is not None:
                table._remove_watch(self)

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        self.cancel()

    def __repr__(self) -> str:
        state = "active" if self._active else "cancelled"
        return f"<Watch {self.kinds!r} {state}>"

    def _deliver(self, table: Any, record: Record) -> bool:
        """Call the callback; false when it may not have heard of the record, for lack of memory."""
        try:
            if self._active and self._filter.admits(record):
                self.callback(Event(record[0], table, *record[1:]))
        except BaseException as error:
            # The write stands and the other watchers run.
            report_unraisable("Exception ignored in table watch callback", self.callback)
            return not isinstance(error, MemoryError)
        return True


class Subscription:
    """A bounded queue of a table's events in strict version order.

    Iterate it, `async for` over it, or call `get`. When the queue is full, further events are
    dropped and one LOST event in their place names the versions; a writer never waits.
    Iteration ends after `close()`, or when the table is gone, once the queue is empty.

    Thread-safety: every method is atomic; several consumers share the events between them.

    >>> from concurrent_tables import ConcurrentDict
    >>> table = ConcurrentDict()
    >>> with table.subscribe() as changes:
    ...     table["a"] = 1
    ...     event = changes.get()
    >>> event.kind, event.key, event.new
    (<EventKind.ADDED: 1>, 'a', 1)
    """

    def __init__(self, table: Any, maxlen: int, filter: Filter) -> None:
        if not isinstance(maxlen, int) or isinstance(maxlen, bool):
            raise TypeError(f"maxlen must be an int (a number of events), not {maxlen!r}")
        if maxlen < 1:
            raise ValueError(f"maxlen must be at least 1, not {maxlen}")
        self.maxlen = maxlen
        self._table = weakref.ref(table)
        self._filter = filter
        self._queue: deque[Record] = deque()
        self._latest = -1  # version of the record that was queued last
        self._ended = False  # the end of the table has been queued
        self._condition = PerProcess(_Ready)
        self._loops: set[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = set()
        self._closed = False

    @property
    def _ready(self) -> _Ready:
        """Guards the queue; notified of events and of the end."""
        return self._condition()

    @property
    def closed(self) -> bool:
        """Whether no further event will be queued."""
        return self._closed

    def __len__(self) -> int:
        return len(self._queue)

    def get(self, timeout: float | None = None) -> Event:
        """The next event; waits at most `timeout` seconds (None: as long as it takes).

        Raises TimeoutError when none came, RuntimeError when closed and empty.
        """
        self._catch_up()
        with self._ready.lock:
            if not self._ready.changed.wait_for(lambda: self._queue or self._closed, timeout):
                raise TimeoutError(f"no event within {timeout} s")
            event = self._pop()
        if event is None:
            raise RuntimeError("the subscription is closed and empty")
        return event

    def close(self) -> None:
        """Stop receiving. What is queued can still be read, and with it every change made before."""
        table = self._table()
        try:
            if table is not None:
                watch = table._watch
                table._remove_watch(self)
                if watch is not None:
                    watch.catch_up(self)
        finally:
            self._close()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        self.close()

    def __iter__(self) -> Subscription:
        return self

    def __next__(self) -> Event:
        self._catch_up()
        with self._ready.lock:
            self._ready.changed.wait_for(lambda: self._queue or self._closed)
            event = self._pop()
        if event is None:
            raise StopIteration
        return event

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        loop = asyncio.get_running_loop()
        self._catch_up()
        while True:
            with self._ready.lock:
                event = self._pop()
                if event is not None:
                    return event
                if self._closed:
                    raise StopAsyncIteration
                waiter: asyncio.Future[None] = loop.create_future()
                entry = (loop, waiter)
                self._loops.add(entry)
            try:
                await waiter
            finally:
                with self._ready.lock:
                    self._loops.discard(entry)

    # -- called by WatchState --------------------------------------------------------------------

    def _push(self, record: Record) -> None:
        """Queue a record, or widen the LOST record at the end.

        Several threads may push, each from some record that is not queued yet, or is, without a gap: what one
        of them has queued the others pass over. A record whose push failed halfway is pushed again.
        """
        kind, version = record[0], record[4]
        try:
            if self._closed or not self._filter.admits(record):
                return
        except BaseException:
            report_unraisable("Exception ignored in the key filter of a subscription", self)
            kind = EventKind.LOST  # nobody knows whether it was wanted
            record = (kind, MISSING, version, version, version)
        with self._ready.lock:
            if self._closed:
                return
            last = self._queue[-1] if self._queue else None
            # The end of the table is told even when the queue is full: its version is not new.
            ends = kind is EventKind.DEALLOCATED
            if self._ended or (version <= self._latest and not ends):
                pass  # it is here already
            elif len(self._queue) < self.maxlen or ends or last is None:
                self._queue.append(record)
            elif last[0] is EventKind.LOST:
                self._queue[-1] = (EventKind.LOST, MISSING, last[2], version, version)
            else:
                self._queue.append((EventKind.LOST, MISSING, version, version, version))
            # The record is queued: no call until that is noted, since a call could fail.
            if version > self._latest:
                self._latest = version
            if ends:
                self._ended = True
            self._wake()

    def _close(self) -> None:
        self._closed = True
        with self._ready.lock:
            self._wake()

    # -- internal --------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Fetch what no writer has had the memory to feed."""
        if not self._queue:
            watch = getattr(self._table(), "_watch", None)
            if watch is not None:
                watch._feed()

    def _pop(self) -> Event | None:
        if not self._queue:
            return None
        record = self._queue[0]
        event = Event(record[0], self._table(), *record[1:])
        self._queue.popleft()  # not before there was memory for the event
        return event

    def _wake(self) -> None:
        self._ready.changed.notify_all()
        while self._loops:
            entry = next(iter(self._loops))
            try:
                entry[0].call_soon_threadsafe(_resolve, entry[1])
            except RuntimeError:  # that loop is closed: nobody waits there any more
                pass
            self._loops.discard(entry)


class _Ready:
    """A lock and its condition. `with` takes the lock itself, which is C.

    To enter the condition is Python code, where an interrupt may come when the lock is taken already.
    """

    __slots__ = ("changed", "lock")

    def __init__(self) -> None:
        # Re-entrant: a finalizer that writes may interrupt a thread that holds it.
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class EventLog(deque[Record]):
    """The records that are not fed yet, and what the callbacks missed; `_core` has one of its own."""

    def __init__(self) -> None:
        self._mutex = PerProcess(threading.RLock)
        self._lost: tuple[int, int] | None = None

    def records(self) -> Sequence[Record]:
        """Those of one moment, the oldest first."""
        while True:
            try:
                return [*self]
            except RuntimeError:  # another thread has taken one out, or added one
                continue

    def lose(self, first: int, last: int) -> None:
        """Some callback may not have heard of these versions."""
        with self._mutex():
            if self._lost is not None:
                first, last = min(first, self._lost[0]), max(last, self._lost[1])
            self._lost = (first, last)

    def take_lost(self) -> tuple[int, int] | None:
        """What was lost since the last time: the first and the last version of it."""
        if self._lost is None:
            return None
        with self._mutex():
            lost, self._lost = self._lost, None
        return lost


class WatchState:
    """Everything a watched table knows about its watchers; None on a table without any.

    `version` is the table's version on the scale of its events; the commit that appends to `log`
    raises it inside the same critical section. `mutex` is set when several tables (the shards of
    one `ShardedDict`) share the state: their commits then hold it too.
    """

    __slots__ = (
        "_drainers",
        "_latest",
        "log",
        "mask",
        "mutex",
        "subscriptions",
        "version",
        "watches",
    )

    # Delivers to the watchers whose ids are in a mask; the module `watchers` puts it here. To import it
    # when there is something to deliver would fail for the tables that end with the interpreter.
    low_level: ClassVar[Callable[[int, Event], bool]]

    def __init__(self, version: int, mutex: Any = None) -> None:
        self.version = version
        self.mutex = mutex
        self.log = EventLog()
        self.watches: tuple[Watch, ...] = ()
        self.subscriptions: tuple[weakref.ref[Subscription], ...] = ()
        self.mask = 0  # low-level watcher ids, one bit each
        self._drainers: dict[int, ForkMark] = {}  # at most one in each process (generation)
        self._latest: ForkMark | None = None  # the drainer that began last

    def __len__(self) -> int:
        return len(self.watches) + len(self._live()) + self.mask.bit_count()

    def _live(self, but: Subscription | None = None) -> tuple[weakref.ref[Subscription], ...]:
        """The subscriptions that still exist, without `but`.

        No generator expression: making its function without memory crashes CPython 3.12 and 3.13.
        """
        live = []
        for ref in self.subscriptions:
            subscription = ref()
            if subscription is not None and subscription is not but:
                live.append(ref)
        return tuple(live)

    def attach(self, listener: Watch | Subscription) -> None:
        """Add a watch or subscription; the caller is inside the table's section."""
        if isinstance(listener, Watch):
            self.watches += (listener,)
        else:
            self.subscriptions = (*self._live(), weakref.ref(listener))

    def detach(self, listener: Watch | Subscription) -> None:
        """Remove a watch or subscription; the caller is inside the table's section."""
        watches = []  # no comprehension: CPython 3.11 leaks what it goes through without memory
        for watch in self.watches:
            if watch is not listener:
                watches.append(watch)
        self.watches = tuple(watches)
        self.subscriptions = self._live(
            but=listener if isinstance(listener, Subscription) else None
        )

    def deliver(self, table: Any, records: Sequence[Record]) -> None:
        """After the section: feed the subscriptions, then run the callbacks for `records`.

        When it fails, for lack of memory, the caller gives the versions to `log.lose`.
        """
        self._feed()
        lost = self.log.take_lost()
        if lost is not None:
            try:
                self._tell(table, (EventKind.LOST, MISSING, lost[0], lost[1], lost[1]))
            except BaseException:
                self.log.lose(lost[0], lost[1])
                raise
        for record in records:
            self._tell(table, record)

    def _tell(self, table: Any, record: Record) -> None:
        told = True
        for watch in self.watches:
            told &= watch._deliver(table, record)
        if self.mask:
            told &= WatchState.low_level(self.mask, Event(record[0], table, *record[1:]))
        if not told:
            first = record[2] if record[0] is EventKind.LOST else record[4]
            self.log.lose(first, record[4])

    def _feed(self) -> None:
        """Move the log to the subscriptions, in order.

        When another thread is at it (or this one, and a finalizer interrupted it), that drainer
        takes the caller's records too: it looks at the log again after letting go. It also lets
        go now and then while there are records, so that another writer may take over: writers
        that are faster than it would otherwise keep it here for ever.
        """
        me, drainers = ForkMark(), self._drainers
        while self.log:
            try:
                mine = drainers.setdefault(me.generation, me) is me
            except BaseException:  # an interrupt comes after a call that has done its work
                if drainers.get(me.generation) is me:
                    del drainers[me.generation]
                raise
            if not mine:
                return
            self._latest, left = me, _AT_A_TIME
            try:
                while self.log and left:
                    left -= 1
                    record = self.log[0]
                    for ref in self.subscriptions:
                        subscription = ref()
                        if subscription is not None:
                            subscription._push(record)
                    self.log.popleft()  # now that everybody has it
            finally:
                del drainers[me.generation]  # no call: that could fail without memory
            if self.log and not left:
                time.sleep(_A_MOMENT)
                if self._latest is not me:
                    return  # whoever came last goes on until the log is empty

    def catch_up(self, subscription: Subscription) -> None:
        """Push what the log has and the subscription may not: who drains the log may be on the way to it.

        Nobody waits for that thread, which may be in the `__eq__` of a filtered key.
        """
        for record in self.log.records():
            subscription._push(record)

    def close(self, table: Any) -> None:
        """The table is going away: say so to everybody and end the subscriptions."""
        try:
            record: Record = (EventKind.DEALLOCATED, MISSING, MISSING, MISSING, self.version)
            self.log.append(record)
            self.deliver(table, (record,))
        finally:
            self._feed()  # what lacked memory a moment ago: nobody else will
            for ref in self.subscriptions:
                subscription = ref()
                if subscription is not None:
                    try:
                        self.catch_up(subscription)
                    finally:
                        subscription._close()
