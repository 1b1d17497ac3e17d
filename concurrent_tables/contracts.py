"""What every public method promises to threads: the one source for docs and checkers.

`python -m concurrent_tables.contracts` prints docs/reference/thread-safety.md, and the stress
harness judges a method by the level that is written here.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["CONTRACTS", "Contract", "Level", "markdown"]


class Level(enum.Enum):
    """How a method behaves beside other threads."""

    LOCK_FREE = "lock-free"
    ATOMIC = "atomic"
    WEAK = "weakly consistent"


MEANINGS = {
    Level.LOCK_FREE: (
        "Atomic (linearizable), and takes no lock: it is never blocked by a writer, by "
        "`exclusive`, or by user code in another thread. It may run the `__hash__` and `__eq__` "
        "of keys, and starts again when a writer moved what it was looking at."
    ),
    Level.ATOMIC: (
        "Takes effect at one moment between its call and its return (linearizable); other threads "
        "see all of it or nothing. Writers of one table exclude each other; user code (`__hash__`, "
        "`__eq__`, callbacks, finalizers) runs with no lock held."
    ),
    Level.WEAK: (
        "Never raises because of a concurrent change, and tells the truth piece by piece: each "
        "element, or each key, is handled atomically, the whole is not of one moment. For "
        "iteration: a key present from start to end is yielded exactly once, nothing is yielded "
        "twice, nothing that was never there is yielded."
    ),
}


@dataclass(frozen=True)
class Contract:
    """The level of one method, and what to know beyond it."""

    level: Level
    note: str = ""


def _level(level: Level, names: str, note: str = "") -> dict[str, Contract]:
    return {name: Contract(level, note) for name in names.split()}


_FREE, _ATOMIC, _WEAK = Level.LOCK_FREE, Level.ATOMIC, Level.WEAK
_SNAPSHOT = "of one snapshot"
_BATCH = "all keys at once; costs a copy of the table's arrays when there is more than one"

_VIEW_NOTE = "the view itself; iterating it walks a snapshot, see the views below"
_READS = _level(_FREE, "__getitem__ get __contains__")
_LEN = _level(_FREE, "__len__", "waits out a commit that is half done (a few stores)")
_VERSIONS = _level(_FREE, "version keys_version", "waits out a commit that is half done")
_WRITES = _level(_ATOMIC, "__setitem__ __delitem__ pop setdefault popitem clear")
_OPERATIONS = {
    **_level(_ATOMIC, "compare_and_set compare_and_delete swap increment"),
    **_level(_ATOMIC, "compute", "`fn` runs unlocked and may run again"),
    **_level(
        _ATOMIC, "compute_if_absent", "one factory at a time per key, run unlocked; others wait"
    ),
    **_level(_ATOMIC, "get_many", "lock-free unless writers interfere again and again"),
    **_level(_ATOMIC, "update_many pop_many", _BATCH),
    **_level(_ATOMIC, "snapshot", "the same object again until the next write"),
}
_WATCHING = _level(_ATOMIC, "watch subscribe")
_WHOLE = {
    **_level(_ATOMIC, "__eq__ __ne__ __repr__ __or__ __ror__ copy __copy__ __reduce__", _SNAPSHOT),
    **_level(_WEAK, "__ior__ update", "each key atomically; filling an empty table is one step"),
    **_level(_WEAK, "__iter__"),
    **_level(_FREE, "keys values items", _VIEW_NOTE),
    **_level(_FREE, "guard", "making one looks the keys up; calling it is lock-free"),
    **_level(_FREE, "__sizeof__"),
}
_MAPPING = {**_READS, **_LEN, **_WRITES, **_WHOLE, **_OPERATIONS, **_VERSIONS, **_WATCHING}
_CLASS = _level(_ATOMIC, "fromkeys", "the new table is not shared yet")

CONTRACTS: Mapping[str, Mapping[str, Contract]] = {
    "ConcurrentDict": {**_MAPPING, **_CLASS, **_level(_WEAK, "__reversed__")},
    "SplitDict": {
        **_MAPPING,
        **_CLASS,
        **_level(_WEAK, "__reversed__"),
        **_level(_FREE, "shared_keys"),
    },
    "ShardedDict": {
        **_MAPPING,
        **_CLASS,
        **_level(_WEAK, "__len__", "exact at rest; else off by at most the calls in progress"),
        **_level(_WEAK, "version keys_version", "a sum over the shards; rises with every mutation"),
        **_level(_WEAK, "__ior__ update", "each key atomically"),
        **_level(_ATOMIC, "update_many pop_many", "all keys at once; other writers wait"),
        **_level(_ATOMIC, "__copy__ copy", _SNAPSHOT),
        **_level(_FREE, "shards"),
    },
    "SharedKeys": {
        **_level(_FREE, "names __len__ __iter__ __contains__ __repr__ __reduce__"),
    },
    "FrozenDict": {
        **_level(
            _FREE,
            "__getitem__ get __contains__ __len__ __iter__ __reversed__ keys values items __eq__ "
            "__ne__ __hash__ __or__ __ror__ copy __copy__ fromkeys get_many __repr__ __reduce__ "
            "__sizeof__",
            "immutable",
        ),
        **_level(_FREE, "snapshot", "the table itself"),
    },
    "FrozenSet": {
        **_level(
            _FREE,
            "__contains__ __len__ __iter__ __eq__ __ne__ __le__ __lt__ __ge__ __gt__ __hash__ "
            "__and__ __or__ __sub__ __xor__ __rand__ __ror__ __rsub__ __rxor__ copy difference "
            "intersection isdisjoint issubset issuperset symmetric_difference union __repr__ "
            "__reduce__ __sizeof__",
            "immutable",
        ),
    },
    "ConcurrentSet": {
        **_level(_FREE, "__contains__"),
        **_LEN,
        **_VERSIONS,
        **_WATCHING,
        **_level(_ATOMIC, "add discard remove pop clear"),
        **_level(
            _ATOMIC,
            "update difference_update intersection_update symmetric_difference_update "
            "__ior__ __isub__ __iand__ __ixor__",
            "the operand is read first; then all changes at once, length included",
        ),
        **_level(
            _ATOMIC,
            "copy __copy__ __and__ __or__ __sub__ __xor__ __rand__ __ror__ __rsub__ __rxor__ "
            "difference intersection isdisjoint issubset issuperset symmetric_difference union "
            "__eq__ __ne__ __le__ __lt__ __ge__ __gt__ __repr__ __reduce__",
            _SNAPSHOT,
        ),
        **_level(_ATOMIC, "freeze snapshot", "the same object again until the next write"),
        **_level(_WEAK, "__iter__"),
        **_level(_FREE, "__sizeof__"),
    },
    "HashTable": {
        **_level(_FREE, "get __contains__"),
        **_level(_FREE, "__len__ size", "waits out a commit that is half done (a few stores)"),
        **_VERSIONS,
        **_WATCHING,
        **_level(_ATOMIC, "set steal clear destroy", "destructors run after the call's section"),
        **_level(_ATOMIC, "foreach", "over one snapshot; the callback runs unlocked"),
        **_level(_ATOMIC, "stats", _SNAPSHOT),
    },
    "views": {
        **_level(_FREE, "__len__ __contains__", "of keys and items; as on the table"),
        **_level(
            _ATOMIC,
            "__iter__ __reversed__ __and__ __or__ __sub__ __xor__ __eq__ __le__ __lt__ __ge__ __gt__ "
            "isdisjoint __repr__",
            _SNAPSHOT,
        ),
    },
    "iterators": {
        **_level(
            _WEAK,
            "__next__",
            "of a table; one of a view walks a snapshot. Shared by threads, each entry goes to one",
        ),
    },
    "Guard": {
        **_level(_FREE, "__call__", "several values are all of one moment"),
        **_level(_FREE, "valid keys refreshes"),
    },
    "Watch": {**_level(_ATOMIC, "cancel"), **_level(_FREE, "active kinds")},
    "Subscription": {
        **_level(_ATOMIC, "get __next__ __anext__ close", "consumers share the events"),
        **_level(_FREE, "__len__ closed"),
    },
    "exclusive": {
        **_level(_ATOMIC, "__enter__ __exit__", "one table after the other, in address order"),
    },
    "Cache": {
        **_level(
            _FREE,
            "get peek __contains__",
            "an entry that expired or fell is taken out by `get`, which runs the removal listener",
        ),
        **_level(_FREE, "get_or_load aget_or_load", "a hit; a miss waits for one loader"),
        **_level(_FREE, "__len__ expires_in"),
        **_level(_ATOMIC, "set pop touch", "a load of the key in flight is not kept"),
        **_level(
            _ATOMIC,
            "invalidate invalidate_tag clear",
            "no read that begins later sees a value whose making began before",
        ),
        **_level(_WEAK, "get_many load_many", "each key atomically"),
        **_level(_WEAK, "invalidate_where expire", "each key atomically; user code runs unlocked"),
        **_level(_ATOMIC, "keys items", "of one snapshot of the entries"),
        **_level(_ATOMIC, "watch invalidate_on"),
        **_level(_WEAK, "wait_for", "blocks this thread only"),
        **_level(_WEAK, "stats info __repr__", "the counts add up at rest"),
        **_level(_FREE, "maxsize"),
    },
    "reclaim": {**_level(_ATOMIC, "stats flush synchronize retire")},
}


def markdown() -> str:
    """The text of docs/reference/thread-safety.md."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Thread safety, method by method"
    yield ""
    yield "<!-- Generated: python -m concurrent_tables.contracts > this file. Do not edit. -->"
    yield ""
    yield "## Levels"
    yield ""
    for level, meaning in MEANINGS.items():
        yield f"**{level.value}**"
        yield f": {meaning}"
        yield ""
    for owner, methods in CONTRACTS.items():
        yield f"## {owner}"
        yield ""
        yield "| method | level | note |"
        yield "|---|---|---|"
        for name, contract in sorted(methods.items(), key=lambda item: item[0].strip("_")):
            yield f"| `{name}` | {contract.level.value} | {contract.note} |"
        yield ""


if __name__ == "__main__":
    print(markdown(), end="")
