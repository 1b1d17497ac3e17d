"""What `ConcurrentDict` and `SplitDict` have in common: the dict API over a keys block.

Every mutating call comes down to `_transact`: find the key without the lock, then in the section
check what was found, commit, or start again.
"""

from __future__ import annotations

import copyreg
from collections.abc import Iterable, Iterator, Mapping
from reprlib import recursive_repr
from types import GenericAlias
from typing import TYPE_CHECKING, Any

from .._missing import MISSING, reject_missing
from ..events import EventKind
from .keys import MISS, DictKeys, find
from .operations import AtomicOperations
from .reclaim import domain
from .table import NULL, RETRY, Pending, Table, WriteSection
from .views import ItemsView, KeyIterator, KeysView, ValuesView

if TYPE_CHECKING:
    from typing_extensions import Self

    from .frozen_dict import FrozenDict

__all__ = ["ANY", "PRESENT", "MappingTable", "is_mapping", "pairs_of"]

# What `_transact` requires of the present value; any other object means "this very object".
ANY: Any = object()
PRESENT: Any = object()
_NO_DEFAULT: Any = object()


class MappingTable(AtomicOperations, Table):
    """The dict API. Subclasses say what an empty block is."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def _empty_block(self) -> Any:
        """A block without entries, for a new or cleared table."""
        raise NotImplementedError

    # -- reads: no lock --------------------------------------------------------------------------

    def _lookup(self, key: Any) -> Any:
        """The value of `key`, or NULL."""
        self._touch()
        return find(self, key, hash(key))[3]

    def __getitem__(self, key: Any, /) -> Any:
        value = self._lookup(key)
        if value is NULL:
            missing = getattr(type(self), "__missing__", None)
            if missing is None:
                raise KeyError(key)
            return missing(self, key)
        return value

    def get(self, key: Any, default: Any = None, /) -> Any:
        """The value of `key`, or `default`. Lock-free."""
        value = self._lookup(key)
        return default if value is NULL else value

    def __contains__(self, key: Any, /) -> bool:
        return self._lookup(key) is not NULL

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
        if not block.accepts(key):
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

    def _committed(self, pending: Pending, event: Any, *dropped: Any) -> None:
        """Note what a commit unlinked and recorded; still inside the section."""
        domain.record().writes += 1
        pending.drop(*dropped)
        if event is not None:
            pending.records.append(event)

    def __setitem__(self, key: Any, value: Any, /) -> None:
        if value is MISSING:
            reject_missing(self, key, value)
        self._transact(key, ANY, value)

    def __delitem__(self, key: Any, /) -> None:
        if self._transact(key, PRESENT, NULL)[1] is NULL:
            raise KeyError(key)

    def pop(self, key: Any, default: Any = _NO_DEFAULT, /) -> Any:
        """Remove `key` and return its value; `default`, or KeyError, when absent. Atomic."""
        old = self._transact(key, PRESENT, NULL)[1]
        if old is not NULL:
            return old
        if default is _NO_DEFAULT:
            raise KeyError(key)
        return default

    def setdefault(self, key: Any, default: Any = None, /) -> Any:
        """The value of `key`, stored as `default` first when absent. Atomic."""
        if default is MISSING:
            reject_missing(self, key, default)
        value = self._lookup(key)  # the common case takes no lock
        if value is not NULL:
            return value
        stored, old = self._transact(key, NULL, default)
        return default if stored else old

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
                        block, new, version, pending, [(EventKind.CLEARED, MISSING, MISSING, MISSING)]
                    ):
                        return
        finally:
            pending.finish(self)

    def _publish(
        self, block: Any, new: Any, version: int, pending: Pending, changes: list[Any], rekey: int = 1
    ) -> bool:
        """Commit a block with other contents and the records of `changes` in one step."""
        watch, count = self._watch, len(changes)
        events = []
        if watch is not None:
            first = watch.version + 1
            events = [(*change, first + offset) for offset, change in enumerate(changes)]
        if not self._replace_block(block, new, version, pending, bump=count, rekey=rekey):
            return False
        if watch is not None:
            watch.version += count
            watch.log.extend(events)
            pending.records += events
        self._committed(pending, None)
        return True

    # -- whole-table reads: one atomic snapshot --------------------------------------------------

    def snapshot(self) -> FrozenDict[Any, Any]:
        """A `FrozenDict` of one moment; the same object again until the next write.

        Cost: one copy of the arrays after a write, else nothing. Thread-safety: atomic.
        """
        from .frozen_dict import FrozenDict

        self._touch()
        cached = self._snapshot
        if cached is not None and cached[0] == self._started:
            return cached[1]  # type: ignore[no-any-return]
        while True:
            with WriteSection(self):
                block, version = self._block, self._version
                frozen = block.frozen_copy()
                if self._version == version and self._block is block:
                    snapshot = FrozenDict._from_block(frozen)
                    self._snapshot = (version, snapshot)
                    return snapshot

    def __eq__(self, other: object, /) -> bool:
        if not is_mapping(other):
            return NotImplemented
        return self is other or self.snapshot() == other

    @recursive_repr("{...}")
    def _repr_items(self) -> str:
        return repr(dict(self.snapshot().items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._repr_items()})"

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + int(self._block.nbytes)

    # -- views and iteration: weakly consistent --------------------------------------------------

    def __iter__(self) -> Iterator[Any]:
        return KeyIterator(self)

    def __reversed__(self) -> Iterator[Any]:
        return KeyIterator(self, backwards=True)

    def keys(self) -> KeysView:
        """A set-like view of the keys."""
        return KeysView(self)

    def values(self) -> ValuesView:
        """A view of the values."""
        return ValuesView(self)

    def items(self) -> ItemsView:
        """A set-like view of the (key, value) pairs."""
        return ItemsView(self)

    # -- filling ---------------------------------------------------------------------------------

    def update(self, other: Any = (), /, **kwargs: Any) -> None:
        """Store every pair of a mapping or iterable, then the keyword arguments.

        Each key is stored atomically; filling an *empty* table from a dict or a table of this
        package is one atomic step. `update_many` is atomic as a whole.
        """
        if is_mapping(other):
            if not self._fill_empty(other):
                for key, value in pairs_of(other):
                    self[key] = value
        else:
            for key, value in pairs_of(other):
                self[key] = value
        for name, value in kwargs.items():
            self[name] = value

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

    def _block_of(self, frozen: FrozenDict[Any, Any]) -> Any:
        """A block with the contents of `frozen`, for an empty table."""
        return frozen._block.clone()

    def __ior__(self, other: Any, /) -> Self:
        self.update(other)
        return self

    def __or__(self, other: Any, /) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        result = self.copy()
        result.update(other)
        return result

    def __ror__(self, other: Any, /) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        result = self._new_like()
        result.update(other)
        result.update(self.snapshot())
        return result

    def copy(self) -> Any:
        """A new table with the contents of one moment. Atomic."""
        result = self._new_like()
        result.update(self.snapshot())
        return result

    def _new_like(self) -> Any:
        """An empty table of the package's type (not of a subclass), as `dict` does."""
        raise NotImplementedError

    def __copy__(self) -> Any:
        # copy.copy keeps a subclass and its attributes, `copy()` does not; as for dict.
        function, arguments, state, _, items = self.__reduce__()
        result = function(*arguments)
        if state is not None:
            result.__dict__.update(state)
        for key, value in items:
            result[key] = value
        return result

    def __reduce__(self) -> Any:
        state = getattr(self, "__dict__", None) or None
        return (
            copyreg.__newobj__,  # type: ignore[attr-defined]
            (type(self), *self._new_arguments()),
            state,
            None,
            iter(self.snapshot().items()),
        )

    def _new_arguments(self) -> tuple[Any, ...]:
        """What `__new__` needs to make an empty table like this one."""
        return ()

    __class_getitem__ = classmethod(GenericAlias)


def is_mapping(other: object) -> bool:
    """Whether `other` is a dict or a mapping of this package (either implementation)."""
    return isinstance(other, dict) or getattr(type(other), "_is_table_mapping", False) is True


def pairs_of(other: Any) -> Iterable[tuple[Any, Any]]:
    """The pairs of a mapping (one atomic snapshot where it has one) or of an iterable of pairs.

    Raises what `dict.update` raises for malformed input.
    """
    snapshot = getattr(type(other), "snapshot", None)
    if snapshot is not None and is_mapping(other):
        return snapshot(other).items()  # type: ignore[no-any-return]
    if type(other) is dict:
        return list(other.items())
    if hasattr(other, "keys"):
        return ((key, other[key]) for key in other.keys())
    return _checked_pairs(other)


def _checked_pairs(iterable: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    for number, element in enumerate(iterable):
        try:
            pair = tuple(element)
        except TypeError:
            raise TypeError(
                f"cannot convert dictionary update sequence element #{number} to a sequence"
            ) from None
        if len(pair) != 2:
            raise ValueError(
                f"dictionary update sequence element #{number} has length {len(pair)}; "
                "2 is required"
            )
        yield pair


MappingTable._is_table_mapping = True  # type: ignore[attr-defined]
