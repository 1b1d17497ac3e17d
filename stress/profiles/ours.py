"""The tables of this package, held to `concurrent_tables.contracts`."""

from __future__ import annotations

import importlib
from typing import Any

from .base import ALL_HOSTILE, ATOMIC, LOOSE_READ, READ, STEPS, UNKNOWN, Profile, Promise, names_of

__all__ = ["our_profile"]

_LEVELS = {
    "LOCK_FREE": (READ, ATOMIC),
    "ATOMIC": (READ, ATOMIC),
    "WEAK": (LOOSE_READ, STEPS),
}
_UNORDERED = frozenset({"ShardedDict"})
_SETS = frozenset({"ConcurrentSet", "FrozenSet"})
# Atomic, but what they tell beside the contents (the order of elements, which buckets collide) depends
# on what happened to the table before, and on addresses: no sequential run says it exactly.
_TELL_ORDER = [
    "__repr__",
    "__str__",
    "__format__",
    "__reduce__",
    "__reduce_ex__",
    "__getstate__",
    "__sizeof__",
]
_LAYOUT_TOLD = dict.fromkeys(_TELL_ORDER, _SETS | _UNORDERED | {"HashTable"})
_LAYOUT_TOLD["stats"] = _LAYOUT_TOLD["foreach"] = frozenset({"HashTable"})


def our_profile(name: str) -> Profile | None:
    """The profile of the table type `name`, or None when it is none of ours."""
    contracts: Any = importlib.import_module("concurrent_tables.contracts").CONTRACTS
    if name not in contracts:
        return None
    promises = {}
    for method, contract in contracts[name].items():
        read, write = _LEVELS[contract.level.name]
        source = f"contracts.py: {name}.{method} is {contract.level.value}"
        # Promise.effect follows what the operation is seen to do: see Profile.promise.
        levels = write if method in _WRITES else read
        if name in _LAYOUT_TOLD.get(method, ()) or method == "fromkeys":
            levels = LOOSE_READ  # the keys of `fromkeys` are read as those of any iterable
        promises[method] = Promise(*levels, source)
    return Profile(
        name,
        promises,
        (Promise(*UNKNOWN, "not in contracts.py"), Promise(*LOOSE_READ, "not in contracts.py")),
        "concurrent_tables.contracts",
        ordered=name not in _UNORDERED,
        arbitrary=frozenset({"pop"} if name in _SETS else {"popitem"} & _popitem(name)),
        errors=frozenset({"KeyError", "StopIteration", "ValueError"}),
        hostile=ALL_HOSTILE,
        makers=("T({contents})", "make({contents})", "watched(make({contents}))"),
    )


def _popitem(name: str) -> frozenset[str]:
    return frozenset({"popitem"}) if name in _UNORDERED else frozenset()


_WRITES = names_of(
    "__setitem__ __delitem__ pop setdefault popitem clear compare_and_set compare_and_delete swap "
    "increment compute compute_if_absent update_many pop_many __ior__ update add discard remove "
    "difference_update intersection_update symmetric_difference_update __isub__ __iand__ __ixor__ "
    "set steal destroy"
)
