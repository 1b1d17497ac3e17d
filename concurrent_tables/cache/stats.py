"""What a cache counts. The numbers of one call add up when no other call is in progress."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["CacheInfo", "CacheStats"]


class CacheInfo(NamedTuple):
    """As `functools.lru_cache` tells it."""

    hits: int
    misses: int
    maxsize: int | None
    currsize: int


class CacheStats(NamedTuple):
    """Counts since the cache was made.

    - `hits` + `misses` == `lookups`: `get`, `get_or_load`, and each key of `get_many` and `load_many`.
    - `load_successes` + `load_failures` == `loads`: runs of a loader. `load_discards`
      values of successful ones (`load_many` brings several) were not kept, because an
      invalidation or a write came first.
    - `insertions` - `removals` == `size`, the entries in the cache (also those that fell or expired
      and have not been taken out yet). The five causes add up to `removals`.
    - `weight` is what the policy counts against `maxsize`; 0 without a bound.
    """

    hits: int
    misses: int
    load_successes: int
    load_failures: int
    load_discards: int
    stale_served: int
    insertions: int
    explicit: int
    replaced: int
    evicted: int
    expired: int
    invalidated: int
    size: int
    weight: int
    policy: dict[str, Any]

    @property
    def lookups(self) -> int:
        """Reads that count."""
        return self.hits + self.misses

    @property
    def loads(self) -> int:
        """Loaders run."""
        return self.load_successes + self.load_failures

    @property
    def removals(self) -> int:
        """Entries that left, for any cause."""
        return self.explicit + self.replaced + self.evicted + self.expired + self.invalidated

    @property
    def hit_ratio(self) -> float:
        """Hits by lookups, 0.0 before the first."""
        return self.hits / self.lookups if self.lookups else 0.0
