"""The public face of the Python implementation's epoch domain; see concurrent_tables/reclaim.py."""

from __future__ import annotations

from typing import Any

from .reclaim import domain

__all__ = ["flush", "retire", "stats", "synchronize"]


def stats() -> dict[str, int]:
    """Counters of the domain."""
    return domain.stats()


def flush() -> int:
    """Free everything retired before the call."""
    return domain.flush()


def synchronize() -> None:
    """Wait for a grace period."""
    domain.synchronize()


def retire(obj_or_callback: Any, /) -> None:
    """Drop an object, or call a callable, after a grace period."""
    domain.retire(obj_or_callback, callback=callable(obj_or_callback))
