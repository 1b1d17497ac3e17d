"""`ShardedDict`: 2**n combined tables behind one mapping, for many writers.

A key belongs to the shard that the high bits of its scrambled hash name (the low bits choose the
slot inside the shard). One-key operations go to one shard. Three things go over all shards:

- A *snapshot* is a double collect: the shards' versions, their snapshots, the versions again. When
  nothing moved, all snapshots were current at one moment; else try again, and in the end hold the
  shards exclusively.
- A *batch* (`update_many`, `pop_many`, `clear`) holds its shards against writers, publishes an
  *overlay* that answers for the keys of the batch (that is its linearization point), commits the
  shards one after the other, and takes the overlay away. A reader looks at the overlay first. In
  two cases: if it finds the overlay, it answers as after the batch; if it found none and then a
  shard that the batch has or has not reached, both answers are of a moment within the read.
- *Watching* makes all shards share one `WatchState` whose mutex every commit then holds, so that
  events have one order and versions on the scale of `version`, the sum over the shards.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from .._copies import new_sharded
from .._missing import MISSING
from .._waits import ForkMark
from ..events import ALL_KINDS, Event, EventKind, Filter, Subscription, Watch, WatchState
from . import debug
from .critical_section import CriticalSection, Mutex
from .dict import ConcurrentDict
from .exclusive import exclusive
from .guard import Guard
from .keys import RestartLimit
from .mapping_api import MappingAPI
from .operations import BatchPlan, removed_of
from .table import NULL, Pending, WriteSection
from .views import KeyIterator

if TYPE_CHECKING:
    from typing import Self

    from .frozen_dict import FrozenDict

__all__ = ["ShardedDict"]

_SCRAMBLE = 0x9E3779B97F4A7C15  # 2**64 / golden ratio (Fibonacci hashing, Knuth vol. 3, 6.4)
_MASK = (1 << 64) - 1
MAX_SHARDS = 1024
_TRIES = 64


class _Shard(ConcurrentDict):
    """One of the tables; its events name the whole."""

    __slots__ = ("_whole",)

    _whole: weakref.ref[ShardedDict]

    def _event_table(self) -> Any:
        return self._whole()

    def _drop_snapshot(self, pending: Pending) -> None:
        super()._drop_snapshot(pending)
        whole = self._whole()
        if whole is not None and whole._snapshot is not None:
            pending.drop(whole._snapshot)
            whole._snapshot = None

    def __del__(self) -> None:
        """Nothing: the whole tells its watchers."""


class _Overlay(ForkMark):
    """What the keys of a batch map to while it is being committed, and whose batch it is."""

    __slots__ = ("changes", "everything", "outer")

    def __init__(self, changes: dict[Any, Any], everything: bool, outer: _Overlay | None) -> None:
        from .frozen_dict import FrozenDict

        super().__init__()
        self.changes = FrozenDict({key: (new,) for key, new in changes.items()})
        self.everything = everything
        self.outer = outer  # of a batch that a comparison of ours interrupted

    def find(self, key: Any) -> tuple[Any] | None:
        """The value after the batch (NULL: removed) as a 1-tuple; None for other keys."""
        hit: tuple[Any] | None = self.changes.get(key)
        if hit is None and self.everything:
            return (NULL,)
        if hit is None and self.outer is not None:
            return self.outer.find(key)
        return hit


_Shard.__name__ = "ShardedDict"  # what error messages call it


class ShardedDict(MappingAPI):
    """A mapping split over `shards` tables, so that many threads can write at once.

    Parameters: as for `dict`, and `shards`, a power of two from 1 to 1024 (so a key named
    "shards" cannot be given as a keyword argument). Not ordered; no `reversed`.
    Errors: as for `ConcurrentDict`; ValueError for a bad number of shards.
    Thread-safety: one-key operations, `snapshot`, `clear` and the `_many` operations are atomic;
    `len` is exact at rest and otherwise off by at most the calls in progress.

    >>> from concurrent_tables import ShardedDict
    >>> hits = ShardedDict(shards=4)
    >>> hits.increment("home")
    1
    >>> hits == {"home": 1}
    True
    """

    __slots__ = (
        "__weakref__",
        "_overlay",
        "_shards",
        "_shift",
        "_snapshot",
        "_watch",
        "_watch_mutex",
    )
    __module__ = "concurrent_tables"

    _overlay: _Overlay | None
    _shards: tuple[_Shard, ...]
    _shift: int
    _snapshot: tuple[list[int], FrozenDict] | None
    _watch: WatchState | None
    _watch_mutex: Mutex

    def __new__(cls, /, *args: Any, shards: int = 16, **kwargs: Any) -> Self:
        if not isinstance(shards, int) or isinstance(shards, bool):
            raise TypeError(f"{cls.__name__}: shards must be an int, not {type(shards).__name__}")
        if not 1 <= shards <= MAX_SHARDS or shards & (shards - 1):
            raise ValueError(
                f"{cls.__name__}: shards must be a power of two from 1 to {MAX_SHARDS}, "
                f"not {shards}"
            )
        self = object.__new__(cls)
        self._shards = tuple([_Shard() for _ in range(shards)])
        for shard in self._shards:
            shard._whole = weakref.ref(self)
        self._shift = 64 - (shards.bit_length() - 1)
        self._overlay = None
        self._watch = None
        self._watch_mutex = Mutex()
        self._snapshot = None
        if debug.ENABLED:
            debug.register(self)
        return self

    def __init__(self, other: Any = (), /, *, shards: int = 16, **kwargs: Any) -> None:
        self._update(other, kwargs)

    @property
    def shards(self) -> int:
        """The number of shards."""
        return len(self._shards)

    # -- one key: one shard ----------------------------------------------------------------------

    def _shard(self, key: Any) -> _Shard:
        return self._shards[((hash(key) * _SCRAMBLE) & _MASK) >> self._shift]

    def _present_overlay(self) -> _Overlay | None:
        """The overlay, unless its batch stayed behind in the parent of a fork."""
        overlay = self._overlay
        return None if overlay is None or overlay.void else overlay

    def _overlaid(self) -> bool:
        """Whether another thread is committing a batch.

        A comparison in a batch of our own reads the shards as far as they are committed.
        """
        overlay = self._present_overlay()
        return overlay is not None and overlay.owner != threading.get_ident()

    def _lookup(self, key: Any) -> Any:
        overlay = self._present_overlay()
        if overlay is not None:
            hit = overlay.find(key)
            if hit is not None:
                return hit[0]
        return self._shard(key)._lookup(key)

    def _transact(self, key: Any, expect: Any, new: Any) -> tuple[bool, Any]:
        return self._shard(key)._transact(key, expect, new)

    def popitem(self) -> tuple[Any, Any]:
        """Remove and return some (key, value); KeyError when empty. Atomic."""
        while True:
            version = self.keys_version
            for shard in self._shards:
                try:
                    return shard.popitem()
                except KeyError:
                    continue
            if self.keys_version == version and not self._overlaid():
                raise KeyError(f"popitem(): {type(self).__name__} is empty")

    # -- over all shards -------------------------------------------------------------------------

    def __len__(self) -> int:
        return sum(map(len, self._shards))

    @property
    def version(self) -> int:
        """The sum of the shards' versions: rises with every mutation. Lock-free."""
        return sum(shard._at_rest() for shard in self._shards)

    @property
    def keys_version(self) -> int:
        """As `version`, for changes of the set of keys only. Lock-free."""
        return sum(shard.keys_version for shard in self._shards)

    def _exclusive_parts(self) -> tuple[_Shard, ...]:
        return self._shards

    def _touch(self) -> None:
        """The shards note their sharing themselves."""

    def snapshot(self) -> FrozenDict:
        """A `FrozenDict` of one moment over all shards; the same again until a write. Atomic."""
        cached: Any = self._snapshot
        for _ in range(_TRIES):
            parts = self._collect(cached)
            if parts is not None:
                break
        else:
            with exclusive(self):
                parts = self._collect(cached)
                assert parts is not None, "the shards are held"
        if isinstance(parts, tuple):
            versions, tables = parts
            cached = self._snapshot = (versions, _joined(tables))
            if versions != [shard._started for shard in self._shards]:
                self._snapshot = None  # a write, which dropped the one before: keep nothing alive
        result: FrozenDict = cached[1]
        return result

    def _collect(self, cached: Any) -> Any:
        """(versions, snapshots) of one moment; True when `cached` is current; else None."""
        if self._overlaid():
            return None
        versions = [shard._at_rest() for shard in self._shards]
        if cached is not None and cached[0] == versions:
            tables = None
        else:
            tables = [shard.snapshot() for shard in self._shards]
        # The overlay first: a batch that has changed one shard, but not all, is overlaid still; one
        # that changes a shard after this look raises its `_started`.
        if self._overlaid() or versions != [shard._started for shard in self._shards]:
            return None
        return True if tables is None else (versions, tables)

    def get_many(self, keys: Iterable[Any], /) -> dict[Any, Any]:
        """A dict of those `keys` that are present, all values of one moment. Atomic."""
        wanted = list(keys)
        for _ in range(_TRIES):
            if self._overlaid():
                continue
            versions = [shard._at_rest() for shard in self._shards]
            found = {}
            for key in wanted:
                value = self._shard(key)._lookup(key)
                if value is not NULL:
                    found[key] = value
            if not self._overlaid() and versions == [shard._started for shard in self._shards]:
                return found
        return self.snapshot().get_many(wanted)

    def clear(self) -> None:
        """Remove everything, in one step. Atomic."""
        pendings: list[tuple[_Shard, Pending]] = []
        try:
            with exclusive(self):
                if any(shard._block.used for shard in self._shards):
                    self._overlay = _Overlay({}, True, outer := self._present_overlay())
                    try:
                        self._clear_shards(pendings)
                    finally:
                        self._overlay = outer
        finally:
            _finish(pendings)

    def _clear_shards(self, pendings: list[tuple[_Shard, Pending]]) -> None:
        full = [shard for shard in self._shards if shard._block.used]
        for shard in full:
            pending = Pending()
            pendings.append((shard, pending))
            while True:
                new = shard._empty_block()
                with WriteSection(shard):
                    last = shard is full[-1]
                    if self._clear_shard(shard, new, pending, last):
                        break

    def _clear_shard(self, shard: _Shard, new: Any, pending: Pending, last: bool) -> bool:
        """Empty one shard; the last one records the event for the whole."""
        block, version, watch = shard._block, shard._version, shard._watch
        if not shard._replace_block(block, new, version, pending, bump=1, rekey=1):
            return False
        if watch is not None:
            watch.version += 1
            if last:
                event = (EventKind.CLEARED, MISSING, MISSING, MISSING, watch.version)
                watch.log.append(event)
                pending.records.append(event)
        shard._committed(pending, None)
        return True

    def _batch(self, changes: dict[Any, Any]) -> dict[Any, Any]:
        groups: dict[int, tuple[_Shard, dict[Any, Any]]] = {}
        for key, new in changes.items():
            shard = self._shard(key)
            groups.setdefault(id(shard), (shard, {}))[1][key] = new
        if len(groups) <= 1:  # one shard publishes its part of the batch in one step anyway
            return next((shard._batch(part) for shard, part in groups.values()), {})
        pendings: list[tuple[_Shard, Pending]] = []
        try:
            with exclusive(self):  # all shards: there is one overlay
                plans, removed = self._batch_plans(groups, changes)
                self._overlay = _Overlay(changes, False, outer := self._present_overlay())
                try:
                    for (shard, part), plan in zip(groups.values(), plans, strict=True):
                        pending = Pending()
                        pendings.append((shard, pending))
                        if not shard._batch_commit(plan, pending):  # a finalizer of ours wrote
                            for key in part:
                                removed.pop(key, None)
                            removed |= shard._batch_pending(part, pending)
                finally:
                    self._overlay = outer
        finally:
            _finish(pendings)
        return removed

    def _batch_plans(
        self, groups: dict[int, tuple[_Shard, dict[Any, Any]]], changes: dict[Any, Any]
    ) -> tuple[list[BatchPlan], dict[Any, Any]]:
        """All comparisons of a batch, so that one that fails leaves every shard as it was.

        The caller keeps the writers of other threads out.
        """
        limit = RestartLimit(self, "a comparison of keys")
        while True:
            limit.start()
            plans = [shard._batch_plan(part) for shard, part in groups.values()]
            removed = removed_of(changes, {k: v for plan in plans for k, v in plan.gone.items()})
            if all(p.holds(shard) for (shard, _), p in zip(groups.values(), plans, strict=True)):
                return plans, removed
            limit.restart()

    # -- the rest of the mapping -----------------------------------------------------------------

    def _iterator(self, kind: type[KeyIterator], *, backwards: bool = False) -> Iterator[Any]:
        if backwards:
            raise TypeError(f"{type(self).__name__} is not ordered and cannot be reversed")
        return _Chain([kind(shard) for shard in self._shards])

    def _layout(self) -> Any:
        """What `inspect_table` walks."""
        from .layouts import sharded_layout

        return sharded_layout(self)

    __reversed__ = None  # else `reversed` would fall back to indexing from 0

    def _new_like(self) -> ShardedDict:
        return ShardedDict(shards=len(self._shards))

    def __reduce__(self) -> Any:
        count, items = len(self._shards), iter(self.snapshot().items())
        return new_sharded, (type(self), count), self.__getstate__(), None, items

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + sum(shard.__sizeof__() for shard in self._shards)

    @classmethod
    def fromkeys(cls, keys: Iterable[Any], value: Any = None, /) -> ShardedDict:
        """A new table with `value` under each of `keys`."""
        result = cls()
        for key in keys:
            result[key] = value
        return result

    def guard(self, *keys: Any) -> Guard:
        """A cached lookup of `keys`; see `Guard`."""
        return _ShardedGuard(self, keys)

    # -- watchers --------------------------------------------------------------------------------

    def watch(
        self,
        callback: Callable[[Event], object],
        *,
        kinds: EventKind | Iterable[EventKind] = ALL_KINDS,
        keys: Iterable[Any] | None = None,
    ) -> Watch:
        """Call `callback(event)` after every change; see `ConcurrentDict.watch`. Atomic."""
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
        """A `Subscription` to the changes; see `ConcurrentDict.subscribe`. Atomic."""
        subscription = Subscription(self, maxlen, Filter(kinds, keys))
        self._attach(subscription, subscription._filter)
        return subscription

    def _attach(self, listener: Watch | Subscription, wanted: Filter) -> None:
        with exclusive(self):
            state = self._watched_state()
            with CriticalSection(self._watch_mutex):
                wanted.since = state.version
                state.attach(listener)

    def _watched_state(self) -> WatchState:
        """The state of all shards, made when the first watcher comes; the shards are held."""
        state = self._watch
        if state is None:
            state = self._watch = WatchState(self.version, self._watch_mutex)
            for shard in self._shards:
                with WriteSection(shard):
                    shard._watch = state
        return state

    def _remove_watch(self, listener: Watch | Subscription) -> None:
        with CriticalSection(self._watch_mutex):
            state = self._watch
            if state is not None:
                state.detach(listener)

    def _set_watch_bit(self, bit: int, on: bool) -> None:
        with exclusive(self):
            state = self._watched_state()
            with CriticalSection(self._watch_mutex):
                state.mask = state.mask | bit if on else state.mask & ~bit

    def __del__(self) -> None:
        watch = getattr(self, "_watch", None)
        if watch is not None:
            watch.close(self)


