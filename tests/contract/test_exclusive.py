"""`exclusive` in one thread: forms, re-entrance, errors (the threads are in tests/threads)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import MUTABLE_TABLES, Boom, new


@pytest.mark.parametrize("name", MUTABLE_TABLES)
def test_reads_and_writes_inside(ct: Any, name: str) -> None:
    table = new(ct, name)
    with ct.exclusive(table):
        table.update([("a", 1)])
        assert len(table) == 1
        table.clear()
    assert len(table) == 0


def test_several_tables_and_reentrance(ct: Any) -> None:
    left, right, items = ct.ConcurrentDict(a=1), ct.ShardedDict(), ct.ConcurrentSet()
    with ct.exclusive(left, right, items, left):
        with ct.exclusive(right), ct.exclusive(items, left):
            right["a"] = left.pop("a")
            items.add("a")
    assert (left, right, items) == ({}, {"a": 1}, {"a"})


def test_released_after_an_error(ct: Any) -> None:
    table = ct.ConcurrentDict()
    with pytest.raises(Boom), ct.exclusive(table):
        raise Boom
    with ct.exclusive(table):
        table["a"] = 1


@pytest.mark.parametrize("thing", [5, {}, None, set(), "x"])
def test_other_objects_are_refused(ct: Any, thing: Any) -> None:
    with pytest.raises(TypeError):
        ct.exclusive(thing)
    with pytest.raises(TypeError):
        ct.exclusive(ct.ConcurrentDict(), thing)


def test_needs_a_table(ct: Any) -> None:
    with pytest.raises(TypeError):
        ct.exclusive()


def test_snapshot_and_copy_inside(ct: Any) -> None:
    table = ct.ConcurrentDict(a=1)
    with ct.exclusive(table):
        assert table.snapshot() == table.copy() == {"a": 1}
        assert table == {"a": 1}
        assert repr(table) == "ConcurrentDict({'a': 1})"
        assert table.compute("a", lambda old: old + 1) == 2
        assert table.compute_if_absent("b", lambda: 5) == 5
