"""Caches in subinterpreters, with a GIL of their own and with a shared one, made and ended many times."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.process.test_interpreters import GROWTH, OPEN, _run

USE = """
import time
from concurrent_tables import Cache, ConcurrentDict, cached
source, told = ConcurrentDict(a=1), []
cache = Cache(20, ttl=500.0, on_remove=lambda *event: told.append(event))
cache.invalidate_on(source)
for number in range(60):
    cache.set(number, [number], tags=["tag"])
cache.set("a", 1)
source["a"] = 2
assert cache.get("a") is None
cache.invalidate_tag("tag")
assert cache.get_or_load("key", lambda key: key * 2) == "keykey"
patient = Cache(20, hard_timeout=100.0)              # its loads run in threads
assert patient.get_or_load("key", lambda key: key * 2) == "keykey"
function = cached(cache)(lambda number: [number])
assert function(1) is function(1)
cache.set("cycle", cache)
cache.set("soon", 1, ttl=0.001)
while "soon" in cache:
    time.sleep(0.001)
assert len(told) > 40, told
"""
# CPython 3.11 runs nothing in an interpreter that has another thread, and does not end it.
LET_GO = """
import gc, threading
del cache, patient, function, source, told
gc.collect()
"""
JOIN = """
import threading
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join()
"""
MANY = (
    OPEN
    + f"""
OWN = {{own}}
USE, LET_GO, JOIN = {USE!r}, {LET_GO + JOIN!r}, {JOIN!r}
def make():
    if sys.version_info < (3, 13):
        return interpreters.create(isolated=OWN)
    return interpreters.create("isolated" if OWN else "legacy")
exec(USE, {{{{}}}})
for number in range(6):
    interpreter, other = make(), make()
    # With a clock that waits, or after the last cache.
    alone = bool(number % 2 or sys.version_info < (3, 12))
    code = USE + LET_GO if alone else USE
    run(interpreter, code)
    run(other, code)
    interpreters.destroy(interpreter)
    run(other, "from concurrent_tables import Cache; Cache(5, ttl=1.0).set(1, 2)" + alone * JOIN)
    interpreters.destroy(other)
    exec(USE, {{{{}}}})                                  # this one goes on
print("end")
"""
)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_caches_of_interpreters_that_end(ct: Any, own: bool) -> None:
    if own and sys.version_info < (3, 12):
        pytest.skip("interpreters have a GIL of their own from CPython 3.12 on")
    _run(ct, MANY.format(own=own))


BUSY = (
    OPEN
    + """
USE = '''
import threading, time
from concurrent_tables import Cache
inside = threading.Event()
def listener(key, value, cause):
    time.sleep(1.5)                                      # longer than anybody waits for the clock
def loader(key):
    inside.set()
    time.sleep(0.3)
    return "new"
expiring = Cache(ttl=0.001, on_remove=listener)
expiring.set("key", 1)
while len(expiring):
    time.sleep(0.001)                                    # the clock is in the listener
cache = Cache(refresh_after=1e-9)
cache.set("key", "old")
assert cache.get_or_load("key", loader) == "old"
assert inside.wait(60)                                   # a worker is in the loader
patient = Cache(stale_on_error=100.0, soft_timeout=0.001, ttl=0.001)
patient.set("key", "stale")
while patient.get("key") is not None:
    time.sleep(0.001)
assert patient.get_or_load("key", loader) == "stale"     # its loader goes on
'''
interpreter = {make}
run(interpreter, USE)
interpreters.destroy(interpreter)
print("end")
"""
)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_an_interpreter_ends_while_threads_of_caches_are_busy(ct: Any, own: bool) -> None:
    """With a GIL that others use, a daemon there was the end of the process."""
    if sys.version_info < (3, 12):
        pytest.skip("CPython 3.11 does not end an interpreter that has another thread")
    kind = (
        f"isolated={own}" if sys.version_info < (3, 13) else f"{'isolated' if own else 'legacy'!r}"
    )
    _run(ct, BUSY.replace("{make}", f"interpreters.create({kind})"))


@pytest.mark.timeout(200)
def test_a_cache_leaves_no_more_than_its_twin(ct: Any) -> None:
    if ct.IMPLEMENTATION == "python":
        pytest.skip("measures the C core against the twin")
    if sys.version_info < (3, 12):
        pytest.skip("CPython 3.11 ends no interpreter in which the clock waits")
    use = "c = Cache(9, ttl=900.0, on_remove=print); c.set(1, c, tags=[2]); c.get(1)"
    _run(ct, GROWTH.replace("s = ConcurrentSet([1])", use))
