"""Who ends entries meets who prolongs them: the moments between looking and acting."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from concurrent_tables._pure.hit_path import NEVER_AGAIN
from concurrent_tables.cache import clock
from concurrent_tables.cache.clock import Due
from tests.cache.conftest import FakeTimer


def touched_after_the_look(cache: Any, timer: FakeTimer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `touch` that began in time reaches the entry when somebody has just seen that it has ended."""
    look, touched = cache._end_of, []

    def end_of(entry: Any) -> float:
        end: float = look(entry)
        if not touched and not getattr(cache, "_holder", 0):  # not under the lock
            touched.append(True)
            over, timer.now = timer.now, 1000.0
            touched.append(cache.touch("key", 50.0))
            timer.now = over
        return end

    monkeypatch.setattr(cache, "_end_of", end_of)
    timer.forward(0.04)


@pytest.mark.parametrize("maxsize", [None, 5])
@pytest.mark.parametrize("take_out", [lambda cache: cache.expire(), lambda cache: cache.get("key")])
def test_what_was_touched_in_time_stays(
    cache_type: Any,
    timer: FakeTimer,
    monkeypatch: pytest.MonkeyPatch,
    maxsize: int | None,
    take_out: Callable[[Any], object],
) -> None:
    told: list[Any] = []
    cache = cache_type(maxsize, timer=timer, on_remove=lambda *event: told.append(event))
    cache.set("key", 1, ttl=10.03)  # the wheel looks at it a little later
    timer.forward(10)
    cache._tick()  # it lies in the bucket of its very tick now
    touched_after_the_look(cache, timer, monkeypatch)
    take_out(cache)
    assert cache.get("key") == 1 and cache.expires_in("key") > 39 and told == []
    timer.forward(40)
    cache.expire()
    assert told == [("key", 1, "expired")] and len(cache) == 0
    assert cache.stats().weight == 0


@pytest.mark.parametrize("ttl", [None, 100.0])
@pytest.mark.parametrize(
    "write", [lambda cache: cache.pop("key", None), lambda cache: cache.set("key", 2)]
)
def test_what_a_write_overtook_has_not_expired(
    cache_type: Any,
    timer: FakeTimer,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Any], object],
    ttl: float | None,
) -> None:
    """The write makes the flight of a load fall that has landed, and drops its cell just then."""
    told: list[Any] = []
    cache = cache_type(ttl=ttl, timer=timer, on_remove=lambda *event: told.append(event))
    cache.set("key", 1, tags=["tag"])
    cache._table.get("key").cells[0].fallen = NEVER_AGAIN
    look = cache._valid

    def valid(entry: Any) -> bool:
        found: bool = look(entry)
        entry.cells = None
        return found

    monkeypatch.setattr(cache, "_valid", valid)
    write(cache)
    assert told == [("key", 1, "invalidated")]


class SlowDue(Due):
    """Somebody takes a while between finding out when to be called and saying so."""

    __slots__ = ("_at", "meanwhile")

    def __init__(self, owner: Any) -> None:
        self._at = math.inf
        self.meanwhile: Callable[[], object] | None = None
        super().__init__(owner)

    @property  # type: ignore[override]
    def at(self) -> float:
        return self._at

    @at.setter
    def at(self, value: float) -> None:
        owner = self.owner() if hasattr(self, "owner") else None
        if self.meanwhile is not None and not getattr(owner, "_holder", 0):
            meanwhile, self.meanwhile = self.meanwhile, None
            thread = threading.Thread(target=meanwhile)
            thread.start()
            thread.join()
        self._at = value


def test_a_slow_writer_puts_no_call_off(cache_type: Any) -> None:
    """Of two that tell the clock the later one knows less: the earlier time holds."""
    cache = cache_type()
    cache._due = due = SlowDue(cache)
    before = time.monotonic()
    cache.set("first", 1, ttl=3000)
    due.meanwhile = lambda: cache.set("soon", 1, ttl=100)
    cache.set("later", 1, ttl=2000)
    if due.meanwhile is not None:  # nothing was written where somebody could come between
        due.meanwhile, meanwhile = None, due.meanwhile
        meanwhile()
    assert due.at <= before + 200.0
    assert clock._State.planned <= before + 200.0
