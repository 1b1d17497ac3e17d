"""Watchers of a process that lacks memory at one allocation, whichever it is: no hang, no silence."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from concurrent_tables._waits import Latch
from tests.support import implementation_environment, run_child

_testcapi = pytest.importorskip("_testcapi", reason="needs the interpreter's allocation faults")

SWEEP = """
import sys
from concurrent_tables import ConcurrentDict, ConcurrentSet, EventKind, watchers
from _testcapi import remove_mem_hooks, set_nomemory

sys.unraisablehook = lambda report: None

def spared(step, n):
    set_nomemory(n, n + 1)  # the n-th allocation from here fails
    try:
        step()
    except (MemoryError, RuntimeError):  # RuntimeError: "can't allocate lock"
        return False
    finally:
        remove_mem_hooks()
    return True

def told(events):
    versions = set()
    for event in events:
        versions.update(event.lost if event.kind is EventKind.LOST else [event.version])
    return versions

def sweep(make, write):
    # The sweep ends when a step succeeds with no allocation left to fail.
    n = spared_in_a_row = 0
    while spared_in_a_row < 12:
        table = make()
        first = table.version + 1
        heard, low = [], []
        watcher = watchers.add_watcher(low.append)
        watchers.watch(watcher, table)
        with table.subscribe() as events:
            with table.watch(heard.append, kinds=EventKind.ADDED):
                unharmed = spared(lambda: table.watch(print).cancel(), n)
                unharmed &= spared(lambda: write(table, 1), n)
                write(table, 2)
                every = {*range(first, table.version + 1)}
                queued = []
                while len(events):
                    queued.append(events.get(0))
                assert [event.version for event in queued] == sorted(every), (n, queued)
                assert told(heard) == every, (n, every, heard)
                assert told(low) == every, (n, every, low)
        watchers.clear_watcher(watcher)
        spared_in_a_row = spared_in_a_row + 1 if unharmed else 0
        n += 1
    return n

assert sweep(ConcurrentSet, lambda table, item: table.add(item)) > 12
assert sweep(ConcurrentDict, lambda table, key: table.__setitem__(key, key)) > 12
print("done")
"""


def test_watching_goes_on_after_an_allocation_failure(ct: Any) -> None:
    if ct.IMPLEMENTATION == "python":
        pytest.skip("the twin is Python: where it may lack memory is the interpreter's business")
    child = run_child(SWEEP, **implementation_environment(ct))
    assert child.stdout.strip() == "done", child.stderr


def test_a_latch_lets_everybody_through_for_ever() -> None:
    latch = Latch()
    assert not latch.wait(0.0) and not latch.is_set()
    through: list[Any] = []
    threads = [threading.Thread(target=lambda: through.append(latch.wait(60))) for _ in range(3)]
    for thread in threads:
        thread.start()
    latch.set()
    latch.set()
    for thread in threads:
        thread.join()
    assert through == [True] * 3 and latch.is_set() and latch.wait(0.0)
