"""Caches and the process around them: nothing left behind, fork, shutdown, the clock's thread."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import weakref
from typing import Any

import pytest

from concurrent_tables.cache import clock
from tests.support import implementation_environment, run_child

GIVE_UP_SECONDS = 60.0


def until(condition: Any) -> None:
    end = time.monotonic() + GIVE_UP_SECONDS
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.001)


def test_expiry_without_access(cache_type: Any) -> None:
    log: list[Any] = []
    cache = cache_type(on_remove=lambda key, value, cause: log.append((key, str(cause))))
    cache.set("long", 1, ttl=1000)
    cache.set("short", 1, ttl=0.05)
    until(lambda: log)
    assert log == [("short", "expired")] and len(cache) == 1
    assert not clock.idle()


def test_no_thread_without_expiry(cache_type: Any) -> None:
    cache = cache_type(10)
    cache.set("a", 1)
    cache.get_or_load("b", lambda key: 1)
    assert clock.idle()


def test_the_thread_ends_with_the_last_entry(cache_type: Any) -> None:
    cache = cache_type(ttl=0.05)
    cache.set("a", 1)
    until(lambda: len(cache) == 0)
    until(clock.idle)
    cache.set("a", 1)
    until(lambda: len(cache) == 0)


def test_the_thread_ends_with_the_last_cache(cache_type: Any) -> None:
    cache = cache_type(ttl=1000)
    cache.set("a", 1)
    assert not clock.idle()
    del cache
    gc.collect()
    until(clock.idle)


def test_a_thousand_caches_leave_nothing(ct: Any, cache_type: Any) -> None:
    threads = threading.active_count()
    table = ct.ConcurrentDict()
    gone: list[Any] = []
    for number in range(1000 if ct.IMPLEMENTATION == "c" else 200):
        cache = cache_type(10, ttl=100, tti=50)
        cache.set(number, number, tags=[number])
        cache.get_or_load("k", lambda key: key)
        if number % 10 == 0:
            cache.invalidate_on(table)
        gone.append(weakref.ref(cache))
    del cache
    gc.collect()
    ct.reclaim.flush()
    gc.collect()
    assert not [ref for ref in gone if ref() is not None]
    until(clock.idle)
    until(lambda: threading.active_count() <= threads)
    assert len(clock._State.members) == 0


def test_values_go_with_their_cache(ct: Any, cache_type: Any) -> None:
    class Value:
        pass

    cache = cache_type(10, ttl=100)
    value = Value()
    gone = weakref.ref(value)
    cache.set("a", value)
    cache.set("b", value)
    cache.set("a", None)
    del value
    cache.invalidate("b")
    ct.reclaim.flush()
    gc.collect()
    assert gone() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_goes_on(ct: Any) -> None:
    """Another thread is inside a load and the clock runs when the process forks."""
    code = """
import os, threading, time
from concurrent_tables import Cache
cache = Cache(100, ttl=0.2)
cache.set("a", 1, ttl=100)
began, go = threading.Event(), threading.Event()
def slow(key):
    began.set(); go.wait(); return "parent"
thread = threading.Thread(target=lambda: cache.get_or_load("k", slow, ttl=1000))
thread.start(); began.wait()
child = os.fork()
if child == 0:
    code = 1
    try:
        assert cache.get("a") == 1
        assert cache.get_or_load("k", lambda key: "child") == "child"
        cache.set("short", 1)
        while len(cache) > 1:
            time.sleep(0.01)
        cache.clear()
        code = 0
    finally:
        os._exit(code)
_, status = os.waitpid(child, 0)
go.set(); thread.join()
assert status == 0, status
assert cache.get("k") == "parent"
print("both went on")
"""
    child = run_child(code, timeout=100, **implementation_environment(ct))
    assert child.stdout == "both went on\n", child.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_fork_in_the_middle_of_a_call(ct: Any) -> None:
    """The thread that the child does not have was calling a cached function, which dies there."""
    code = """
