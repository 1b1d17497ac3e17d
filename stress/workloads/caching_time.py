"""Times after which entries must be gone, and before which they must not.

`cache-expiry` moves a clock of its own by hand: however slow the machine is, every thread knows exactly
between which moments its entries end, since each has keys of its own. `cache-clock` leaves it to the thread
of the process that expires entries. There the time at which the cache *asked* to be called is judged, and
beyond that only that the thread comes at all while another one that sleeps as it does wakes many times: how
late a machine under load calls a thread is not the cache's doing.
"""

from __future__ import annotations

import threading
import time
from math import inf
from typing import Any

from ..arena import Arena, Worker
from ..keys import make_key
from ..targets import Kind
from .base import workload
from .caching_base import Cached, cache_type, wait_for_clock

__all__: list[str] = []

_CLOCKED_SECONDS = 0.03  # ttl of the cache that the clock drives
_TURNS = 200  # of a thread that sleeps a tick: the clock has come by then
_EPSILON = 1e-6  # seconds; sums of floats
_LIVES = (0.02, 1.0, 5.0, 8.0, 60.0, 600.0, None)
_STEPS = (0.0, 0.01, 0.0625, 0.3, 0.3, 3.0, 11.0, 100.0)


def _tick_seconds() -> float:
    from concurrent_tables.cache.wheel import TICK_SECONDS

    return TICK_SECONDS


