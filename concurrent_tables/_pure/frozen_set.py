"""`FrozenSet`: a set block that nobody changes, so that nothing needs a pin or a lock."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import TYPE_CHECKING, Any

from .hashing import frozenset_hash
from .keys import MISS
from .set_keys import SetKeys
from .set_operations import SetReads, is_set, lookup_key, operand_block

if TYPE_CHECKING:
    from typing import Self

__all__ = ["FrozenSet"]


class FrozenSet(SetReads):
    """An immutable, hashable set: the whole API of `frozenset`.

    `freeze()` and `snapshot()` of a `ConcurrentSet` return one. It equals, and has the hash of, the
    `frozenset` of the same elements, so either finds the other as a key; the hash is computed once.
    Operators return a FrozenSet, or the builtin type when a builtin set is on their left.

    Parameters: `iterable` of hashable elements. Errors: as for `frozenset`.
    Thread-safety: lock-free; instances never change.
    Source: CPython Objects/setobject.c for the layout and the hash.

    >>> from concurrent_tables import FrozenSet
    >>> primes = FrozenSet([2, 3, 5])
    >>> 3 in primes, hash(primes) == hash(frozenset([2, 3, 5])), primes == {2, 3, 5}
    (True, True, True)
    >>> {primes: "found"}[frozenset([5, 3, 2])]
    'found'
    """

    __slots__ = ("__weakref__", "_block", "_hash")
    __module__ = "concurrent_tables"

    _block: SetKeys
    _hash: int | None

    def __new__(cls, iterable: Iterable[Any] = (), /, **kwargs: Any) -> Self:
        if kwargs and cls.__init__ is object.__init__:  # else they are for the subclass
            raise TypeError(f"{cls.__name__}() takes no keyword arguments")
        if cls is FrozenSet and type(iterable) is FrozenSet:
            return iterable  # type: ignore[return-value]
        return cls._from_block(operand_block(iterable))

    @classmethod
    def _from_block(cls, block: SetKeys) -> Self:
        self = object.__new__(cls)
        self._block = block
        self._hash = None
        return self

    def _touch(self) -> None:
        """Nothing to note: a frozen set is safe to share from the start."""

    def _layout(self) -> Any:
        """What `inspect_table` walks."""
        from .layouts import frozen_layout

        return frozen_layout(self)

    def _frozen_block(self) -> SetKeys:
        return self._block

    def _result(self, block: SetKeys) -> FrozenSet:
        return FrozenSet._from_block(block)

    def _is_operand(self, other: object) -> bool:
        return is_set(other)

    def __contains__(self, item: Any, /) -> bool:
        return self._block.locate(*lookup_key(item)) != MISS

    def __len__(self) -> int:
        return self._block.used

    def __hash__(self) -> int:
        cached = self._hash
        if cached is None:
            block = self._block
            cached = self._hash = frozenset_hash((h for _, h in block.items()), block.used)
        return cached

    def copy(self) -> FrozenSet:
        """The set itself, as for `frozenset`; for a subclass a plain FrozenSet."""
        return self if type(self) is FrozenSet else FrozenSet._from_block(self._block)

    def __copy__(self) -> Self:
        return self

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self._block.nbytes


Set.register(FrozenSet)