import gc, os, sys, threading, warnings, weakref
from concurrent_tables import Cache, cached
warnings.simplefilter("ignore", DeprecationWarning)
inside, go, main = threading.Event(), threading.Event(), threading.get_ident()
def timer():
    if threading.get_ident() != main:
        inside.set(); go.wait()
    return 0.0
cache = Cache(16, ttl=1, timer=timer)
@cached(cache)
def function(argument): return 1
argument = "".join(["an argument of ", str(os.getpid())])
function(argument)
thread = threading.Thread(target=lambda: function(argument))
thread.start(); inside.wait()
child = os.fork()
if child == 0:
    code = 1
    try:
        references = sys.getrefcount(argument)
        del function, cache
        gc.collect()
        code = sys.getrefcount(argument) != references
    finally:
        os._exit(code)
_, status = os.waitpid(child, 0)
go.set(); thread.join()
print("status", status)
"""
    child = run_child(code, timeout=100, **implementation_environment(ct))
    assert child.stdout == "status 0\n", child.stderr


def test_the_end_of_the_interpreter(ct: Any) -> None:
    """Entries about to expire, a refresh and a load in progress do not hold it up or make noise."""
    code = """
import threading, time
from concurrent_tables import Cache
cache = Cache(100, ttl=0.001, on_remove=lambda *_: None)
other = Cache(refresh_after=0.001, hard_timeout=100)
other.set("k", 1); time.sleep(0.01)
other.get_or_load("k", lambda key: time.sleep(1000))
class Value:
    def __del__(self): cache.set(1, 1)
keep = [Value() for _ in range(10)]
for number in range(1000):
    cache.set(number, Value())
print("done")
"""
    child = run_child(code, timeout=100, **implementation_environment(ct))
    assert (child.returncode, child.stdout, child.stderr) == (0, "done\n", "")


def test_importing_the_package_does_not_import_the_cache() -> None:
    code = "import sys, concurrent_tables; print([m for m in sys.modules if 'tables.cache' in m])"
    assert run_child(code).stdout == "[]\n"


def test_the_module_still_says_what_it_lacks() -> None:
    import concurrent_tables

    assert {"Cache", "cached"} <= set(dir(concurrent_tables))
    with pytest.raises(AttributeError, match="no attribute 'Cash'"):
        concurrent_tables.Cash
    assert sys.modules["concurrent_tables.cache"].Cache is concurrent_tables.Cache


def interrupt(cache: Any, finalizer: Any) -> None:
    """Let `finalizer` run when the maintenance lock has been taken, before anything is booked."""
    if cache._parts.native:
        pytest.skip("nothing that could run a finalizer happens under the lock of the C table")
    held = cache._held

    def interrupted(work: Any) -> Any:
        cache._held = held
        finalizer()
        return held(work)

    cache._held = interrupted


def test_a_finalizer_right_after_the_lock_was_taken(cache_type: Any) -> None:
    cache = cache_type(2, policy="lru")
    interrupt(cache, lambda: cache.set("finalizer", 1))
    cache.set("a", 1)
    cache.set("b", 1)
    stats = cache.stats()
    assert (stats.size, stats.weight, stats.evicted) == (2, 2, 1)


def test_a_finalizer_does_not_wait_for_another_cache(cache_type: Any) -> None:
    """Whose lock may be held by a thread that runs a finalizer which wants this one."""
    cache, other = cache_type(2, policy="lru"), cache_type(2, policy="lru")
    interrupt(cache, lambda: [other.set(number, number) for number in range(5)])
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with other._gate():
            taken.set()
            assert done.wait(GIVE_UP_SECONDS)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    assert taken.wait(GIVE_UP_SECONDS)
    cache.set("a", 1)
    done.set()
    thread.join()
    assert cache.get("a") == 1
    assert other.stats().weight == len(other) == 2
