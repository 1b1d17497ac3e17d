"""Iterators and views of mappings, safe to share between threads.

Iterating a *table* is weakly consistent; iterating one of its *views* walks a snapshot (the cached
one, when nothing was written since), so that `list(table.items())` is of one moment.

A table's iterator remembers the block and the entries in use when it was made. Within that block every
key has at most one live entry, and an entry that died stays dead; so nothing is yielded twice,
and what was there from start to end is yielded exactly once. Positions are claimed by an atomic
counter: threads that share an iterator divide the entries among them. When the table has moved
to another block meanwhile, an entry is yielded if the present block still holds the identical
key, with its present value.
"""

from __future__ import annotations

from collections.abc import ItemsView as AbstractItemsView
from collections.abc import Iterable, Iterator, Set
from collections.abc import KeysView as AbstractKeysView
from collections.abc import ValuesView as AbstractValuesView
from itertools import count
from reprlib import recursive_repr
from types import MappingProxyType
from typing import Any

from .reclaim import IDLE, domain
from .table import NULL

__all__ = ["ItemIterator", "ItemsView", "KeyIterator", "KeysView", "ValueIterator", "ValuesView"]


class KeyIterator:
    """Yields the keys of a mapping. Thread-safety: each entry goes to exactly one caller."""

    __slots__ = ("_backwards", "_block", "_claims", "_order", "_table", "_taken")

    def __init__(self, table: Any, *, backwards: bool = False) -> None:
        table._touch()
        while True:
            block = table._block
            block.held = True  # not poisoned when reclaimed; set before looking again:
            if table._block is block:  # so whoever replaces it from here on sees the mark
                break
        self._table = table
        self._block = block
        self._order = block.order()
        self._claims = count()
        self._taken = 0
        self._backwards = backwards

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        order, table, block = self._order, self._table, self._block
        while table is not None:
            position = next(self._claims)
            if position >= len(order):
                self._table = self._block = None  # exhausted for good; let the table go
                self._order = ()
                break
            self._taken = position + 1
            ix = order[-1 - position] if self._backwards else order[position]
            key, value = _current_entry(table, block, ix)
            if value is not NULL:
                return self._result(key, value)
        raise StopIteration

    def _result(self, key: Any, value: Any) -> Any:
        return key

    def __length_hint__(self) -> int:
        table, order = self._table, self._order
        return 0 if table is None else max(0, min(len(table), len(order) - self._taken))

    def __reduce__(self) -> Any:
        return iter, (list(self),)


class ValueIterator(KeyIterator):
    """Yields the values of a mapping."""

    __slots__ = ()

    def _result(self, key: Any, value: Any) -> Any:
        return value


class ItemIterator(KeyIterator):
    """Yields the (key, value) pairs of a mapping."""

    __slots__ = ()

    def _result(self, key: Any, value: Any) -> Any:
        return key, value


def _current_entry(table: Any, block: Any, ix: int) -> tuple[Any, Any]:
    """The entry `ix` of `block` as it is now: (key, value), value NULL when it is gone."""
    table._touch()  # the iterator may have come from another thread
    record = domain.pin()
    try:
        # The key before the value: a deletion empties the value first, so a live value read after
        # a key belongs to that key, and a dead key never comes with a live value.
        key = block.keys[ix]
        value = block.values[ix]
        present = table._block
        if value is NULL or present is block:
            return key, value
        found = present.identical(key, block.entry_hash(ix))
        return key, NULL if found < 0 else present.values[found]
    finally:
        # In straight-line code: an exception that a signal handler raises cannot leave the pin.
        record.depth -= 1
        if record.depth == 0:
            record.sequence = IDLE


class _View:
    """What the three views share."""

    __slots__ = ("_table",)
    _suffix = ""

    def __init__(self, table: Any) -> None:
        self._table = table

    def _iterate(self, kind: type[KeyIterator], *, backwards: bool = False) -> Iterator[Any]:
        """Walk one snapshot, so that `list(table.items())` is of one moment."""
        if backwards and type(self._table).__reversed__ is None:
            raise TypeError(f"{type(self._table).__name__} is not ordered, so not reversible")
        iterator: Iterator[Any] = kind(self._table.snapshot(), backwards=backwards)
        return iterator

    @property
    def mapping(self) -> MappingProxyType[Any, Any]:
        """A read-only proxy of the table."""
        return MappingProxyType(self._table)

    def __len__(self) -> int:
        return len(self._table)

    @recursive_repr("...")
    def __repr__(self) -> str:
        return f"{type(self._table).__name__}_{self._suffix}({list(self._frozen())!r})"

    def _frozen(self) -> Iterable[Any]:
        """The elements at one moment."""
        raise NotImplementedError


