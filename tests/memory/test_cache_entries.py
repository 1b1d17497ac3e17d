"""pop() and swap() of a cache's table without memory: MemoryError, and the entry is still there."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from concurrent_tables.cache.parts import parts
from tests.memory.sweep import CAN_FAIL

pytestmark = pytest.mark.skipif(
    not CAN_FAIL, reason="this interpreter has no _testcapi, which makes allocations fail"
)


@pytest.fixture
def lib(ct: Any) -> Any:
    if ct.IMPLEMENTATION == "python":
        pytest.skip("the twin runs as Python code, of which the interpreter may fail any line")
    return parts("c")


def _entry(lib: Any, value: str) -> Any:
    return lib.Entry("key", value, 0, None, inf, inf, 0.0, inf, 1)


def _until_it_works(change: Any, still_there: Any) -> Any:
    """What `change` returns once all its allocations succeed; each failure has changed nothing."""
    import _testcapi

    failures = 0
    for n in range(50):
        _testcapi.set_nomemory(n, n + 1)
        try:
            result = change()
        except MemoryError:
            result = None
        finally:
            _testcapi.remove_mem_hooks()
        if result is not None:
            assert failures
            return result
        failures += 1
        still_there()
    raise AssertionError("50 allocations were not enough")


@pytest.mark.parametrize("policy", [None, "lru", "tinylfu"])
def test_an_entry_that_cannot_be_returned_stays(lib: Any, policy: str | None) -> None:
    table = lib.Table(policy=policy, maxsize=10) if policy else lib.Table()
    table.swap("key", _entry(lib, "first"))

    def still_there() -> None:
        assert len(table) == 1
        assert table.get("key").value == "first"

    taken = _until_it_works(lambda: table.pop("key", None), still_there)
    assert taken.value == "first"
    assert len(table) == 0


def test_an_entry_that_cannot_be_returned_is_not_replaced(lib: Any) -> None:
    table = lib.Table(policy="lru", maxsize=10)
    table.swap("key", _entry(lib, "first"))
    second = _entry(lib, "second")

    def still_there() -> None:
        assert table.get("key").value == "first"

    replaced = _until_it_works(lambda: table.swap("key", second), still_there)
    assert replaced.value == "first"
    assert table.get("key").value == "second"


@pytest.mark.parametrize("policy", ["lru", "tinylfu"])
def test_the_bound_is_kept_without_memory(lib: Any, policy: str) -> None:
    """A heavy entry drives many out, and the room to remember them takes memory."""
    import _testcapi

    for n in range(50):
        table = lib.Table(policy=policy, maxsize=40, seed=1)
        for number in range(40):
            table.swap(number, lib.Entry(number, number, 0, None, inf, inf, 0.0, inf, 1))
        heavy = lib.Entry("heavy", 1, 1, None, inf, inf, 0.0, inf, 30)
        _testcapi.set_nomemory(n)
        try:
            stored = table.swap("heavy", heavy) is not None
        except MemoryError:
            stored = False
        finally:
            _testcapi.remove_mem_hooks()
        weight = sum([entry.weight for entry in table.values()])
        assert weight <= 40, f"without memory from the allocation number {n} on"
        assert weight == sum(table._books()[2:])
        if stored and n > 10:
            return
    raise AssertionError("50 allocations were not enough")
