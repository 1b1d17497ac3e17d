"""Which entries the policies keep: bounds, order, frequencies, hit ratios."""

from __future__ import annotations

from collections import OrderedDict
from heapq import heappop, heappush
from math import inf
from random import Random
from typing import Any

import pytest

from concurrent_tables._pure.hit_path import Entry
from concurrent_tables.cache.policy import POLICIES, make_policy
from concurrent_tables.cache.policy.miniatures import (
    AHEAD,
    HURDLE,
    KEPT_SHARE,
    SHARES,
    Miniatures,
)
from concurrent_tables.cache.policy.sketch import MOST, Sketch, spread
from stress.bench.cache_traces import (
    cache_hit_ratio,
    exact_lru_ratio,
    hit_ratio,
    read_trace,
    traces_folder,
)

HERE = traces_folder()
traces = pytest.mark.skipif(
    not (HERE / "gli.trace.gz").exists(),
    reason=f"no traces in {HERE} (CT_CORPUS names the folder above)",
)


def entry(key: Any, weight: int = 1) -> Entry:
    return Entry(key, None, 0, None, inf, inf, 0.0, inf, weight)


def test_a_policy_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match=r"lru, tinylfu, not 'fifo'"):
        make_policy("fifo", 10)


def _churn(policy: Any, maxsize: int, seed: int, steps: int) -> list[Any]:
    """Random operations; after each the books are right. The keys of the victims, in order."""
    rng = Random(seed)
    live: dict[int, Entry] = {}
    victims = []
    for _ in range(steps):
        key = int(rng.paretovariate(0.8)) % 400
        old = live.get(key)
        action = rng.random()
        if old is None or action < 0.1:
            fresh = entry(key, rng.choice([0, 1, 1, 2, 5, maxsize + 1]))
            policy.added(fresh) if old is None else policy.replaced(old, fresh)
            live[key] = fresh
            for victim in policy.victims():
                assert live.pop(victim.key) is victim
                assert victim.previous is None and victim.next is None
                victims.append(victim.key)
        elif action < 0.2:
            policy.removed(live.pop(key))
            assert old.previous is None and old.next is None
        else:
            policy.accessed([old, old])
        assert policy.weight == sum(one.weight for one in live.values()) <= maxsize
    return victims


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("maxsize", [0, 1, 7, 60])
def test_weights_are_kept_under_the_bound(name: str, maxsize: int) -> None:
    assert _churn(make_policy(name, maxsize, seed=1), maxsize, maxsize, 1500)


def test_the_same_seed_has_the_same_victims() -> None:
    one, other = (_churn(make_policy("tinylfu", 60, seed=5), 60, 3, 1500) for _ in range(2))
    assert one == other


@pytest.mark.parametrize("name", POLICIES)
def test_clear_forgets_everything(name: str) -> None:
    policy = make_policy(name, 3)
    for key in range(3):
        policy.added(entry(key))
    policy.clear()
    assert policy.weight == 0
    policy.added(entry(9, 3))
    assert policy.victims() == []


def test_lru_is_exact() -> None:
    rng = Random(1)
    requests = [int(rng.paretovariate(0.7)) % 500 for _ in range(5000)]
    policy, table, model = make_policy("lru", 50), {}, OrderedDict()
    for key in requests:
        if key in table:
            policy.accessed([table[key]])
            model.move_to_end(key)
        else:
            table[key] = entry(key)
            policy.added(table[key])
            model[key] = None
        gone = [victim.key for victim in policy.victims()]
        assert gone == [model.popitem(last=False)[0] for _ in gone]
        for key in gone:
            del table[key]
        assert table.keys() == model.keys()


def test_a_scan_does_not_wash_out_what_is_asked_for_often() -> None:
    policy = make_policy("tinylfu", 100, seed=1)
    table = {}

    def ask(key: int) -> None:
        if key in table:
            policy.accessed([table[key]])
            return
        table[key] = entry(key)
        policy.added(table[key])
        for victim in policy.victims():
            del table[victim.key]

    for _ in range(10):
        for key in range(80):
            ask(key)
    for key in range(1000, 6000):
        ask(key)
        if key % 4 == 0:
            ask(key % 80)
    assert sum(key in table for key in range(0, 80, 4)) >= 19


def test_frequencies_are_never_too_low_and_end_at_15() -> None:
    sketch = Sketch()
    rng = Random(2)
    asked: dict[int, int] = {}
    for _ in range(6000):
        key = int(rng.paretovariate(0.9)) % 3000
        asked[key] = asked.get(key, 0) + 1
        sketch.count(spread(key, 7))
    assert all(sketch.frequency(spread(key, 7)) >= min(n, MOST) for key, n in asked.items())
    exact = sum(sketch.frequency(spread(key, 7)) == min(n, MOST) for key, n in asked.items())
    assert exact > 0.95 * len(asked)


