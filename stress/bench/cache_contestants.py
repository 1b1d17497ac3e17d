"""The caches that `ct-stress bench cache` compares: ours, the standard library's, those installed."""

from __future__ import annotations

import functools
import importlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from concurrent_tables import Cache, cached

__all__ = ["CacheContestant", "Made", "find_cache_contestants"]


class Made(NamedTuple):
    """A cache, by what is asked of it; `None` where it has no such thing."""

    get: Callable[[Any], Any]
    set: Callable[[Any, Any], Any]
    load: Callable[[Any], Any]  # get, or call the loader and keep
    call: Callable[[Any], Any] | None  # a decorated function of one argument
    keep: Any  # what must live as long

    def own(self) -> Made:
        """The same with bound methods of the caller's own, as a thread has that looks them up."""
        return self._replace(get=_bound_again(self.get), set=_bound_again(self.set))


def _bound_again(method: Any) -> Any:
    """Threads that share a bound method object meet at its reference count."""
    owner = getattr(method, "__self__", None)
    return method if owner is None else getattr(owner, method.__name__, method)


@dataclass(frozen=True)
class CacheContestant:
    """`make(maxsize, ttl, loader)`; `ttl` in seconds, or None."""

    name: str
    side: str  # "ours" or "other"
    make: Callable[[int, float | None, Callable[[Any], Any]], Made]


def find_cache_contestants() -> tuple[list[CacheContestant], list[str]]:
    """The contestants that are here, and the names of those that are not installed."""
    found = [CacheContestant("Cache", "ours", _ours), CacheContestant("lru_cache", "other", _lru)]
    missing = []
    for name, module, make in (
        ("cachetools+lock", "cachetools", _cachetools),
        ("cachebox", "cachebox", _cachebox),
        ("moka-py", "moka_py", _moka),
        ("theine", "theine", _theine),
    ):
        try:
            imported = importlib.import_module(module)
        except ImportError:
            missing.append(name)
        else:
            found.append(CacheContestant(name, "other", functools.partial(make, imported)))
    return found, missing


def _loading(get: Any, store: Any, loader: Any) -> Callable[[Any], Any]:
    """What users of a cache without loaders write."""

    def load(key: Any) -> Any:
        value = get(key)
        if value is None:
            value = loader(key)
            store(key, value)
        return value

    return load


def _ours(maxsize: int, ttl: float | None, loader: Callable[[Any], Any]) -> Made:
    cache = Cache(maxsize, ttl=ttl)
    load = cache.get_or_load
    call = cached(Cache(maxsize, ttl=ttl))(loader)
    return Made(cache.get, cache.set, lambda key: load(key, loader), call, cache)


def _lru(maxsize: int, ttl: float | None, loader: Callable[[Any], Any]) -> Made:
    call = functools.lru_cache(maxsize)(loader)
    return Made(call, lambda key, value: call(key), call, call, call)


def _cachetools(module: Any, maxsize: int, ttl: float | None, loader: Callable[[Any], Any]) -> Made:
    cache = module.LRUCache(maxsize) if ttl is None else module.TTLCache(maxsize, ttl)
    lock = threading.Lock()

    def get(key: Any) -> Any:
        with lock:
            return cache.get(key)

    def store(key: Any, value: Any) -> None:
        with lock:
            cache[key] = value

    own = module.LRUCache(maxsize) if ttl is None else module.TTLCache(maxsize, ttl)
    call = module.cached(own, lock=threading.Lock())(loader)
    return Made(get, store, _loading(get, store, loader), call, cache)


def _cachebox(module: Any, maxsize: int, ttl: float | None, loader: Callable[[Any], Any]) -> Made:
    make = module.LRUCache if ttl is None else functools.partial(module.TTLCache, global_ttl=ttl)
    cache = make(maxsize)
    call = module.cached(make(maxsize))(loader)
    return Made(cache.get, cache.insert, _loading(cache.get, cache.insert, loader), call, cache)


def _moka(module: Any, maxsize: int, ttl: float | None, loader: Callable[[Any], Any]) -> Made:
    cache = module.Moka(maxsize) if ttl is None else module.Moka(maxsize, ttl=ttl)
    call = module.cached(maxsize=maxsize, ttl=ttl)(loader)
    return Made(cache.get, cache.set, _loading(cache.get, cache.set, loader), call, cache)


def _theine(module: Any, maxsize: int, ttl: float | None, loader: Callable[[Any], Any]) -> Made:
    cache = module.Cache(maxsize)

    def get(key: Any) -> Any:
        return cache.get(key)[0]

    def store(key: Any, value: Any) -> None:
        cache.set(key, value)

    return Made(get, store, _loading(get, store, loader), None, cache)
