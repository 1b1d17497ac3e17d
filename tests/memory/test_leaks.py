"""The leak scripts, each in a fresh process; what they measure is written in leaks/measure.py."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import LONG_SECONDS, implementation_environment, run_child

PAIRS = 10_000_000 if LONG_SECONDS else 100_000


def _run(ct: Any, *arguments: str, timeout: float) -> None:
    done = run_child(
        ["-m", *arguments],
        timeout=timeout,
        **implementation_environment(ct),
        CONCURRENT_TABLES_DEBUG="",
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("script", ["operations", "families", "caches"])
def test_nothing_leaks(ct: Any, script: str) -> None:
    if ct.IMPLEMENTATION == "python":
        pytest.skip("counts blocks of the C core; Python objects of the twin are the collector's")
    _run(ct, f"tests.memory.leaks.{script}", timeout=380)


@pytest.mark.timeout(1000 if LONG_SECONDS else 200)
def test_hot_loops_from_two_threads_keep_the_resident_size(ct: Any) -> None:
    pairs = PAIRS if ct.IMPLEMENTATION == "c" else 20_000
    _run(ct, "tests.memory.leaks.churn", str(pairs), timeout=980 if LONG_SECONDS else 180)


@pytest.mark.timeout(200)
def test_names_are_no_new_strings(ct: Any) -> None:
    if ct.IMPLEMENTATION == "python":
        pytest.skip("names of C code")
    _run(ct, "tests.memory.leaks.names", timeout=180)


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_thousand_caches_leave_nothing(ct: Any) -> None:
    _run(ct, "tests.memory.leaks.thousand", timeout=480)


LEAKING = """
from tests.memory.leaks.measure import finish, steady
kept = [None] * 10_000
numbers = iter(range(10_000))
steady("one object a round", lambda: kept.__setitem__(next(numbers), object()))
finish()
"""


def test_a_leak_is_noticed(ct: Any) -> None:
    done = run_child(LEAKING, timeout=60, **implementation_environment(ct))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "leaks: ['one object a round']" in done.stdout
