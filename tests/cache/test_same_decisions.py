"""The C table and the Python twin decide alike: the same victims, the same ends, from the same requests."""

from __future__ import annotations

import time
from random import Random
from typing import Any

import pytest

from concurrent_tables.cache import native, policy
from concurrent_tables.cache.cache import make_cache_type
from concurrent_tables.cache.parts import parts
from tests.cache.conftest import FakeTimer
from tests.conftest import COLUMNS

pytestmark = pytest.mark.skipif("c" not in COLUMNS, reason="the C core is not built")

SEED = 12345


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a cache of each implementation with the same seed."""
    monkeypatch.setattr(native, "getrandbits", lambda bits: SEED)
    monkeypatch.setattr(policy, "getrandbits", lambda bits: SEED)

    def make(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        c, python = (make_cache_type(parts(name), None) for name in ("c", "python"))
        return c(*args, **kwargs), python(*args, **kwargs)

    return make


def ask(caches: tuple[Any, Any], key: Any) -> None:
    found = [cache.get(key) for cache in caches]
    assert found[0] == found[1]
    if found[0] is None:
        for cache in caches:
            cache.set(key, key + 1)


def assert_alike(caches: tuple[Any, Any]) -> None:
    one, other = caches
    assert set(one.keys()) == set(other.keys())
    assert one.stats() == other.stats()


def requests(seed: int, count: int, size: int) -> list[int]:
    """Some of each kind: often the same ones, loops longer than the cache, what was new lately."""
    draw = Random(seed)
    keys: list[int] = []
    while len(keys) < count:
        kind, base = draw.randrange(3), draw.randrange(3) * 10**6
        for step in range(size * 3):
            if kind == 0:
                keys.append(base + int(draw.paretovariate(0.7)) % (size * 20))
            elif kind == 1:
                keys.append(base + step % (size + size // 4 + 2))
            else:
                keys.append(base - step + int(draw.expovariate(2 / size)))
    return keys[:count]


@pytest.mark.parametrize("name", policy.POLICIES)
@pytest.mark.parametrize(
    ("maxsize", "count"), [(0, 50), (1, 300), (7, 2000), (60, 3000), (600, 5000)]
)
def test_the_same_victims(both: Any, name: str, maxsize: int, count: int) -> None:
    caches = both(maxsize, policy=name)
    for number, key in enumerate(requests(maxsize, count, max(maxsize, 4))):
        ask(caches, key)
        if number % 40 == 0:  # without misses C records fewer and fewer hits
            assert [cache.get("missing") for cache in caches] == [None, None]
        if number % 100 == 0:
            assert_alike(caches)
    assert_alike(caches)
    assert maxsize < 60 or caches[0].stats().hits > count / 20


@pytest.mark.parametrize("name", policy.POLICIES)
@pytest.mark.parametrize("maxsize", [1, 40, 300])
def test_the_same_victims_by_weight(both: Any, name: str, maxsize: int) -> None:
    caches = both(maxsize, policy=name, weigher=lambda key, value: value)
    draw = Random(maxsize)
    for number in range(2500):
        key = int(draw.paretovariate(0.8)) % 400
        action = draw.random()
        weight = draw.choice([0, 1, 1, 2, 5, maxsize + 1])
        for cache in caches:
            if action < 0.5:
                cache.get(key)
            elif action < 0.9:
                cache.set(key, weight)
            else:
                cache.pop(key, None)
        if number % 30 == 0:
            assert [cache.get("missing") for cache in caches] == [None, None]
            assert_alike(caches)
    assert_alike(caches)


def test_the_same_ends(both: Any) -> None:
    timer = FakeTimer()
    caches = both(ttl=50.0, timer=timer)
    draw = Random(3)
    for _ in range(1500):
        key, action = draw.randrange(60), draw.random()
        ttl = draw.choice([0.01, 3.0, 77.0, 4000.0, 300_000.0])
        step = draw.choice([0.0, 0.03, 1.0, 60.0, 5000.0]) if action > 0.8 else 0.0
        timer.forward(step)
        for cache in caches:
            if action < 0.6:
                cache.set(key, key, ttl=ttl)
            elif action < 0.7:
                cache.touch(key, ttl)
            elif action < 0.8:
                cache.pop(key, None)
            else:
                cache._tick()
        assert caches[0]._table._next_due() == caches[1]._wheel.next_due
        assert_alike(caches)


def test_the_same_of_plain_writes_and_others(both: Any) -> None:
    """What C counts on its own adds up with what Python counts."""
    caches = both(5, policy="lru", ttl=100.0, timer=time.monotonic)
    draw = Random(4)
    for number in range(800):
        key = draw.randrange(9)
        tags = ("tag",) if draw.random() < 0.3 else ()
        for cache in caches:
            cache.set(key, number, tags=tags)
            if number % 17 == 0:
                cache.invalidate_tag("tag")
            if number % 23 == 0:
                cache.clear()
        assert_alike(caches)
