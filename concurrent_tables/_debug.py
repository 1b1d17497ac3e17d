"""Debug mode: `CONCURRENT_TABLES_DEBUG=1` before the first import; for both implementations.

It poisons reclaimed blocks, asserts the invariants at the commits, and keeps a weak registry of
all tables, so that a test run can walk every table that is still alive.
"""

from __future__ import annotations

import os
import weakref
from typing import Any

__all__ = ["ENABLED", "live_tables", "register"]

ENABLED = os.environ.get("CONCURRENT_TABLES_DEBUG", "") not in ("", "0")


class _Entry(weakref.ref[Any]):
    """A weak reference that knows its place in the registry, so that it needs no closure."""

    __slots__ = ("key",)
    key: int


_registry: dict[int, _Entry] = {}


def _forget(entry: Any) -> None:
    _registry.pop(entry.key, None)


def register(table: Any) -> None:
    """Remember `table` weakly (called by constructors in debug mode only)."""
    entry = _Entry(table, _forget)
    entry.key = id(table)
    _registry[entry.key] = entry


def live_tables() -> list[Any]:
    """All tables that are still alive (debug mode only)."""
    return [table for ref in _registry.copy().values() if (table := ref()) is not None]
