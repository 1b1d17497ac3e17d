"""`HashTable`: chained buckets with user-given hash, compare and destructors.

After CPython's Python/hashtable.c in what it does; how it does it is ours, because here several
threads meet. A chain of buckets.py never changes: a writer makes another one and stores it into the
slot, or, when the table grows or shrinks, makes another array and stores that. The user's `hash` and
`compare` run unlocked and unpinned (I6); afterwards a lookup goes on only if the table still has the
same array and the slot the same chain, else it starts again.

The table owns what it holds: an entry that is replaced or cleared, or that is still there when the
table dies, goes to `destroy_key` and `destroy_value`. When the table is shared this happens after a
grace period, and after every `foreach` that may still come across the entry (_walks.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import GenericAlias
from typing import TYPE_CHECKING, Any, NoReturn

from .._missing import MISSING, reject_missing
from .._walks import Destruction, Walks
from ..errors import TableDestroyedError, TableMutationError
from ..events import EventKind, Record
from .buckets import MIN_LOG2_SIZE, Buckets, Chain, Entry
from .critical_section import CriticalSection, Mutex
from .hashtable_functions import compare_identity, compare_str, hash_identity, hash_str
from .keys import HASH_MASK, MAX_OWN_RESTARTS, MISS
from .reclaim import IDLE, domain
from .table import Pending, Table, WriteSection

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "HashTable",
    "compare_identity",
    "compare_str",
    "hash_identity",
    "hash_str",
]

GROW_AT = 2 / 3  # entries per bucket
SHRINK_AT = 0.1


# These run no user code, so a lookup may call them pinned.
_TRUSTED = (compare_identity, compare_str)


class HashTable(Table):
    """A table of unordered pairs with hash and compare functions of your own.

    Parameters:

    - `hash(key) -> int`: any int; its low 64 bits count. `hash_identity` by default.
    - `compare(wanted, stored) -> truth value`: true for equal keys, which must have equal hashes.
      `compare_identity` by default. Asked only about keys with equal hashes.
    - `destroy_key(key)`, `destroy_value(value)`: called once for what the table lets go of by
      `set` (a key or value replaced by another object), `clear`, `destroy` or its own end, but not
      by `steal`. They run after the change, with no lock held; when other threads use the table,
      after a grace period and after every `foreach` that began before the change
      (`reclaim.flush()` forces the former). What they raise goes to `sys.unraisablehook`.
    - `grow_at`, `shrink_at`: entries per bucket above which the table doubles and below which it
      halves; it never has fewer than 16 buckets.

    Errors: TypeError when a function is not callable; ValueError unless
    0 <= shrink_at < grow_at / 2. Errors of `hash` and `compare` reach the caller and leave
    the table as it was. Not picklable: its functions belong to the process.
    Thread-safety: see docs/reference/thread-safety.md for every method.
    Source: CPython Python/hashtable.c.

    >>> from concurrent_tables import HashTable
    >>> table = HashTable(lambda key: hash(key.lower()), lambda a, b: a.lower() == b.lower())
    >>> table.set("Content-Length", 12)
    >>> table.get("content-length"), "CONTENT-LENGTH" in table, len(table)
    (12, True, 1)
    """

    __slots__ = (
        "_compare",
        "_configured",
        "_destroy_key",
        "_destroy_value",
        "_grow_at",
        "_hash",
        "_shrink_at",
        "_trusted",
        "_walks",
    )
    __module__ = "concurrent_tables"

    _configured: bool
    _walks: Walks

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Self:
        self = object.__new__(cls)
        self._init_table(Buckets(MIN_LOG2_SIZE))
        mutex = Mutex()
        self._walks = Walks(lambda: CriticalSection(mutex))
        self._configure(hash_identity, compare_identity, None, None)
        self._configured = False
        return self

    def __init__(
        self,
        hash: Callable[[Any], int] = hash_identity,
        compare: Callable[[Any, Any], object] = compare_identity,
        *,
        destroy_key: Callable[[Any], object] | None = None,
        destroy_value: Callable[[Any], object] | None = None,
        grow_at: float = GROW_AT,
        shrink_at: float = SHRINK_AT,
    ) -> None:
        for name, function in (("hash", hash), ("compare", compare)):
            if not callable(function):
                raise TypeError(f"HashTable: {name} must be callable, not {function!r}")
        for name, destroy in (("destroy_key", destroy_key), ("destroy_value", destroy_value)):
            if destroy is not None and not callable(destroy):
                raise TypeError(f"HashTable: {name} must be callable or None, not {destroy!r}")
        if not (math.isfinite(grow_at) and grow_at > 0):
            raise ValueError(
                f"HashTable: grow_at must be above 0 entries per bucket, not {grow_at!r}"
            )
        if not 0 <= shrink_at < grow_at / 2:
            raise ValueError(
                f"HashTable: shrink_at must be at least 0 and below half of grow_at ({grow_at!r}), "
                f"not {shrink_at!r}; a table that has just doubled would shrink again"
            )
        if self._configured:  # other threads may be calling the functions
            raise RuntimeError(
                "HashTable: its functions are set once, when it is made; make a new table"
            )
        self._configured = True
        self._configure(hash, compare, destroy_key, destroy_value, grow_at, shrink_at)

    def _configure(
        self,
        hash: Callable[[Any], int],
        compare: Callable[[Any, Any], object],
        destroy_key: Callable[[Any], object] | None,
        destroy_value: Callable[[Any], object] | None,
        grow_at: float = GROW_AT,
        shrink_at: float = SHRINK_AT,
    ) -> None:
        self._hash = hash
        self._compare = compare
        self._trusted = any(compare is function for function in _TRUSTED)
        self._destroy_key = destroy_key
        self._destroy_value = destroy_value
        self._grow_at = grow_at
        self._shrink_at = shrink_at

    # -- reads: no lock --------------------------------------------------------------------------

    def _hashed(self, key: Any) -> int:
        h = self._hash(key)
        if not isinstance(h, int):
            raise TypeError(
                f"{type(self).__name__}: the hash function must return an int, "
                f"not {type(h).__name__}"
            )
        return int.__and__(h, HASH_MASK)

    def _find(self, key: Any, h: int) -> tuple[Buckets, int, Chain, int]:
        """Look `key` up without a lock; (block, slot, chain, position in the chain or MISS)."""
        own_restarts = 0
        record = domain.pin()
        try:
            while True:
                block = self._live_block()
                slot = h & block.mask
                chain, writes = block.array[slot], record.writes
                for position, entry in enumerate(chain):
                    if entry.hash != h:
                        continue
                    if self._trusted:
                        equal = self._compare(key, entry.key)
                    else:
                        domain.unpin(record)
                        try:
                            equal = bool(self._compare(key, entry.key))
                        finally:
                            record.depth += 1
                            if record.sequence == IDLE:
                                record.sequence = domain.sequence
                        if self._block is not block or block.array[slot] is not chain:
                            break
                    if equal:
                        return block, slot, chain, position
                else:
                    return block, slot, chain, MISS
                if record.writes != writes:
                    own_restarts += 1
                    if own_restarts > MAX_OWN_RESTARTS:
                        self._reject_endless(key)
        finally:
            # In straight-line code: an exception that a signal handler raises cannot leave the pin.
            record.depth -= 1
            if record.depth == 0:
                record.sequence = IDLE

    def _live_block(self) -> Buckets:
        block: Buckets = self._block
        if block.destroyed:
            raise TableDestroyedError(
                f"{type(self).__name__}: the table was destroyed; make another one"
            )
        return block

    def _reject_endless(self, key: Any) -> NoReturn:
        raise TableMutationError(
            f"{type(self).__name__}: looking up {type(key).__name__} key cannot end, because the "
            "compare function changes the table at every comparison; make it free of side effects"
        )

    def get(self, key: Any, default: Any = None, /) -> Any:
        """The value of `key`, or `default`. Lock-free."""
        self._touch()
        _, _, chain, position = self._find(key, self._hashed(key))
        return default if position == MISS else chain[position].value

    def __contains__(self, key: Any, /) -> bool:
        self._touch()
        return self._find(key, self._hashed(key))[3] != MISS

    def size(self) -> int:
        """The number of entries. Lock-free."""
        self._touch()
        while True:
            version = self._at_rest()
            used = self._live_block().used
            if self._started == version:  # else the count may belong to a commit half done
                return used

    def __len__(self) -> int:
        return self.size()

    def _chains(self) -> tuple[Buckets, list[Chain]]:
        """The chains of one moment, which is that of the copy. Lock-free."""
        self._touch()
        record = domain.pin()
        try:
            while True:
                block = self._live_block()
                chains = block.array[:]
                if self._block is block:
                    return block, chains
        finally:
            # In straight-line code: an exception that a signal handler raises cannot leave the pin.
            record.depth -= 1
            if record.depth == 0:
                record.sequence = IDLE

    def foreach(self, callback: Callable[[Any, Any], object], /) -> Any:
        """Call `callback(key, value)` for the entries of one moment, in no particular order.

        Stops at the first result that is not None and returns it; None otherwise. Errors of the
        callback reach the caller. A callback that changes this table gets a TableMutationError from
        the changing call; other threads may change it meanwhile.
        Thread-safety: atomic (one snapshot); no lock is held while the callback runs.

        >>> from concurrent_tables import HashTable
        >>> table = HashTable()
        >>> table.set("a", 1)
        >>> table.foreach(lambda key, value: key if value == 1 else None)
        'a'
        """
        walk = self._walks.begin()
        try:
            for chain in self._chains()[1]:
                for entry in chain:
                    result = callback(entry.key, entry.value)
                    if result is not None:
                        return result
            return None
        finally:
            self._walks.end(walk)

    def stats(self) -> dict[str, Any]:
        """Counts of one moment. Atomic.

        `size` (entries), `buckets`, `load` (entries per bucket), `longest_chain` (entries),
        `empty_buckets`; `grown` and `shrunk`: how often the table doubled and halved so far.
        """
        block, chains = self._chains()
        lengths = [len(chain) for chain in chains]
        return {
            "size": sum(lengths),
            "buckets": len(lengths),
            "load": sum(lengths) / len(lengths),
            "longest_chain": max(lengths),
            "empty_buckets": lengths.count(0),
            "grown": block.grown,
            "shrunk": block.shrunk,
        }

    # -- writes ----------------------------------------------------------------------------------

    def _begin_write(self) -> None:
        if self._walks.mine():
            raise TableMutationError(
                f"{type(self).__name__}: a foreach callback must not change the table it walks; "
                "collect the changes and make them after foreach"
            )
        self._touch()

    def set(self, key: Any, value: Any, /) -> None:
        """Store `value` under `key`; an equal key is replaced, and so is its value. Atomic.

        The replaced objects are destroyed, unless they are the very ones that are stored.
        """
        if value is MISSING:
            reject_missing(self, key, value, False)
        self._begin_write()
        h = self._hashed(key)
        new = Entry(h, key, value)
        pending = Pending()
        try:
            while True:
                block, slot, chain, position = self._find(key, h)
                with WriteSection(self):
                    if self._block is not block or block.array[slot] is not chain:
                        continue
                    if position == MISS:
                        done = self._insert_held(block, slot, chain, new, pending)
                    else:
                        done = self._replace_held(block, slot, chain, position, new, pending)
                    if done:
                        return
        finally:
            pending.finish(self)

    def steal(self, key: Any, default: Any = None, /) -> Any:
        """Remove `key` and return its value, destroying nothing; `default` when absent. Atomic."""
        self._begin_write()
        h = self._hashed(key)
        pending = Pending()
        try:
            while True:
                block, slot, chain, position = self._find(key, h)
                if position == MISS:
                    return default
                with WriteSection(self):
                    if self._block is not block or block.array[slot] is not chain:
                        continue
                    if self._remove_held(block, slot, chain, position, pending):
                        return chain[position].value
        finally:
            pending.finish(self)

    def clear(self) -> None:
        """Remove and destroy everything, in one step; the table has 16 buckets again. Atomic."""
        self._begin_write()
        self._replace_all(Buckets(MIN_LOG2_SIZE))

    def destroy(self) -> None:
        """`clear()`, for good: every later use raises TableDestroyedError, `destroy` too. Atomic."""
        self._begin_write()
        new = Buckets(MIN_LOG2_SIZE)
        new.destroyed = True
        self._replace_all(new)

    def _insert_held(
        self, block: Buckets, slot: int, chain: Chain, new: Entry, pending: Pending
    ) -> bool:
        version = self._version
        event = self._record(EventKind.ADDED, new.key, MISSING, new.value)
        longer = (new, *chain)
        if block.used + 1 > self._grow_at * (block.mask + 1):
            larger = block.resized(block.log2_size + 1, slot, longer)
            return self._publish_buckets(block, larger, version, 1, event, pending)
        if not block.commit_chain(self, version, slot, longer, 1, event):
            return False
        self._committed(pending, event)
        return True

    def _replace_held(
        self, block: Buckets, slot: int, chain: Chain, position: int, new: Entry, pending: Pending
    ) -> bool:
        version, old = self._version, chain[position]
        event = self._record(EventKind.MODIFIED, new.key, old.value, new.value)
        replaced = (*chain[:position], new, *chain[position + 1 :])
        destruction = self._destruction_of([old], kept=new)
        if not block.commit_chain(self, version, slot, replaced, 0, event):
            return False
        self._committed(pending, event, old, destruction=destruction)
        return True

    def _remove_held(
        self, block: Buckets, slot: int, chain: Chain, position: int, pending: Pending
    ) -> bool:
        version, old = self._version, chain[position]
        event = self._record(EventKind.DELETED, old.key, old.value, MISSING)
        shorter = chain[:position] + chain[position + 1 :]
        buckets = block.mask + 1
        if block.log2_size > MIN_LOG2_SIZE and block.used - 1 < self._shrink_at * buckets:
            smaller = block.resized(block.log2_size - 1, slot, shorter)
            return self._publish_buckets(block, smaller, version, 1, event, pending)
        if not block.commit_chain(self, version, slot, shorter, -1, event):
            return False
        self._committed(pending, event, old)
        return True

    def _replace_all(self, new: Buckets) -> None:
        pending = Pending()
        try:
            while True:
                with WriteSection(self):
                    block, version = self._live_block(), self._version
                    if not block.used and block.log2_size == new.log2_size and not new.destroyed:
                        return
                    new.grown, new.shrunk = block.grown, block.shrunk
                    event, bump = None, 0
                    if block.used:
                        event = self._record(EventKind.CLEARED, MISSING, MISSING, MISSING)
                        bump = 1
                    destruction = self._destruction_of(block.entries())
                    if self._publish_buckets(
                        block, new, version, bump, event, pending, destruction
                    ):
                        return
        finally:
            pending.finish(self)

    def _publish_buckets(
        self,
        block: Buckets,
        new: Buckets,
        version: int,
        bump: int,
        event: Record | None,
        pending: Pending,
        destruction: Destruction | None = None,
    ) -> bool:
        """Commit a block in place of `block`; whether the plan was still good."""
        if not block.commit_block(self, version, new, bump, event):
            return False
        self._committed(pending, event, destruction=destruction)
        pending.drop_block(block)
        return True

    def _committed(
        self,
        pending: Pending,
        event: Record | None,
        *dropped: Any,
        destruction: Destruction | None = None,
    ) -> None:
        """Note what a commit unlinked and recorded; still inside the section."""
        domain.record().writes += 1
        pending.drop(*dropped)
        if destruction is not None:
            pending.dropped.append((destruction, 0, True))
        if event is not None:
            pending.records.append(event)

    def _destruction_of(
        self, entries: list[Entry], kept: Entry | None = None
    ) -> Destruction | None:
        """What is to be called for `entries`, but for the objects that `kept` keeps; or None."""
        calls: list[tuple[Callable[[Any], object], Any]] = []
        for entry in entries:
            if self._destroy_key is not None and (kept is None or entry.key is not kept.key):
                calls.append((self._destroy_key, entry.key))
            if self._destroy_value is not None and (kept is None or entry.value is not kept.value):
                calls.append((self._destroy_value, entry.value))
        return Destruction(calls, self._walks) if calls else None

    # -- the rest --------------------------------------------------------------------------------

    def __del__(self) -> None:
        super().__del__()
        if self._destroy_key is None and self._destroy_value is None:
            return
        # A destructor, or a watcher that brings the table back to life, finds it destroyed.
        block, self._block = self._block, Buckets(MIN_LOG2_SIZE)
        self._block.destroyed = True
        destruction = self._destruction_of(block.entries())
        if destruction is not None:
            destruction.run(ignored=(TableDestroyedError,))

    def __repr__(self) -> str:
        block = self._block
        state = (
            "destroyed" if block.destroyed else f"{block.used} entries in {block.mask + 1} buckets"
        )
        return f"<{type(self).__name__}: {state}>"

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + int(self._block.nbytes)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"cannot pickle or copy {type(self).__name__!r} object: its hash and compare functions, "
            "and the destructors that must run once, belong to this table"
        )

    __class_getitem__: Any = classmethod(GenericAlias)