class _Timer:
    """Seconds that pass when a thread says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        with self.lock:
            self.now += seconds


class _Life:
    """A value, and between which moments it ends: `soonest` and `latest`, by ttl and by idle time."""

    __slots__ = ("booked", "deadline", "gone", "idle", "key")

    def __init__(self, key: Any) -> None:
        self.key = key
        self.deadline = self.idle = (inf, inf)
        self.booked = -inf  # the wheel knows it from then on
        self.gone: str | None = None  # the cause that the listener was told

    @property
    def soonest(self) -> float:
        return min(self.deadline[0], self.idle[0])

    @property
    def latest(self) -> float:
        return min(self.deadline[1], self.idle[1])


def _after(began: float, ended: float, seconds: float | None) -> tuple[float, float]:
    return (inf, inf) if seconds is None else (began + seconds, ended + seconds)


@workload(
    "cache-expiry",
    "ttl, idle time and lives of single entries on a clock moved by hand: not early, not late",
    [Kind.DICT],
    needs=["get_many"],
    native_only=True,
)
class ExpiringCache(Cached):
    def __init__(self, arena: Arena) -> None:
        self.timer = _Timer()
        self.ticking = threading.Lock()
        self.limits = [(8.0, None), (None, 8.0), (20.0, 8.0)][
            (arena.number + arena.number // 3) % 3  # `number % 3` chooses the keys
        ]
        self.tick = _tick_seconds()
        super().__init__(arena)
        self.own = [
            [make_key(arena.style, index, number) for number in range(4)]
            for index in range(self.threads)
        ]
        self.lives: list[dict[Any, _Life]] = [{} for _ in range(self.threads)]

    def make_cache(self) -> Any:
        ttl, tti = self.limits
        return cache_type(self.package)(ttl=ttl, tti=tti, timer=self.timer, on_remove=self.gone)

    def gone(self, key: Any, value: Any, cause: str) -> None:
        next(self.left)
        if value.gone is not None:
            self.early.append(f"{key!r} is told to be gone twice")
        if cause == "expired" and self.timer.now < value.soonest - _EPSILON:
            self.early.append(f"{key!r} at {self.timer.now}, not after {value.soonest}")
        value.gone = cause

    def step(self, worker: Worker) -> None:
        key = worker.rng.choice(self.own[worker.index])
        way = worker.rng.randrange(10)
        if way < 3:
            self._get(worker, key)
        elif way < 5:
            self._set(worker, key)
        elif way < 7:
            self._load(worker, key)
        elif way == 7:
            self._touch(worker, key)
        elif way == 8:
            self._look(worker, key)
        else:
            self._pass_time(worker)

    # -- one key, by its own thread ---------------------------------------------------------------

    def _get(self, worker: Worker, key: Any) -> None:
        worker.note("get", key, self.timer.now)
        began = self.timer.now
        self.looks_up(worker)
        value = self.cache.get(key)
        self._judge(worker, key, value, began)

    def _judge(self, worker: Worker, key: Any, value: Any, began: float) -> None:
        """A read that began then gave `value`, None for none; it was an access."""
        ended, life = self.timer.now, self.lives[worker.index].get(key)
        if value is not None and value is not life:
            worker.fail("lost", f"{key!r} gave what was not stored there last")
        if life is None:
            return
        if value is None:
            if ended < life.soonest - _EPSILON:
                worker.fail("early", f"{key!r} is absent at {ended}, before {life.soonest}")
            del self.lives[worker.index][key]
            return
        if began >= life.latest + _EPSILON:
            worker.fail("late", f"{key!r} is served at {began}, after {life.latest}")
        self._accessed(life, began, ended)

    def _accessed(self, life: _Life, began: float, ended: float) -> None:
        """Who expires entries may look just before an access that comes when one is over."""
        soonest, latest = _after(began, ended, self.limits[1])
        if ended >= life.soonest:
            soonest = life.idle[0]
        life.idle = (soonest, latest)

    def _begin(self, worker: Worker, life: _Life, seconds: Any, began: float) -> None:
        ended = self.timer.now
        life.deadline = _after(began, ended, seconds)
        life.idle = _after(began, ended, self.limits[1])
        life.booked = ended
        self.lives[worker.index][life.key] = life

    def _set(self, worker: Worker, key: Any) -> None:
        worker.note("set", key, self.timer.now)
        life, arguments = _Life(key), self._lifetime(worker)
        life.deadline = life.idle = (-inf, inf)  # until it is known better
        began = self.timer.now
        self.cache.set(key, life, **arguments)
        self._begin(worker, life, arguments.get("ttl", self.limits[0]), began)

    def _lifetime(self, worker: Worker) -> dict[str, Any]:
        return {} if worker.rng.random() < 0.4 else {"ttl": worker.rng.choice(_LIVES)}

    def _load(self, worker: Worker, key: Any) -> None:
        from concurrent_tables.cache import Loaded

        worker.note("get_or_load", key, self.timer.now)
        life, arguments = _Life(key), self._lifetime(worker)
        life.deadline = life.idle = (-inf, inf)

        def load(_: Any) -> Any:
            next(self.loads)
            return Loaded(life, **arguments)

        began = self.timer.now
        self.looks_up(worker)
        value = self.cache.get_or_load(key, load)
        self._judge(worker, key, None if value is life else value, began)
        if value is life:
            self._begin(worker, life, arguments.get("ttl", self.limits[0]), began)

    def _touch(self, worker: Worker, key: Any) -> None:
        worker.note("touch", key, self.timer.now)
        arguments, life = self._lifetime(worker), self.lives[worker.index].get(key)
        seconds, began = arguments.get("ttl", self.limits[0]), self.timer.now
        if life is not None:  # it may end by what is said now before this call returns
            soonest = min(life.deadline[0], _after(began, began, seconds)[0])
            life.deadline = (soonest, life.deadline[1])
        there = self.cache.touch(key, **arguments)
        self._judge(worker, key, life if there else None, began)
        if there and life is None:
            worker.fail("lost", f"{key!r} was touched and is not there")
        if there and life is not None:
            life.deadline = _after(began, self.timer.now, seconds)
            life.idle = _after(began, self.timer.now, self.limits[1])
            life.booked = self.timer.now

    def _look(self, worker: Worker, key: Any) -> None:
        """`expires_in` and `peek`, which are no accesses; `peek` of any thread's key."""
        life, began = self.lives[worker.index].get(key), self.timer.now
        left = self.cache.expires_in(key)
        ended = self.timer.now
        if life is not None and left is None and ended < life.soonest - _EPSILON:
            worker.fail("early", f"{key!r} has no end at {ended}, before {life.soonest}")
        if life is None and left is not None:
            worker.fail("late", f"{key!r} still has an end")
        if life is not None and left is not None:
            if began >= life.latest + _EPSILON:
                worker.fail("late", f"{key!r} has {left} s left at {began}, after {life.latest}")
            least = max(0.0, life.soonest - ended) - _EPSILON
            if not least <= left <= max(0.0, life.latest - began) + _EPSILON:
                worker.fail(
                    "ends", f"{key!r} ends in {left} s, not at {life.soonest}..{life.latest}"
                )
        self.cache.peek(worker.rng.choice(worker.rng.choice(self.own)))

    # -- time -------------------------------------------------------------------------------------

    def _pass_time(self, worker: Worker) -> None:
        with self.ticking:
            self.timer.forward(worker.rng.choice(_STEPS))
            now = self.timer.now
            if worker.rng.random() < 0.2:
                worker.note("expire", None, now)
                self.cache.expire()
                late = self._overdue(worker.index, now)
            else:
                worker.note("_tick", None, now)
                self.cache._tick()
                late = self._overdue(worker.index, now - self.tick)
        if late:
            worker.fail("late", f"still there at {now}: {late[:3]}")

    def _overdue(self, index: int, then: float) -> list[str]:
        """Entries that had ended then, and of which the listener was told nothing."""
        return [
            f"{life.key!r} (ended at {life.latest}, stored at {life.booked})"
            for life in self.lives[index].values()
            if max(life.latest, life.booked) < then - _EPSILON and life.gone is None
        ]

    def at_rest(self) -> None:
        """Let all of them end, step by step."""
        expect = self.arena.expect
        for step in [*_STEPS[1:], *_STEPS[1:], 700.0]:
            self.timer.forward(step)
            now = self.timer.now
            self.cache._tick()
            for index, lives in enumerate(self.lives):
                late = self._overdue(index, now - self.tick)
                expect(not late, "late", f"still there at {now}: {late[:3]}")
                early = [
                    life.key
                    for life in lives.values()
                    if life.gone is not None and life.soonest > now + _EPSILON
                ]
                expect(not early, "early", f"gone at {now}: {early[:3]!r}")
        told = sum([life.gone is not None for lives in self.lives for life in lives.values()])
        lasting = sum([life.latest == inf for lives in self.lives for life in lives.values()])
        there = sum([len(lives) for lives in self.lives]) - told
        expect(there == lasting == len(self.cache), "late", f"{there} are there, not {lasting}")
        self.compare_books()
        self.cache.clear()