class _SetView(_View):
    """The set operators of keys and items; each sees one snapshot. Results are builtin sets."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError

    def __contains__(self, element: Any) -> bool:
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Set):
            return NotImplemented
        mine = list(self._frozen())
        theirs = other._frozen_view() if isinstance(other, _SetView) else other
        return len(mine) == len(theirs) and all(element in theirs for element in mine)

    def __le__(self, other: Any) -> bool:
        if not isinstance(other, Set):
            return NotImplemented
        mine = list(self._frozen())
        return len(mine) <= len(other) and all(element in other for element in mine)

    def __lt__(self, other: Any) -> bool:
        if not isinstance(other, Set):
            return NotImplemented
        mine = list(self._frozen())
        return len(mine) < len(other) and all(element in other for element in mine)

    def __ge__(self, other: Any) -> bool:
        if not isinstance(other, Set):
            return NotImplemented
        mine = self._frozen_view()
        return len(mine) >= len(other) and all(element in mine for element in other)

    def __gt__(self, other: Any) -> bool:
        if not isinstance(other, Set):
            return NotImplemented
        mine = self._frozen_view()
        return len(mine) > len(other) and all(element in mine for element in other)

    def _frozen_view(self) -> Any:
        """The same view of a snapshot: answers of one moment."""
        return type(self)(self._table.snapshot())

    def __and__(self, other: Iterable[Any]) -> set[Any]:
        mine = self._frozen_view()
        if type(other) is set and len(mine) <= len(other):
            return other.intersection(mine)
        # Elements are looked up here, not hashed: the values of items need not be hashable.
        return {element for element in other if element in mine}

    def __or__(self, other: Iterable[Any]) -> set[Any]:
        return set(self._frozen()).union(other)

    def __sub__(self, other: Iterable[Any]) -> set[Any]:
        return set(self._frozen()).difference(other)

    def __xor__(self, other: Iterable[Any]) -> set[Any]:
        return set(self._frozen()).symmetric_difference(other)

    __rand__ = __and__
    __ror__ = __or__
    __rxor__ = __xor__

    def __rsub__(self, other: Iterable[Any]) -> set[Any]:
        return set(other).difference(self._frozen())

    def isdisjoint(self, other: Iterable[Any], /) -> bool:
        """Whether no element of `other` is in this view."""
        mine = self._frozen_view()
        return not any(element in mine for element in other)


class KeysView(_SetView):
    """A set-like view of the keys of a table."""

    __slots__ = ()
    _suffix = "keys"

    def __iter__(self) -> Iterator[Any]:
        return self._iterate(KeyIterator)

    def __reversed__(self) -> Iterator[Any]:
        return self._iterate(KeyIterator, backwards=True)

    def __contains__(self, key: Any) -> bool:
        return key in self._table

    def _frozen(self) -> Iterable[Any]:
        return self._iterate(KeyIterator)


class ItemsView(_SetView):
    """A set-like view of the (key, value) pairs of a table."""

    __slots__ = ()
    _suffix = "items"

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return self._iterate(ItemIterator)

    def __reversed__(self) -> Iterator[tuple[Any, Any]]:
        return self._iterate(ItemIterator, backwards=True)

    def __contains__(self, item: Any) -> bool:
        if not isinstance(item, tuple) or len(item) != 2:
            return False
        value = self._table.get(item[0], NULL)
        return value is not NULL and (value is item[1] or bool(value == item[1]))

    def _frozen(self) -> Iterable[tuple[Any, Any]]:
        return self._iterate(ItemIterator)


class ValuesView(_View):
    """A view of the values of a table."""

    __slots__ = ()
    _suffix = "values"

    def __iter__(self) -> Iterator[Any]:
        return self._iterate(ValueIterator)

    def __reversed__(self) -> Iterator[Any]:
        return self._iterate(ValueIterator, backwards=True)

    def __contains__(self, wanted: Any) -> bool:
        return any(value is wanted or value == wanted for value in self)

    def _frozen(self) -> Iterable[Any]:
        return self._iterate(ValueIterator)


AbstractKeysView.register(KeysView)
AbstractItemsView.register(ItemsView)
AbstractValuesView.register(ValuesView)
