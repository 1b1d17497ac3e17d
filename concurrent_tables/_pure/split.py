"""Split tables: many records of one shape share their keys.

      SharedKeys                       SplitDict "ann"          SplitDict "bob"
      +-------------------------+      +---------------------+  +------------------+
      | "name" | "age" | "mail" | <--- | "Ann" | 31 | "a@b"  |  | "Bob" | NULL | - |
      +-------------------------+      | order: 0 1 2        |  | order: 0         |
        entry 0   1       2            +---------------------+  +------------------+

A `SharedKeys` only ever grows, to at most 30 names, each appended under its own mutex: the name
first, then the index slot that publishes it (I3). Readers never lock. A record holds one value for
each shared name that it has, NULL elsewhere (I4), and the order in which its names came.

A record moves to a combined block of its own when a key is not a `str`, does not fit among the 30,
or when a key is deleted (a deletion leaves the shape; CPython up to 3.10 did the same). `clear`
begins again in the shape. Because a split record never deletes, its value slots are filled once
and the order only grows.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from .._waits import PerProcess
from ..events import Record
from . import debug
from .keys import COMPARE, MISS, DictKeys, build
from .mapping import MappingTable
from .table import NULL, Table

if TYPE_CHECKING:
    from typing import Self

    from .frozen_dict import FrozenDict

__all__ = ["MAX_SHARED_KEYS", "SharedKeys", "SplitDict"]

MAX_SHARED_KEYS = 30
_SHARED_LOG2_SIZE = 6  # two thirds of 64 slots hold 42 entries
_MIN_CAPACITY = 4


class SharedKeys:
    """The keys object that `SplitDict` records of one shape share.

    Parameters: `names`, an iterable of `str` known from the start; repeated names count once.
    Errors: TypeError for a name that is not a `str`, ValueError for more than 30.
    Thread-safety: reads are lock-free; records append names atomically.

    >>> from concurrent_tables import SharedKeys, SplitDict
    >>> person = SharedKeys(["name", "age"])
    >>> ann, bob = SplitDict(person, name="Ann", age=31), SplitDict(person, name="Bob")
    >>> ann["mail"] = "ann@example.org"
    >>> person.names
    ('name', 'age', 'mail')
    """

    __slots__ = ("__weakref__", "_keys", "_lock")
    __module__ = "concurrent_tables"

    def __init_subclass__(cls) -> None:
        raise TypeError("type 'concurrent_tables.SharedKeys' is not an acceptable base type")

    def __init__(self, names: Iterable[str] = (), /) -> None:
        self._keys = DictKeys(_SHARED_LOG2_SIZE, unicode=True)
        # A leaf: nothing else is taken, and no user code runs, while it is held. Re-entrant
        # because a finalizer may interrupt the holder.
        self._lock = PerProcess(threading.RLock)
        for name in names:
            if type(name) is not str:
                raise TypeError(f"SharedKeys: names must be str, not {type(name).__name__}")
            if self._index_of(name, append=True) == MISS:
                raise ValueError(
                    f"SharedKeys: no room for {name!r}: at most {MAX_SHARED_KEYS} names are "
                    "shared; keep further keys in the records"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """The shared names in the order in which they were appended."""
        keys = self._keys
        return tuple(keys.keys[: keys.used])

    def __len__(self) -> int:
        return self._keys.used

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, name: object, /) -> bool:
        return isinstance(name, str) and self._keys.locate(name, hash(name)) != MISS

    def __repr__(self) -> str:
        return f"SharedKeys({list(self.names)!r})"

    def __reduce__(self) -> Any:
        return SharedKeys, (self.names,)

    def _index_of(self, name: str, *, append: bool = False) -> int:
        """The entry of an exact `str`, or MISS; appended first when asked and there is room."""
        keys, h = self._keys, hash(name)
        ix = keys.locate(name, h)
        if ix != MISS or not append:
            return ix
        with self._lock():
            while True:
                count = keys.nentries
                ix, slot = keys.locate(name, h), keys.empty_slot(h)
                if ix != MISS or count >= MAX_SHARED_KEYS:
                    return ix
                # Straight-line: a finalizer that interrupted us and appended is seen here.
                if keys.nentries == count:
                    keys.keys[count] = name
                    keys.values[count] = name
                    keys.nentries = keys.top = count + 1
                    keys.index[slot] = count  # I3: publishes the complete entry
                    keys.used = count + 1
                    return count


class SplitKeys:
    """The block of a split record: its values, and the order of its keys."""

    __slots__ = ("held", "keys", "nentries", "order_log", "shared", "used", "values")

    kind = "split"
    deletes = False
    hashes = None
    unicode = True
    log2_size = _SHARED_LOG2_SIZE
    mask = (1 << _SHARED_LOG2_SIZE) - 1

    def __init__(self, shared: SharedKeys, capacity: int) -> None:
        self.shared = shared
        self.keys = shared._keys.keys  # that very list: it only grows
        self.values: list[Any] = [NULL] * capacity
        self.order_log = array("B", bytes(capacity))
        self.nentries = 0
        self.used = 0
        self.held = False

    @property
    def usable(self) -> int:
        """How many further names fit this record's values."""
        return len(self.values) - self.nentries

    @property
    def nbytes(self) -> int:
        """Size of the record's own arrays in bytes; the shared keys are not counted."""
        return 9 * len(self.values)

    @property
    def index(self) -> Any:
        """The shared index."""
        return self.shared._keys.index

    def entry_hash(self, ix: int) -> int:
        """The hash of a key (a `str` caches it)."""
        return hash(self.keys[ix])

    def _live(self, ix: int) -> bool:
        return ix < len(self.values) and self.values[ix] is not NULL

    def probe(self, key: Any, h: int, i: int, perturb: int) -> tuple[int, int, int, int]:
        """As `DictKeys.probe`, over the shared index; an entry without a value here is a miss."""
        while True:
            status, ix, i, perturb = self.shared._keys.probe(key, h, i, perturb)
            if status == MISS or (status == COMPARE and self._live(ix)):
                return status, ix, i, perturb
            if status != COMPARE:
                return (ix if self._live(ix) else MISS), ix, i, perturb

    def locate(self, key: Any, h: int) -> int:
        """The entry of `key` or MISS, for a block that does not change meanwhile."""
        ix = self.shared._keys.locate(key, h)
        return ix if ix != MISS and self._live(ix) else MISS

    def identical(self, key: Any, h: int) -> int:
        """The entry whose key is this very object, or MISS."""
        ix = self.shared._keys.identical(key, h)
        return ix if ix != MISS and self._live(ix) else MISS

    def hash_appended(self, h: int, since: int) -> bool:
        """Whether one of the keys that came from number `since` on has hash `h`."""
        return any(hash(self.keys[ix]) == h for ix in self.order_log[since : self.nentries])

    def accepts(self, key: Any) -> bool:
        """Whether `key` can be added here; appends it to the shared keys if need be."""
        if type(key) is not str:
            return False
        ix = self.shared._index_of(key, append=True)
        return ix != MISS and ix < len(self.values)

    def crowded_at(self, h: int) -> bool:
        """Never: a split record deletes nothing."""
        return False

    def roomier(self, key: Any) -> SplitKeys | DictKeys:
        """The block that replaces this one when it does not accept `key`."""
        return self.roomier_for(key, 1)

    def roomier_for(self, key: Any, more: int) -> SplitKeys | DictKeys:
        """A block with the same contents and room for `key`: split if it fits, else combined."""
        if type(key) is str and self.shared._index_of(key, append=True) != MISS:
            capacity = max(len(self.shared), 2 * len(self.values))
            return self._copy(min(MAX_SHARED_KEYS, capacity))
        return self.combined().roomier_for(key, more)

    def _copy(self, capacity: int) -> SplitKeys:
        copy = SplitKeys(self.shared, capacity)
        for ix in self.order():
            copy.append(self.keys[ix], 0, self.values[ix])
        return copy

    def append(self, key: Any, h: int, value: Any) -> int:
        """Add an entry to a block that is not published yet; `accepts(key)` was true."""
        ix = self.shared._index_of(key)
        self.values[ix] = value
        self.order_log[self.nentries] = ix
        self.nentries += 1
        self.used += 1
        return ix

    def clone(self) -> SplitKeys:
        """A copy with the same entry numbers."""
        return self._copy(len(self.values))

    def combined(self) -> DictKeys:
        """The same entries, in the same order, in a combined block."""
        return build(self.items(), self.used, unicode=True)

    def frozen_copy(self) -> DictKeys:
        """A copy for a FrozenDict."""
        return self.combined()

    def batch_clone(self, deletes: bool) -> SplitKeys | DictKeys:
        """A block to change and publish; `identical` finds an entry of this one in it."""
        return self.combined() if deletes else self.clone()

    def commit_insert(
        self, table: Table, version: int, key: Any, h: int, value: Any, event: Record | None
    ) -> bool:
        """Add an entry; False when the plan (version, block) no longer holds."""
        ix = self.shared._index_of(key)
        values, order_log, watch = self.values, self.order_log, table._watch
        # Straight-line from here to the end: nothing else can run in this thread.
        if table._version != version or table._block is not self:
            return False
        if watch is not None and (event is None or event[4] != watch.version + 1):
            return False  # watched since, or an event of another shard came first
        table._started = version + 1
        order_log[self.nentries] = ix
        self.nentries += 1
        self.used += 1
        values[ix] = value  # publishes the entry (I4)
        table._keys_version += 1
        table._version = version + 1
        if event is not None and watch is not None:
            watch.version = event[4]
            watch.log.append(event)
        return True

    commit_overwrite = DictKeys.commit_overwrite

    def commit_delete(self, *args: Any, **kwargs: Any) -> bool:
        """Never called: `deletes` is false, so the table moves to a combined block first."""
        raise AssertionError("a split block does not delete")

    def order(self) -> Sequence[int]:
        """Entry numbers in the order in which the keys came."""
        return self.order_log[: self.nentries]

    def last_live(self) -> int:
        """The youngest entry, or MISS."""
        return self.order_log[self.nentries - 1] if self.nentries else MISS

    def items(self) -> Iterator[tuple[Any, int, Any]]:
        """(key, hash, value) in order, for a block that does not change meanwhile."""
        for ix in self.order():
            yield self.keys[ix], hash(self.keys[ix]), self.values[ix]

    def release(self) -> None:
        """The grace period is over: in debug mode, make any further use an error."""
        if debug.ENABLED and not self.held:
            self.keys = self.values = self.order_log = debug.POISON


