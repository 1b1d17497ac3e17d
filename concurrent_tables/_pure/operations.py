"""The operations that `dict` lacks: atomic, linearizable, and the same on every mutable mapping.

All of them are optimistic: read, run user code unlocked, then commit only if the value is still
the very object that was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from .._inflight import compute_if_absent
from .._missing import MISSING, reject_missing
from .._pairs import pairs_of
from ..events import EventKind
from .guard import Guard
from .keys import MISS, RestartLimit, find
from .table import NULL, Pending, WriteSection

__all__ = ["AtomicOperations", "BatchPlan", "removed_of"]

_OPTIMISTIC_TRIES = 16


class BatchPlan(NamedTuple):
    """A batch of changes to one table, looked up and not committed yet."""

    block: Any
    version: int
    steps: list[Any]  # (key, hash, value or NULL, entry or MISS)
    gone: dict[int, Any]  # the values to be removed, by the `id` of the key as given

    def holds(self, table: Any) -> bool:
        """Whether nothing was committed since; for good only inside the section."""
        return bool(table._version == self.version and table._block is self.block)


def removed_of(changes: dict[Any, Any], gone: dict[int, Any]) -> dict[Any, Any]:
    """What `pop_many` returns, under the keys as given, as `get_many` does.

    Made before anything is removed: keys of one hash are compared here, which may fail.
    """
    removed = {}
    for key in changes:
        if id(key) in gone:
            removed[key] = gone[id(key)]
    if len(removed) != len(gone):
        raise RuntimeError(
            "pop_many: keys that were not equal are equal now, so nothing was removed; "
            "make their __eq__ answer the same every time"
        )
    return removed


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
        raises leaves the table as it was. TableMutationError: `fn` itself changes the value every
        time it runs. Thread-safety: atomic.
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
        changes = dict.fromkeys(keys, NULL)
        removed: dict[Any, Any] = self._batch(changes)
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
        limit = RestartLimit(self, "a comparison of keys")
        while True:
            limit.start()
            plan = self._batch_plan(changes)
            removed = removed_of(changes, plan.gone)
            if self._batch_commit(plan, pending):
                return removed
            limit.restart()

    def _batch_plan(self: Any, changes: dict[Any, Any]) -> BatchPlan:
        """What `changes` come to; user comparisons run here, unlocked."""
        hashed = [(key, hash(key), new) for key, new in changes.items()]
        limit = RestartLimit(self, "a comparison of keys")
        while True:
            limit.start()
            # If nothing is committed between reading the version and validating it in the section,
            # the entry numbers and the values are still right.
            version, block = self._version, self._block
            found = [find(self, key, h) for key, h, _ in hashed]
            if all(where is block for where, _, _, _ in found):
                steps = [(*change, ix) for change, (_, ix, _, _) in zip(hashed, found, strict=True)]
                seen: set[int] = {MISS}
                gone: dict[int, Any] = {}
                for (key, _, new, ix), (_, _, _, value) in zip(steps, found, strict=True):
                    # Else equal to a key that this one is not equal to: that one has it.
                    if new is NULL and ix not in seen:
                        seen.add(ix)
                        gone[id(key)] = value
                return BatchPlan(block, version, steps, gone)
            limit.restart()

    def _batch_commit(self: Any, plan: BatchPlan, pending: Pending) -> bool:
        """Commit what was planned, unless something was committed since."""
        if not plan.steps:
            return True
        with WriteSection(self):
            return plan.holds(self) and self._batch_held(plan, pending)

    def _batch_held(self: Any, plan: BatchPlan, pending: Pending) -> bool:
        block = plan.block
        new_block = block.batch_clone(bool(plan.gone))
        records: list[Any] = []
        dropped: list[Any] = []
        rekey = 0
        for key, h, new, found in plan.steps:
            if found == MISS:
                if new is NULL:
                    continue
                while not new_block.accepts(key):
                    new_block = new_block.roomier_for(key, len(plan.steps))
                new_block.append(key, h, new)
                records.append((EventKind.ADDED, key, MISSING, new))
                rekey += 1
                continue
            ix = new_block.identical(block.keys[found], h)
            if ix == MISS:
                continue  # removed already, with a key that was equal to it, too
            own_key, old = new_block.keys[ix], new_block.values[ix]
            if new is NULL:
                new_block.remove(ix)
                records.append((EventKind.DELETED, own_key, old, MISSING))
                dropped += [own_key, old]
                rekey += 1
            else:
                new_block.values[ix] = new
                records.append((EventKind.MODIFIED, own_key, old, new))
                dropped.append(old)
        if not records:
            return True
        if not self._publish(block, new_block, plan.version, pending, records, rekey):
            return False
        pending.drop(*dropped)
        return True

    def guard(self: Any, *keys: Any) -> Guard:
        """A cached lookup of `keys`: see `Guard`. TypeError without keys or for unhashable ones."""
        return Guard(self, keys)
