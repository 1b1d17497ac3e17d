"""Finalizers and signal handlers that interrupt a table's own code: what they once left behind."""

from __future__ import annotations

import gc
import signal
import sys
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from concurrent_tables._pure import critical_section
from concurrent_tables._pure.reclaim import domain
from tests.support import (
    MUTABLE_MAPPINGS,
    implementation_environment,
    new,
    run_child,
    run_threads,
)


class Writer:
    """In a cycle with itself, so that the collector finalizes it wherever it happens to run."""

    def __init__(self, table: Any) -> None:
        self.me, self.table = self, table

    def __del__(self) -> None:
        self.table["finalizer"] = 1


@pytest.fixture
def eager_collector() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(15, 2, 2)
    yield
    gc.set_threshold(*before)


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_a_writing_finalizer_leaves_no_mutex_locked(
    ct: Any, name: str, eager_collector: None
) -> None:
    table = new(ct, name)
    for step in range(2000):
        Writer(table)
        table[step % 20] = [step]
        table.pop((step + 7) % 20, None)
    gc.collect()  # a free-threaded build collects when it sees fit
    run_threads(lambda: table.update({"other": 1}), timeout=20)
    assert table["other"] == 1 and table["finalizer"] == 1


def test_events_keep_their_order_when_a_finalizer_writes_to_other_shards(
    ct: Any, eager_collector: None
) -> None:
    table = ct.ShardedDict()
    changes = table.subscribe(100_000)
    for step in range(1500):
        Writer(table)
        table[step % 40] = [step]
        if step % 50 == 0:
            table.update_many({number: step for number in range(5)})
    changes.close()
    versions = [event.version for event in changes]
    assert versions == sorted(set(versions)) and versions[-1] == table.version


def is_free_for_others(mutex: critical_section.Mutex) -> bool:
    def take() -> bool:
        taken = mutex.lock.acquire(blocking=False)
        if taken:
            mutex.lock.release()
        return taken

    return run_threads(take) == [True]


@pytest.mark.skipif(sys.gettrace() is not None, reason="a tracer runs code of its own everywhere")
def test_a_section_holds_nothing_unnoted_while_a_finalizer_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Making a container may start a collection (always so on 3.11), and that a finalizer."""
    mutex = critical_section.Mutex()
    section = critical_section.CriticalSection(mutex)
    stolen: list[bool] = []

    def finalizer() -> None:
        # What one does that has to wait for another mutex: let go of all that is noted.
        for outer in critical_section.active_sections():
            outer._drop()
        stolen.append(not is_free_for_others(mutex))

    class Interrupted:
        def __init__(self, make: Any) -> None:
            self.make = make

        def __call__(self, *args: Any, **named: Any) -> Any:
            monkeypatch.undo()
            finalizer()
            return self.make(*args, **named)

    for name, make in (("map", map), ("deque", deque)):
        with section:
            monkeypatch.setattr(critical_section, name, Interrupted(make), raising=False)
        section = critical_section.CriticalSection(mutex)
    assert stolen == [False, False]
    assert is_free_for_others(mutex)


def test_a_finalizer_does_not_resume_sections_during_a_wait() -> None:
    mutex = critical_section.Mutex()

    def wait() -> None:
        with critical_section.CriticalSection(critical_section.Mutex()):
            pass  # what a finalizer does that comes during the wait
        assert is_free_for_others(mutex)

    with critical_section.CriticalSection(mutex):
        critical_section.wait_outside(wait)
        critical_section.assert_held(mutex)


class Stop(Exception):
    pass


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the platform has no interval timer")
@pytest.mark.skipif(sys.gettrace() is not None, reason="a tracer runs code of its own everywhere")
def test_an_exception_from_a_signal_handler_leaves_no_pin_and_no_mutex(ct: Any) -> None:
    if ct.IMPLEMENTATION != "python":
        pytest.skip("looks at the mutex of the Python implementation")
    table, other = ct.ConcurrentDict(), ct.ConcurrentDict()
    armed = False

    def handler(*_: object) -> None:
        if armed:
            raise Stop

    previous = signal.signal(signal.SIGALRM, handler)
    try:
        for _ in range(300):
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, 0.0005)
                while True:
                    table["a"] = 1
                    table.get("a")
                    table.pop("a")
            except Stop:
                armed = False
            assert domain.record().depth == 0
            other["next"] = 1  # a section: ends those that the exception cut off
            assert critical_section.active_sections() == []
            assert run_threads(lambda: table._mutex.lock.acquire(blocking=False)) == [True]
            table = ct.ConcurrentDict()  # that thread took the mutex along
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    ct.inspect_table(table).check()


# A Writer is made only now and then: finalizers that have more to do than the threads that make their
# objects fall ever further behind, and whichever thread the collector runs in does nothing else.
SHUTDOWN = """
import gc, threading
from concurrent_tables import *
tables = [ConcurrentDict(), ShardedDict(), SplitDict(SharedKeys())]
kept = [table.subscribe(10) for table in tables]
class Writer:
    def __init__(self): self.me = self
    def __del__(self):
        for table in tables: table["x"] = 1
