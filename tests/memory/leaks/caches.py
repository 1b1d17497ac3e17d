"""Caches: what is driven out, replaced, expired, refused, left to the collector; caches themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from concurrent_tables import Cache, cached
from tests.memory.leaks.measure import finish, steady
from tests.support import Boom, EqRaises, Named, Trackable

Body = Callable[[], Any]
SHORT = 40  # rounds


def evictions(**options: Any) -> Body:
    """One cache that stays full, keys of several kinds."""
    cache = Cache(20, **options)
    numbers = iter(range(10**9))

    def body() -> None:
        for _ in range(8):
            number = next(numbers)
            for key in (number, f"key{number}", (number, "key"), Named(number % 5)):
                cache.get(key)
                cache.set(key, [Trackable(number)])
        cache.keys(), cache.items()

    return body


def ways_out() -> Body:
    now = [0.0]
    told: list[Any] = []
    cache = Cache(
        50,
        ttl=10,
        timer=lambda: now[0],
        weigher=lambda key, value: 2,
        on_remove=lambda *event: told.append(event),
    )
    for _ in range(1024):  # as many are remembered
        cache.invalidate_tag(6)

    def body() -> None:
        for number in range(10):
            cache.set(number, Trackable(number), tags=["tag", number])
            cache.set(number, Trackable(number), ttl=number + 1.0)
        cache.touch(3, 100.0)
        cache.pop(4)
        cache.invalidate(5)
        cache.invalidate_tag(6)
        cache.invalidate_where(lambda key, value: key == 7)
        now[0] += 5.0
        cache.expire()
        cache.get_or_load("loaded", Trackable)
        with cache.watch(lambda event: None):
            cache.set(1, 2)
        cache.clear()
        told.clear()

    return body


def refused() -> Body:
    cache = Cache(10)

    def body() -> None:
        cache.set(EqRaises(), 1)
        for call in (
            lambda: cache.set([], 1),
            lambda: cache.get([]),
            lambda: cache.get(EqRaises()),
            lambda: cache.set(EqRaises(), 1),
            lambda: cache.pop(EqRaises()),
            lambda: cache.set("key", 1, weight=-1),
            lambda: cache.set("key", 1, ttl=-1),
            lambda: cache.get_or_load("key", lambda key: 1 / 0),
            lambda: Cache(policy="none", maxsize=3),
        ):
            with suppress(TypeError, ValueError, Boom, ZeroDivisionError):
                call()
        cache.clear()

    return body


def whole_caches() -> None:
    """Made and dropped, some of them in a circle with what they hold."""
    for options in ({"maxsize": 30}, {"maxsize": 30, "policy": "lru"}, {"ttl": 100.0}):
        cache = Cache(**options)
        for number in range(100):
            cache.set(number, cache if number % 9 == 0 else [number])
        function = cached(cache)(lambda number: [number])
        assert function(5) == function(5) == [5]


def from_threads() -> None:
    """Shared: what leaves waits for a grace period."""
    cache = Cache(30, ttl=100.0)

    def work() -> None:
        for number in range(300):
            cache.get(number % 60)
            cache.set(number % 60, [number])
            cache.pop(number % 7, None)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    for policy in ("lru", "tinylfu"):
        steady(f"evictions of {policy}", evictions(policy=policy), SHORT, 80)
    steady("evictions with ttl", evictions(ttl=1000.0), SHORT, 80)
    steady("ways out", ways_out(), SHORT, 1100)  # until a thousand other tags fell
    steady("refused", refused(), SHORT, 40)
    steady("whole caches", whole_caches, SHORT, 200)
    steady("threads", from_threads, SHORT // 4, 30)
    finish()


if __name__ == "__main__":
    main()
