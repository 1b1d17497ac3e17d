"""Ctrl-C during operations, deep recursion, and tables of millions."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from tests.support import MAPPINGS, MUTABLE_TABLES, implementation_environment, new, run_child

INTERRUPTED = """
import os, signal, sys, threading, time
sys.unraisablehook = lambda ignored: None  # an interrupt may hit a finalizer
from concurrent_tables import *
class Slow:
    def __init__(self, name): self.name = name
    def __hash__(self): return 1
    def __eq__(self, other): return isinstance(other, Slow) and self.name == other.name
tables = [ConcurrentDict(), ShardedDict(), SplitDict(SharedKeys())]
items = ConcurrentSet()
keys = [Slow(n) for n in range(8)]
stop = threading.Event()
def disturb():
    while not stop.is_set():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.001)
def beside():
    while not stop.is_set():
        for table in tables:
            table["other"] = 1
            table.pop("other", None)
caught = 0
def one_round(step):
    for table in tables:
        table[keys[step % 8]] = [step]
        table.update({keys[(step + 1) % 8]: 1, "s": step})
        table.increment("n")
        table.update_many({keys[(step + 2) % 8]: 1, "t": step})
        table.pop(keys[(step + 5) % 8], None)
        list(table.items()), repr(table), table.snapshot(), table.copy()
        table.compute_if_absent(step % 50, lambda: step)
    items.update(keys[:4])
    items.symmetric_difference_update(keys[2:6])
    items - set(keys)
threads = [threading.Thread(target=disturb), threading.Thread(target=beside)]
armed = False
def interrupt(*ignored):
    global armed
    if armed:
        armed = False
        raise KeyboardInterrupt
signal.signal(signal.SIGINT, interrupt)
for thread in threads: thread.start()
end = time.monotonic() + SECONDS
step = 0
while time.monotonic() < end:
    try:
        armed = True
        for _ in range(20):
            step += 1
            one_round(step)
        armed = False
    except KeyboardInterrupt:
        caught += 1
signal.signal(signal.SIGINT, signal.SIG_IGN)
stop.set()
for thread in threads:
    thread.join(30)
    assert not thread.is_alive(), "a thread hangs"
for table in [*tables, items]:
    inspect_table(table).check()
for table in tables:
    done = []
    other = threading.Thread(target=lambda: done.append(table.increment("n")), daemon=True)
    other.start()
    other.join(30)
    assert done, "a lock was left behind"
assert caught > 5, caught
print("end")
"""


@pytest.mark.skipif(os.name != "posix", reason="sends itself signals")
@pytest.mark.timeout(150)
def test_interrupted_at_any_point(ct: Any) -> None:
    if ct.IMPLEMENTATION == "python":
        pytest.skip("tests/reentrancy/test_regress_interrupts.py has the twin's interrupts")
    assert signal.getsignal(signal.SIGINT) is not None
    done = run_child(
        INTERRUPTED.replace("SECONDS", "4"), timeout=120, **implementation_environment(ct)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "end\n"


DEEP = 60_000


def _nested(ct: Any, name: str) -> Any:
    table: Any = "core"
    more = {"shards": 1} if name == "ShardedDict" else {}
    for _ in range(DEEP):
        table = new(ct, name, {"a": table}, **more)
    return table


@pytest.mark.parametrize("name", MAPPINGS)
def test_deeply_nested_tables(ct: Any, name: str) -> None:
    """Comparing and showing them is a RecursionError, as with dict; dropping them is not."""
    if ct.IMPLEMENTATION == "python":
        pytest.skip("plain Python objects: the interpreter's own business")
    deep, other = _nested(ct, name), _nested(ct, name)
    with pytest.raises(RecursionError):
        repr(deep)
    with pytest.raises(RecursionError):
        assert deep == other
    del deep, other
    ct.reclaim.flush()


def test_deeply_nested_sets_and_generic_tables(ct: Any) -> None:
    if ct.IMPLEMENTATION == "python":
        pytest.skip("plain Python objects: the interpreter's own business")
    nested, generic = ct.FrozenSet(), None
    for number in range(DEEP):
        nested = ct.FrozenSet([nested])
        holder = ct.HashTable()
        holder.set(number, generic)
        generic = holder
    del nested, generic, holder
    ct.reclaim.flush()


@pytest.mark.parametrize("name", MUTABLE_TABLES)
def test_a_table_inside_itself(ct: Any, name: str) -> None:
    if name == "ConcurrentSet":
        pytest.skip("a set is not hashable")
    table = new(ct, name)
    table["self"] = table
    assert "..." in repr(table)
    other = new(ct, name)
    other["self"] = other
    with pytest.raises(RecursionError):
        assert table == other


@pytest.mark.parametrize("name", MUTABLE_TABLES)
@pytest.mark.timeout(180)
def test_three_million(ct: Any, name: str) -> None:
    if ct.IMPLEMENTATION == "python":
        pytest.skip("the twin takes minutes for three million")
    count = 3_000_000
    if name == "ConcurrentSet":
        items = ct.ConcurrentSet(range(count))
        assert len(items) == count
        assert count - 1 in items and count not in items
        items.difference_update(range(0, count, 2))
        assert len(items) == count // 2
        return
    table = new(ct, name)
    for number in range(count):
        table[number] = number
    assert len(table) == count
    assert sum(table.values()) == count * (count - 1) // 2
    for number in range(0, count, 3):
        del table[number]
    assert len(table) == count - count // 3
    assert table.get(3) is None and table[4] == 4
    ct.inspect_table(new(ct, name)).check()
