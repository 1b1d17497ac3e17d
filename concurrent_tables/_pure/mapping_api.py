"""The dict API over a few primitives, for every mutable mapping of the package.

`ConcurrentDict`, `SplitDict` and `ShardedDict` supply `_lookup`, `_transact`, `snapshot`,
`_iterator` and `__len__`; what `dict` offers beyond that is written here, once.
"""

from __future__ import annotations

import copyreg
from collections.abc import Iterator, Mapping
from reprlib import recursive_repr
from types import GenericAlias
from typing import TYPE_CHECKING, Any

from .._copies import copied, own_state
from .._missing import MISSING, reject_missing
from .._pairs import is_mapping, pairs_of
from .operations import AtomicOperations
from .table import NULL
from .views import ItemsView, KeyIterator, KeysView, ValuesView

if TYPE_CHECKING:
    from typing import Self

    from .frozen_dict import FrozenDict

__all__ = ["ANY", "PRESENT", "MappingAPI"]

# What `_transact` requires of the present value; any other object means "this very object".
ANY: Any = object()
PRESENT: Any = object()
_NO_DEFAULT: Any = object()


class MappingAPI(AtomicOperations):
    """What `dict` can do. Methods that only read a key take no lock."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]
    _is_table_mapping = True

    # -- supplied by the tables ------------------------------------------------------------------

    def _lookup(self, key: Any) -> Any:
        """The value of `key`, or NULL."""
        raise NotImplementedError

    def _transact(self, key: Any, expect: Any, new: Any) -> tuple[bool, Any]:
        """Store `new` (NULL: delete) if the present value is as expected; (done, old)."""
        raise NotImplementedError

    def __len__(self) -> int:
        """The number of keys."""
        raise NotImplementedError

    def snapshot(self) -> FrozenDict:
        """A `FrozenDict` of one moment."""
        raise NotImplementedError

    def _iterator(self, kind: type[KeyIterator], *, backwards: bool = False) -> Iterator[Any]:
        """An iterator of the given kind over the table."""
        raise NotImplementedError

    def _new_like(self) -> Any:
        """An empty table of the package's type (not of a subclass), as `dict` does."""
        raise NotImplementedError

    # -- one key ---------------------------------------------------------------------------------

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

    def __setitem__(self, key: Any, value: Any, /) -> None:
        if value is MISSING:
            reject_missing(self, key, value)
        self._transact(key, ANY, value)

    def __delitem__(self, key: Any, /) -> None:
        if self._transact(key, PRESENT, NULL)[1] is NULL:
            raise KeyError(key)

    def pop(self, key: Any, default: Any = _NO_DEFAULT, /) -> Any:
        """Remove `key` and return its value; `default`, or KeyError, when absent. Atomic."""
        # As dict does, an empty table does not ask for the hash.
        old = self._transact(key, PRESENT, NULL)[1] if len(self) else NULL
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

    # -- whole table: one atomic snapshot --------------------------------------------------------

    def __eq__(self, other: object, /) -> bool:
        if not is_mapping(other):
            return NotImplemented
        return self is other or self.snapshot() == other

    @recursive_repr("{...}")
    def _repr_items(self) -> str:
        return repr(dict(self.snapshot().items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._repr_items()})"

    # -- views and iteration: weakly consistent --------------------------------------------------

    def __iter__(self) -> Iterator[Any]:
        return self._iterator(KeyIterator)

    def keys(self) -> KeysView:
        """A set-like view of the keys."""
        return KeysView(self)

    def values(self) -> ValuesView:
        """A view of the values."""
        return ValuesView(self)

    def items(self) -> ItemsView:
        """A set-like view of the (key, value) pairs."""
        return ItemsView(self)

    # -- filling and copying ---------------------------------------------------------------------

    def update(self, other: Any = (), /, **kwargs: Any) -> None:
        """Store every pair of a mapping or iterable, then the keyword arguments.

        Each key is stored atomically; filling an *empty* table from a dict or a table of this
        package is one atomic step. `update_many` is atomic as a whole.
        """
        MappingAPI._update(self, other, kwargs)

    def _update(self, other: Any, kwargs: dict[str, Any]) -> None:
        # As for dict, a subclass's own `__setitem__` and `update` are not asked.
        if not (is_mapping(other) and self._fill_empty(other)):
            for key, value in pairs_of(other):
                MappingAPI.__setitem__(self, key, value)
        for name, value in kwargs.items():
            MappingAPI.__setitem__(self, name, value)

    def _fill_empty(self, source: Any) -> bool:
        """Fill an empty table from a whole mapping in one step, where that is possible."""
        return False

    def __ior__(self, other: Any, /) -> Self:
        self._update(other, {})
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

    def __copy__(self) -> Any:
        # copy.copy keeps a subclass and its attributes, `copy()` does not; as for dict.
        return copied(self)

    def __getstate__(self) -> Any:
        return own_state(self)

    def __reduce__(self) -> Any:
        arguments = getattr(self, "__getnewargs__", self._new_arguments)()
        return (
            copyreg.__newobj__,  # type: ignore[attr-defined]
            (type(self), *arguments),
            self.__getstate__(),
            None,
            iter(self.snapshot().items()),
        )

    def _new_arguments(self) -> tuple[Any, ...]:
        """What `__new__` needs to make an empty table like this one."""
        return ()

    __class_getitem__: Any = classmethod(GenericAlias)