def test_a_sketch_that_grows_or_forgets_keeps_what_it_should() -> None:
    sketch = Sketch()
    hashes = [spread(key, 3) for key in range(300)]
    for number, mixed in enumerate(hashes):
        for _ in range(number % 16):
            sketch.count(mixed)
    before = [sketch.frequency(mixed) for mixed in hashes]
    sketch.make_room(20_000)
    assert [sketch.frequency(mixed) for mixed in hashes] == before
    sketch.halve()
    assert [sketch.frequency(mixed) for mixed in hashes] == [number // 2 for number in before]


@traces
@pytest.mark.parametrize(
    ("trace", "requests", "maxsize", "percent"),
    [("gli", 6015, 252, 14.0), ("loop", 15_000, 512, 43.0), ("corda", 15_000, 256, 30.0)],
)
def test_hit_ratio_on_a_trace(trace: str, requests: int, maxsize: int, percent: float) -> None:
    asked = read_trace(trace)[:requests]
    reached = hit_ratio(make_policy("tinylfu", maxsize, seed=1), asked, Entry)
    assert reached >= percent
    assert reached >= exact_lru_ratio(asked, maxsize) - 0.5


@traces
def test_lru_on_a_trace() -> None:
    asked = read_trace("multi3")
    assert hit_ratio(make_policy("lru", 600), asked, Entry) == exact_lru_ratio(asked, 600)


def hits_then_scans() -> list[int]:
    """Who is asked for in a long row of hits changes in the middle of it; then a scan comes."""
    rng = Random(3)
    requests, fresh = list(range(300)), 300
    for _ in range(20):
        there = list(dict.fromkeys(reversed(requests)))[:300]
        rng.shuffle(there)
        requests += rng.choices(there[:150], k=1500) + rng.choices(there[150:], k=1500)
        requests += range(fresh, fresh + 150)
        fresh += 150
        requests += there[150:]
    return requests


def test_a_cache_with_the_policy_lru_hits_as_an_exact_lru(cache_type: Any) -> None:
    """Of the many hits that no miss follows some go unrecorded in C: not so many that it matters."""
    asked = hits_then_scans()
    reached = cache_hit_ratio(cache_type(300, policy="lru"), asked)
    assert abs(reached - exact_lru_ratio(asked, 300)) <= 0.5


@traces
@pytest.mark.parametrize("maxsize", [252, 2000])
def test_a_cache_with_the_policy_lru_on_a_trace(cache_type: Any, maxsize: int) -> None:
    asked = read_trace("gli")
    reached = cache_hit_ratio(cache_type(maxsize, policy="lru"), asked)
    assert abs(reached - exact_lru_ratio(asked, maxsize)) <= 0.5


def test_what_is_asked_for_between_writes_stays(cache_type: Any) -> None:
    """Writes drive out as misses do: hits count again after a long row of hits."""
    cache = cache_type(20, policy="lru")
    cache.set("hot", 1)
    for number in range(19):
        cache.set(number, 1)
    for _ in range(5000):
        cache.get("hot")
    for number in range(100):
        cache.set(("new", number), 1)
        assert cache.get("hot") == 1


@traces
@pytest.mark.parametrize("seed", [744399, 9756221])
def test_nobody_shields_others_for_ever(ct: Any, cache_type: Any, seed: int) -> None:
    """With these seeds a key that is not asked for any more shares its counters with others of the loop."""
    if ct.IMPLEMENTATION == "python":
        pytest.skip("takes long in the twin, whose decisions are the same")

    class Seeded(cache_type):  # type: ignore[misc]
        def _make_table(self, settings: Any) -> Any:
            return super()._make_table(settings, seed)

    asked = read_trace("corda")[:20_000] + read_trace("loop")[:60_000]
    assert cache_hit_ratio(Seeded(513), asked) >= 41.0


def miniatures_of(entries: int) -> Miniatures:
    miniatures = Miniatures(entries, entries, Sketch(), seed=1)
    for key in range(entries):
        miniatures.asked(Entry(key, 1, key, None, inf, inf, 0.0, inf, 1))
    return miniatures


def advice_after(miniatures: Miniatures, share: float, **hits: float) -> float:
    """What they advise a cache with a window of this share when they have hit so often."""
    for mini, name in zip(miniatures._minis, SHARES, strict=True):
        mini.hits = hits.get({1.0: "lru", 0.02: "small", 0.65: "large"}.get(name, ""), 0.0)
    miniatures._asked = miniatures._sample
    return miniatures.advice(share)


def test_a_share_has_to_lead_clearly() -> None:
    miniatures = miniatures_of(80)
    assert advice_after(miniatures, 1.0, lru=100.0, small=100.0 * AHEAD) == 1.0
    assert advice_after(miniatures, 1.0, small=80 * HURDLE - 0.1) == 1.0
    assert advice_after(miniatures, 1.0, small=0.2) == 0.02
    assert advice_after(miniatures, 0.02, lru=80 * HURDLE / AHEAD) == 0.02
    assert advice_after(miniatures, 0.02, lru=1.0) == 1.0


def test_what_goes_to_and_fro_decides_nothing() -> None:
    miniatures = miniatures_of(80)
    for _ in range(5):
        assert advice_after(miniatures, 1.0, lru=78.0 / AHEAD) == 1.0
        assert advice_after(miniatures, 1.0, small=78.0) == 1.0


def test_the_best_of_those_that_lead() -> None:
    miniatures = miniatures_of(80)
    assert advice_after(miniatures, 1.0, small=50.0, large=60.0) == 0.65
    assert advice_after(miniatures, 0.65, small=11.0) == 0.02


@pytest.mark.parametrize("behind", [79.0, 101.0])
def test_what_came_first_is_kept_while_the_lru_is_not_far_ahead(behind: float) -> None:
    miniatures = miniatures_of(80)
    miniatures.keep_first()
    assert advice_after(miniatures, KEPT_SHARE, lru=behind) == (KEPT_SHARE if behind < 80 else 1.0)
    assert miniatures.keep == (behind < 80)


def test_what_came_first_goes_where_the_lru_hits_the_same_again() -> None:
    miniatures = miniatures_of(80)
    miniatures.keep_first()
    miniatures._minis[-1].repeats = 80 * HURDLE - 1.0
    assert advice_after(miniatures, KEPT_SHARE, lru=20.0) == KEPT_SHARE
    miniatures._minis[-1].repeats = 1.0
    assert advice_after(miniatures, KEPT_SHARE, lru=20.0) == 1.0


def to_and_fro(keys: int, times: int) -> list[int]:
    """Upwards and downwards in turn: what was asked for last is asked for next, from each end on."""
    way = range(keys)
    return [key for _ in range(times) for part in (way, reversed(way)) for key in part]


def wandering(rng: Random, count: int, width: float, speed: float) -> list[int]:
    """Keys near a place that moves on slowly, so that those behind it never come back."""
    return [int(number * speed + rng.gauss(0.0, width)) for number in range(count)]


def soon_again(rng: Random, count: int, distance: float) -> list[int]:
    """New keys, each asked for a few times soon after it first was, and never later."""
    waiting: list[tuple[int, int]] = []
    keys: list[int] = []
    for number in range(count):
        if waiting and waiting[0][0] <= number:
            keys.append(heappop(waiting)[1])
            continue
        keys.append(number)
        for _ in range(rng.randrange(4)):
            heappush(waiting, (number + 1 + int(rng.expovariate(1 / distance)), number))
    return keys


@pytest.mark.parametrize(
    ("requests", "maxsize"),
    [
        (to_and_fro(500, 4), 20),
        (to_and_fro(500, 4), 300),
        (to_and_fro(1500, 3), 750),
        (wandering(Random(1), 10_000, 100.0, 0.5), 200),
        (wandering(Random(2), 10_000, 100.0, 0.5), 1000),
        (soon_again(Random(3), 10_000, 400.0), 400),
        (soon_again(Random(4), 10_000, 400.0), 2000),
    ],
    ids=lambda value: len(value) if isinstance(value, list) else value,
)
def test_what_an_lru_is_good_at(cache_type: Any, requests: list[int], maxsize: int) -> None:
    of_an_lru = exact_lru_ratio(requests, maxsize)
    for _ in range(3):  # with other seeds
        assert cache_hit_ratio(cache_type(maxsize), requests) >= of_an_lru - 0.5


def test_what_an_lru_is_bad_at(cache_type: Any) -> None:
    """A loop that is longer than the cache: from the second time on those are hit that came first."""
    requests = list(range(500)) * 5
    assert exact_lru_ratio(requests, 300) == 0.0
    assert cache_hit_ratio(cache_type(300), requests) >= 0.9 * 100.0 * (4 * 300) / (5 * 500)
