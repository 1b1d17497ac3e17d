"""A thousand caches made, used in every way and dropped: no thread stays, and no byte.

The first thousand fills what the process keeps: the interpreter's own caches, memory that is used
again. After each later one the process must hold what it held before, without any warm-up; half of
the caches hold themselves, so that only the collector frees them. Those of the twin come in lots of 250,
since each takes ten times as long there; what may stay is in proportion.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from typing import Any

from concurrent_tables import Cache, ConcurrentDict, cached
from concurrent_tables._active import IMPLEMENTATION
from concurrent_tables.cache import RemovalCause
from tests.memory.leaks.measure import held
from tests.support import Trackable

CACHES, LOTS = (1000, 5) if IMPLEMENTATION == "c" else (250, 12)
MOST = CACHES // 2  # blocks; a leak of one block a cache is twice as much
MOST_BYTES = CACHES * 16  # the smallest block of malloc() has 32
OPTIONS: tuple[dict[str, Any], ...] = (
    {"maxsize": 8},
    {"maxsize": 8, "ttl": 1000.0, "policy": "lru"},
    {"ttl": 1000.0, "jitter": 0.5},
    {"maxsize": 8, "tti": 1000.0, "weigher": lambda key, value: 2},
    {"maxsize": 8, "ttl": 1000.0, "refresh_after": 1e-9, "stale_on_error": 5.0},
    {"maxsize": 8, "ttl": 1000.0, "hard_timeout": 100.0},
)
source: Any = ConcurrentDict(a=1)
plain = {"a": 1}
told: list[tuple[Any, Any, RemovalCause]] = []


def listener(key: Any, value: Any, cause: RemovalCause) -> None:
    told.append((key, value, cause))


def follow(cache: Any) -> None:
    cache.invalidate_on(source)
    if sys.version_info >= (3, 12):
        cache.invalidate_on(plain, keys=lambda event: [event.key, "other"])
    cache.set("a", Trackable(1))
    source["a"] = plain["a"] = Trackable(2)
    assert cache.get("a") is None


def use(cache: Any, number: int) -> None:
    for key in range(12):
        cache.set(key, Trackable(key), tags=["tag", key])
        cache.get(key)
    cache.set("short", Trackable(0), ttl=900.0)
    cache.touch(3, 800.0)
    cache.pop(4, None)
    cache.invalidate_tag("tag")
    assert isinstance(cache.get_or_load("loaded", Trackable), Trackable)
    cache.get_many(["loaded", 1])
    cache.get_or_load("loaded", Trackable)  # with `refresh_after`: a worker loads it anew
    with cache.watch(told.append):
        cache.set(1, Trackable(1))
    function = cached(cache)(lambda number: Trackable(number))
    assert function(5) is not None
    cache.stats()
    cache.expire()
    if number % 2:
        cache.set("self", cache)


async def use_in_loop(cache: Any) -> None:
    async def load(key: Any) -> Any:
        await asyncio.sleep(0)
        return Trackable(key)

    first, second = await asyncio.gather(
        cache.aget_or_load("async", load), cache.aget_or_load("async", load)
    )
    assert isinstance(first, Trackable) and isinstance(second, Trackable)

    @cached(cache)
    async def function(number: int) -> Any:
        return Trackable(number)

    await function(1)


async def one_lot() -> None:
    for number in range(CACHES):
        cache = Cache(**OPTIONS[number % len(OPTIONS)], on_remove=listener)
        follow(cache)
        use(cache, number)
        await use_in_loop(cache)
        del cache
        if number % 25 == 24:  # each that lives hears of every change of the sources
            gc.collect()
    source["a"] = plain["a"] = 1
    told.clear()


def let_threads_end() -> None:
    """Those of the caches end by themselves, once no cache is left."""
    gc.collect()
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join(60.0)
            if thread.is_alive():
                sys.exit(f"{thread} is still there")


def main() -> None:
    grown: list[tuple[int, int]] = []
    before = (0, 0)
    for number in range(LOTS):
        asyncio.run(one_lot())
        let_threads_end()
        now = held()
        if number:
            grown.append((now[0] - before[0], now[1] - before[1]))
            if grown[-1][0] <= MOST and grown[-1][1] <= MOST_BYTES:
                break
        before = now
    else:
        sys.exit(f"(blocks, bytes) grew by {grown} in {CACHES} caches each")
    print(f"no thread; (blocks, bytes) grew by {grown}")


if __name__ == "__main__":
    main()
