"""What `ConcurrentDict` and `SplitDict` have in common: the dict API over a keys block.

Every mutating call comes down to `_transact`: find the key without the lock, then in the section
check what was found, commit, or start again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .._missing import MISSING
from ..events import EventKind
from .critical_section import CriticalSection
from .keys import MISS, find
from .mapping_api import ANY, PRESENT, MappingAPI
from .reclaim import domain
from .table import NULL, RETRY, Pending, Table, WriteSection
from .views import KeyIterator

if TYPE_CHECKING:
    from .frozen_dict import FrozenDict

__all__ = ["MappingTable"]


class MappingTable(MappingAPI, Table):
    """A mapping with one keys block. Subclasses say what an empty block is."""

    __slots__ = ()

    def _empty_block(self) -> Any:
        """A block without entries, for a new or cleared table."""
        raise NotImplementedError

    # -- reads: no lock --------------------------------------------------------------------------

    def _lookup(self, key: Any) -> Any:
        """The value of `key`, or NULL."""
        self._touch()
        return find(self, key, hash(key))[3]

    def _iterator(self, kind: type[KeyIterator], *, backwards: bool = False) -> Iterator[Any]:
        return kind(self, backwards=backwards)

    def __reversed__(self) -> Iterator[Any]:
        return self._iterator(KeyIterator, backwards=True)

    def __len__(self) -> int:
        self._touch()
        while True:
            version = self._at_rest()
            used: int = self._block.used
            if self._started == version:  # else the count may belong to a commit half done
                return used

    # -- writes ----------------------------------------------------------------------------------

    def _transact(self, key: Any, expect: Any, new: Any) -> tuple[bool, Any]:
        """Store `new` (NULL: delete) if the present value is as expected.

        `expect`: ANY, PRESENT, NULL (absent), or the very object. Returns (done, old or NULL).
        """
        self._touch()
        h = hash(key)
        pending = Pending()
        try:
            while True:
                block, ix, seen, _ = find(self, key, h)
                with WriteSection(self):
                    outcome = self._transact_held(block, ix, seen, key, h, expect, new, pending)
                if outcome is not RETRY:
                    done: tuple[bool, Any] = outcome
                    return done
        finally:
            pending.finish(self)

    def _transact_held(
        self,
        block: Any,
        ix: int,
        seen: int,
        key: Any,
        h: int,
        expect: Any,
        new: Any,
        pending: Pending,
    ) -> Any:
        version = self._version
        if self._block is not block:
            return RETRY
        old = NULL
        if ix != MISS:
            old = block.values[ix]
            if old is NULL:  # deleted since it was found
                return RETRY
        elif block.nentries != seen and block.hash_appended(h, seen):
            return RETRY  # perhaps this key: look again
        present = old is not NULL
        if not (expect is ANY or old is expect or (expect is PRESENT and present)):
            return False, old
        if new is NULL:
            if not present:
                return True, NULL
            done = self._delete_held(block, version, ix, pending)
        elif present:
            done = self._overwrite_held(block, version, ix, new, pending)
        else:
            done = self._insert_held(block, version, key, h, new, pending)
        return (True, old) if done else RETRY

    def _overwrite_held(
        self, block: Any, version: int, ix: int, new: Any, pending: Pending
    ) -> bool:
        old = block.values[ix]
        event = self._record(EventKind.MODIFIED, block.keys[ix], old, new)
        if not block.commit_overwrite(self, version, ix, new, event):
            return False
        self._committed(pending, event, old)
        return True

    def _insert_held(
        self, block: Any, version: int, key: Any, h: int, new: Any, pending: Pending
    ) -> bool:
        if not block.accepts(key) or block.crowded_at(h):
            # Same contents in a roomier block; the caller then looks again and finds room.
            self._replace_block(block, block.roomier(key), version, pending)
            return False
        event = self._record(EventKind.ADDED, key, MISSING, new)
        if not block.commit_insert(self, version, key, h, new, event):
            return False
        self._committed(pending, event)
        return True

    def _delete_held(
        self, block: Any, version: int, ix: int, pending: Pending, *, youngest: bool = False
    ) -> bool:
        if not block.deletes:
            self._replace_block(block, block.combined(), version, pending)
            return False
        old, key = block.values[ix], block.keys[ix]
        event = self._record(EventKind.DELETED, key, old, MISSING)
        if not block.commit_delete(self, version, ix, event, youngest=youngest):
            return False
        self._committed(pending, event, key, old)
        return True

    def popitem(self) -> tuple[Any, Any]:
        """Remove and return the youngest (key, value); KeyError when empty. Atomic."""
        self._touch()
        pending = Pending()
        try:
            while True:
                with WriteSection(self):
                    block, version = self._block, self._version
                    ix = block.last_live()
                    if ix == MISS:
                        break
                    item = block.keys[ix], block.values[ix]
                    if self._delete_held(block, version, ix, pending, youngest=True):
                        return item
        finally:
            pending.finish(self)
        raise KeyError(f"popitem(): {type(self).__name__} is empty")

    def clear(self) -> None:
        """Remove everything, in one step. Atomic."""
        self._touch()
        pending = Pending()
        try:
            while True:
                new = self._empty_block()
                with WriteSection(self):
                    block, version = self._block, self._version
                    if block.used == 0 or self._publish(
                        block, new, version, pending, [(EventKind.CLEARED, *[MISSING] * 3)]
                    ):
                        return
        finally:
            pending.finish(self)

    # -- whole-table reads: one atomic snapshot --------------------------------------------------

    def snapshot(self) -> FrozenDict:
        """A `FrozenDict` of one moment; the same object again until the next write.

        Cost: one copy of the arrays after a write, else nothing. Thread-safety: atomic.
        """
        from .frozen_dict import FrozenDict

        self._touch()
        cached = self._snapshot
        if cached is not None and cached[0] == self._started:
            return cached[1]  # type: ignore[no-any-return]
        while True:
            with CriticalSection(self._mutex):  # not `WriteSection`: readers pass gates
                block, version = self._block, self._version
                frozen = block.frozen_copy()
                if self._version == version and self._block is block:
                    snapshot = FrozenDict._from_block(frozen)
                    self._snapshot = (version, snapshot)
                    return snapshot

    def __sizeof__(self) -> int:
        self._touch()
        record = domain.pin()
        try:
            return object.__sizeof__(self) + int(self._block.nbytes)
        finally:
            domain.unpin(record)

    # -- filling ---------------------------------------------------------------------------------

    def _fill_empty(self, source: Any) -> bool:
        """Fill an empty table from a whole mapping in one step; False when it is not empty."""
        from .frozen_dict import FrozenDict

        if self._block.used or not source:
            return False
        self._touch()
        frozen = FrozenDict(source)
        if any(value is MISSING for value in frozen.values()):
            return False  # the ordinary way names the key
        pending = Pending()
        try:
            while True:
                new = self._block_of(frozen)
                with WriteSection(self):
                    block, version = self._block, self._version
                    if block.used:
                        return False
                    change = (EventKind.CLONED, MISSING, MISSING, frozen)
                    if self._publish(block, new, version, pending, [change]):
                        return True
        finally:
            pending.finish(self)

    def _block_of(self, frozen: FrozenDict) -> Any:
        """A block with the contents of `frozen`, for an empty table."""
        return frozen._block.clone()
