"""`Cache`: a bounded, expiring mapping for many threads and event loops, in which invalidation wins.

The class is put together from parts, each a file: `maintenance` (policy, wheel, who leaves), `storing`
(writes and invalidation), `loading` and `aloading` (one flight per key), `watching`, and the hit path
(`_pure/hit_path.py`, or its C twin), which comes last in the class and first in speed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import GenericAlias
from typing import Any

from .._waits import PerProcess
from .aloading import AsyncLoading
from .base import Settings
from .native import NativeMaintenance
from .parts import Parts
from .policy import check_policy
from .removal import RemovalCause
from .stats import CacheInfo, CacheStats
from .storing import seconds
from .tags import Tags
from .watching import Watching

__all__ = ["CacheMethods"]


class CacheMethods(AsyncLoading, Watching):
    """Everything of `Cache` beside the hit path, with the construction and the statistics."""

    def __init__(
        self,
        maxsize: int | None = None,
        *,
        ttl: float | None = None,
        tti: float | None = None,
        weigher: Callable[[Any, Any], int] | None = None,
        policy: str = "tinylfu",
        refresh_after: float | None = None,
        stale_on_error: float | None = None,
        soft_timeout: float | None = None,
        hard_timeout: float | None = None,
        jitter: float = 0.0,
        on_remove: Callable[[Any, Any, RemovalCause], object] | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        if maxsize is not None and (isinstance(maxsize, bool) or not isinstance(maxsize, int)):
            raise TypeError(f"maxsize must be an int or None, not {maxsize!r}")
        if maxsize is not None and maxsize < 0:
            raise ValueError(f"maxsize must not be negative: {maxsize}")
        check_policy(policy)  # also where there is no bound to keep
        if not 0.0 <= jitter <= 1.0:
            raise ValueError(f"jitter must be a fraction between 0 and 1, not {jitter!r}")
        for name, function in (("weigher", weigher), ("on_remove", on_remove)):
            if function is not None and not callable(function):
                raise TypeError(f"{name} must be callable or None, not {function!r}")
        if not callable(timer):
            raise TypeError(f"timer must be callable, not {timer!r}")
        settings = Settings(
            maxsize=maxsize,
            ttl=seconds("ttl", ttl),
            tti=seconds("tti", tti),
            weigher=weigher,
            policy=policy,
            refresh_after=seconds("refresh_after", refresh_after),
            stale_on_error=seconds("stale_on_error", stale_on_error),
            soft_timeout=seconds("soft_timeout", soft_timeout),
            hard_timeout=seconds("hard_timeout", hard_timeout),
            jitter=jitter,
            on_remove=on_remove,
            timer=timer,
        )
        super().__init__(self._make_table(settings), timer, maxsize is not None)
        self._settings = settings
        self._tags = Tags(self._parts.ConcurrentDict, self._parts.Cell)
        self._flights = self._parts.ConcurrentDict()
        self._tallies = self._parts.ConcurrentDict()
        self._followings = ()
        self._clearing = PerProcess(threading.RLock)
        self._begin_maintenance()

    @classmethod
    def __class_getitem__(cls, item: Any, /) -> GenericAlias:
        return GenericAlias(cls, item)

    @property
    def maxsize(self) -> int | None:
        """The bound, in entries or in the weigher's unit; None for none."""
        return self._settings.maxsize

    def __len__(self) -> int:
        """How many entries there are, those included that expired and have not left yet."""
        return len(self._table)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} entries, maxsize={self.maxsize}>"

    def __reduce__(self) -> Any:
        raise TypeError(
            f"cannot pickle a {type(self).__name__}: what it holds belongs to this process; "
            "make a new one, or pickle get_many(...)"
        )

    def keys(self) -> list[Any]:
        """The keys that have a valid value at one moment, in no particular order."""
        return [key for key, entry in list(self._table.items()) if self._valid(entry)]

    def items(self) -> list[tuple[Any, Any]]:
        """The keys with their values, of one snapshot of the table."""
        return [
            (key, entry.value) for key, entry in list(self._table.items()) if self._valid(entry)
        ]

    def stats(self) -> CacheStats:
        """What was counted since the cache was made; see `CacheStats`. Exact at rest."""
        self._maintain()
        hits, misses = self._counts()
        weight, policy = self._policy_stats()
        return CacheStats(
            hits=hits,
            misses=misses,
            load_successes=self._counted("load_successes"),
            load_failures=self._counted("load_failures"),
            load_discards=self._counted("load_discards"),
            stale_served=self._counted("stale_served"),
            insertions=self._counted("insertions"),
            explicit=self._counted(RemovalCause.EXPLICIT),
            replaced=self._counted(RemovalCause.REPLACED),
            evicted=self._counted(RemovalCause.SIZE),
            expired=self._counted(RemovalCause.EXPIRED),
            invalidated=self._counted(RemovalCause.INVALIDATED),
            size=len(self._table),
            weight=weight,
            policy=policy,
        )

    def info(self) -> CacheInfo:
        """Hits, misses, bound and size, as `functools.lru_cache` tells them."""
        hits, misses = self._counts()
        return CacheInfo(hits, misses, self._settings.maxsize, len(self._table))


def make_cache_type(parts: Parts, doc: str | None) -> Any:
    """The class `Cache` of one implementation."""
    namespace: dict[str, Any] = {
        "__module__": "concurrent_tables",
        "__qualname__": "Cache",
        "__doc__": doc,
        "_parts": parts,
    }
    if parts.native:
        namespace["get_or_load"] = vars(parts.HitPath)["get_or_load"]
    maintenance = (NativeMaintenance,) if parts.native else ()
    return type("Cache", (*maintenance, CacheMethods, parts.HitPath), namespace)
