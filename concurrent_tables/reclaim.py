"""Delayed free: statistics of the epoch domain, and ways to wait for it or to use it.

A table that a second thread has touched lets go of removed keys and values only after a *grace
period*: when every reader that may still see them is done. These functions make that visible.

>>> from concurrent_tables import reclaim
>>> reclaim.retire(lambda: print("nobody can see it any more"))
>>> freed = reclaim.flush()
nobody can see it any more
"""

from __future__ import annotations

from collections.abc import Callable

from . import _active

__all__ = ["flush", "retire", "stats", "synchronize"]


def stats() -> dict[str, int]:
    """Counters of this interpreter's domain.

    `pending_items` and `pending_bytes` wait for a grace period; `retired_total` and `freed_total`
    count since the start; `threads` have records, of which `pinned` are reading right now;
    `polls`, `pressure_waits` and `callback_errors` count what their names say; `sequence` is the
    domain's clock. Thread-safety: atomic.
    """
    result: dict[str, int] = _active.reclaim.stats()
    return result


def flush() -> int:
    """Wait for a grace period and free everything retired before the call; how many items.

    Finalizers and callbacks run in the calling thread, with no lock held. Thread-safety: atomic.
    """
    freed: int = _active.reclaim.flush()
    return freed


def synchronize() -> None:
    """Wait until every read that was in progress at the call is over. Thread-safety: atomic."""
    _active.reclaim.synchronize()


def retire(obj_or_callback: Callable[[], object] | object, /) -> None:
    """After a grace period, call a callable or drop the reference to any other object.

    What a callback raises goes to `sys.unraisablehook`. Thread-safety: atomic.
    """
    _active.reclaim.retire(obj_or_callback)
