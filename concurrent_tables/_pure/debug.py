"""Debug mode: `CONCURRENT_TABLES_DEBUG=1` before the first import.

It poisons reclaimed blocks, asserts the invariants at the commits, and keeps a weak registry of
all tables, so that a test run can walk every table that is still alive.
"""

from __future__ import annotations

import os
import weakref
from typing import Any, NoReturn

__all__ = ["ENABLED", "POISON", "UseAfterFreeError", "live_tables", "register"]

ENABLED = os.environ.get("CONCURRENT_TABLES_DEBUG", "") not in ("", "0")

_registry: dict[int, weakref.ref[Any]] = {}


class UseAfterFreeError(AssertionError):
    """A reclaimed block was used: some reader was not pinned, or a grace period was too short."""


class _Poison:
    """Stands in for the arrays of a reclaimed block; any use of it is an error."""

    __slots__ = ()

    def _fail(self, *args: object) -> NoReturn:
        raise UseAfterFreeError("a reclaimed keys block was used after its grace period")

    __getitem__ = __setitem__ = __len__ = __iter__ = __bool__ = _fail

    def __repr__(self) -> str:
        return "<poisoned>"


POISON: Any = _Poison()


def register(table: Any) -> None:
    """Remember `table` weakly (called by constructors in debug mode only)."""
    key = id(table)
    ref = weakref.ref(table, lambda _: _registry.pop(key, None))
    _registry[key] = ref


def live_tables() -> list[Any]:
    """All tables of the Python implementation that are still alive (debug mode only)."""
    return [table for ref in _registry.copy().values() if (table := ref()) is not None]
