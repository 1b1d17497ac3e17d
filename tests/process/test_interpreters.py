"""Several interpreters in one process, each with tables of its own, ending in any order."""

from __future__ import annotations

import signal
import sys
from typing import Any

import pytest

from tests.support import implementation_environment, run_child

OPEN = """
import gc, sys, threading
try:
    import _interpreters as interpreters               # 3.13 and later
except ImportError:
    import _xxsubinterpreters as interpreters

def run(interpreter, code):
    failed = interpreters.run_string(interpreter, code)
    if failed is not None:
        raise RuntimeError(str(failed))

def create():
    if sys.version_info < (3, 12):                     # isolated ones may not start threads there
        return interpreters.create(isolated=False)
    return interpreters.create()
"""
USE = """
import threading
from concurrent_tables import *
d = ConcurrentDict({n: [n] for n in range(100)})
others = [ShardedDict(a=1), SplitDict(SharedKeys(), a=1)]
items = ConcurrentSet("abc")
generic = HashTable(hash_str, compare_str)
events = []
d.watch(events.append)
def work(number):
    for step in range(200):
        d[number, step] = step
        d.pop((number, step - 5), None)
        d.increment("n")
        items.add(step)
        for other in others:
            other[f"{step % 40}"] = [step]
        generic.set(str(step), step)
threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert d["n"] == 600 and len(events) > 1000
for table in [d, items, *others]:
    inspect_table(table).check()
reclaim.synchronize()
d["cycle"] = d
snapshot = d.snapshot()
"""
IN_ORDER = (
    OPEN
    + f"""
USE = {USE!r}
exec(USE, {{}})
for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
    made = [create() for _ in range(3)]
    for interpreter in made:
        run(interpreter, USE)
    exec(USE, {{}})
    for which in order:
        interpreters.destroy(made[which])
        exec(USE, {{}})                                # the others go on
        for other in made:
            if other in [made[n] for n in order[order.index(which) + 1:]]:
                run(other, "assert d['n'] == 600; d['more'] = 1; reclaim.flush()")
left = create()                                        # ends with the process
run(left, USE)
print("end")
"""
)
AT_ONCE = (
    OPEN
    + f"""
USE = {USE!r}
errors = []
def live():
    for _ in range(3):
        try:
            interpreter = create()
            run(interpreter, USE)
            interpreters.destroy(interpreter)
        except BaseException as error:
            errors.append(error)
threads = [threading.Thread(target=live) for _ in range(3)]
for thread in threads: thread.start()
exec(USE, {{}})
for thread in threads: thread.join()
assert not errors, errors
print("end")
"""
)


GROWTH = (
    OPEN
    + """
from pathlib import Path
import os
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
USE = "; from concurrent_tables import *; d = ConcurrentDict(a=1); d['d'] = d; s = ConcurrentSet([1])"
def grown(code, rounds):
    for _ in range(5):
        interpreter = create(); run(interpreter, code); interpreters.destroy(interpreter)
    before = resident()
    for _ in range(rounds):
        interpreter = create(); run(interpreter, code); interpreters.destroy(interpreter)
    return (resident() - before) // rounds
# The interpreter itself leaves something behind, of every module: measure against the twin.
pure = grown("import os; os.environ['CONCURRENT_TABLES_PURE'] = '1'" + USE, 12)
core = grown("import os; os.environ['CONCURRENT_TABLES_PURE'] = '0'" + USE, 12)
print(pure, core)
assert core <= pure * 1.2 + 300_000, (pure, core)
print("end")
"""
)


def _run(ct: Any, code: str) -> None:
    done = run_child(code, timeout=150, **implementation_environment(ct))
    assert done.stdout.endswith("end\n"), done.stdout + done.stderr
    if sys.version_info[:2] == (3, 12) and "free(): invalid pointer" in done.stderr:
        # CPython 3.12 ends so after interpreters that import asyncio, enum or typing, all on its own.
        assert done.returncode == -signal.SIGABRT, done.stdout + done.stderr
        return
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(200)
def test_interpreters_end_in_any_order(ct: Any) -> None:
    _run(ct, IN_ORDER)


@pytest.mark.timeout(200)
def test_interpreters_at_once(ct: Any) -> None:
    _run(ct, AT_ONCE)


@pytest.mark.timeout(200)
def test_an_interpreter_that_ends_leaves_nothing(ct: Any) -> None:
    if ct.IMPLEMENTATION == "python":
        pytest.skip("measures the C core against the twin")
    _run(ct, GROWTH)
