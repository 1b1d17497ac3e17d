"""The pytest plugin: what it finds, what it lets pass, and that it leaves other suites alone."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

import pytest_concurrent_tables
from tests.support import ROOT

pytest_concurrent_tables._plugin()  # pytester forgets what is first imported inside of it

pytest_plugins = ["pytester"]

CLASSES = """
import threading, time

class Locked(dict):
    def __init__(self):
        self._lock = threading.RLock()
    def setdefault(self, key, value=None):
        with self._lock:
            return super().setdefault(key, value)

class Torn(Locked):
    def setdefault(self, key, value=None):
        if key not in self:
            time.sleep(0.0002)
            self[key] = value
            return value
        return self[key]

class LockedBag:
    def __init__(self):
        self._lock, self._data = threading.Lock(), set()
    def add(self, item):
        with self._lock:
            self._data = self._data | {item}
    def discard(self, item):
        with self._lock:
            self._data = self._data - {item}
    def __contains__(self, item):
        return item in self._data
    def __iter__(self):
        return iter(list(self._data))
    def __len__(self):
        return len(self._data)

class LosingBag(LockedBag):
    def add(self, item):
        changed = self._data | {item}
        time.sleep(0.00005)
        self._data = changed
"""

HEAD = "from pytest_concurrent_tables import concurrent, operation\nfrom tried import *\n"


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a test file with the plugin, once more where it is installed already."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(tried=CLASSES)
    pytester.makeini("[pytest]\naddopts = -p pytest_concurrent_tables -p no:cacheprovider\n")

    def runner(text: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(test_it=HEAD + text)
        return pytester.runpytest_inprocess("-q", *arguments)

    return runner


BODY = """
@concurrent({cls}, threads=3, seconds=60, model="dict", minimise=1)
def test_it(history, stress_thread):
    history.setdefault("k", stress_thread)
    history.get("k")
    history.pop("k")  # a KeyError is an answer: the model says whether it is right
"""


def test_a_body_that_threads_run_is_judged_by_a_model(run: Any) -> None:
    result = run(BODY.format(cls="Torn"), "--ct-seed=5")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert re.search(r"Torn: no order of the operations explains what [23] threads saw", text)
    assert re.search(r"client \d  +\|-*\|.*setdefault\('k', \d\) -> \d", text)
    assert "cannot be placed" in text and "--ct-seed=5" in text
    assert re.search(r"reproduced [1-9]\d* of \d+ rounds", text)


def test_the_correct_twin_passes(run: Any) -> None:
    result = run(BODY.format(cls="Locked"), "--ct-seconds=0.4")
    result.assert_outcomes(passed=1)


def test_operations_of_a_class_are_drawn_and_reduced(run: Any) -> None:
    result = run(
        """
@concurrent(Torn, threads=3, seconds=60)
class TestTorn:
    @operation
    def insert(self, history, rng):
        history.setdefault("k", rng.randrange(99))

    @operation
    def look(self, history, rng):
        history.get(rng.choice("abc"))

    def test_plain(self):
        pass
"""
    )
    result.assert_outcomes(failed=1, passed=1)
    text = result.stdout.str()
    shown = text.partition("short test summary")[0]  # which repeats them where CI is set
    lanes = re.findall(r"^thread \d: (.*)$", shown, re.M)
    assert len(lanes) == 2 and all("insert" in lane for lane in lanes), text


SAMPLED = """
@concurrent({cls}, seconds={seconds}, minimise=1.5)
def test_it():
    pass
"""


def test_a_class_is_sampled_and_fails_with_scenario_and_token(run: Any, pytester: Any) -> None:
    result = run(SAMPLED.format(cls="LosingBag", seconds=60), "--ct-repro-dir=found", "--ct-seed=2")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "tried:LosingBag: outcome: no order of the operations explains" in text
    assert "thread 0: a." in text and "ct-stress replay ctn1-" in text
    assert "minimised from" in text and "reproduced" in text
    assert len(list(pytester.path.glob("found/test_repro_*.py"))) == 1


def test_a_sampled_twin_passes_and_then_the_body_runs(run: Any) -> None:
    text = SAMPLED.format(cls="LockedBag", seconds=0.5).replace("pass", "print('after it')")
    result = run(text, "-s")
    result.assert_outcomes(passed=1)
    assert "after it" in result.stdout.str()


def test_mistakes_are_told(run: Any) -> None:
    result = run(
        """
class NoTable:
    def work(self): pass

@concurrent()
def test_no_target(history): history.get(1)

@concurrent(NoTable)
def test_no_model(history): history.work()

@concurrent(NoTable, model="abacus")
def test_strange_model(history): history.work()

@concurrent(NoTable, model="counter", seconds=0.1)
def test_strange_method(history): history.work()

@concurrent(dict, seconds=0.1)
def test_nothing_recorded(history): pass

@concurrent(dict, seconds=0.1)
def test_own_assertion(history): assert history.get("k") == 1

def test_history_alone(history): pass

def local():
    class Inside(dict): pass
    return Inside

@concurrent(local())
def test_local(): pass
"""
    )
    result.assert_outcomes(failed=7, errors=1)
    text = result.stdout.str()
    for part in (
        "the first argument is the class under test, not None",
        "no model is known for",
        "no model is called 'abacus'",
        "does not know the method 'work'",
        "nothing was recorded",
        'assert history.get("k") == 1',
        "needs @concurrent",
        "must be at the top of a module",
    ):
        assert part in text, part


def test_fixtures_and_seeds(run: Any) -> None:
    text = """
import pytest
def test_seed(stress_seed, stress_rng):
    print("drawn", stress_seed, stress_rng.random())

def test_threads(run_threads, barrier):
    meeting = barrier(4)
    assert run_threads(lambda number: (meeting.wait() >= 0, number)) == [(True, n) for n in range(4)]
    assert run_threads(lambda: "a", lambda: "b") == ["a", "b"]
    with pytest.raises(ZeroDivisionError):
        run_threads(lambda number: 1 / number)
"""
    seen = []
    for seed in ("7", "7", "8"):
        result = run(text, "-s", f"--ct-seed={seed}")
        result.assert_outcomes(passed=2)
        seen.append(re.findall(r"drawn .*", result.stdout.str()))
    assert seen[0] == seen[1] != seen[2]


def test_it_runs_under_xdist(pytester: pytest.Pytester, run: Any) -> None:
    pytester.makepyfile(test_it=HEAD + BODY.format(cls="Locked"))
    result = pytester.runpytest_subprocess("-q", "-n", "2", "--ct-seconds=0.2", "--ct-seed=3")
    result.assert_outcomes(passed=1)


def test_nothing_of_the_package_is_imported_before_it_is_asked_for(
    pytester: pytest.Pytester, run: Any
) -> None:
    pytester.makepyfile(
        test_it="""
import sys
def test_other():
    assert "pytest_concurrent_tables" in sys.modules
    assert not [name for name in sys.modules if name.partition(".")[0] == "concurrent_tables"]
"""
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "test_it.py"],
        cwd=pytester.path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
