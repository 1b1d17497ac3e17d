"""Debug mode: a reclaimed block of the Python tables cannot be used any more."""

from __future__ import annotations

from typing import Any

import pytest

from concurrent_tables import _debug
from concurrent_tables._pure import debug
from tests.support import new, run_child


def test_the_test_suite_runs_in_debug_mode() -> None:
    assert _debug.ENABLED


@pytest.mark.parametrize(
    "use", [lambda p: p[0], lambda p: p.__setitem__(0, 1), len, iter, bool, list]
)
def test_poison_refuses_every_use(use: Any) -> None:
    with pytest.raises(debug.UseAfterFreeError):
        use(debug.POISON)


def test_the_error_is_an_assertion() -> None:
    assert issubclass(debug.UseAfterFreeError, AssertionError)


@pytest.mark.parametrize("name", ["ConcurrentDict", "SplitDict", "ShardedDict", "ConcurrentSet"])
def test_living_tables_are_registered(columns: dict[str, Any], name: str) -> None:
    table = new(columns["python"], name)
    assert any(each is table for each in _debug.live_tables())
    identity = id(table)
    del table
    import gc

    gc.collect()
    assert all(id(each) != identity or len(each) >= 0 for each in _debug.live_tables())


def test_registry_is_off_without_debug_mode() -> None:
    done = run_child(
        "from concurrent_tables import ConcurrentDict\n"
        "from concurrent_tables import _debug\n"
        "table = ConcurrentDict(a=1)\n"
        "print(_debug.ENABLED, len(_debug.live_tables()))\n",
        CONCURRENT_TABLES_DEBUG="0",
        CONCURRENT_TABLES_PURE="1",
    )
    assert done.stdout == "False 0\n", done.stderr


def test_the_oracle_finds_a_broken_table(columns: dict[str, Any]) -> None:
    """`check()` is worth something only if it can fail."""
    ct = columns["python"]
    table = ct.ConcurrentDict({number: number for number in range(20)})
    info = ct.inspect_table(table)
    info.check()
    block = table._block
    saved = list(block.index)
    for position, slot in enumerate(saved):
        if slot >= 0:
            block.index[position] = -1  # an entry that no probe can find
            break
    try:
        with pytest.raises(AssertionError):
            ct.inspect_table(table).check()
    finally:
        for position, slot in enumerate(saved):
            block.index[position] = slot
