"""Invalidations of a cache that must win over loads, in every way there is.

A *source* holds a number for each key, which only grows. A thread raises it, invalidates in one of the
ways there are, and then tells (in `told`) that nobody may read less any more. What a loader returns
carries the number that it read, so a stale value is seen by whoever gets it. Two parts of the source are
tables that the cache follows: there the write alone must do.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from contextlib import nullcontext
from typing import Any

from ..arena import Arena, Worker
from ..targets import Kind
from .base import workload
from .caching_base import TTL_SECONDS, Cached, Locks, Value

__all__: list[str] = []

_SET = 1 << 60
_FOLLOWS_DICTS = sys.version_info >= (3, 12)


class _Invalidated(Cached):
    """Reads, loads and writes against every way to invalidate."""

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.locks = Locks(self.key_count)
        self.writing = threading.Lock()
        numbers = range(len(self.keys))
        self.source = dict.fromkeys(numbers, 0)
        self.told = dict.fromkeys(numbers, 0)
        self.table = self.package.ConcurrentDict()
        self.plain: dict[int, int] = {}
        followed = [self.table, self.plain] if _FOLLOWS_DICTS else [self.table]
        self.followings = [
            self.cache.invalidate_on(table, keys=lambda event: [self.keys[event.key]])
            for table in followed
        ]

    def step(self, worker: Worker) -> None:
        number = worker.rng.randrange(len(self.keys))
        if worker.rng.random() < 0.7:
            self._read(worker, number)
        else:
            self._change(worker, number)

    # -- reads ------------------------------------------------------------------------------------

    def _read(self, worker: Worker, number: int) -> None:
        least, began = dict(self.told), time.monotonic()
        way = worker.rng.random()
        if way < 0.25:
            worker.note("get", self.keys[number])
            self.looks_up(worker)
            value = self.cache.get(self.keys[number])
            found = {} if value is None else {number: value}
        elif way < 0.8:
            found = {number: self._load_one(worker, number)}
        elif way < 0.9:
            found = self._load_many(worker, [number, (number + 3) % len(self.keys)])
        else:
            found = asyncio.run(self._load_async(worker, number))
        now = time.monotonic()
        for each, value in found.items():
            self._judge(worker, each, value, least[each], began)
            # Who waits for a load may get what has ended meanwhile; `get` waits for nobody.
            if way < 0.25 and self.ttl is not None and began >= value.stored + TTL_SECONDS:
                worker.fail("late", f"{self.keys[each]!r} gave {value!r} after it expired")
            value.stored = min(value.stored, now)

    def _judge(self, worker: Worker, number: int, value: Any, least: int, began: float) -> None:
        key = self.keys[number]
        if not isinstance(value, Value):
            worker.fail("lost", f"a load of {key!r} gave {value!r}")
        if value.place != number:
            worker.fail("mixed", f"{key!r} gave {value!r} of {self.keys[value.place]!r}")
        if value.number < least:
            worker.fail("stale", f"{key!r} gave {value!r} after {least} was told")
        if began > value.dropped:
            worker.fail("stale", f"{key!r} gave what was set before an invalidation")

    def _load_one(self, worker: Worker, number: int) -> Any:
        tags = worker.rng.choice([(), (number % 2,)])
        worker.note("get_or_load", self.keys[number], tags)
        self.looks_up(worker)
        weight = self.weight(worker)
        return self.cache.get_or_load(
            self.keys[number], lambda _: self._load(number, weight), tags=tags
        )

    def _load_many(self, worker: Worker, numbers: list[int]) -> dict[int, Any]:
        keys = {self.keys[number]: number for number in numbers}
        worker.note("load_many", self.keys[numbers[0]], self.keys[numbers[1]])
        self.looks_up(worker, len(keys))
        weight = self.weight(worker)

        def load(absent: list[Any]) -> dict[Any, Any]:
            next(self.loads)
            return {key: self._made(keys[key], weight) for key in absent}

        found = self.cache.load_many(keys, load)
        return {number: found.get(key) for key, number in keys.items()}

    async def _load_async(self, worker: Worker, number: int) -> dict[int, Any]:
        """Three coroutines of a loop that is closed right after, two of them for one key."""
        other = (number + 5) % len(self.keys)
        worker.note("aget_or_load", self.keys[number], self.keys[other])
        self.looks_up(worker, 3)
        weight = self.weight(worker)

        async def load(number: int) -> Any:
            next(self.loads)
            loaded = self._made(number, weight)
            await asyncio.sleep(0)
            return loaded

        async def ask(number: int) -> Any:
            return await self.cache.aget_or_load(self.keys[number], lambda _: load(number))

        first, _, third = await asyncio.gather(ask(number), ask(number), ask(other))
        return {number: first, other: third}

    def _load(self, number: int, weight: int) -> Any:
        next(self.loads)
        loaded = self._made(number, weight)
        time.sleep(0)  # as a loader that waits for something
        return loaded

    def _made(self, number: int, weight: int) -> Any:
        from concurrent_tables.cache import Loaded

        return Loaded(Value(self._now(number), weight, place=number), tags=[number % 2])

    def _now(self, number: int) -> int:
        followed: int = self.table.get(number, 0)
        return max(self.source[number], followed, self.plain.get(number, 0))

    # -- changes ----------------------------------------------------------------------------------

    def _change(self, worker: Worker, number: int) -> None:
        key, cache, way = self.keys[number], self.cache, worker.rng.randrange(8)
        followed = {6: self.table, 7: self.plain if _FOLLOWS_DICTS else self.table}.get(way)
        if followed is not None:
            worker.note("followed", key, type(followed).__name__)
        # Builtin dicts report before they change: their writers must take turns (see `watch`).
        alone = self.writing if followed is self.plain else nullcontext()
        with self.locks[number], alone:
            raised = self._now(number) + 1
            (self.source if followed is None else followed)[number] = raised
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
        elif way == 5:
            self._set(worker, number)
        with self.locks[number]:
            self.told[number] = max(self.told[number], raised)

    def _set(self, worker: Worker, number: int) -> None:
        """Of two writers the older one may store last: what is set is stale after its end only."""
        key, cache = self.keys[number], self.cache
        worker.note("set", key)
        value = Value(_SET, self.weight(worker), place=number)
        cache.invalidate(key)
        cache.set(key, value, tags=[number % 2])
        value.stored = time.monotonic()
        self.check_bound(worker)
        cache.invalidate(key)
        value.dropped = time.monotonic()

    def at_rest(self) -> None:
        for following in self.followings:
            following.cancel()
        super().at_rest()


@workload(
    "cache-invalidate",
    "a cache under loads and every way to invalidate: no stale value, counts that add up",
    [Kind.DICT],
    needs=["get_many"],
    native_only=True,
)
class InvalidatedCache(_Invalidated):
    pass


@workload(
    "cache-bounded",
    "the same with a bound and a short ttl: bound kept, nothing expires early or is served late",
    [Kind.DICT],
    needs=["get_many"],
    native_only=True,
)
class BoundedCache(_Invalidated):
    bound = 5
    ttl = TTL_SECONDS
    key_count = 24  # more than bound and threads: the bound is reached, and can be exceeded


@workload(
    "cache-weighed",
    "the same with values of different weights and a bound on their sum",
    [Kind.DICT],
    needs=["get_many"],
    native_only=True,
)
class WeighedCache(_Invalidated):
    bound = 9
    weighs = True
    key_count = 24