started = threading.Barrier(5)
def write():
    started.wait()
    step = 0
    while True:
        step += 1
        for table in tables:
            table[str(step % 50)] = Writer() if step % 50 == 0 else step
            table.pop(str((step + 3) % 50), None)
for _ in range(4):
    threading.Thread(target=write, daemon=True).start()
started.wait()
for _ in range(300): tables[0]["main"] = Writer()
"""


def test_finalizers_do_not_wait_for_daemon_threads_at_shutdown(ct: Any) -> None:
    for _ in range(3):
        done = run_child(SHUTDOWN, timeout=60, **implementation_environment(ct))
        assert done.returncode == 0, done.stderr


# A daemon thread is somewhere inside when the interpreter shuts down, and stays there.
INSIDE = """
import contextlib, sys, threading, time
from concurrent_tables import *
table, sharded, shared = ConcurrentDict(), ShardedDict(), SharedKeys(["x"])
record = SplitDict(shared)
subscription = table.subscribe(10)
{imports}
@contextlib.contextmanager
def pinned():
    domain.pin()
    yield
@contextlib.contextmanager
def half_a_commit():
    table._started += 1
    yield
inside = threading.Event()
def stay():
    table["other"] = sharded["other"] = record["x"] = 1
    with {place}:
        inside.set()
        time.sleep(1000)
class Last:
    def __init__(self): self.me = self
    def __del__(self):
        assert sys.is_finalizing()
        table["x"] = sharded["x"] = record["x"] = record["y"] = object()
        del table["other"], sharded["other"], record["x"]
        table.update_many({{"a": 1, "b": 2}})
        reclaim.flush()
        reclaim.stats()
        print(len(table), table.keys_version > 0, len(subscription) > 0)
threading.Thread(target=stay, daemon=True).start()
inside.wait()
Last()
"""
SHARED_PLACES = ["subscription._ready.lock", "exclusive(table, sharded, record)"]
TWIN_PLACES = [
    "table._mutex.lock",
    "shared._lock()",
    "domain._lock()",
    "pinned()",
    "half_a_commit()",
]


@pytest.mark.parametrize("place", SHARED_PLACES + TWIN_PLACES)
def test_finalizers_go_on_where_a_daemon_thread_stays_inside(ct: Any, place: str) -> None:
    if place in TWIN_PLACES and ct.IMPLEMENTATION != "python":
        pytest.skip("a place of the Python implementation")
    imports = "from concurrent_tables._pure.reclaim import domain" if place in TWIN_PLACES else ""
    code = INSIDE.format(imports=imports, place=place)
    done = run_child(code, timeout=30, **implementation_environment(ct))
    assert (done.returncode, done.stdout) == (0, "3 True True\n"), done.stderr
