"""Out of memory at any point of any operation of a cache: see cache_sweep.py for what holds then."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.memory.sweep import CAN_FAIL
from tests.support import implementation_environment, run_child

pytestmark = [
    pytest.mark.skipif(
        not CAN_FAIL, reason="this interpreter has no _testcapi, which makes allocations fail"
    ),
    pytest.mark.skipif(
        (3, 12) <= sys.version_info < (3, 14),
        reason="CPython 3.12 and 3.13 crash when they have no memory for a closure",
    ),
]
CASES = [
    ("none", "own"),
    ("lru", "shared"),
    ("lru", "watched"),
    ("tinylfu", "own"),
    ("tinylfu", "watched"),
]


@pytest.mark.parametrize(("policy", "state"), CASES)
@pytest.mark.timeout(400)
def test_every_operation_of_a_cache(ct: Any, policy: str, state: str) -> None:
    if ct.IMPLEMENTATION == "python":
        pytest.skip("the twin runs as Python code, of which the interpreter may fail any line")
    done = run_child(
        ["-m", "tests.memory.cache_operations", policy, state],
        timeout=380,
        **implementation_environment(ct),
    )
    assert done.returncode == 0, done.stdout + done.stderr
