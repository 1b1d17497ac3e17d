"""Interrupts at every line of a load, and stacks that end there: the next caller loads anew.

A line tracer raises where a signal handler could. No flight may stay in the registry for which others
would wait for ever.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from concurrent_tables.cache import aloading, cache, cached, loading, native, storing

pytestmark = pytest.mark.skipif(
    sys.gettrace() is not None, reason="somebody else traces this run, a coverage tool perhaps"
)

GIVE_UP_SECONDS = 30.0
FILES = (loading.__file__, aloading.__file__)


class Interrupt(BaseException):
    """What the tracer raises."""


@contextmanager
def interrupt_at(number: int, files: Sequence[str] = FILES) -> Iterator[list[str]]:
    """Raise at the line of that number; yields what tells where, nothing if there is none."""
    seen = count(1)
    where: list[str] = []

    def trace(frame: Any, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        if event == "line" and next(seen) == number:
            sys.settrace(None)
            where.append(f"{frame.f_code.co_name}, line {frame.f_lineno}")
            raise Interrupt
        return trace

    sys.settrace(trace)
    try:
        yield where
    except Interrupt:
        pass
    finally:
        sys.settrace(None)


def in_a_thread(work: Callable[[], Any]) -> Any:
    """What `work` returns, or "hangs"."""
    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(work()), daemon=True)
    thread.start()
    thread.join(GIVE_UP_SECONDS)
    return result[0] if result else "hangs"


def load(cache: Any) -> None:
    cache.get_or_load(1, lambda key: "first")


def load_many(cache: Any) -> None:
    cache.load_many([1, 2], lambda keys: dict.fromkeys(keys, "first"))


class Awaitable:
    """Unlike a coroutine, it may be left alone without a warning in some later test."""

    def __init__(self, key: Any) -> None:
        self.key = key

    def __await__(self) -> Generator[Any, None, str]:
        yield from asyncio.sleep(0).__await__()
        return "first"


def load_in_a_loop(cache: Any) -> None:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)  # the task has the interrupt, too
    try:
        loop.run_until_complete(cache.aget_or_load(1, Awaitable))
    except asyncio.CancelledError:  # the interrupt ended the task
        pass
    finally:
        loop.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("work", [load, load_many, load_in_a_loop])
def test_an_interrupt_leaves_no_flight(cache_type: Any, work: Callable[[Any], None]) -> None:
    for number in count(1):
        cache = cache_type(10)
        with interrupt_at(number) as where:
            work(cache)
        if not where:
            break
        then = in_a_thread(lambda cache=cache: cache.get_or_load(1, lambda key: "then"))
        assert then in ("first", "then"), where
        cache.invalidate(1)
        assert cache.get_or_load(1, lambda key: "again") == "again", where
    assert number > 20
    gc.collect()  # what was interrupted complains here, and not in another test


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_of_a_cached_function_leaves_no_flight(cache_type: Any) -> None:
    for number in count(1):
        function = cached(cache_type(10))(lambda argument: "value")
        with interrupt_at(number) as where:
            function(1)
        if not where:
            break
        assert in_a_thread(lambda function=function: function(1)) == "value", where
        function.cache_clear()
        assert function(1) == "value", where
    assert number > 20
    gc.collect()


def test_a_function_that_calls_itself_too_deep_leaves_no_flight(ct: Any, cache_type: Any) -> None:
    if ct.IMPLEMENTATION == "python":
        pytest.skip("the twin runs as Python code, in which the stack may end at any line")

    @cached(cache_type())
    def depth(argument: int) -> int:
        return 1 + depth(argument - 1) if argument else 0

    def run_all() -> Any:
        for deepest in range(10 * sys.getrecursionlimit(), 9 * sys.getrecursionlimit(), -97):
            with pytest.raises(RecursionError):
                depth(deepest)
            depth.cache_clear()
        for deepest in range(10 * sys.getrecursionlimit()):
            depth(deepest)
        return depth.cache._flights

    assert in_a_thread(run_all) == {}


def test_a_full_stack_leaves_no_flight(ct: Any, cache_type: Any) -> None:
    if ct.IMPLEMENTATION == "python":
        pytest.skip("the twin runs as Python code, in which the stack may end at any line")
    cache = cache_type(1000)

    def at_depth(depth: int, key: int) -> Any:
        return at_depth(depth - 1, key) if depth else cache.get_or_load(key, lambda key: "first")

    def run_all() -> list[Any]:
        limit = sys.getrecursionlimit()
        for key in range(limit // 2, limit + 10):
            try:
                at_depth(key, key)
            except RecursionError:
                pass
        return [cache.get_or_load(key, lambda key: "then") for key in range(limit)]

    assert set(in_a_thread(run_all)) == {"first", "then"}


def test_a_loader_that_exits_in_a_thread_of_its_own(cache_type: Any) -> None:
    cache = cache_type(10, hard_timeout=GIVE_UP_SECONDS)
    calls: list[Any] = []

    def loader(key: Any) -> str:
        calls.append(key)
        if len(calls) > 1:
            return "called again"
        raise SystemExit("the loader")

    with pytest.raises(SystemExit, match="the loader"):
        cache.get_or_load(1, loader)
    assert calls == [1]


def replace_some(cache: Any, timer: Any) -> None:
    for key in range(3):
        cache.set(key, "new", ttl=5.0)  # in Python, since that has a time of its own


def drop_some(cache: Any, timer: Any) -> None:
    cache.pop(0, None)
    cache.invalidate(1)
    cache.invalidate_where(lambda key, value: key == 2)


def expire_some(cache: Any, timer: Any) -> None:
    timer.forward(100.0)
    cache.get(0)
    cache.expire()


def load_some(cache: Any, timer: Any) -> None:
    for key in (0, "other"):
        cache.invalidate(key)
        cache.get_or_load(key, lambda key: "loaded")


@pytest.mark.parametrize("work", [replace_some, drop_some, expire_some, load_some])
def test_the_counts_add_up_after_an_interrupt(
    ct: Any, cache_type: Any, timer: Any, work: Callable[[Any, Any], None]
) -> None:
    if ct.IMPLEMENTATION == "python":
        pytest.skip("in the twin, an interrupt may come between a change and its count")
    files = [module.__file__ for module in (cache, loading, native, storing)]
    for number in count(1):
        one = cache_type(4, ttl=10.0, timer=timer)
        for key in range(4):
            one.set(key, "old")
        with interrupt_at(number, files) as where:
            work(one, timer)
        if not where:
            break
        stats = one.stats()
        assert stats.insertions - stats.removals == stats.size == len(one), where
        assert stats.weight == stats.size, where
    assert number > 10
