"""Faults of the harness: each strikes where it should, and nowhere else.

In child processes, since hooks of the allocator stay, and forks and exceptions strike all threads.
"""

from __future__ import annotations

import pytest

from stress.sampling import faults
from tests.support import run_child

_HEAD = """
import threading
from random import Random
from stress.sampling import faults, forks, interrupts
"""

_ALLOCATIONS = """
from stress import _search
faults.prepare()
failed, clean = [], []
barrier = threading.Barrier(2)
def failing():
    barrier.wait()
    for number in range(400):
        try:
            _search.fail_allocation(1 + number % 5)
            made = [[] for _ in range(40)]
            _search.fail_allocation(0)
        except MemoryError:
            failed.append(_search.fail_allocation(0))
def other():
    barrier.wait()
    for _ in range(400):
        clean.append(len([[] for _ in range(40)]))
threads = [threading.Thread(target=each) for each in (failing, other)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert failed == [True] * 400, len(failed)
assert clean == [40] * 400
"""

_INTERRUPTS = """
arrived = 0
def inner():
    then = interrupts._POST.looks
    while interrupts._POST.looks < then + 2:  # the sender looks, and sends
        pass
def batches():
    global arrived
    for _ in range(60):
        begun = False
        while True:
            try:
                if not begun:
                    begun = True
                    interrupts.open_()
                inner()
                interrupts.close()
                break
            except interrupts.Interrupted:
                arrived += 1
        for _ in range(20_000):  # here none may arrive
            pass
with interrupts.sending():
    thread = threading.Thread(target=batches)
    thread.start()
    thread.join()
assert arrived == 60, arrived
"""

_FORKS = """
class Abort:
    def __len__(self):
        import os
        os.abort()
def until(condition):
    with forks.forking():
        while not condition():
            pass
forks.SHARED.containers = [{1: 2}, None]
until(lambda: forks.SHARED.forks > 2)
assert forks.SHARED.trouble == "", forks.SHARED.trouble
forks.SHARED.containers = [Abort()]
until(lambda: forks.SHARED.trouble)
assert "SIGABRT" in forks.SHARED.trouble
"""

_SAMPLING = """
import sys
from stress.sampling.generator import Generator
from stress.sampling.catalogue import catalogue_of
from stress.sampling.journal import Journal
from stress.sampling.sampler import Refused, Sampler
from stress.sampling.subject import Subject
from stress.targets import resolve
faults.prepare()
names = sys.argv[1:]
subject = Subject(resolve("concurrent_tables:ConcurrentDict"))
journal = Journal()
spinning = not getattr(sys, "_is_gil_enabled", lambda: True)()
sampler = Sampler(subject, journal, Random(1), spinning=spinning)
generator = Generator(subject, catalogue_of(subject), Random(1))
ran = 0
while ran < 12:
    scenario = generator.draw(ran)
    if scenario.values.hostile:
        continue
    sampler.faults = tuple(names)
    with faults.named(names):
        try:
            run = sampler.run(scenario, 0.005)
        except Refused:
            continue
    assert not run.findings, run.findings
    assert not run.exact or names[0] not in faults.INSIDE
    ran += 1
journal.remove()
"""


def succeeds(code: str, *arguments: str) -> None:
    done = run_child(["-c", _HEAD + code, *arguments], timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]


def test_allocations_fail_in_one_thread_only() -> None:
    pytest.importorskip("stress._search", reason="the harness's extension was not built")
    succeeds(_ALLOCATIONS)


def test_exceptions_arrive_only_where_they_may() -> None:
    succeeds(_INTERRUPTS)


def test_a_forked_child_that_dies_is_told() -> None:
    succeeds(_FORKS)


@pytest.mark.parametrize("name", ["allocation failures", "async exceptions", "forks"])
def test_tables_are_not_accused_under_a_fault(name: str) -> None:
    if name == "allocation failures" and not faults.CAN_FAIL:
        pytest.skip("no extension of the harness, or CPython 3.12 or 3.13, which crash themselves")
    succeeds(_SAMPLING, name)
