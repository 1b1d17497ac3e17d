"""`ConcurrentDict`: the combined table."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

from .._pairs import pairs_of
from .keys import MIN_LOG2_SIZE, DictKeys, build
from .mapping import MappingTable
from .mapping_api import ANY

if TYPE_CHECKING:
    from typing import Self

__all__ = ["ConcurrentDict", "flights"]


class ConcurrentDict(MappingTable):
    """A dict that any number of threads may read and write.

    The whole API of `dict`, insertion order included, and the atomic operations that it lacks.
    Reads take no lock; writes of one table exclude each other.

    Differences from `dict`: iteration is weakly consistent and never raises because of a change;
    whole-table operations (`==`, `copy`, `|`, `repr`, view operators, pickling) see one atomic
    snapshot; once the table is shared, finalizers of removed values run after a grace period
    (`reclaim.flush()` forces them).

    Parameters: as for `dict`. Errors: as for `dict`; ValueError for storing `MISSING`.
    Thread-safety: see docs/reference/thread-safety.md for every method.
    Source: CPython Objects/dictobject.c for the layout; docs/explanation for the rest.

    >>> from concurrent_tables import ConcurrentDict
    >>> hits = ConcurrentDict(home=1)
    >>> hits.increment("home"), hits.increment("about")
    (2, 1)
    >>> hits
    ConcurrentDict({'home': 2, 'about': 1})
    """

    __slots__ = ()
    __module__ = "concurrent_tables"

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Self:
        self = object.__new__(cls)
        self._init_table(DictKeys(MIN_LOG2_SIZE, unicode=True))
        return self

    def __init__(self, other: Any = (), /, **kwargs: Any) -> None:
        self._update(other, kwargs)

    def _empty_block(self) -> DictKeys:
        return DictKeys(MIN_LOG2_SIZE, unicode=True)

    def _new_like(self) -> ConcurrentDict:
        return ConcurrentDict()

    @classmethod
    def fromkeys(cls, keys: Iterable[Any], value: Any = None, /) -> Any:
        """A new table with `value` under each of `keys`."""
        result = cls()
        for key in keys:
            result[key] = value
        return result

    @staticmethod
    def _block_from(other: Any, kwargs: dict[str, Any]) -> DictKeys:
        """The block of a table that is filled from `other` and `kwargs` and never shared."""
        if type(other) is dict and not kwargs:
            items = list(other.items())
            unicode = all(type(key) is str for key, _ in items)
            return build(((key, hash(key), value) for key, value in items), len(items), unicode)
        table = ConcurrentDict.__new__(ConcurrentDict)
        for key, value in pairs_of(other):
            table._transact(key, ANY, value)
        for name, value in kwargs.items():
            table._transact(name, ANY, value)
        return table._block  # type: ignore[no-any-return]


MutableMapping.register(ConcurrentDict)

# The flights of `compute_if_absent` of every table of this implementation.
flights = ConcurrentDict()
