"""The cache on top of the tables: invalidations that must win, one load per key, bound, events.

A *source* holds a number for each key, which only grows. A thread raises it, invalidates in one of the
ways there are, and then tells (in `told`) that nobody may read less any more. What a loader returns
carries the number that it read, so a stale value is seen by whoever gets it.
"""

from __future__ import annotations

import importlib
import itertools
import threading
import time
from typing import Any

from ..arena import Arena, Worker
from ..keys import make_key
from ..targets import Kind
from .base import Round, workload

__all__: list[str] = []

_TTL_SECONDS = 0.05
_GIVE_UP_SECONDS = 30.0
_SET = 1 << 60


def _cache_type(package: Any) -> Any:
    """The cache over the tables of the implementation that is under test."""
    name = importlib.import_module("concurrent_tables.cache.cache")
    parts = importlib.import_module("concurrent_tables.cache.parts").parts
    return name.make_cache_type(parts(package.IMPLEMENTATION), None)


class _Value:
    """What a loader made: the source's number, and when (seconds, monotonic)."""

    __slots__ = ("made", "number", "stored")

    def __init__(self, number: int) -> None:
        self.number = number
        self.made = time.monotonic()
        self.stored = float("inf")  # when a `set` had returned

    def __repr__(self) -> str:
        return f"#{self.number}"


class _Cached(Round):
    """A cache, its source, and everything that left it."""

    quota = 150
    bound: int | None = None
    ttl: float | None = None

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.left = itertools.count()
        self.early: list[str] = []
        self.cache = _cache_type(self.package)(self.bound, ttl=self.ttl, on_remove=self._gone)
        self.keys = [make_key(arena.style, 0, number) for number in range(8)]
        self.lock = threading.Lock()
        self.source = dict.fromkeys(range(8), 0)
        self.told = dict.fromkeys(range(8), 0)

    def _gone(self, key: Any, value: Any, cause: str) -> None:
        next(self.left)
        if cause == "expired" and time.monotonic() < value.made + _TTL_SECONDS:
            self.early.append(f"{key!r} {time.monotonic() - value.made:.4f} s after it was made")

    def at_rest(self) -> None:
        expect, cache = self.arena.expect, self.cache
        cache.expire()
        stats = cache.stats()
        expect(not self.early, "early", f"expired before its time: {self.early[:3]}")
        expect(
            stats.insertions - stats.removals == stats.size == len(cache),
            "stats",
            f"{stats.insertions} insertions, {stats.removals} removals, size {stats.size}, "
            f"{len(cache)} entries",
        )
        gone = next(self.left)
        expect(gone == stats.removals, "listener", f"told of {gone} removals, not {stats.removals}")
        expect(len(cache._flights) == 0, "flights", "a flight is left in the registry")
        if self.bound is not None:
            expect(len(cache) <= self.bound, "bound", f"{len(cache)} entries, not {self.bound}")
            expect(
                stats.weight == stats.size,
                "weight",
                f"the policy counts {stats.weight}, there are {stats.size}",
            )
        cache.clear()
        clock = importlib.import_module("concurrent_tables.cache.clock")
        end = time.monotonic() + _GIVE_UP_SECONDS
        while self.ttl is not None and not clock.idle() and time.monotonic() < end:
            time.sleep(0.001)


