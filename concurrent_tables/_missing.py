"""The sentinel for "no such key", shared by both implementations."""

from __future__ import annotations

from typing import Literal, final

__all__ = ["MISSING", "MissingType", "reject_missing"]


@final
class MissingType:
    """The type of `MISSING`: a single, false instance that copies and pickles to itself."""

    __slots__ = ()
    __module__ = "concurrent_tables"

    _instance: MissingType | None = None

    def __new__(cls) -> MissingType:
        if cls._instance is None:
            cls._instance = object.__new__(cls)
        return cls._instance

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "MISSING"

    def __reduce__(self) -> str:
        return "MISSING"

    def __copy__(self) -> MissingType:
        return self

    def __deepcopy__(self, memo: object, /) -> MissingType:
        return self


MISSING = MissingType()


def reject_missing(table: object, key: object, value: object, hashed: bool = True) -> None:
    """Raise ValueError when `value` is MISSING, which no table stores.

    An unhashable key is the earlier error, as it is for builtins; `hashed` False: the table does
    not ask its keys for their hash.
    """
    if value is MISSING:
        if hashed:
            hash(key)
        raise ValueError(
            f"{type(table).__name__}: MISSING cannot be stored under key {key!r}; "
            "it means 'no such key' (delete the key, or use None)"
        )
