"""For people who come from elsewhere: `functools.lru_cache`'s decorator, cachetools' mapping."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, MutableMapping, ValuesView
from typing import Any

from .._missing import MISSING
from . import Cache, Loaded
from .decorator import CachedFunction, cached

__all__ = ["MappingView", "lru_cache"]


def lru_cache(
    maxsize: int | Callable[..., Any] | None = 128,
    typed: bool = False,
    *,
    ttl: float | None = None,
) -> Any:
    """`functools.lru_cache` on a cache of its own: one call at a time for the same arguments.

    Also `@lru_cache` without parentheses. Beyond the original: `ttl` in seconds, coroutine functions,
    methods whose objects are not kept alive, `cache_invalidate(*args)`.
    What differs is in docs/howto/coming-from-lru-cache.md. Thread-safety: as of `get_or_load`.

    >>> from concurrent_tables.cache.compat import lru_cache
    >>> @lru_cache(maxsize=32)
    ... def double(number):
    ...     return 2 * number
    >>> double(2), double(2), double.cache_info()
    (4, 4, CacheInfo(hits=1, misses=1, maxsize=32, currsize=1))
    """
    function = None
    if callable(maxsize):
        function, maxsize = maxsize, 128
    if maxsize is not None and not isinstance(maxsize, int):
        raise TypeError(f"lru_cache() takes an int, a callable or None first, not {maxsize!r}")
    size = None if maxsize is None else max(int(maxsize), 0)

    def decorate(target: Callable[..., Any]) -> CachedFunction:
        decorated: CachedFunction = cached(Cache(size, policy="lru", ttl=ttl), typed=typed)(target)
        decorated.cache_parameters = lambda: {"maxsize": size, "typed": typed}  # type: ignore[attr-defined]
        return decorated

    return decorate if function is None else decorate(function)


class MappingView(MutableMapping[Any, Any]):
    """A cache as a mutable mapping, with the names that cachetools' classes have.

    Reading counts as in `Cache.get`. Iteration goes over the valid keys of one moment. Every method is
    atomic; two of them in a row are not (`get_or_load` is what replaces "look, then store"). So take
    `dict(view.items())` for a copy: `dict(view)` asks for the keys, then for each value.

    >>> from concurrent_tables.cache import Cache
    >>> from concurrent_tables.cache.compat import MappingView
    >>> view = MappingView(Cache(2, policy="lru"))
    >>> view["a"] = 1
    >>> view["a"], len(view), view.maxsize
    (1, 1, 2)
    """

    def __init__(self, cache: Any) -> None:
        self.cache = cache

    def __getitem__(self, key: Any) -> Any:
        entry = self.cache._find(key)
        if entry is None:
            return self.__missing__(key)
        return entry.value

    def __missing__(self, key: Any) -> Any:
        """What `view[key]` does for a key that is not there: KeyError, unless overridden."""
        raise KeyError(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.cache.set(key, value)

    def __delitem__(self, key: Any) -> None:
        self.cache.pop(key)

    def __contains__(self, key: object) -> bool:
        return key in self.cache

    def __iter__(self) -> Iterator[Any]:
        return iter(self.cache.keys())

    def __len__(self) -> int:
        return len(self.cache.keys())

    def get(self, key: Any, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        return self.cache.get(key, default)

    def items(self) -> ItemsView[Any, Any]:
        """The entries; each walk is over one snapshot, and counts no accesses."""
        return _Items(self)

    def values(self) -> ValuesView[Any]:
        """The values; each walk is over one snapshot, and counts no accesses."""
        return _Values(self)

    def pop(self, key: Any, default: Any = MISSING) -> Any:
        """Remove `key` and return its value; `default`, or KeyError without one, if it is absent."""
        return self.cache.pop(key, default)

    def popitem(self) -> tuple[Any, Any]:
        """Remove some entry and return it; KeyError if there is none."""
        for key in iter(self):
            value = self.cache.pop(key, MISSING)
            if value is not MISSING:
                return key, value
        raise KeyError("popitem(): the cache is empty")

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """The value of `key`, which becomes `default` if there is none; waits for a load of the key."""
        return self.cache.get_or_load(key, lambda _: Loaded(default))

    def clear(self) -> None:
        """Drop everything."""
        self.cache.clear()

    @property
    def maxsize(self) -> float:
        """The bound; `inf` for none."""
        return float("inf") if self.cache.maxsize is None else self.cache.maxsize

    @property
    def currsize(self) -> int:
        """The weight of the entries; their number without a bound."""
        stats = self.cache.stats()
        size: int = stats.size if self.cache.maxsize is None else stats.weight
        return size

    def __repr__(self) -> str:
        return f"MappingView({self.cache!r})"


class _Items(ItemsView[Any, Any]):
    _mapping: MappingView

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return iter(self._mapping.cache.items())


class _Values(ValuesView[Any]):
    _mapping: MappingView

    def __iter__(self) -> Iterator[Any]:
        return iter([value for _, value in self._mapping.cache.items()])
