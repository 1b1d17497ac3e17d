"""What `ConcurrentSet` and `FrozenSet` have in common: iteration, comparisons, set algebra.

All of it works on blocks that do not change: a `FrozenSet` has one, of a `ConcurrentSet` it is the
block of a snapshot, and other operands are gathered into one first. So every operation sees one
moment of each operand, and user code (`__hash__`, `__eq__`, iterables) never meets a lock.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from reprlib import recursive_repr
from types import GenericAlias
from typing import Any

from .._copies import own_state
from .._pairs import is_mapping
from .keys import DEAD, MISS
from .reclaim import IDLE, domain
from .set_keys import SetKeys
from .table import NULL

__all__ = ["SetIterator", "SetReads", "is_set", "lookup_key", "operand_block"]

_DICT_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.items()))


class SetIterator:
    """Yields the elements of a set. Thread-safety: each element goes to exactly one caller.

    It remembers the block and the insertions up to the moment when it was made. Each of them is
    one element that, once dead, stays dead; so nothing is yielded twice, and what was there from
    start to end is yielded exactly once. When the table has moved to another block meanwhile, an
    element is yielded if the present block still holds the identical object.
    """

    __slots__ = ("_block", "_claims", "_order", "_table", "_taken")

    def __init__(self, table: Any) -> None:
        table._touch()
        while True:
            block = table._block
            block.held = True  # not poisoned when reclaimed; set before looking again:
            if table._block is block:  # so whoever replaces it from here on sees the mark
                break
        self._table = table
        self._block = block
        self._order = range(block.bottom, block.fill)
        self._claims = count()
        self._taken = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        order, table, block = self._order, self._table, self._block
        while table is not None:
            position = next(self._claims)
            if position >= len(order):
                self._table = self._block = None  # exhausted for good; let the table go
                self._order = range(0)
                break
            self._taken = position + 1
            key = _current_element(table, block, order[position])
            if key is not NULL:
                return key
        raise StopIteration

    def __length_hint__(self) -> int:
        table, order = self._table, self._order
        return 0 if table is None else max(0, min(len(table), len(order) - self._taken))

    def __reduce__(self) -> Any:
        order, table, block = self._order, self._table, self._block
        if table is None:
            return iter, ([],)
        rest = [_current_element(table, block, position) for position in order[self._taken :]]
        return iter, ([key for key in rest if key is not NULL],)


def _current_element(table: Any, block: SetKeys, position: int) -> Any:
    """The element of an insertion of `block`, or NULL when it is gone."""
    table._touch()  # the iterator may have come from another thread
    record = domain.pin()
    try:
        slot = block.order[position]
        key = block.keys[slot]
        if key is DEAD:
            return NULL
        present = table._block  # loaded after the key: see there whether it has moved
        if key is NULL or present is block or present.identical(key, block.hashes[slot]):
            return key
        return NULL
    finally:
        # In straight-line code: an exception that a signal handler raises cannot leave the pin.
        record.depth -= 1
        if record.depth == 0:
            record.sequence = IDLE


def is_set(other: object) -> bool:
    """Whether `other` is a builtin set or one of this package (either implementation)."""
    return (
        isinstance(other, (set, frozenset)) or getattr(type(other), "_is_table_set", False) is True
    )


def lookup_key(item: Any) -> tuple[Any, int]:
    """(key, hash) to look `item` up by: a mutable set stands for the equal frozen one."""
    try:
        return item, hash(item)
    except TypeError:
        if isinstance(item, set):
            frozen: Any = frozenset(item)
        elif is_set(item):
            frozen = item.snapshot()
        else:
            raise
    return frozen, hash(frozen)


def operand_block(other: Any) -> SetKeys:
    """A block of the elements of any iterable, of one moment where it has one; not to be changed.

    TypeError when `other` is not iterable or an element not hashable.
    """
    if isinstance(other, SetReads):
        return other._frozen_block()
    if isinstance(other, SetKeys):  # one that was read already
        return other
    distinct = _distinct_elements(other)
    if distinct is not None:
        return SetKeys.of(((item, hash(item)) for item in distinct), len(distinct))
    return SetKeys().extended((item, hash(item)) for item in other)


def gathered(others: Iterable[Any]) -> tuple[list[SetKeys], BaseException | None]:
    """The blocks of all operands up to the first error, and that error.

    For methods that, as those of `set` do, keep what they did before an error: what was gathered
    is committed in one step, then the error is raised.
    """
    blocks: list[SetKeys] = []
    for other in others:
        if isinstance(other, SetReads) or _distinct_elements(other) is not None:
            blocks.append(operand_block(other))
            continue
        items: list[tuple[Any, int]] = []
        error: BaseException | None = None
        try:
            for item in other:
                items.append((item, hash(item)))
        except BaseException as stop:
            error = stop
        blocks.append(SetKeys().extended(items))
        if error is not None:
            return blocks, error
    return blocks, None


def hashed_items(other: Any) -> Iterable[tuple[Any, int]]:
    """(element, hash) pairs of any iterable; lazily, unless it is a set or a mapping."""
    if isinstance(other, SetReads):
        return other._frozen_block().items()
    if isinstance(other, SetKeys):
        return other.items()
    distinct = _distinct_elements(other)
    return ((item, hash(item)) for item in (other if distinct is None else distinct))


def _distinct_elements(other: Any) -> list[Any] | None:
    """The elements of a builtin set or dict or a table of one moment; None for anything else."""
    if type(other) in (set, frozenset, dict):
        return list(other)
    if isinstance(other, (set, frozenset, dict)) or not (is_set(other) or is_mapping(other)):
        return None
    snapshot = getattr(type(other), "snapshot", None)
    return list(other if snapshot is None else snapshot(other))


class SetReads:
    """The methods of `frozenset`. Subclasses say what a block and a result are."""

    __slots__ = ()
    _is_table_set = True

    def _frozen_block(self) -> SetKeys:
        """The elements of one moment, in a block that does not change."""
        raise NotImplementedError

    def _result(self, block: SetKeys) -> Any:
        """A new set of the package's type (not of a subclass) that owns `block`."""
        raise NotImplementedError

    def _is_operand(self, other: object) -> bool:
        """Whether the operators take `other`; the named methods take any iterable."""
        raise NotImplementedError

    def _beside(self, mine: SetKeys, other: Any) -> Any:
        """An operand beside `mine`, what this set had: the same moment if it is the same set."""
        return mine if other is self else other

    def __iter__(self) -> Iterator[Any]:
        return SetIterator(self)

    # -- comparisons -----------------------------------------------------------------------------

    def _compare(self, other: Any, compare: Callable[[Any, Any], Any], blocks: Any) -> Any:
        if is_set(other):
            mine = self._frozen_block()
            return blocks(mine, operand_block(self._beside(mine, other)))
        if isinstance(other, _DICT_VIEWS):  # they know how to compare with a builtin set only
            return compare(frozenset(key for key, _ in self._frozen_block().items()), other)
        return NotImplemented

    def __eq__(self, other: object, /) -> Any:
        return self is other or self._compare(
            other, operator.eq, lambda a, b: a.used == b.used and b.contains_all(a)
        )

    def __le__(self, other: Any, /) -> Any:
        return self._compare(other, operator.le, lambda a, b: b.contains_all(a))

    def __lt__(self, other: Any, /) -> Any:
        return self._compare(other, operator.lt, lambda a, b: a.used < b.used and b.contains_all(a))

    def __ge__(self, other: Any, /) -> Any:
        return self._compare(other, operator.ge, lambda a, b: a.contains_all(b))

    def __gt__(self, other: Any, /) -> Any:
        return self._compare(other, operator.gt, lambda a, b: a.used > b.used and a.contains_all(b))

    def issubset(self, other: Iterable[Any], /) -> bool:
        """Whether every element is in `other` too."""
        mine = self._frozen_block()
        if is_set(other):
            return operand_block(self._beside(mine, other)).contains_all(mine)
        return _intersection(mine, other).used == mine.used

    def issuperset(self, other: Iterable[Any], /) -> bool:
        """Whether every element of `other` is here."""
        mine = self._frozen_block()
        if is_set(other):
            return mine.contains_all(operand_block(self._beside(mine, other)))
        return all(mine.locate(*item) != MISS for item in hashed_items(other))

    def isdisjoint(self, other: Iterable[Any], /) -> bool:
        """Whether no element of `other` is here."""
        mine = self._frozen_block()
        items = hashed_items(self._beside(mine, other))
        return all(mine.locate(*item) == MISS for item in items)

    # -- algebra: named methods, with any iterables ----------------------------------------------

    def union(self, *others: Iterable[Any]) -> Any:
        """A new set with the elements of this one and of all others."""
        mine = self._frozen_block()
        block = mine.clone()
        for other in others:
            block = block.extended(hashed_items(self._beside(mine, other)))
        return self._result(block)

    def intersection(self, *others: Iterable[Any]) -> Any:
        """A new set with the elements that this one and all others have in common."""
        if not others:
            return self.copy()
        block = mine = self._frozen_block()
        for other in others:
            block = _intersection(block, self._beside(mine, other))
        return self._result(block)

    def difference(self, *others: Iterable[Any]) -> Any:
        """A new set with the elements that none of the others has."""
        if not others:
            return self.copy()
        mine = self._frozen_block()
        block = mine.clone()
        for other in others:
            _subtract(block, self._beside(mine, other))
        return self._result(block.compacted())

    def symmetric_difference(self, other: Iterable[Any], /) -> Any:
        """A new set with the elements that either this one or `other` has."""
        theirs = None if other is self else operand_block(other)
        mine = self._frozen_block()
        theirs = mine if theirs is None else theirs
        removals, additions = [], []
        for key, h in theirs.items():
            slot = mine.locate(key, h)
            if slot == MISS:
                additions.append((key, h))
            else:
                removals.append(slot)
        return self._result(mine.changed(removals, additions))

    def copy(self) -> Any:
        """A set of the same elements, of the package's type."""
        return self._result(self._frozen_block().clone())

    # -- algebra: operators, with sets only ------------------------------------------------------

    def __or__(self, other: Any, /) -> Any:
        return self.union(other) if self._is_operand(other) else NotImplemented

    def __and__(self, other: Any, /) -> Any:
        return self.intersection(other) if self._is_operand(other) else NotImplemented

    def __sub__(self, other: Any, /) -> Any:
        return self.difference(other) if self._is_operand(other) else NotImplemented

    def __xor__(self, other: Any, /) -> Any:
        return self.symmetric_difference(other) if self._is_operand(other) else NotImplemented

    # A builtin set on the left does not know us: the result is of its type, as between builtins.

    def __ror__(self, other: Any, /) -> Any:
        left = _builtin_copy(other)
        return NotImplemented if left is None else left | frozenset(self._members())

    def __rand__(self, other: Any, /) -> Any:
        left = _builtin_copy(other)
        return NotImplemented if left is None else left & frozenset(self._members())

    def __rsub__(self, other: Any, /) -> Any:
        left = _builtin_copy(other)
        return NotImplemented if left is None else left - frozenset(self._members())

    def __rxor__(self, other: Any, /) -> Any:
        left = _builtin_copy(other)
        return NotImplemented if left is None else left ^ frozenset(self._members())

    def _members(self) -> list[Any]:
        """The elements of one moment."""
        return [key for key, _ in self._frozen_block().items()]

    # -- the rest --------------------------------------------------------------------------------

    @recursive_repr("...")
    def _repr_items(self) -> str:
        members = ", ".join(map(repr, self._members()))
        return f"{{{members}}}" if members else ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._repr_items()})"

    def __getstate__(self) -> Any:
        return own_state(self)

    def __reduce__(self) -> Any:
        return type(self), (self._members(),), self.__getstate__()

    __class_getitem__: Any = classmethod(GenericAlias)