class SplitDict(MappingTable):
    """A record of a split table: the whole API of `ConcurrentDict`, keys shared with others.

    Parameters: `shared_keys`, the `SharedKeys` of the record's shape; then as for `dict`.
    Errors: TypeError when `shared_keys` is something else; otherwise those of `ConcurrentDict`.
    Thread-safety: as `ConcurrentDict`.
    Source: PEP 412 (key-sharing dictionary).

    >>> from concurrent_tables import SharedKeys, SplitDict, inspect_table
    >>> shape = SharedKeys()
    >>> row = SplitDict(shape, x=1, y=2)
    >>> inspect_table(row).kind
    'split'
    >>> row[3] = "not a str"
    >>> inspect_table(row).kind, list(row)
    ('general', ['x', 'y', 3])
    """

    __slots__ = ("_shared_keys",)
    __module__ = "concurrent_tables"

    _shared_keys: SharedKeys

    def __new__(cls, shared_keys: SharedKeys, /, *args: Any, **kwargs: Any) -> Self:
        if not isinstance(shared_keys, SharedKeys):
            raise TypeError(
                "SplitDict: the first argument must be the SharedKeys of the record, "
                f"not {type(shared_keys).__name__}"
            )
        self = object.__new__(cls)
        self._shared_keys = shared_keys
        self._init_table(self._empty_block())
        return self

    def __init__(self, shared_keys: SharedKeys, other: Any = (), /, **kwargs: Any) -> None:
        self._update(other, kwargs)

    @property
    def shared_keys(self) -> SharedKeys:
        """The keys object of the record's shape, also after the record became combined."""
        return self._shared_keys

    def _empty_block(self) -> SplitKeys:
        capacity = min(MAX_SHARED_KEYS, max(_MIN_CAPACITY, len(self._shared_keys)))
        return SplitKeys(self._shared_keys, capacity)

    def _block_of(self, frozen: FrozenDict) -> Any:
        block: Any = self._empty_block()
        for key, h, value in frozen._block.items():
            while not block.accepts(key):
                block = block.roomier_for(key, len(frozen))
            block.append(key, h, value)
        return block

    def _new_like(self) -> SplitDict:
        return SplitDict(self._shared_keys)

    def _new_arguments(self) -> tuple[Any, ...]:
        return (self._shared_keys,)

    @classmethod
    def fromkeys(cls, keys: Iterable[Any], value: Any = None, /) -> SplitDict:
        """A record with `value` under each of `keys` and a `SharedKeys` of its own."""
        result = cls(SharedKeys())
        for key in keys:
            result[key] = value
        return result


MutableMapping.register(SplitDict)
