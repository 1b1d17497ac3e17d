"""Random operations on a cache and on a model that is a dict, a clock and a loop over it.

Alone, the cache must agree with the model after every step, listener events included. From several
threads, the values tell which epoch they belong to, so that a stale one is seen at once.
"""

from __future__ import annotations

import itertools
import math
import random
import threading
from typing import Any

import pytest

from concurrent_tables.cache import Loaded
from tests.support import LONG_SECONDS, Deadline, run_threads

KEYS = range(8)
TAGS = ("x", "y")
STEPS = 1500


class Model:
    """What an unbounded cache holds: key -> (value, deadline, tags)."""

    def __init__(self, ttl: float, timer: Any) -> None:
        self.ttl = ttl
        self.timer = timer
        self.entries: dict[Any, tuple[Any, float, tuple[str, ...]]] = {}

    def live(self, key: Any) -> bool:
        return key in self.entries and self.timer.now < self.entries[key][1]

    def get(self, key: Any) -> Any:
        return self.entries[key][0] if self.live(key) else "absent"

    def set(self, key: Any, value: Any, ttl: float | None, tags: tuple[str, ...]) -> None:
        deadline = math.inf if ttl is None else self.timer.now + ttl
        self.entries[key] = (value, deadline, tags)

    def drop(self, condition: Any) -> None:
        self.entries = {
            key: entry for key, entry in self.entries.items() if not condition(key, entry)
        }


@pytest.mark.parametrize("seed", range(3))
def test_alone(cache_type: Any, timer: Any, seed: int) -> None:
    draw = random.Random(seed)
    left: list[Any] = []
    cache = cache_type(ttl=20, timer=timer, on_remove=lambda *event: left.append(event))
    model = Model(20, timer)
    values = itertools.count()
    for _ in range(STEPS):
        key, value = draw.choice(KEYS), next(values)
        tags = tuple(draw.sample(TAGS, draw.randrange(3)))
        ttl = draw.choice([20, 20, 5, 50, None])
        step = draw.randrange(13)
        if step < 3:
            assert cache.get(key, "absent") == model.get(key)
        elif step == 3:
            cache.set(key, value, ttl=ttl, tags=tags)
            model.set(key, value, ttl, tags)
        elif step in (4, 5):
            loaded = Loaded(value, ttl=ttl, tags=tags)
            expected = model.get(key) if model.live(key) else value
            if not model.live(key):
                model.set(key, value, ttl, tags)
            assert cache.get_or_load(key, lambda _, loaded=loaded: loaded) == expected
        elif step == 6:
            assert cache.pop(key, "absent") == model.get(key)
            model.entries.pop(key, None)
        elif step == 7:
            assert cache.invalidate(key) == model.live(key)
            model.entries.pop(key, None)
        elif step == 8:
            tag = draw.choice(TAGS)
            cache.invalidate_tag(tag)
            model.drop(lambda _, entry, tag=tag: tag in entry[2])
        elif step == 9 and draw.random() < 0.2:
            count = sum(model.live(key) and key % 2 for key in KEYS)
            assert cache.invalidate_where(lambda key, _: key % 2) == count
            model.drop(lambda key, _: key % 2)
        elif step == 10:
            assert cache.touch(key, ttl) == model.live(key)
            if model.live(key):
                model.set(key, model.get(key), ttl, model.entries[key][2])
        elif step == 11:
            timer.forward(draw.choice([0.5, 3, 11]))
            cache._tick()
        elif draw.random() < 0.05:
            cache.clear()
            model.entries.clear()
        assert sorted(cache.items()) == [(key, model.get(key)) for key in KEYS if model.live(key)]
    stats = cache.stats()
    assert stats.insertions - stats.removals == stats.size
    assert stats.removals == len(left)
    assert stats.lookups == stats.hits + stats.misses


@pytest.mark.parametrize("maxsize", [None, 5])
def test_threads_never_see_what_was_invalidated(cache_type: Any, maxsize: int | None) -> None:
    """`source[key]` only grows; who has raised and invalidated it must never read less."""
    left = itertools.count()
    cache = cache_type(maxsize, ttl=100, on_remove=lambda *_: next(left))
    source = {key: itertools.count() for key in KEYS}
    current = dict.fromkeys(KEYS, 0)
    told = dict.fromkeys(KEYS, 0)  # raised after an invalidation returned
    lock = threading.Lock()
    deadline = Deadline(LONG_SECONDS) if LONG_SECONDS else None

    def load(key: int) -> Any:
        return Loaded(current[key], tags=[key % 2])

    def work(seed: int) -> None:
        draw = random.Random(seed)
        steps = iter(int, 1) if deadline else range(400)
        for _ in steps:
            if deadline is not None and not deadline:
                return
            key = draw.choice(KEYS)
            if draw.random() < 0.7:
                least = told[key]
                value = (
                    cache.get_or_load(key, load, tags=draw.choice([(), (key % 2,)]))
                    if draw.random() < 0.7
                    else cache.get(key)
                )
                assert value is None or value >= least, (key, value, least)
                continue
            with lock:
                number = next(source[key]) + 1
                current[key] = number
            way = draw.randrange(6)
            if way == 0:
                cache.invalidate(key)
            elif way == 1:
                cache.invalidate_tag(key % 2)
            elif way == 2:
                cache.invalidate_where(lambda found, _, key=key: found == key)
            elif way == 3:
                cache.clear()
            elif way == 4:
                cache.pop(key, None)
            else:
                cache.load_many([key], lambda keys: {key: load(key) for key in keys})
                continue  # tells nothing
            with lock:
                told[key] = max(told[key], number)

    run_threads(*[lambda seed=seed: work(seed) for seed in range(4)])
    cache.expire()
    stats = cache.stats()
    assert stats.insertions - stats.removals == stats.size == len(cache)
    assert stats.removals == next(left)
    assert len(cache._flights) == 0
    if maxsize is not None:
        assert len(cache) <= maxsize and stats.weight == stats.size
