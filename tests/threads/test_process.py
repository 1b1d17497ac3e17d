"""Fork while writers run, daemon threads at shutdown, the collector beside writers."""

from __future__ import annotations

import gc
import os
import threading
from typing import Any

import pytest

from tests.support import (
    MUTABLE_TABLES,
    implementation_environment,
    new,
    numbered,
    run_child,
    run_threads,
)

FORK = """
import os, sys, threading, warnings
warnings.simplefilter("ignore")
from concurrent_tables import *
dicts = [ConcurrentDict(fixed=1), ShardedDict(fixed=1), SplitDict(SharedKeys(), fixed=1)]
items = ConcurrentSet(["fixed"])
generic = HashTable(hash_str, compare_str)
stop = threading.Event()
def write(number):
    step = 0
    while not stop.is_set():
        step += 1
        for table in dicts:
            table[f"{number}.{step % 30}"] = [step]
            table.increment("n")
            table.pop(f"{number}.{(step + 7) % 30}", None)
        items.add((number, step % 50))
        items.discard((number, (step + 9) % 50))
        generic.set(f"{number}.{step % 20}", step)
threads = [threading.Thread(target=write, args=(n,), daemon=True) for n in range(8)]
for thread in threads:
    thread.start()
bad = 0
for _ in range(6):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            for table in dicts:
                assert table["fixed"] == 1
                before = table["n"]
                table["child"] = 1
                assert table.increment("n") == before + 1
                assert table.pop("child") == 1
                inspect_table(table).check()
                with exclusive(table):
                    table.update({"x": 1})
                assert len(table.snapshot()) == len(table)
                assert table.compute_if_absent("made", lambda: 5) == 5
            items.add("child")
            assert {"child", "fixed"} <= items
            inspect_table(items).check()
            generic.set("child", 1)
            assert generic.get("child") == 1
            reclaim.flush()
            reclaim.synchronize()
            workers = [threading.Thread(target=lambda: [dicts[0].increment("m") for _ in range(50)])
                       for _ in range(2)]
            for worker in workers: worker.start()
            for worker in workers: worker.join()
            assert dicts[0]["m"] == 100
            status = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(status)
    bad += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0
    for table in dicts:
        table["parent"] = 1
        del table["parent"]
stop.set()
for thread in threads:
    thread.join()
for table in dicts + [items]:
    inspect_table(table).check()
print("bad children:", bad)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.timeout(200)
def test_fork_while_eight_threads_write(ct: Any) -> None:
    done = run_child(FORK, timeout=150, **implementation_environment(ct))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "bad children: 0\n", done.stderr


FORK_HELD = """
import os, threading, warnings
warnings.simplefilter("ignore")
from concurrent_tables import *
table = ConcurrentDict(a=1)
inside, leave = threading.Event(), threading.Event()
def hold():
    with exclusive(table):
        inside.set()
        leave.wait()
def compute():
    table2.compute_if_absent("k", lambda: (computing.set(), leave.wait())[1])
table2, computing = ConcurrentDict(), threading.Event()
threads = [threading.Thread(target=hold), threading.Thread(target=compute)]
for thread in threads: thread.start()
inside.wait(); computing.wait()
pid = os.fork()
if pid == 0:
    table["child"] = 1          # the holder does not exist here
    assert table2.compute_if_absent("k", lambda: 7) == 7
    os._exit(0)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
leave.set()
for thread in threads: thread.join()
table["parent"] = 1
print("child:", status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_fork_while_a_table_is_held_and_a_factory_runs(ct: Any) -> None:
    done = run_child(FORK_HELD, timeout=60, **implementation_environment(ct))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "child: 0\n", done.stderr


SHUTDOWN = """
import threading
from concurrent_tables import *
tables = [ConcurrentDict(), ShardedDict(), SplitDict(SharedKeys())]
items = ConcurrentSet()
ready = threading.Barrier(7)
class Value:
    def __del__(self):
        len(tables)
def write(number):
    ready.wait()
    step = 0
    while True:
        step += 1
        for table in tables:
            table[f"{number}.{step % 50}"] = Value()
            table.pop(f"{number}.{(step + 11) % 50}", None)
        items.add((number, step % 100))
        items.discard((number, (step + 5) % 100))
threads = [threading.Thread(target=write, args=(n,), daemon=True) for n in range(6)]
for table in tables:
    table.watch(lambda event: None)
for thread in threads:
    thread.start()
ready.wait()
for _ in range(200):
    tables[0].increment("main")
print("end")
"""


@pytest.mark.timeout(200)
def test_daemon_threads_write_at_shutdown(ct: Any) -> None:
    for _ in range(3):
        done = run_child(SHUTDOWN, timeout=60, **implementation_environment(ct))
        assert done.returncode == 0, done.stderr
        assert done.stdout == "end\n"
        for word in ("Fatal", "Segmentation", "Traceback", "Error"):
            assert word not in done.stderr, done.stderr


@pytest.mark.parametrize("name", MUTABLE_TABLES)
def test_collector_beside_writers(ct: Any, name: str) -> None:
    """`gc.collect()` and `gc.get_objects()` in a loop: half-built tables must be safe to see."""
    tables = [new(ct, name) for _ in range(3)]
    stop = threading.Event()

    def write(number: int) -> None:
        for step in range(150):
            for table in tables:
                if name == "ConcurrentSet":
                    table.add((number, step))
                    table.discard((number, step - 9))
                else:
                    table[(number, step)] = [table]
                    table.pop((number, step - 9), None)
                    table.increment("n")

    def collect() -> None:
        for _ in range(4):
            gc.collect()
            for found in gc.get_objects():
                if type(found) is type(tables[0]):
                    len(found)

    run_threads(*numbered(write, 3), collect)
    stop.set()
    if name != "ConcurrentSet":
        assert all(table["n"] == 450 for table in tables)
    for table in tables:
        ct.inspect_table(table).check()
        table.clear()


def test_thread_churn(ct: Any) -> None:
    """Many short threads: their records and limbos are taken over, nothing is lost."""
    table = ct.ConcurrentDict()
    for round_number in range(15):
        run_threads(
            *numbered(lambda n, r=round_number: [table.increment((r, n)) for _ in range(5)], 6)
        )
    assert len(table) == 90
    assert set(table.values()) == {5}
    ct.reclaim.flush()


def test_tables_made_and_dropped_in_threads(ct: Any) -> None:
    def work() -> None:
        for number in range(60):
            table = ct.ConcurrentDict({n: [n] for n in range(20)})
            other = ct.ConcurrentSet(table)
            table[number] = other
            assert len(other) == 20
            snapshot = table.snapshot()
            del table
            assert snapshot[number] is other

    run_threads(work, count=4)
