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
    HitPath: Any
    Entry: Any
    Cell: Any
    CachedCall: Any  # None: calls of cached functions run in Python


@cache
def parts(implementation: str) -> Parts:
    """The parts in "c" or "python". A C core without the hit path takes the twin's, whole."""
    module = importlib.import_module(
        "._core" if implementation == "c" else "._pure.api", "concurrent_tables"
    )
    native = all(hasattr(module, name) for name in ("HitPath", "Entry", "Cell"))
    source: Any = module if native else _twin
    call = getattr(module, "CachedCall", None) if native else None
    return Parts(module.ConcurrentDict, source.HitPath, source.Entry, source.Cell, call)