class _Chain:
    """One iterator over all shards; as safe to share as its parts."""

    __slots__ = ("_parts",)

    def __init__(self, parts: list[Any]) -> None:
        self._parts = parts

    def __iter__(self) -> _Chain:
        return self

    def __next__(self) -> Any:
        for part in self._parts:
            for element in part:
                return element
        raise StopIteration

    def __length_hint__(self) -> int:
        return sum(part.__length_hint__() for part in self._parts)

    def __reduce__(self) -> Any:
        return iter, (list(self),)


class _ShardedGuard(Guard, ours=True):
    """A guard over keys of several shards."""

    __slots__ = ("_parts",)

    def __init__(self, table: ShardedDict, keys: tuple[Any, ...]) -> None:
        if not keys:
            raise TypeError("guard() takes at least one key")
        self._table = table
        self._keys = keys
        self._parts = [Guard(table._shard(key), (key,)) for key in keys]

    @property
    def refreshes(self) -> int:
        """How often keys had to be looked up again."""
        return sum(part.refreshes for part in self._parts)

    @property
    def valid(self) -> bool:
        """Whether the remembered entries still hold."""
        return all(part.valid for part in self._parts)

    def __call__(self) -> Any:
        table = self._table
        if not table._overlaid():
            version = table.version if len(self._parts) > 1 else 0
            values = tuple([part() for part in self._parts])
            if len(values) == 1:
                return values[0]
            if not table._overlaid() and version == sum(s._started for s in table._shards):
                return values
        found = table.get_many(self._keys)
        values = tuple([found.get(key, MISSING) for key in self._keys])
        return values if len(values) > 1 else values[0]


def _finish(pendings: list[tuple[_Shard, Pending]]) -> None:
    for shard, pending in pendings:
        pending.finish(shard)


def _joined(tables: list[FrozenDict]) -> FrozenDict:
    """One FrozenDict of disjoint ones."""
    from .frozen_dict import FrozenDict
    from .keys import build

    count = sum(map(len, tables))
    unicode = all(table._block.unicode for table in tables)
    items = (item for table in tables for item in table._block.items())
    return FrozenDict._from_block(build(items, count, unicode))


MutableMapping.register(ShardedDict)
