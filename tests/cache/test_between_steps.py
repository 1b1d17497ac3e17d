"""A load with an invalidation between any two of its steps: the next read sees the new value.

The load runs under a line tracer. Before the n-th line of the load protocol the source changes and
somebody else (a context of its own, which owns no flight) invalidates; for every n there is, every way to
invalidate, loads from threads and from coroutines. In half of the runs that somebody also asks for
the key at once, and must neither get the old value nor wait for the load that began before: since the
loading thread stands still meanwhile, such a wait is a DeadlockError.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Callable
from typing import Any

import pytest

from concurrent_tables.cache import (
    Loaded,
    aloading,
    background,
    cached,
    loading,
    loading_many,
    storing,
    tags,
)
from tests.cache.conftest import FakeTimer

FILES = {module.__file__ for module in (aloading, loading, loading_many, storing, tags)}
WAYS = ["key", "tag", "late tag", "predicate", "clear", "pop", "set", "table", "dict"]
KEY = "k"
STRIDE = {"c": 1, "python": 3}  # the protocol is the same code in both columns


class Stage:
    """A cache over a source whose value changes once, and one way to tell the cache so."""

    def __init__(self, ct: Any, cache_type: Any, way: str) -> None:
        self.way = way
        self.cache = cache_type(10)
        self.source: Any = {} if way == "dict" else ct.ConcurrentDict()
        self.source[KEY] = "old"
        self.tags = ("t",) if way == "tag" else ()
        if way in ("table", "dict"):
            self.following = self.cache.invalidate_on(self.source)

    def load(self, key: Any) -> Any:
        value = self.source[key]
        return Loaded(value, tags=("t",)) if self.way == "late tag" else value

    async def aload(self, key: Any) -> Any:
        value = self.load(key)
        await asyncio.sleep(0)
        return value

    def read(self) -> Any:
        return self.cache.get_or_load(KEY, self.load, tags=self.tags)

    async def aread(self) -> Any:
        return await self.cache.aget_or_load(KEY, self.aload, tags=self.tags)

    def invalidate(self) -> None:
        cache = self.cache
        self.source[KEY] = "new"
        if self.way == "key":
            cache.invalidate(KEY)
        elif "tag" in self.way:
            cache.invalidate_tag("t")
        elif self.way == "predicate":
            cache.invalidate_where(lambda key, value: key == KEY)
        elif self.way == "clear":
            cache.clear()
        elif self.way == "pop":
            cache.pop(KEY, None)
        elif self.way == "set":
            cache.set(KEY, "new")


class Interruption:
    """Runs `action` before the n-th traced line."""

    def __init__(self, at: int, action: Callable[[], None]) -> None:
        self.at = at
        self.action = action
        self.lines = 0
        self.errors: list[BaseException] = []

    def __enter__(self) -> Interruption:
        sys.settrace(self.trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def trace(self, frame: Any, event: str, _: Any) -> Any:
        if event == "call":
            return self.trace if frame.f_code.co_filename in FILES else None
        if event == "line":
            self.lines += 1
            if self.lines == self.at:
                self.act()
        return self.trace

    def act(self) -> None:
        try:
            contextvars.Context().run(self.action)
        except BaseException as error:
            self.errors.append(error)


def run_once(ct: Any, cache_type: Any, way: str, sync: bool, late: bool, at: int, loop: Any) -> int:
    stage = Stage(ct, cache_type, way)

    def act() -> None:
        stage.invalidate()
        if late:
            assert stage.read() == "new"

    with Interruption(at, act) as interruption:
        first = stage.read() if sync else loop.run_until_complete(stage.aread())
    if interruption.errors:
        raise interruption.errors[0]
    if at and interruption.lines >= at:
        where = f"{way}, before line {at} of the load"
        assert first in ("old", "new"), where
        assert stage.cache.peek(KEY) in (None, "new"), where
        assert stage.read() == "new", where
        assert stage.read() == "new", where
        stats = stage.cache.stats()
        assert stats.insertions - stats.removals == stats.size == len(stage.cache), where
        assert stats.policy == {} or stats.weight == stats.size, where
        assert len(stage.cache._flights) == 0, where
    return interruption.lines


@pytest.mark.parametrize("late", [False, True], ids=["alone", "with a late caller"])
@pytest.mark.parametrize("sync", [True, False], ids=["thread", "coroutine"])
@pytest.mark.parametrize("way", WAYS)
def test_every_step(ct: Any, cache_type: Any, way: str, sync: bool, late: bool) -> None:
    if way == "dict" and sys.version_info < (3, 12):
        pytest.skip("builtin dicts can be watched from Python 3.12 on")
    if way == "late tag" and late:
        pytest.skip("a late caller waits here: the tag is not known before the loader returns")
    loop = asyncio.new_event_loop()
    try:
        steps = run_once(ct, cache_type, way, sync, late, 0, loop)
        assert steps > 40  # it is the load protocol that is traced
        for at in range(1, steps + 1, STRIDE[ct.IMPLEMENTATION]):
            run_once(ct, cache_type, way, sync, late, at, loop)
    finally:
        loop.close()


class OtherLoads(Stage):
    """The loads that are not one `get_or_load`: each has steps of its own."""

    def __init__(
        self, ct: Any, cache_type: Any, way: str, kind: str, patch: pytest.MonkeyPatch
    ) -> None:
        options: dict[str, dict[str, Any]] = {
            "refresh": {"refresh_after": 5.0},
            "stale": {"ttl": 5.0, "stale_on_error": 100.0},
            "thread": {"ttl": 5.0, "stale_on_error": 100.0, "soft_timeout": 60.0},
        }
        timer = FakeTimer()
        super().__init__(
            ct, lambda size: cache_type(size, timer=timer, **options.get(kind, {})), way
        )
        self.kind, self.failing = kind, kind == "stale"
        patch.setattr(background, "enqueue", lambda job: job())  # in this thread, which is traced
        patch.setattr(background, "start", lambda job, name: job())
        self.function = cached(self.cache, key=lambda key: key, tags=self.tags)(self.load)
        if kind in ("refresh", "stale", "thread"):
            self.cache.get_or_load(KEY, self.load, tags=self.tags)
            timer.forward(10.0)

    def once(self) -> Any:
        """The load into which the invalidation falls."""
        if self.kind == "many":
            return self.cache.load_many(["other", KEY], self.load_many, tags=self.tags)[KEY]
        if self.kind == "cached":
            return self.function(KEY)
        return self.cache.get_or_load(KEY, self.fail if self.failing else self.load, tags=self.tags)

    def load_many(self, keys: list[Any]) -> dict[Any, Any]:
        return {key: self.load(key) if key == KEY else "another" for key in keys}

    def fail(self, key: Any) -> Any:
        raise LookupError(key)


@pytest.mark.parametrize("kind", ["many", "cached", "refresh", "stale", "thread"])
@pytest.mark.parametrize("way", WAYS)
def test_every_step_of_other_loads(
    ct: Any, cache_type: Any, way: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "dict" and sys.version_info < (3, 12):
        pytest.skip("builtin dicts can be watched from Python 3.12 on")
    at = 0
    while True:
        stage = OtherLoads(ct, cache_type, way, kind, monkeypatch)
        with Interruption(at, stage.invalidate) as interruption:
            try:
                first = stage.once()
            except LookupError:
                first = "old"  # it was invalidated before it could be served instead of the error
        if interruption.errors:
            raise interruption.errors[0]
        where = f"{way}, {kind}, before line {at}"
        if at > interruption.lines:
            break
        if at:
            assert first in ("old", "new"), where
            assert stage.cache.peek(KEY) in (None, "new"), where
            assert stage.read() == "new", where
            stats = stage.cache.stats()
            assert stats.insertions - stats.removals == stats.size == len(stage.cache), where
            assert len(stage.cache._flights) == 0, where
        at += STRIDE[ct.IMPLEMENTATION]
    assert at > 40


def test_calls_of_c_that_are_invalidated(cache_type: Any) -> None:
    """Where the loader runs between two calls from C: before it, in it, and while its result lands."""
    for at in range(1, 200):
        source = ["old"]

        @cached(cache_type(10))
        def function(argument: int) -> str:
            return source[0]

        def act() -> None:
            source[0] = "new"
            function.cache_invalidate(1)

        with Interruption(at, act) as interruption:
            function(1)
        assert not interruption.errors
        if interruption.lines < at:
            break
        assert function(1) == "new", at
        assert len(function.cache._flights) == 0
    assert at > 20