class _Timed:
    """A value that lives so many seconds, until `latest` at most."""

    __slots__ = ("latest", "life", "made")

    def __init__(self, life: float) -> None:
        self.life = life
        self.latest = inf
        self.made = time.monotonic()


def _asking(base: Any, calls: Any) -> Any:
    """The cache, which tells at what time it had asked for the call that the clock makes."""

    class Asking(base):  # type: ignore[misc]
        def _tick(self) -> None:
            calls.asked = self._due.at
            try:
                super()._tick()
            finally:
                calls.asked = -inf

    return Asking


@workload(
    "cache-clock",
    "entries with short lives and nobody who asks for them: the clock of the process ends them",
    [Kind.DICT],
    needs=["get_many"],
    native_only=True,
)
class ClockedCache(Cached):
    quota = 60

    def __init__(self, arena: Arena) -> None:
        self.calls = threading.local()
        self.tick = _tick_seconds()
        self.asked: list[tuple[float, _Timed]] = []
        self.ended = [0.0] * arena.threads
        super().__init__(arena)

    def make_cache(self) -> Any:
        base = cache_type(self.package)
        return _asking(base, self.calls)(ttl=_CLOCKED_SECONDS, on_remove=self.gone)

    def gone(self, key: Any, value: Any, cause: str) -> None:
        next(self.left)
        now, end = time.monotonic(), value.made + value.life
        if cause == "expired" and now < end:
            self.early.append(f"{key!r} {end - now:.4f} s before its end")
        asked = getattr(self.calls, "asked", -inf)  # only in the clock's own thread
        if cause == "expired":
            self.asked.append((asked, value))

    def step(self, worker: Worker) -> None:
        key = make_key(self.arena.style, worker.index, worker.rng.randrange(40))
        life = worker.rng.choice([0.001, 0.01, _CLOCKED_SECONDS, 0.07, 0.2])
        worker.note("set", key, life)
        value = _Timed(life)
        if life == _CLOCKED_SECONDS:
            self.cache.set(key, value)
        else:
            self.cache.set(key, value, ttl=life)
        value.latest = time.monotonic() + life

    def finish(self, worker: Worker) -> None:
        self.ended[worker.index] = time.monotonic()

    def at_rest(self) -> None:
        turns, sleeper = 0, threading.Condition()
        while len(self.cache) and turns < _TURNS:
            with sleeper:
                sleeper.wait(self.tick)
            turns += 1
        expect = self.arena.expect
        there = len(self.cache)
        expect(not there, "late", f"{there} that have ended are there after {turns} ticks")
        wait_for_clock(self.arena)  # its last call tells listeners
        # A writer that the machine stops in the middle tells the clock late.
        still = max(self.ended) + self.tick + _EPSILON
        late = [
            asked - value.latest
            for asked, value in self.asked
            if asked > max(value.latest + self.tick + _EPSILON, still)
        ]
        expect(not late, "late", lambda: f"asked for by up to {max(late):.4f} s too late")
        self.compare_books()
