"""What fills a mapping: the pairs of whatever `dict.update` accepts; for both implementations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["is_mapping", "pairs_of"]


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
    if isinstance(other, dict) and type(other).__iter__ is dict.__iter__:
        return list(dict.items(other))  # as dict does, without asking the subclass
    if hasattr(other, "keys"):
        return _looked_up_pairs(other)
    return _checked_pairs(other)


def _looked_up_pairs(other: Any) -> Iterator[tuple[Any, Any]]:
    # Not a generator expression: CPython up to 3.12 leaks `other` when it cannot make its cell.
    for key in other.keys():  # noqa: SIM118 (the dict protocol)
        yield key, other[key]


def _checked_pairs(iterable: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    for number, element in enumerate(iterable):
        try:
            # Else a list: CPython resizes a tuple of unknown length, which fails if
            # gc.get_objects() saw it.
            pair = element if type(element) is tuple else [*element]
        except TypeError:
            raise TypeError(
                f"cannot convert dictionary update sequence element #{number} to a sequence"
            ) from None
        if len(pair) != 2:
            raise ValueError(
                f"dictionary update sequence element #{number} has length {len(pair)}; "
                "2 is required"
            )
        yield pair[0], pair[1]
