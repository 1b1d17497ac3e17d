"""What one method of a cache promises, in one thread: values, bounds, expiry, causes, counts."""

from __future__ import annotations

import copy
import gc
import math
import pickle
from typing import Any

import pytest

from concurrent_tables.cache import Loaded, RemovalCause
from concurrent_tables.cache.parts import parts
from concurrent_tables.cache.tags import Tags
from concurrent_tables.cache.wheel import TICK_SECONDS


class Log(list[Any]):
    def __call__(self, key: Any, value: Any, cause: RemovalCause) -> None:
        self.append((key, value, str(cause)))


def assert_adds_up(cache: Any) -> None:
    stats = cache.stats()
    assert stats.insertions - stats.removals == stats.size == len(cache)
    if cache.maxsize is not None:
        assert stats.weight <= cache.maxsize


def test_a_value_none_is_a_value(cache_type: Any) -> None:
    cache = cache_type()
    assert cache.get("a") is None
    assert cache.get("a", 7) == 7
    cache.set("a", None)
    assert cache.get("a", 7) is None
    assert "a" in cache and "b" not in cache
    assert cache.get_or_load("a", lambda key: 5) is None
    assert cache.peek("a", 7) is None
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.lookups) == (2, 2, 4)


def test_missing_is_not_stored(ct: Any, cache_type: Any) -> None:
    cache = cache_type()
    with pytest.raises(ValueError, match="MISSING cannot be stored under key 'a'"):
        cache.set("a", ct.MISSING)
    assert cache.get_or_load("a", lambda key: ct.MISSING) is ct.MISSING
    assert len(cache) == 0


def test_pop(cache_type: Any) -> None:
    log = Log()
    cache = cache_type(on_remove=log)
    cache.set("a", 1)
    assert cache.pop("a") == 1
    assert cache.pop("a", 5) == 5
    with pytest.raises(KeyError, match="'a'"):
        cache.pop("a")
    assert log == [("a", 1, "explicit")]
    assert_adds_up(cache)


@pytest.mark.parametrize("policy", ["lru", "tinylfu"])
def test_the_bound_holds_after_every_write(cache_type: Any, policy: str) -> None:
    cache = cache_type(10, policy=policy)
    for number in range(200):
        cache.set(number % 37, number)
        assert len(cache) <= 10
        cache.get(number % 5)
    assert len(cache) == 10
    assert_adds_up(cache)


def test_a_bound_of_weight(cache_type: Any) -> None:
    cache = cache_type(100, weigher=lambda key, value: len(value), policy="lru")
    for number in range(50):
        cache.set(number, "x" * (number % 30))
        assert sum([len(value) for _, value in cache.items()]) <= 100
    cache.set("too heavy", "x" * 101)
    assert "too heavy" not in cache
    cache.set("by hand", "x" * 500, weight=1)
    assert cache.get("by hand") == "x" * 500
    assert_adds_up(cache)


def test_nothing_fits_into_nothing(cache_type: Any) -> None:
    cache = cache_type(0)
    cache.set("a", 1)
    assert cache.get("a") is None and len(cache) == 0
    assert cache.get_or_load("a", lambda key: 2) == 2
    assert len(cache) == 0


def test_least_recently_used_goes_first(cache_type: Any) -> None:
    log = Log()
    cache = cache_type(3, policy="lru", on_remove=log)
    for key in "abc":
        cache.set(key, key)
    assert cache.get("a") == "a"
    cache.set("d", "d")
    assert log == [("b", "b", "size")]


def test_ttl(cache_type: Any, timer: Any) -> None:
    log = Log()
    cache = cache_type(ttl=10, timer=timer, on_remove=log)
    cache.set("a", 1)
    cache.set("b", 2, ttl=20)
    cache.set("c", 3, ttl=None)
    assert cache.expires_in("a") == 10 and cache.expires_in("c") == math.inf
    assert cache.expires_in("absent") is None
    timer.forward(9.999)
    assert cache.get("a") == 1
    timer.forward(0.001)
    assert cache.get("a") is None
    assert log == [("a", 1, "expired")]
    timer.forward(1000)
    assert cache.get("c") == 3 and cache.get("b") is None
    assert_adds_up(cache)


