"""Operations of a cache run again and again, each time with another allocation failing.

What must hold afterwards, whether the operation raised or not (`CacheWorld.judge`): each key has what
it had before or what the operation gave it; whatever left was counted once, under one cause, and the
listener heard of it once, unless something was reported to `sys.unraisablehook`; the books of the
policy are those of the table; the cache goes on; nothing stays alive.
"""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.memory.sweep import OUT, Key, attempt, go_through, wait_for_end, without_collections
from tests.support import Trackable

QUIET = 25  # so many n's in a row without an error: the operation has its memory
LIMIT = 900
ROOM = 64
Operation = Callable[[Any, "CacheWorld"], Any]


class CacheWorld:
    """One cache in a known state, and what an operation on it needs, made beforehand."""

    def __init__(self, cache_type: Any, policy: str | None, state: str) -> None:
        self._alive: list[weakref.ref[Any]] = []
        self.now = 100.0
        self.reported = 0
        self.clock = self._read_clock
        # The listener must not need memory itself.
        self.told_values: list[Any] = [None] * ROOM
        self.told_causes: list[Any] = [None] * ROOM
        self.told = 0
        self.values = [self._tracked(Trackable(number)) for number in range(30)]
        self.old = [self._key(number) for number in range(6)]
        self.fresh = [self._key(number) for number in range(50, 60)]
        self.tags = ["tag", self.old[1]]
        self.to_value: Callable[..., Any] = lambda key: self.values[20]
        self.to_many: Callable[..., Any] = lambda keys: dict.fromkeys(keys, self.values[21])
        self.odd: Callable[..., Any] = lambda key, value: value is self.values[1]
        self.ignored: Callable[..., Any] = lambda event: None
        bound = {} if policy is None else {"maxsize": 8, "policy": policy}
        self.cache = cache_type(
            **bound, ttl=1000.0, timer=self.clock, on_remove=self.listen, stale_on_error=None
        )
        for number, key in enumerate([self._key(number) for number in range(6)]):
            self.cache.set(key, self.values[number], ttl=20.0 + 10.0 * number, tags=self.tags[:1])
        self.cache.set("tagged", self.values[6], tags=["other"])
        self.cache.set("plain", self.values[7])
        if state == "shared":
            thread = threading.Thread(target=lambda: self.cache.get("plain"))
            thread.start()
            wait_for_end(thread)
        elif state == "watched":
            self.cache.watch(self.ignored)

    def _read_clock(self) -> float:
        return self.now

    def _tracked(self, made: Any) -> Any:
        self._alive.append(weakref.ref(made))
        return made

    def _key(self, number: int) -> Any:
        return self._tracked(Key(number)) if number % 2 else number

    def listen(self, key: Any, value: Any, cause: Any) -> None:
        self.told_values[self.told] = value
        self.told_causes[self.told] = cause
        self.told += 1

    def report(self, arguments: Any) -> None:
        self.reported += 1

    def contents(self) -> dict[str, Any]:
        """What the table holds, expired or not."""
        return {str(key): entry.value.name for key, entry in self.cache._table.items()}

    def counts(self) -> Counter[str]:
        """What left, by cause, as the statistics tell it."""
        stats = self.cache.stats()
        names = ("explicit", "replaced", "evicted", "expired", "invalidated")
        return Counter({name: getattr(stats, name) for name in names if getattr(stats, name)})

    def judge(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        now = self.contents()
        for key in {*before, *after, *now}:
            found = now.get(key)
            # One that was driven out may be another than in the undisturbed run.
            assert found in (before.get(key), after.get(key), None), f"{key}: {found}"
        told = [value.name for value in self.told_values[: self.told]]
        assert not (Counter(told) - Counter({*told})), f"told twice: {told}"
        assert not {*told} & {*now.values()}, f"told of what is there: {told}"
        stats = self.cache.stats()
        left = self.counts()
        assert stats.size == len(now)
        assert stats.insertions - left.total() == len(now), (
            f"{stats.insertions} - {left} != {len(now)}"
        )
        if self.cache.maxsize is not None:
            assert stats.weight == len(now) <= self.cache.maxsize
        if not self.reported:
            lost = {*before.values()} - {*now.values()} - {*told}
            assert not lost, f"untold: {lost}"
            causes = Counter(str(cause) for cause in self.told_causes[: self.told])
            causes["evicted"] = causes.pop("size", 0)
            assert +causes == left, f"told {+causes}, counted {left}"
        self._go_on()

    def _go_on(self) -> None:
        cache = self.cache
        cache.set("after", self.values[25])
        assert cache.get("after") is self.values[25]
        cache.set("tagged after", self.values[26], tags=["tag", "other"])
        assert cache.get("tagged after") is self.values[26], "a tag that fell half"
        assert cache.get_or_load("loaded after", self.to_value) is self.values[20]
        cache.clear()
        for key in self.fresh:  # no flight is left behind
            assert cache.get_or_load(key, self.to_value) is self.values[20]
        self.now += 10_000.0
        cache.expire()
        assert len(cache) == 0 and not cache._table.items()
        stats = cache.stats()
        assert stats.insertions == self.counts().total() and stats.weight == 0
        self.told_values[:] = []

    def drop(self) -> None:
        alive = self._alive
        self.__dict__.clear()
        self._alive = alive


class CacheSweep:
    """The failures of one operation; `run` says what went wrong."""

    def __init__(self, make: Callable[[], CacheWorld], operation: Operation) -> None:
        self.make = make
        self.operation = operation
        self.problems: list[str] = []
        self.worlds: list[tuple[CacheWorld, str]] = []

    def run(self, flush: Callable[[], Any]) -> list[str]:
        hook = sys.unraisablehook
        try:
            with without_collections():
                self._run()
        finally:
            sys.unraisablehook = hook
        for world, _ in self.worlds:
            world.drop()
        for _ in range(3):
            gc.collect()
            flush()
        leaked = [
            text for world, text in self.worlds if any(made() is not None for made in world._alive)
        ]
        if leaked and sys.version_info >= (3, 12):  # 3.11 leaks what a frame was about to take over
            self.problems.append(f"leaked: {leaked[:8]}")
        return self.problems

    def _run(self) -> None:
        for _ in range(2):  # the first time also imports and caches
            world = self.make()
            self.before = world.contents()
            self.operation(world.cache, world)
            self.after = world.contents()
            world.judge(self.before, self.after)
            self.worlds.append((world, "undisturbed"))
        self.problems += go_through(self._one, quiet=QUIET, limit=LIMIT)

    def _one(self, n: int, length: int) -> bool:
        world = self.make()
        sys.unraisablehook = world.report
        ended = attempt(world.cache, world, self.operation, n, length)
        where = f"n={n} length={length} ({ended})"
        self.worlds.append((world, where))
        try:
            assert ended in ("done", OUT), "another error than MemoryError"
            if ended == "done" and not world.reported:
                assert world.contents() == self.after, f"{world.contents()} != {self.after}"
            # Where all memory is gone, a victim may go untold, since a report takes memory, too.
            world.reported += length > 1
            world.judge(self.before, self.after)
            world.reported -= length > 1
        except Exception as error:
            self.problems.append(f"{where}: {error!r}")
        sys.unraisablehook = sys.__unraisablehook__
        # When its 16 spare MemoryErrors are in use, in cycles with their frames, CPython raises one that
        # never dies, and that keeps every frame it passed.
        gc.collect()
        return ended != "done" or world.reported > 0