class _Invalidated(_Cached):
    """Reads, loads and writes against every way to invalidate."""

    def step(self, worker: Worker) -> None:
        number = worker.rng.randrange(len(self.keys))
        if worker.rng.random() < 0.7:
            self._read(worker, number)
        else:
            self._change(worker, number)

    def _read(self, worker: Worker, number: int) -> None:
        key, least, way = self.keys[number], self.told[number], worker.rng.randrange(4)
        began = time.monotonic()
        if way == 0:
            worker.note("get", key)
            value = self.cache.get(key)
        else:
            tags = [(), (number % 2,)][way % 2]
            worker.note("get_or_load", key, tags)
            value = self.cache.get_or_load(key, lambda _: self._load(number), tags=tags)
        if value is None:
            return
        if value.number < least:
            worker.fail("stale", f"{key!r} gave {value!r} after {least} was told")
        if way == 0 and self.ttl is not None and began >= value.stored + _TTL_SECONDS:
            worker.fail("late", f"{key!r} gave {value!r} after it expired")

    def _load(self, number: int) -> Any:
        from concurrent_tables.cache import Loaded

        value = _Value(self.source[number])
        time.sleep(0)  # as a loader that waits for something
        return Loaded(value, tags=[number % 2])

    def _change(self, worker: Worker, number: int) -> None:
        key, cache, way = self.keys[number], self.cache, worker.rng.randrange(6)
        with self.lock:
            raised = self.source[number] = self.source[number] + 1
        if way == 0:
            worker.note("invalidate", key)
            cache.invalidate(key)
        elif way == 1:
            worker.note("invalidate_tag", key, number % 2)
            cache.invalidate_tag(number % 2)
        elif way == 2:
            worker.note("invalidate_where", key)
            cache.invalidate_where(lambda found, _: found == key)
        elif way == 3:
            worker.note("clear", key)
            cache.clear()
        elif way == 4:
            worker.note("pop", key)
            cache.pop(key, None)
        else:
            # Of two writers the older one may store last: what is set is never called stale.
            worker.note("set", key, raised)
            value = _Value(_SET)
            cache.invalidate(key)
            cache.set(key, value, tags=[number % 2])
            value.stored = time.monotonic()
            self._check_bound(worker)
            cache.invalidate(key)
        with self.lock:
            self.told[number] = max(self.told[number], raised)

    def _check_bound(self, worker: Worker) -> None:
        count = len(self.cache)
        if self.bound is not None and count > self.bound + self.threads:
            worker.fail("bound", f"{count} entries for a bound of {self.bound}")


@workload(
    "cache-invalidate",
    "a cache under loads and every way to invalidate: no stale value, counts that add up",
    [Kind.DICT],
    needs=["get_many"],
    native_only=True,
)
class InvalidatedCache(_Invalidated):
    only = frozenset({"ConcurrentDict"})


@workload(
    "cache-bounded",
    "the same with a bound and a short ttl: bound kept, nothing expires early or is served late",
    [Kind.DICT],
    needs=["get_many"],
    native_only=True,
)
class BoundedCache(_Invalidated):
    only = frozenset({"ConcurrentDict"})
    bound = 5
    ttl = _TTL_SECONDS


@workload(
    "cache-herd",
    "all threads want the same cold keys: one load each, told to watchers once",
    [Kind.DICT],
    needs=["get_many"],
    native_only=True,
)
class HerdOnCache(_Cached):
    only = frozenset({"ConcurrentDict"})
    quota = 60

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.loads = itertools.count()
        self.events: list[Any] = []
        self.watch = self.cache.watch(self.events.append)
        self.cold = [make_key(arena.style, 1, number) for number in range(self.quota)]
        self.next = [0] * self.threads

    def step(self, worker: Worker) -> None:
        number = self.next[worker.index]
        self.next[worker.index] = number + 1
        key = self.cold[number % self.quota]
        worker.note("get_or_load", key)
        value = self.cache.get_or_load(key, self._load)
        if self.cache.get(key) is not value:
            worker.fail("lost", f"{key!r} gave {value!r}, and then something else")

    def _load(self, key: Any) -> Any:
        next(self.loads)
        time.sleep(0)
        return _Value(0)

    def at_rest(self) -> None:
        asked = min(max(self.next), self.quota)
        loads = next(self.loads)
        self.arena.expect(loads == asked, "loads", f"{loads} loads of {asked} keys")
        told = [event.kind.name for event in self.events]
        self.arena.expect(
            told == ["ADDED"] * asked, "events", f"{len(told)} events for {asked} keys: {set(told)}"
        )
        self.watch.cancel()
        super().at_rest()