def test_ttl_of_zero_stores_nothing(cache_type: Any) -> None:
    cache = cache_type()
    cache.set("a", 1)
    cache.set("a", 2, ttl=0)
    assert "a" not in cache
    assert cache.get_or_load("a", lambda key: Loaded(3, ttl=0)) == 3
    assert len(cache) == 0


def test_idle_time(cache_type: Any, timer: Any) -> None:
    cache = cache_type(tti=10, timer=timer)
    cache.set("a", 1)
    for _ in range(5):
        timer.forward(9)
        assert cache.get("a") == 1
    timer.forward(9)
    assert cache.peek("a") == 1  # which is no access
    timer.forward(1)
    assert cache.get("a") is None


def test_touch(cache_type: Any, timer: Any) -> None:
    cache = cache_type(ttl=10, timer=timer)
    cache.set("a", 1)
    timer.forward(9)
    assert cache.touch("a")
    timer.forward(9)
    assert cache.get("a") == 1
    assert cache.touch("a", 100)
    timer.forward(99)
    assert cache.expire() == 0
    assert cache.get("a") == 1
    assert cache.touch("a", None)
    timer.forward(1e6)
    assert cache.get("a") == 1
    assert cache.touch("a", 0)
    assert "a" not in cache and not cache.touch("a")
    assert_adds_up(cache)


def next_due(cache: Any) -> float:
    """When the wheel wants to be driven, in seconds on the cache's timer."""
    due: float = cache._table._next_due() if cache._parts.native else cache._wheel.next_due
    return due


@pytest.mark.parametrize("ttl", [0.01, 0.5, 3, 77, 4000, 300000])
def test_the_wheel_is_never_early_and_at_most_a_tick_late(
    cache_type: Any, timer: Any, ttl: float
) -> None:
    """Without any access: the wheel alone, driven to where it asks to be driven."""
    log = Log()
    cache = cache_type(timer=timer, on_remove=log)
    cache.set("a", 1, ttl=ttl)
    born = timer.now
    moves = 0
    while not log:
        moves += 1
        timer.now = next_due(cache)
        cache._tick()
    assert ttl <= timer.now - born <= ttl + TICK_SECONDS
    assert moves < 12
    assert log == [("a", 1, "expired")] and len(cache) == 0


def test_the_wheel_lets_go_what_left_before(cache_type: Any, timer: Any) -> None:
    cache = cache_type(ttl=5, timer=timer)
    for number in range(100):
        cache.set(number % 10, number)
    cache.pop(3)
    timer.forward(6)
    cache._tick()
    stats = cache.stats()
    assert (stats.expired, stats.replaced, stats.explicit, stats.size) == (9, 90, 1, 0)


def test_jitter_only_shortens(cache_type: Any, timer: Any) -> None:
    cache = cache_type(ttl=100, jitter=0.2, timer=timer)
    for number in range(50):
        cache.set(number, number)
    left = [cache.expires_in(number) for number in range(50)]
    assert all(80 <= seconds <= 100 for seconds in left)
    assert len(set(left)) > 1


def test_expire_sweeps(cache_type: Any, timer: Any) -> None:
    log = Log()
    cache = cache_type(ttl=10, timer=timer, on_remove=log)
    cache.set("a", 1)
    cache.set("b", 2, ttl=50, tags=["t"])
    cache.set("c", 3, ttl=50)
    timer.forward(11)
    cache.invalidate_tag("t")
    assert len(cache) == 3
    assert cache.expire() == 2
    assert sorted(log) == [("a", 1, "expired"), ("b", 2, "invalidated")]
    assert cache.keys() == ["c"]


