"""`FrozenDict`: a keys block that nobody changes, so that nothing needs a pin or a lock."""

from __future__ import annotations

import copyreg
from collections.abc import Iterable, Iterator, Mapping
from reprlib import recursive_repr
from types import GenericAlias
from typing import TYPE_CHECKING, Any

from .._copies import own_state
from .._pairs import is_mapping, pairs_of
from .hashing import frozenset_hash
from .keys import MISS, DictKeys
from .table import NULL
from .views import ItemsView, KeyIterator, KeysView, ValuesView

if TYPE_CHECKING:
    from typing import Self

__all__ = ["FrozenDict"]


class FrozenDict:
    """An immutable mapping in insertion order; hashable when its values are.

    `snapshot()` of a table returns one. Equal mappings have equal hashes whatever their order;
    the hash is computed once. `FrozenDict == dict` compares as two dicts do.

    Thread-safety: lock-free; instances never change.

    >>> from concurrent_tables import FrozenDict
    >>> point = FrozenDict(x=1, y=2)
    >>> point["x"], hash(point) == hash(FrozenDict(y=2, x=1)), point == {"y": 2, "x": 1}
    (1, True, True)
    >>> point | {"y": 3}
    FrozenDict({'x': 1, 'y': 3})
    """

    __slots__ = ("__weakref__", "_block", "_hash")
    __module__ = "concurrent_tables"
    _is_table_mapping = True

    _block: DictKeys
    _hash: int | None

    def __new__(cls, other: Any = (), /, **kwargs: Any) -> Self:
        if not kwargs and type(other) is FrozenDict:
            if cls is FrozenDict:
                return other  # type: ignore[return-value]
            return cls._from_block(other._block)
        from .dict import ConcurrentDict

        return cls._from_block(ConcurrentDict._block_from(other, kwargs))

    @classmethod
    def _from_block(cls, block: DictKeys) -> Self:
        self = object.__new__(cls)
        self._block = block
        self._hash = None
        return self

    def _touch(self) -> None:
        """Nothing to note: a frozen table is safe to share from the start."""

    def snapshot(self) -> FrozenDict:
        """The table itself: it is one moment already."""
        return self

    def _layout(self) -> Any:
        """What `inspect_table` walks."""
        from .layouts import frozen_layout

        return frozen_layout(self)

    def _find(self, key: Any) -> Any:
        block = self._block
        ix = block.locate(key, hash(key))
        return NULL if ix == MISS else block.values[ix]

    def __getitem__(self, key: Any, /) -> Any:
        value = self._find(key)
        if value is NULL:
            missing = getattr(type(self), "__missing__", None)
            if missing is None:
                raise KeyError(key)
            return missing(self, key)
        return value

    def get(self, key: Any, default: Any = None, /) -> Any:
        """The value of `key`, or `default`. Lock-free."""
        value = self._find(key)
        return default if value is NULL else value

    def get_many(self, keys: Iterable[Any], /) -> dict[Any, Any]:
        """A dict of those `keys` that are present. Lock-free."""
        found = {}
        for key in keys:
            value = self._find(key)
            if value is not NULL:
                found[key] = value
        return found

    def __contains__(self, key: Any, /) -> bool:
        return self._find(key) is not NULL

    def __len__(self) -> int:
        return self._block.used

    def _iterator(self, kind: type[KeyIterator], *, backwards: bool = False) -> Iterator[Any]:
        return kind(self, backwards=backwards)

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

    def __eq__(self, other: object, /) -> bool:
        if not is_mapping(other):
            return NotImplemented
        if self is other:
            return True
        if isinstance(other, dict):
            theirs: Any = other.copy() if type(other) is dict else other
        else:
            theirs = other.snapshot()  # type: ignore[attr-defined]
        if len(self) != len(theirs):
            return False
        for key, _, value in self._block.items():
            there = theirs.get(key, NULL)
            if there is NULL or not (value is there or value == there):
                return False
        return True

    def __hash__(self) -> int:
        cached = self._hash
        if cached is None:
            pairs = (hash((key, value)) for key, _, value in self._block.items())
            cached = self._hash = frozenset_hash(pairs, len(self))
        return cached

    def __or__(self, other: Any, /) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        return _merged(self, other)

    def __ror__(self, other: Any, /) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        return _merged(other, self)

    def copy(self) -> Self:
        """The table itself, as for `frozenset`; for a subclass a plain FrozenDict."""
        return self

    def __copy__(self) -> Self:
        return self

    @classmethod
    def fromkeys(cls, keys: Iterable[Any], value: Any = None, /) -> FrozenDict:
        """A FrozenDict with `value` under each of `keys`."""
        return cls((key, value) for key in keys)

    @recursive_repr("{...}")
    def _repr_items(self) -> str:
        return repr(dict(pairs_of(self)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._repr_items()})"

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self._block.nbytes

    def __getstate__(self) -> Any:
        return own_state(self)

    def __reduce__(self) -> Any:
        arguments = type(self), dict(pairs_of(self))
        return copyreg.__newobj__, arguments, self.__getstate__()  # type: ignore[attr-defined]

    __class_getitem__: Any = classmethod(GenericAlias)


def _merged(first: Any, second: Any) -> FrozenDict:
    from .dict import ConcurrentDict

    table = ConcurrentDict(first)
    table.update(second)
    return table.snapshot()


Mapping.register(FrozenDict)
