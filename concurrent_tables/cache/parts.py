"""What a cache is made of in each implementation: its table, entries and hit path."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any, NamedTuple

from .._pure import hit_path as _twin

__all__ = ["Parts", "parts"]


class Parts(NamedTuple):
    """The types that one implementation gives."""

    ConcurrentDict: Any
    Table: Any  # of entries: a CacheTable, which keeps policy and wheel, or a ConcurrentDict
    HitPath: Any
    Entry: Any
    Cell: Any
    CachedCall: Any  # None: calls of cached functions run in Python
    native: bool


@cache
def parts(implementation: str) -> Parts:
    """The parts in "c" or "python". A C core without the hit path takes the twin's, whole."""
    module = importlib.import_module(
        "._core" if implementation == "c" else "._pure.api", "concurrent_tables"
    )
    native = all(hasattr(module, name) for name in ("HitPath", "Entry", "Cell", "CacheTable"))
    source: Any = module if native else _twin
    call = getattr(module, "CachedCall", None) if native else None
    table = module.CacheTable if native else module.ConcurrentDict
    return Parts(
        module.ConcurrentDict, table, source.HitPath, source.Entry, source.Cell, call, native
    )