def test_tags(cache_type: Any) -> None:
    cache = cache_type(100)
    cache.set("a", 1, tags=["x"])
    cache.set("b", 2, tags=["x", "y"])
    cache.set("c", 3, tags=["y"])
    cache.invalidate_tag("x")
    assert cache.items() == [("c", 3)]
    cache.set("a", 4, tags=["x"])
    assert cache.get("a") == 4
    cache.invalidate_tag("never used")
    assert cache.get("a") == 4 and cache.get("c") == 3
    with pytest.raises(TypeError, match="not the str 'x'"):
        cache.set("a", 1, tags="x")


def test_tags_leave_no_cells(cache_type: Any) -> None:
    cache = cache_type(10)
    for number in range(1500):
        cache.set(number, number, tags=[("tag", number)])
        cache.invalidate_tag(("tag", number))
    assert len(cache) <= 10
    assert len(cache._tags) <= 1024 + 10


def test_invalidate_where(cache_type: Any) -> None:
    cache = cache_type()
    for number in range(10):
        cache.set(number, number * 10)
    assert cache.invalidate_where(lambda key, value: value >= 50) == 5
    assert sorted(cache.keys()) == [0, 1, 2, 3, 4]
    with pytest.raises(ZeroDivisionError):
        cache.invalidate_where(lambda key, value: 1 / key)
    assert cache.stats().invalidated == 5


def test_clear(cache_type: Any) -> None:
    log = Log()
    cache = cache_type(on_remove=log)
    for number in range(5):
        cache.set(number, number)
    cache.clear()
    assert len(cache) == 0 and sorted(log) == [(n, n, "explicit") for n in range(5)]
    cache.set(1, 1)
    assert cache.get(1) == 1
    assert_adds_up(cache)


def test_causes(cache_type: Any) -> None:
    log = Log()
    cache = cache_type(2, policy="lru", on_remove=log)
    cache.set("a", 1)
    cache.set("a", 2)
    cache.set("b", 3)
    cache.set("c", 4)
    cache.invalidate("b")
    assert log == [("a", 1, "replaced"), ("a", 2, "size"), ("b", 3, "invalidated")]
    assert_adds_up(cache)


def test_a_listener_that_raises(cache_type: Any, unraisable: list[Any]) -> None:
    def boom(key: Any, value: Any, cause: Any) -> None:
        raise ValueError("listener")

    cache = cache_type(on_remove=boom)
    cache.set("a", 1)
    assert cache.pop("a") == 1
    assert [str(caught.exc_value) for caught in unraisable] == ["listener"]
    assert unraisable[0].object is boom


def test_a_listener_may_use_the_cache(cache_type: Any) -> None:
    cache = cache_type(3, policy="lru", on_remove=lambda key, value, cause: seen.append(len(cache)))
    seen: list[int] = []
    for number in range(10):
        cache.set(number, number)
    assert len(seen) == 7 and max(seen) <= 3


def test_a_finalizer_may_use_the_cache(cache_type: Any) -> None:
    cache = cache_type(3, policy="lru")

    class Value:
        def __del__(self) -> None:
            cache.set("from the finalizer", 1)
            cache.invalidate("nothing")

    for number in range(20):
        cache.set(number % 7, Value())
    cache.clear()
    assert_adds_up(cache)
    cache.invalidate("from the finalizer")


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"maxsize": -1}, ValueError, "maxsize must not be negative"),
        ({"maxsize": 1.5}, TypeError, "maxsize must be an int"),
        ({"maxsize": 5, "policy": "guess"}, ValueError, "policy must be one of .*'guess'"),
        ({"policy": "guess"}, ValueError, "policy must be one of .*'guess'"),
        ({"ttl": -1}, ValueError, "ttl must be more than 0"),
        ({"ttl": "1"}, TypeError, "ttl must be a number of seconds"),
        ({"tti": 0}, ValueError, "tti must be more than 0"),
        ({"jitter": 2}, ValueError, "jitter must be a fraction"),
        ({"on_remove": 1}, TypeError, "on_remove must be callable"),
        ({"weigher": 1}, TypeError, "weigher must be callable"),
        ({"timer": 1}, TypeError, "timer must be callable"),
    ],
)
def test_arguments_are_checked(
    cache_type: Any, arguments: dict[str, Any], error: Any, text: str
) -> None:
    with pytest.raises(error, match=text):
        cache_type(**arguments)


