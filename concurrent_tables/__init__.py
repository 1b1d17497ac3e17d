"""Thread-safe dict and set tables for CPython, with and without the GIL.

The types are in `__init__.pyi`; docs/reference describes every name. `IMPLEMENTATION` says whether
the C extension ("c") or the Python implementation ("python") is in use.
"""

from __future__ import annotations

from typing import Any

from . import _active, reclaim, watchers
from ._missing import MISSING, MissingType
from ._watch import watch
from .errors import (
    DeadlockError,
    PureImplementationWarning,
    RecursiveComputeError,
    TableDestroyedError,
    TableMutationError,
    WatchError,
)
from .events import Event, EventKind, Subscription, Watch
from .inspection import TableInfo, inspect_table

__version__ = "0.1.0"

IMPLEMENTATION = _active.IMPLEMENTATION

ConcurrentDict = _active.names["ConcurrentDict"]
ConcurrentSet = _active.names["ConcurrentSet"]
FrozenDict = _active.names["FrozenDict"]
FrozenSet = _active.names["FrozenSet"]
Guard = _active.names["Guard"]
HashTable = _active.names["HashTable"]
ShardedDict = _active.names["ShardedDict"]
SharedKeys = _active.names["SharedKeys"]
SplitDict = _active.names["SplitDict"]
compare_identity = _active.names["compare_identity"]
compare_str = _active.names["compare_str"]
exclusive = _active.names["exclusive"]
hash_identity = _active.names["hash_identity"]
hash_str = _active.names["hash_str"]

__all__ = [
    "IMPLEMENTATION",
    "MISSING",
    "Cache",
    "ConcurrentDict",
    "ConcurrentSet",
    "DeadlockError",
    "Event",
    "EventKind",
    "FrozenDict",
    "FrozenSet",
    "Guard",
    "HashTable",
    "MissingType",
    "PureImplementationWarning",
    "RecursiveComputeError",
    "ShardedDict",
    "SharedKeys",
    "SplitDict",
    "Subscription",
    "TableDestroyedError",
    "TableInfo",
    "TableMutationError",
    "Watch",
    "WatchError",
    "__version__",
    "cached",
    "compare_identity",
    "compare_str",
    "exclusive",
    "hash_identity",
    "hash_str",
    "inspect_table",
    "reclaim",
    "watch",
    "watchers",
]


def __getattr__(name: str) -> Any:
    """`Cache` and `cached`, imported when they are first asked for."""
    if name in ("Cache", "cached"):
        from . import cache

        globals()["Cache"], globals()["cached"] = cache.Cache, cache.cached
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
