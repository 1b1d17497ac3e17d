"""What a cache must answer: an exact model for keys of one thread, and a source for keys of all.

`Exact` asks a cache and a model (a dict, a clock and a loop over it) the same and compares the answers.
Several threads can each have one with keys and tags of its own, on one cache, if nobody makes calls that
concern the whole cache: no load in flight is kept then, of whatever key. `Shared` is for keys that all
threads use: the source of a key only grows, and who has raised it and invalidated tells so; from then on
nobody may read less, whatever loads were in flight.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import threading
from collections.abc import Hashable, Sequence
from typing import Any

from concurrent_tables.cache import Loaded

__all__ = ["Exact", "Model", "Shared"]

TTL_SECONDS = 20
ABSENT = object()  # what only `get` may give


class Model:
    """What an unbounded cache holds: key -> (value, deadline, tags)."""

    def __init__(self, timer: Any) -> None:
        self.timer = timer
        self.entries: dict[Any, tuple[Any, float, tuple[Hashable, ...]]] = {}

    def live(self, key: Any) -> bool:
        return key in self.entries and self.timer.now < self.entries[key][1]

    def get(self, key: Any) -> Any:
        return self.entries[key][0] if self.live(key) else "absent"

    def set(self, key: Any, value: Any, ttl: float | None, tags: tuple[Hashable, ...]) -> None:
        deadline = math.inf if ttl is None else self.timer.now + ttl
        self.entries[key] = (value, deadline, tags)

    def drop(self, condition: Any) -> None:
        self.entries = {
            key: entry for key, entry in self.entries.items() if not condition(key, entry)
        }


class Exact:
    """Random operations of one thread on its own keys and tags; the cache's ttl is `TTL_SECONDS`."""

    def __init__(
        self,
        cache: Any,
        timer: Any,
        draw: random.Random,
        keys: Sequence[Any],
        tags: Sequence[Any],
        *,
        alone: bool,
    ) -> None:
        self.cache, self.draw, self.keys, self.tags = cache, draw, keys, tags
        self.alone = alone
        self.model = Model(timer)
        self.values = itertools.count()

    def step(self) -> None:
        """One operation on both; AssertionError when they differ."""
        cache, model, draw = self.cache, self.model, self.draw
        key, value = draw.choice(self.keys), next(self.values)
        tags = tuple(draw.sample(self.tags, draw.randrange(3)))
        ttl = draw.choice([TTL_SECONDS, TTL_SECONDS, 5, 50, None])
        way = draw.randrange(11)
        if way < 3:
            assert cache.get(key, "absent") == model.get(key)
        elif way == 3:
            cache.set(key, value, ttl=ttl, tags=tags)
            model.set(key, value, ttl, tags)
        elif way in (4, 5):
            loaded = Loaded(value, ttl=ttl, tags=tags)
            expected = model.get(key) if model.live(key) else value
            if not model.live(key):
                model.set(key, value, ttl, tags)
            assert cache.get_or_load(key, lambda _: loaded) == expected
        elif way == 6:
            assert cache.pop(key, "absent") == model.get(key)
            model.entries.pop(key, None)
        elif way == 7:
            assert cache.invalidate(key) == model.live(key)
            model.entries.pop(key, None)
        elif way == 8:
            tag = draw.choice(self.tags)
            cache.invalidate_tag(tag)
            model.drop(lambda _, entry: tag in entry[2])
        elif way == 9 and self.alone and draw.random() < 0.2:
            doomed = {key for key in self.keys if draw.random() < 0.5}
            count = sum(model.live(key) for key in doomed)
            assert cache.invalidate_where(lambda key, _: key in doomed) == count
            model.drop(lambda key, _: key in doomed)
        elif way == 10:
            assert cache.touch(key, ttl) == model.live(key)
            if model.live(key):
                model.set(key, model.get(key), ttl, model.entries[key][2])
        self.compare()

    def compare(self) -> None:
        """All of its keys."""
        for key in self.keys:
            assert self.cache.peek(key, "absent") == self.model.get(key), key


class Shared:
    """Keys that all threads read, load, change and invalidate."""

    def __init__(self, ct: Any, cache: Any, keys: Sequence[Any], *, whole: bool = True) -> None:
        self.cache, self.keys = cache, keys
        self.changes = 7 if whole else 5
        self.table = ct.ConcurrentDict()
        self.source = dict.fromkeys(keys, 0)
        self.told = dict.fromkeys(keys, 0)  # raised after an invalidation returned
        self.lock = threading.Lock()
        self.following = cache.invalidate_on(self.table)

    def load(self, key: Any) -> Any:
        return Loaded(max(self.source[key], self.table.get(key, 0)), tags=[("shared", key % 2)])

    def step(self, draw: random.Random, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """One operation; AssertionError when it reads less than was told before."""
        key = draw.choice(self.keys)
        if draw.random() < 0.7:
            least = self.told[key]
            value = self._read(key, draw, loop)
            assert value is ABSENT or value >= least, (key, value, least)
        else:
            self._change(key, draw)

    def _read(self, key: Any, draw: random.Random, loop: asyncio.AbstractEventLoop | None) -> Any:
        way = draw.random()
        if way < 0.3:
            return self.cache.get(key, ABSENT)
        if way < 0.4 and loop is not None:

            async def load(key: Any) -> Any:
                loaded = self.load(key)
                await asyncio.sleep(0)
                return loaded

            return loop.run_until_complete(self.cache.aget_or_load(key, load))
        tags = draw.choice([(), (("shared", key % 2),)])
        return self.cache.get_or_load(key, self.load, tags=tags)

    def _change(self, key: Any, draw: random.Random) -> None:
        cache, way = self.cache, draw.randrange(self.changes)
        with self.lock:
            number = max(self.source[key], self.table.get(key, 0)) + 1
            if way == 0:
                self.table[key] = number  # the cache follows it
            else:
                self.source[key] = number
        if way == 1:
            cache.invalidate(key)
        elif way == 2:
            cache.invalidate_tag(("shared", key % 2))
        elif way == 3:
            cache.pop(key, None)
        elif way == 4:
            cache.load_many([key], lambda keys: {key: self.load(key) for key in keys})
            return  # tells nothing
        elif way == 5:
            cache.invalidate_where(lambda found, _: found == key)
        elif way == 6:
            cache.clear()
        with self.lock:
            self.told[key] = max(self.told[key], number)
