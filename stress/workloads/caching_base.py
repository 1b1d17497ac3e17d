"""What the cache workloads share: the cache under test, what leaves it, and counts that add up.

Every value is an object of its own, made by a loader or by a `set`. It carries what its makers know about it
(the source's number that it shows, between which moments its life began), so that whoever gets it, and the
removal listener, can judge it alone. At rest the books are compared: entries that came, left and are
there, lookups and runs of loaders that the workload counted itself.
"""

from __future__ import annotations

import gc
import importlib
import itertools
import threading
import time
from math import inf
from typing import Any, ClassVar

from ..arena import Arena, Worker
from ..keys import make_key
from .base import Round

__all__ = ["GIVE_UP_SECONDS", "TTL_SECONDS", "Cached", "Value", "wait_for_clock"]

TTL_SECONDS = 0.005  # about as long as a key stands between two changes: some end, some are dropped
GIVE_UP_SECONDS = 30.0


def cache_type(package: Any) -> Any:
    """The cache over the tables of the implementation that is under test."""
    name = importlib.import_module("concurrent_tables.cache.cache")
    parts = importlib.import_module("concurrent_tables.cache.parts").parts
    return name.make_cache_type(parts(package.IMPLEMENTATION), None)


def clock_thread() -> Any:
    """The module of the thread that expires entries."""
    return importlib.import_module("concurrent_tables.cache.clock")


def wait_for_clock(arena: Arena) -> None:
    """Let the thread end by itself, so that it does not run into the next round.

    Where nothing is left that could expire, one that stays is a violation.
    """
    end = time.monotonic() + GIVE_UP_SECONDS
    while not clock_thread().idle() and time.monotonic() < end:
        gc.collect()  # caches of rounds before may still have ends to come
        time.sleep(0.001)
    there = f"the clock has not ended after {GIVE_UP_SECONDS:g} s, with nothing left to expire"
    arena.expect(clock_thread().idle(), "clock", there)


class Value:
    """What a loader or a `set` stores; times are seconds, monotonic, `inf` for not yet."""

    __slots__ = ("born", "dropped", "loaded", "made", "number", "place", "stored", "weight")

    def __init__(self, number: int, weight: int = 1, *, place: int = 0) -> None:
        self.number = number
        self.place = place  # of its key among those of the round
        self.weight = weight
        self.loaded = False
        self.born = 0  # on the counter of a workload
        self.made = time.monotonic()
        self.stored = inf  # when somebody had it, or its `set` had returned
        self.dropped = inf  # when an invalidation after it had returned

    def __repr__(self) -> str:
        return f"#{self.number}"


class Cached(Round):
    """A cache, and everything that left it."""

    quota = 150
    bound: ClassVar[int | None] = None
    ttl: ClassVar[float | None] = None
    weighs: ClassVar[bool] = False
    key_count: ClassVar[int] = 8
    only = frozenset({"ConcurrentDict"})

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.left = itertools.count()
        self.loads = itertools.count()  # runs of a loader
        self.lookups = [0] * arena.threads  # of each thread
        self.early: list[str] = []
        self.cache = self.make_cache()
        self.keys = [make_key(arena.style, 0, number) for number in range(self.key_count)]

    def make_cache(self) -> Any:
        return cache_type(self.package)(
            self.bound,
            ttl=self.ttl,
            on_remove=self.gone,
            weigher=(lambda _, value: value.weight) if self.weighs else None,
        )

    def gone(self, key: Any, value: Any, cause: str) -> None:
        """The removal listener."""
        next(self.left)
        if cause == "expired" and time.monotonic() < value.made + TTL_SECONDS:
            self.early.append(f"{key!r} {time.monotonic() - value.made:.4f} s after it was made")

    def looks_up(self, worker: Worker, count: int = 1) -> None:
        """Called with every read that the cache counts."""
        self.lookups[worker.index] += count

    def at_rest(self) -> None:
        expect, cache = self.arena.expect, self.cache
        if self.bound is not None:
            there = self.weight_in_table()
            expect(there <= self.bound, "bound", f"{there} of at most {self.bound} are there")
        if self.ttl is not None:  # or entries could expire while they are counted
            cache.clear()
            wait_for_clock(self.arena)
        self.compare_books()
        cache.clear()

    def compare_books(self) -> None:
        """Every count of the cache against the others, and against those of the workload."""
        expect, cache = self.arena.expect, self.cache
        cache.expire()
        stats = cache.stats()
        expect(not self.early, "early", f"expired before its time: {self.early[:3]}")
        expect(
            stats.insertions - stats.removals == stats.size == len(cache),
            "stats",
            f"{stats.insertions} insertions, {stats.removals} removals, size {stats.size}, "
            f"{len(cache)} entries",
        )
        lookups, loads = sum(self.lookups), next(self.loads)
        expect(stats.lookups == lookups, "lookups", f"{stats.lookups} of {lookups} are counted")
        expect(stats.loads == loads, "loads", f"{stats.loads} of {loads} are counted")
        gone = next(self.left)
        expect(gone == stats.removals, "listener", f"told of {gone} removals, not {stats.removals}")
        expect(len(cache._flights) == 0, "flights", "a flight is left in the registry")
        if self.bound is not None:
            weight = sum([value.weight for _, value in cache.items()])
            expect(
                stats.weight == weight,
                "weight",
                f"the policy counts {stats.weight}, there are {weight}",
            )

    def weight_in_table(self) -> int:
        """Of all entries, those included that have ended: the bound is about them, too."""
        return sum([entry.value.weight for _, entry in list(self.cache._table.items())])

    def check_bound(self, worker: Worker) -> None:
        """While others write: beside the bound there is what each of them has just put in."""
        if self.bound is None:
            return
        there = self.weight_in_table()
        if there > self.bound + self.threads * (_HEAVIEST if self.weighs else 1):
            worker.fail("bound", f"{there} are there for a bound of {self.bound}")

    def weight(self, worker: Worker) -> int:
        """A weight for the next value."""
        return worker.rng.randrange(_HEAVIEST + 1) if self.weighs else 1


_HEAVIEST = 4


class Locks:
    """A lock for each key of a workload: the source of one key changes in steps."""

    def __init__(self, count: int) -> None:
        self._locks = [threading.Lock() for _ in range(count)]

    def __getitem__(self, number: int) -> threading.Lock:
        return self._locks[number]
