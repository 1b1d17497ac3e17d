"""Caches of each implementation, a timer that tests move by hand, and no thread left behind."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from typing import Any

import pytest

from concurrent_tables.cache import background, clock
from concurrent_tables.cache.cache import make_cache_type
from concurrent_tables.cache.parts import parts

GIVE_UP_SECONDS = 60.0


class FakeTimer:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


_types: dict[str, Any] = {}


@pytest.fixture
def cache_type(ct: Any) -> Any:
    """The class `Cache` of the implementation under test."""
    name = ct.IMPLEMENTATION
    if name not in _types:
        _types[name] = make_cache_type(parts(name), "A cache under test.")
    return _types[name]


@pytest.fixture
def timer() -> FakeTimer:
    return FakeTimer()


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    """The clock and the workers end by themselves once the caches of the test are gone."""
    yield
    end = time.monotonic() + GIVE_UP_SECONDS
    while not (clock.idle() and background.idle()):
        gc.collect()
        assert time.monotonic() < end, "a thread of a cache is still there"
        time.sleep(0.001)
