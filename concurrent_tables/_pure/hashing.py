"""The order-independent hash of frozen tables, equal to that of the builtin `frozenset`."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["frozenset_hash"]

_MASK = (1 << 64) - 1


def frozenset_hash(hashes: Iterable[int], count: int) -> int:
    """Combine the hashes of `count` distinct elements, in any order, into one signed 64-bit hash.

    Source: CPython Objects/setobject.c, `frozenset_hash_impl` (constants in its comments).
    """
    combined = 0
    for h in hashes:
        h &= _MASK
        combined ^= (((h ^ 89869747) ^ (h << 16)) * 3644798167) & _MASK
    combined ^= ((count + 1) * 1927868237) & _MASK
    combined ^= (combined >> 11) ^ (combined >> 25)
    combined = (combined * 69069 + 907133923) & _MASK
    if combined == _MASK:  # -1 means "error" to the interpreter
        combined = 590923713
    return combined - (1 << 64) if combined >> 63 else combined
