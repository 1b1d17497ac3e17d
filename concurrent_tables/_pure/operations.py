"""The operations that `dict` lacks: atomic, linearizable, and the same on every mutable mapping.

All of them are optimistic: read, run user code unlocked, then commit only if the value is still
the very object that was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .._inflight import compute_if_absent
from .._missing import MISSING, reject_missing
from .._pairs import pairs_of
from ..events import EventKind
from .guard import Guard
from .keys import MISS, RestartLimit, find
from .table import NULL, Pending, WriteSection

__all__ = ["AtomicOperations"]

_OPTIMISTIC_TRIES = 16


class AtomicOperations:
    """Mixed into the mappings; relies on `_lookup`, `_transact` and the block."""

    __slots__ = ()

    def compare_and_set(self: Any, key: Any, expected: Any, new: Any, /) -> bool:
        """Store `new` if the present value is `expected` (identical or equal); whether it was.

        `expected` may be MISSING: store only if `key` is absent. Thread-safety: atomic.

        >>> from concurrent_tables import MISSING, ConcurrentDict
        >>> table = ConcurrentDict()
        >>> table.compare_and_set("a", MISSING, 1), table.compare_and_set("a", 2, 3)
        (True, False)
        """
        reject_missing(self, key, new)
        return bool(self._compare_and_transact(key, expected, new))

    def compare_and_delete(self: Any, key: Any, expected: Any, /) -> bool:
        """Remove `key` if its value is `expected` (identical or equal); whether it was.

        With `expected` MISSING: true when `key` is absent. Thread-safety: atomic.
        """
        return bool(self._compare_and_transact(key, expected, NULL))

    def _compare_and_transact(self: Any, key: Any, expected: Any, new: Any) -> bool:
        if expected is MISSING:
            if new is NULL:
                return self._lookup(key) is NULL
            return bool(self._transact(key, NULL, new)[0])
        limit = RestartLimit(self, "the comparison of the value with the expected one")
        while True:
            limit.start()
            present = self._lookup(key)
            if present is NULL or not (present is expected or present == expected):
                return False
            if self._transact(key, present, new)[0]:
                return True
            limit.restart()

    def swap(self: Any, key: Any, new: Any, /) -> Any:
        """Store `new`; returns the old value, or MISSING. Thread-safety: atomic."""
        from .mapping_api import ANY

        reject_missing(self, key, new)
        old = self._transact(key, ANY, new)[1]
        return MISSING if old is NULL else old

    def compute(self: Any, key: Any, fn: Callable[[Any], Any], /) -> Any:
        """Replace the value by `fn(old)`; returns the new value.

        `old` is MISSING when the key is absent; returning MISSING deletes the key. `fn` runs with
        no lock held, and runs again when another thread changed the value meanwhile. What it
        raises leaves the table as it was. Thread-safety: atomic.
        """
        limit = RestartLimit(self, "the function given to compute()")
        while True:
            limit.start()
            present = self._lookup(key)
            new = fn(MISSING if present is NULL else present)
            if new is MISSING:
                if present is NULL or self._transact(key, present, NULL)[0]:
                    return MISSING
            elif self._transact(key, present, new)[0]:
                return new
            limit.restart()

    def compute_if_absent(self: Any, key: Any, factory: Callable[[], Any], /) -> Any:
        """The value of `key`; when absent, stores and returns `factory()`.

        One factory runs at a time for a key, with no lock held; other callers wait for it. When it
        raises, its caller gets the error and the next caller tries. Returning MISSING stores
        nothing. Raises RecursiveComputeError when the factory asks for its own key, and
        DeadlockError when factories of different threads wait for each other.
        Thread-safety: atomic.
        """
        from .dict import flights

        return compute_if_absent(flights, self, key, factory)

    def increment(self: Any, key: Any, delta: Any = 1, default: Any = 0) -> Any:
        """Add `delta` to the value (to `default` when absent); returns the sum.

        Thread-safety: atomic; a user-defined `__add__` runs unlocked and may run again.
        """
        limit = RestartLimit(self, "the addition of increment()")
        while True:
            limit.start()
            present = self._lookup(key)
            new = (default if present is NULL else present) + delta
            reject_missing(self, key, new)
            if self._transact(key, present, new)[0]:
                return new
            limit.restart()

    def get_many(self: Any, keys: Iterable[Any], /) -> dict[Any, Any]:
        """A dict of those `keys` that are present, all values of one moment.

        Thread-safety: atomic; lock-free unless writers interfere again and again.
        """
        wanted = list(keys)
        self._touch()
        for _ in range(_OPTIMISTIC_TRIES):
            version, block = self._version, self._block
            found = {}
            for key in wanted:
                where, _, _, value = find(self, key, hash(key))
                if where is not block:
                    break
                if value is not NULL:
                    found[key] = value
            else:
                if self._version == version and self._block is block:
                    return found
        snapshot: dict[Any, Any] = self.snapshot().get_many(wanted)
        return snapshot

    def update_many(self: Any, other: Any, /) -> None:
        """Store every pair of a mapping or iterable of pairs in one atomic step.

        Readers see all of it or nothing. Cost: a copy of the table's arrays when there is more
        than one pair. Errors: those of `dict.update`; the table is then unchanged.
        Thread-safety: atomic.
        """
        changes = dict(pairs_of(other))
        for key, value in changes.items():
            reject_missing(self, key, value)
        self._batch(changes)

    def pop_many(self: Any, keys: Iterable[Any], /) -> dict[Any, Any]:
        """Remove those `keys` that are present in one atomic step; returns them with their values.

        Cost and thread-safety as for `update_many`.
        """
        removed: dict[Any, Any] = self._batch(dict.fromkeys(keys, NULL))
        return removed

    def _batch(self: Any, changes: dict[Any, Any]) -> dict[Any, Any]:
        """Commit all of `changes` (NULL: delete) at once; returns the removed pairs."""
        self._touch()
        pending = Pending()
        try:
            removed: dict[Any, Any] = self._batch_pending(changes, pending)
            return removed
        finally:
            pending.finish(self)

    def _batch_pending(self: Any, changes: dict[Any, Any], pending: Pending) -> dict[Any, Any]:
        """`_batch`, leaving it to the caller to finish `pending`."""
        hashed = [(key, hash(key), new) for key, new in changes.items()]
        if not hashed:
            return {}
        limit = RestartLimit(self, "a comparison of keys")
        while True:
            limit.restart()
            limit.start()
            version, block = self._version, self._block
            # User comparisons run here, unlocked. If nothing was committed between
            # reading the version and validating it, the entry numbers are still right.
            places = [find(self, key, h)[:2] for key, h, _ in hashed]
            if any(where is not block for where, _ in places):
                continue
            plan = [(*change, ix) for change, (_, ix) in zip(hashed, places, strict=True)]
            with WriteSection(self):
                if self._version != version or self._block is not block:
                    continue
                removed = self._batch_held(block, version, plan, pending)
            if removed is not None:
                return removed  # type: ignore[no-any-return]

    def _batch_held(
        self: Any, block: Any, version: int, plan: list[Any], pending: Pending
    ) -> dict[Any, Any] | None:
        new_block, translate = block.batch_clone(any(new is NULL for _, _, new, _ in plan))
        removed: dict[Any, Any] = {}
        records: list[Any] = []
        dropped: list[Any] = []
        rekey = 0
        for key, h, new, found in plan:
            ix = found if found == MISS else translate(found)
            if ix == MISS:
                if new is NULL:
                    continue
                if not new_block.accepts(key):
                    # Entry numbers move: redo the whole plan in a block with room for all of it.
                    roomier = block.roomier_for(key, len(plan))
                    self._replace_block(block, roomier, version, pending)
                    return None
                new_block.append(key, h, new)
                records.append((EventKind.ADDED, key, MISSING, new))
                rekey += 1
                continue
            own_key, old = new_block.keys[ix], new_block.values[ix]
            if old is NULL:
                continue  # equal to a key that this one is not equal to: removed with that already
            if new is NULL:
                removed[key] = old  # under the key as given, as `get_many` does
                new_block.remove(ix)
                records.append((EventKind.DELETED, own_key, old, MISSING))
                dropped += [own_key, old]
                rekey += 1
            else:
                new_block.values[ix] = new
                records.append((EventKind.MODIFIED, own_key, old, new))
                dropped.append(old)
        if not records:
            return removed
        if not self._publish(block, new_block, version, pending, records, rekey):
            return None
        pending.drop(*dropped)
        return removed

    def guard(self: Any, *keys: Any) -> Guard:
        """A cached lookup of `keys`: see `Guard`. TypeError without keys or for unhashable ones."""
        return Guard(self, keys)
