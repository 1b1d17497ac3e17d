"""popitem() without memory for the pair: MemoryError, and nothing is removed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.memory.sweep import CAN_FAIL
from tests.support import MUTABLE_MAPPINGS, new

pytestmark = pytest.mark.skipif(
    not CAN_FAIL, reason="this interpreter has no _testcapi, which makes allocations fail"
)
_KEPT = 2_500  # pairs; the interpreter keeps up to 2,000 that are let go for later ones


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_nothing_is_removed_without_memory(ct: Any, name: str) -> None:
    if ct.IMPLEMENTATION == "python":
        pytest.skip("the twin runs as Python code, of which the interpreter may fail any line")
    import _testcapi

    table = new(ct, name, {"a": 1, "b": 2})
    table.popitem()
    pairs = [[number, None] for number in range(_KEPT)]
    kept = [tuple(pair) for pair in pairs]
    failures = 0
    for n in range(50):
        _testcapi.set_nomemory(n, n + 1)
        taken = (n, kept)  # what the arguments of that call have left behind
        try:
            pair = table.popitem()
        except MemoryError:
            pair = None
        finally:
            _testcapi.remove_mem_hooks()
        if pair is not None:
            break
        failures += 1
        assert len(table) == 1 and taken[0] == n
    assert failures and len(kept) == _KEPT
    assert pair in [("a", 1), ("b", 2)] and len(table) == 0
