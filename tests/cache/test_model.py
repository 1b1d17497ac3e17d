"""Random operations on a cache and on the models of `models`; `campaign` runs millions of them.

Alone, the cache must agree with the model after every step, and tell its listener once of each value that
left. From several threads, the values tell which epoch they belong to, so that a stale one is seen at once.
"""

from __future__ import annotations

import itertools
import random
import threading
from typing import Any

import pytest

from tests.cache import campaign
from tests.cache.models import TTL_SECONDS, Exact, Shared
from tests.support import LONG_SECONDS, Deadline, run_threads

KEYS = range(8)
STEPS = 1500


@pytest.mark.parametrize("seed", range(3))
def test_alone(cache_type: Any, timer: Any, seed: int) -> None:
    draw = random.Random(seed)
    left: list[Any] = []
    cache = cache_type(ttl=TTL_SECONDS, timer=timer, on_remove=lambda *event: left.append(event))
    exact = Exact(cache, timer, draw, KEYS, ("x", "y"), alone=True)
    model = exact.model
    for _ in range(STEPS):
        exact.step()
        if draw.random() < 0.1:
            timer.forward(draw.choice([0.5, 3, 11]))
            cache._tick()
        elif draw.random() < 0.005:
            cache.clear()
            model.entries.clear()
        assert sorted(cache.items()) == [(key, model.get(key)) for key in KEYS if model.live(key)]
    stats = cache.stats()
    assert stats.insertions - stats.removals == stats.size
    assert stats.removals == len(left)
    gone = [value for _, value, _ in left]  # each value is a number of its own
    assert len({*gone}) == len(gone) and not {*gone} & {value for _, value in cache.items()}
    assert stats.lookups == stats.hits + stats.misses


@pytest.mark.parametrize("maxsize", [None, 5])
def test_threads_never_see_what_was_invalidated(
    ct: Any, cache_type: Any, maxsize: int | None
) -> None:
    """`source[key]` only grows; who has raised and invalidated it must never read less."""
    left = itertools.count()
    cache = cache_type(maxsize, ttl=100, on_remove=lambda *_: next(left))
    shared = Shared(ct, cache, KEYS)
    deadline = Deadline(LONG_SECONDS) if LONG_SECONDS else None

    def work(seed: int) -> None:
        draw = random.Random(seed)
        steps = iter(int, 1) if deadline else range(400)
        for _ in steps:
            if deadline is not None and not deadline:
                return
            shared.step(draw)

    run_threads(*[lambda seed=seed: work(seed) for seed in range(4)])
    campaign.compare_books(cache, left)
    shared.following.cancel()


def test_the_campaign(ct: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """All of its rounds once, and how it ends when something is wrong."""
    command = ["--ops", "2400", "--round", "600", "--implementation", ct.IMPLEMENTATION]
    assert campaign.main(command) == 0
    assert "2,400 operations" in capsys.readouterr().out


def test_the_campaign_sees_a_stale_value(
    ct: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Shared, "load", lambda self, key: -1)
    assert campaign.main(["--ops", "600", "--implementation", ct.IMPLEMENTATION]) == 1
    assert "VIOLATION" in capsys.readouterr().out


def test_the_campaign_sees_a_thread_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "HANG_SECONDS", 0.05)
    gate = threading.Event()
    with pytest.raises(campaign.Wrong, match=r"has not come to its end in 0\.05 s"):
        campaign.in_threads([gate.wait, lambda: None])
    gate.set()
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join()