def _builtin_copy(other: Any) -> Any:
    """A plain set or frozenset equal to one or to an instance of a subclass; else None."""
    if isinstance(other, set):
        return set(other)
    return frozenset(other) if isinstance(other, frozenset) else None


def _intersection(mine: SetKeys, other: Any) -> SetKeys:
    """A new block with the common elements.

    Which of two equal objects it keeps is as for `set`: those of `other`, unless that is a larger
    set.
    """
    if is_set(other) or isinstance(other, SetKeys):
        theirs = operand_block(other)
        few, many = (mine, theirs) if theirs.used > mine.used else (theirs, mine)
        common = [item for item in few.items() if many.locate(*item) != MISS]
        return SetKeys.of(common, len(common))
    block = SetKeys()
    for item in hashed_items(other):
        if mine.locate(*item) != MISS:
            block = block.extended([item])
            if block.used >= mine.used:
                break  # there are no more to be found
    return block


def _subtract(block: SetKeys, other: Any) -> None:
    """Remove the elements of `other` from a block that is not published yet."""
    if is_set(other) or isinstance(other, SetKeys):
        theirs = operand_block(other)
        if theirs.used > block.used:
            for slot, key, h in block.live():
                if theirs.locate(key, h) != MISS:
                    block.remove(slot)
            return
    for item in hashed_items(other):
        slot = block.locate(*item)
        if slot != MISS:
            block.remove(slot)
