"""`ConcurrentSet`: a set of which every method is one atomic step.

A change of one element works in place, as in the mappings: find without the lock, check and commit
in the section, or start again. A change of many elements is decided inside one section, from
operands gathered before it and comparisons asked outside it (`Comparisons`), and published as
a new block in one store. So neither length nor membership can be seen half way, and a call
that fails has changed nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableSet, Set
from typing import TYPE_CHECKING, Any

from .._copies import copied
from .._missing import MISSING
from .._pairs import is_mapping
from ..events import EventKind
from .critical_section import CriticalSection
from .frozen_set import FrozenSet
from .keys import MISS
from .reclaim import domain
from .set_keys import Comparisons, SetKeys, find_member, reject_endless
from .set_operations import SetReads, gathered, is_set, lookup_key, operand_block
from .table import Pending, Table, WriteSection

if TYPE_CHECKING:
    from typing import Self

__all__ = ["ConcurrentSet"]

# Slots to empty and (key, hash) pairs to add. A plan runs inside the section, on the table's block.
_Changes = tuple[list[int], list[tuple[Any, int]]]
_Plan = Callable[[SetKeys, Comparisons], _Changes]


class ConcurrentSet(SetReads, Table):
    """A set that any number of threads may read and write.

    The whole API of `set`; *every* method is atomic, `update` with several iterables, the in-place
    operators and the constructor included: other threads see all of a change or nothing of it.
    Reads take no lock; writes exclude each other.

    Differences from `set`: iteration is weakly consistent and never raises because of a change;
    a method that raises has changed nothing; operators take any `collections.abc.Set`
    (dict views too) and return a ConcurrentSet; in-place intersections keep this set's own
    objects; once the set is shared, finalizers of removed elements run after a grace period
    (`reclaim.flush()` forces them).

    Parameters: `iterable` of hashable elements. Errors: as for `set`.
    Thread-safety: every method is atomic; see docs/reference/thread-safety.md.
    Source: CPython Objects/setobject.c for the layout; docs/explanation for the rest.

    >>> from concurrent_tables import ConcurrentSet
    >>> seen = ConcurrentSet([1, 2])
    >>> seen.add(3)
    >>> seen -= {1}
    >>> seen == {2, 3}, 1 in seen, seen.freeze()
    (True, False, FrozenSet({2, 3}))
    """

    __slots__ = ()
    __module__ = "concurrent_tables"
    __hash__ = None  # type: ignore[assignment]

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Self:
        self = object.__new__(cls)
        self._init_table(SetKeys())
        return self

    def __init__(self, iterable: Iterable[Any] = (), /) -> None:
        blocks, error = gathered((iterable,))
        theirs = blocks[0]

        def plan(block: SetKeys, compare: Comparisons) -> _Changes:
            return _missing_from(block, [theirs], compare), _new_to(block, theirs, compare)

        self._change(plan, theirs)
        if error is not None:
            raise error

    # -- reads: no lock --------------------------------------------------------------------------

    def __contains__(self, item: Any, /) -> bool:
        self._touch()
        return find_member(self, *lookup_key(item))[1] != MISS

    def __len__(self) -> int:
        self._touch()
        while True:
            version = self._at_rest()
            used: int = self._block.used
            if self._started == version:  # else the count may belong to a commit half done
                return used

    def snapshot(self) -> FrozenSet:
        """A `FrozenSet` of one moment; the same object again until the next write.

        Cost: one copy of the arrays after a write, else nothing. Thread-safety: atomic.
        """
        self._touch()
        cached = self._snapshot
        if cached is not None and cached[0] == self._started:
            return cached[1]  # type: ignore[no-any-return]
        while True:
            with CriticalSection(self._mutex):
                block, version = self._block, self._version
                frozen = block.frozen_copy()
                if self._version == version and self._block is block:
                    snapshot = FrozenSet._from_block(frozen)
                    self._snapshot = (version, snapshot)
                    return snapshot

    def freeze(self) -> FrozenSet:
        """The same as `snapshot()`."""
        return self.snapshot()

    def _frozen_block(self) -> SetKeys:
        return self.snapshot()._block

    def _result(self, block: SetKeys) -> ConcurrentSet:
        result = object.__new__(ConcurrentSet)
        result._init_table(block)
        return result

    def _is_operand(self, other: object) -> bool:
        return isinstance(other, Set)

    # -- changes of one element ------------------------------------------------------------------

    def add(self, item: Any, /) -> None:
        """Add an element; an equal one that is there stays. Atomic."""
        self._touch()
        h = hash(item)
        pending = Pending()
        try:
            while True:
                block, slot, seen, _ = find_member(self, item, h)
                if slot != MISS:
                    return
                with WriteSection(self):
                    version = self._version
                    if self._block is not block:
                        continue
                    if block.fill != seen and block.hash_added(h, seen):
                        continue  # perhaps this element: look again
                    if self._insert_held(block, version, item, h, pending):
                        return
        finally:
            pending.finish(self)

    def discard(self, item: Any, /) -> None:
        """Remove an element if it is there. Atomic."""
        self._remove(item)

    def remove(self, item: Any, /) -> None:
        """Remove an element; KeyError when it is not there. Atomic."""
        if not self._remove(item):
            raise KeyError(item)

    def _remove(self, item: Any) -> bool:
        self._touch()
        key, h = lookup_key(item)
        pending = Pending()
        try:
            while True:
                block, slot, _, found = find_member(self, key, h)
                if slot == MISS:
                    return False
                with WriteSection(self):
                    version = self._version
                    if self._block is not block or block.keys[slot] is not found:
                        continue
                    if self._delete_held(block, version, slot, pending):
                        return True
        finally:
            pending.finish(self)

    def pop(self) -> Any:
        """Remove and return some element; KeyError when there is none. Atomic."""
        self._touch()
        pending = Pending()
        try:
            while True:
                with WriteSection(self):
                    block, version = self._block, self._version
                    slot = block.first_live()
                    if slot == MISS:
                        break
                    item = block.keys[slot]
                    if self._delete_held(block, version, slot, pending):
                        return item
        finally:
            pending.finish(self)
        raise KeyError(f"pop(): {type(self).__name__} is empty")

    def _insert_held(
        self, block: SetKeys, version: int, key: Any, h: int, pending: Pending
    ) -> bool:
        if not block.usable or block.crowded_at(h):
            # Same contents in a roomier block; the caller then looks again and finds room.
            self._replace_block(block, block.roomier(), version, pending)
            return False
        event = self._record(EventKind.ADDED, key, MISSING, MISSING)
        if not block.commit_insert(self, version, key, h, event):
            return False
        self._committed(pending, event)
        return True

    def _delete_held(self, block: SetKeys, version: int, slot: int, pending: Pending) -> bool:
        key = block.keys[slot]
        event = self._record(EventKind.DELETED, key, MISSING, MISSING)
        if not block.commit_delete(self, version, slot, event):
            return False
        pending.drop(key)
        self._committed(pending, event)
        return True

    # -- changes of many elements: one step ------------------------------------------------------

    def clear(self) -> None:
        """Remove everything, in one step. Atomic."""
        self._touch()
        pending = Pending()
        try:
            while True:
                new = SetKeys()
                with WriteSection(self):
                    block, version = self._block, self._version
                    change = (EventKind.CLEARED, MISSING, MISSING, MISSING)
                    if block.used == 0 or self._publish(block, new, version, pending, [change]):
                        return
        finally:
            pending.finish(self)

    def update(self, *others: Iterable[Any]) -> None:
        """Add the elements of all others, in one step. Atomic.

        Filling an empty set from one whole set or mapping is one CLONED event.
        """
        if not others or self._is_itself(others):
            return
        blocks, error = gathered(others)
        theirs = blocks[0]
        if len(blocks) > 1:
            theirs = theirs.clone()
            for block in blocks[1:]:
                theirs = theirs.extended(block.items())
        whole = len(others) == 1 and (is_set(others[0]) or is_mapping(others[0]))
        self._change(lambda block, compare: ([], _new_to(block, theirs, compare)), theirs, whole)
        if error is not None:
            raise error

    def intersection_update(self, *others: Iterable[Any]) -> None:
        """Keep only the elements that all others have too, in one step. Atomic."""
        if not others or self._is_itself(others):
            return
        theirs = [(operand_block(other), is_set(other)) for other in others]
        self._change(lambda block, compare: _intersected(block, theirs, compare))

    def difference_update(self, *others: Iterable[Any]) -> None:
        """Remove the elements of all others, in one step. Atomic."""
        theirs, error = gathered(others)
        self._change(lambda block, compare: (_found_in(block, theirs, compare), []))
        if error is not None:
            raise error

    def symmetric_difference_update(self, other: Iterable[Any], /) -> None:
        """Remove the elements that `other` has too, add those that only it has, in one step.

        Thread-safety: atomic.
        """
        if self._is_itself((other,)):
            # Else what another thread removes between the reading and the change would come back.
            return ConcurrentSet.difference_update(self, other)
        theirs = operand_block(other)

        def plan(block: SetKeys, compare: Comparisons) -> _Changes:
            return _found_in(block, [theirs], compare), _new_to(block, theirs, compare)

        self._change(plan, theirs)

    def _is_itself(self, others: tuple[Any, ...]) -> bool:
        """Whether the only operand is this set, which then keeps what it has at the change."""
        return len(others) == 1 and others[0] is self

    def __ior__(self, other: Any, /) -> Self:
        if not self._is_operand(other):
            return NotImplemented
        ConcurrentSet.update(self, other)
        return self

    def __iand__(self, other: Any, /) -> Self:
        if not self._is_operand(other):
            return NotImplemented
        ConcurrentSet.intersection_update(self, other)
        return self

    def __isub__(self, other: Any, /) -> Self:
        if not self._is_operand(other):
            return NotImplemented
        ConcurrentSet.difference_update(self, other)
        return self

    def __ixor__(self, other: Any, /) -> Self:
        if not self._is_operand(other):
            return NotImplemented
        ConcurrentSet.symmetric_difference_update(self, other)
        return self

    def _change(self, plan: _Plan, source: SetKeys | None = None, whole: bool = False) -> None:
        """Commit what `plan` says in one step.

        `source`: the elements that an empty set then consists of; `whole`: they were a whole set
        or mapping.
        """
        self._touch()
        compare, pending, own_restarts = Comparisons(), Pending(), 0
        record = domain.record()
        try:
            while True:
                with WriteSection(self):
                    if self._change_held(plan, compare, source, whole, pending):
                        return
                writes = record.writes
                if compare.asked:
                    key = compare.asked[0][1]
                    compare.ask()
                    if record.writes != writes:
                        own_restarts += 1
                        reject_endless(self, key, own_restarts)
        finally:
            pending.finish(self)

    def _change_held(
        self,
        plan: _Plan,
        compare: Comparisons,
        source: SetKeys | None,
        whole: bool,
        pending: Pending,
    ) -> bool:
        block, version = self._block, self._version
        removals, additions = plan(block, compare)
        if compare.asked:
            return False
        count = len(removals) + len(additions)
        if count == 0:
            return bool(self._version == version and self._block is block)
        fill = None if block.used else source  # what an empty set becomes
        if fill is not None and whole:
            cloned = (EventKind.CLONED, MISSING, MISSING, FrozenSet._from_block(fill))
            return self._publish(block, fill.clone(), version, pending, [cloned])
        if count == 1:  # one element: in place
            if removals:
                return self._delete_held(block, version, removals[0], pending)
            return self._insert_held(block, version, *additions[0], pending)
        new = block.changed(removals, additions) if fill is None else fill.clone()
        changes: list[Any] = [
            (EventKind.DELETED, block.keys[slot], MISSING, MISSING) for slot in removals
        ]
        changes += [(EventKind.ADDED, key, MISSING, MISSING) for key, _ in additions]
        return self._publish(block, new, version, pending, changes, rekey=count)

    # -- the rest --------------------------------------------------------------------------------

    def __copy__(self) -> Any:
        # copy.copy keeps a subclass and its attributes, `copy()` does not; as for set.
        return copied(self)

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + int(self._block.nbytes)


def _new_to(block: SetKeys, theirs: SetKeys, compare: Comparisons) -> list[tuple[Any, int]]:
    """The elements of `theirs` that `block` lacks."""
    if not block.used:
        return list(theirs.items())
    return [(key, h) for key, h in theirs.items() if compare.locate(block, key, h) == MISS]


def _missing_from(block: SetKeys, theirs: list[SetKeys], compare: Comparisons) -> list[int]:
    """The slots of the elements that not all of `theirs` have."""
    return [
        slot
        for slot, key, h in block.live()
        if any(compare.locate(their, key, h) == MISS for their in theirs)
    ]


def _intersected(
    block: SetKeys, theirs: list[tuple[SetKeys, bool]], compare: Comparisons
) -> _Changes:
    """What an intersection with each of `theirs` in turn removes and puts in its place.

    Of two equal objects it keeps, as `set` does, those of the operand, unless that is a larger
    set; such a replacement is a removal and an addition.
    """
    mine, origin = block, {slot: slot for slot, _, _ in block.live()}  # slot -> slot in `block`
    kept: list[tuple[Any, int, int]] = []
    for their, is_a_set in theirs:
        if is_a_set and their.used > mine.used:
            kept = [
                (key, h, origin[slot])
                for slot, key, h in mine.live()
                if compare.locate(their, key, h) != MISS
            ]
        else:
            found = [(key, h, compare.locate(mine, key, h)) for key, h in their.items()]
            kept = [(key, h, origin[slot]) for key, h, slot in found if slot != MISS]
        mine = SetKeys.of(((key, h) for key, h, _ in kept), len(kept))
        origin = dict(
            zip((slot for slot, _, _ in mine.live()), (p for _, _, p in kept), strict=True)
        )
    survivors = {place: (key, h) for key, h, place in kept}
    replaced = {p: item for p, item in survivors.items() if block.keys[p] is not item[0]}
    removals = [s for s, _, _ in block.live() if s not in survivors or s in replaced]
    return removals, list(replaced.values())


def _found_in(block: SetKeys, theirs: list[SetKeys], compare: Comparisons) -> list[int]:
    """The slots of the elements that one of `theirs` has."""
    found: dict[int, None] = {}
    for their in theirs:
        if their.used > block.used:
            slots = [slot for slot, *item in block.live() if compare.locate(their, *item) != MISS]
        else:
            slots = [compare.locate(block, *item) for item in their.items()]
        found.update(dict.fromkeys(slots))
    found.pop(MISS, None)
    return list(found)


MutableSet.register(ConcurrentSet)
