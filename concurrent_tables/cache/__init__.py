"""The shared cache: invalidation wins over loads in flight, one load per key for all callers.

docs/explanation/cache.md tells how; docs/reference/cache.md what every method promises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _active
from .base import Loaded
from .cache import CacheMethods, make_cache_type
from .decorator import cached
from .following import Following
from .parts import parts
from .removal import RemovalCause
from .stats import CacheInfo, CacheStats

__all__ = [
    "Cache",
    "CacheInfo",
    "CacheStats",
    "Following",
    "Loaded",
    "RemovalCause",
    "cached",
]

if TYPE_CHECKING:
    from .._pure.hit_path import HitPath

    class Cache(CacheMethods, HitPath):
        """See `concurrent_tables.Cache`."""
else:
    Cache: Any = make_cache_type(parts(_active.IMPLEMENTATION), CacheMethods.__doc__)