@pytest.mark.parametrize("weight", [-1, 1.5, True])
def test_weights_are_checked(cache_type: Any, weight: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="weight of key 'a'"):
        cache_type(10, weigher=lambda key, value: weight).set("a", 1)


def test_unhashable_keys(cache_type: Any) -> None:
    cache = cache_type()
    for call in (cache.get, cache.invalidate, lambda key: cache.set(key, 1)):
        with pytest.raises(TypeError, match="unhashable"):
            call([])
    assert len(cache) == 0


def test_it_is_not_pickled(cache_type: Any) -> None:
    cache = cache_type()
    for make in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot pickle a Cache"):
            make(cache)


def test_watch(ct: Any, cache_type: Any) -> None:
    cache = cache_type(10)
    events: list[Any] = []
    with cache.watch(events.append):
        cache.set("a", 1)
        cache.set("a", 2)
        cache.pop("a")
        lost = events[-1].version + 1
        cache._table._watch.log.lose(lost, lost)
        cache.set("b", 3)
    cache.set("b", 4)
    assert [(event.kind.name, event.key, event.old, event.new) for event in events] == [
        ("ADDED", "a", ct.MISSING, 1),
        ("MODIFIED", "a", 1, 2),
        ("DELETED", "a", 2, ct.MISSING),
        ("LOST", ct.MISSING, lost, lost),
        ("ADDED", "b", ct.MISSING, 3),
    ]
    assert all(event.table is cache for event in events)


def test_wait_for(cache_type: Any) -> None:
    cache = cache_type()
    cache.set("a", None)
    assert cache.wait_for("a") is None
    with pytest.raises(TimeoutError, match="no value for key 'b' within 0 s"):
        cache.wait_for("b", timeout=0)


def test_two_falls_of_one_tag(cache_type: Any) -> None:
    """The one that comes second returns first: what carries the tag has fallen all the same."""
    cache = cache_type()
    cache.set("a", 1, tags=["t"])
    remembered = cache._tags._remembered
    seen: list[Any] = []

    class Between:
        """Stands where the first fall is when its new cell is in its place."""

        def append(self, fall: Any) -> None:
            cache._tags._remembered = remembered
            cache.invalidate_tag("t")
            seen.append(cache.peek("a"))
            remembered.append(fall)

    cache._tags._remembered = Between()
    cache.invalidate_tag("t")
    assert seen == [None]


def test_a_cell_that_never_had_a_place_is_not_forgotten(ct: Any) -> None:
    """Two falls of one tag at once: that would make cells of other tags fall which are just made."""
    kinds = parts(ct.IMPLEMENTATION)

    class Disturbed(Tags):
        """The first place that is made comes too late."""

        __slots__ = ("meanwhile",)

        def _place(self, tag: Any, cell: Any) -> Any:
            place = super()._place(tag, cell)
            meanwhile, self.meanwhile = self.meanwhile, lambda: None
            meanwhile()
            return place

    tags = Disturbed(kinds.ConcurrentDict, kinds.Cell)
    tags.meanwhile = lambda: tags.fall("t")
    tags.fall("t")
    gc.collect()
    assert tags._floor["floor"] == 0
    assert len(tags) == 1


@pytest.mark.parametrize("seconds", [1e12, 1e300, 1.7e308, math.inf])
def test_what_lives_as_long_as_can_be_said(cache_type: Any, seconds: float) -> None:
    for options in ({"ttl": seconds}, {"tti": seconds}, {"stale_on_error": seconds}):
        cache = cache_type(5, **options)
        cache.set("a", 1)
        cache.set("b", 1, ttl=seconds)
        cache.touch("a", seconds)
        assert cache.expire() == 0
        assert cache.get("a") == cache.get("b") == 1
