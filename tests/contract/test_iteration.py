"""Iteration: weakly consistent, never an error, and iterators that several consumers may share."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import MUTABLE_MAPPINGS, ORDERED_MAPPINGS, new


@pytest.fixture(params=MUTABLE_MAPPINGS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_change_does_not_raise(ct: Any, name: str) -> None:
    table = new(ct, name, {number: number for number in range(50)})
    seen = []
    for key in table:
        seen.append(key)
        table[1000 + key] = key
    assert sorted(seen) == list(range(50))
    assert len(table) == 100


def test_new_keys_are_not_yielded(ct: Any, name: str) -> None:
    table = new(ct, name, {"a": 1})
    iterator = iter(table)
    table["b"] = 2
    assert list(iterator) == ["a"]


def test_deleted_keys_are_not_yielded(ct: Any, name: str) -> None:
    table = new(ct, name, {number: number for number in range(10)})
    iterator = iter(table)
    first = next(iterator)
    for key in range(10):
        if key != first and key % 2:
            del table[key]
    assert sorted([first, *iterator]) == sorted({first, 0, 2, 4, 6, 8})


@pytest.mark.parametrize("view", ["keys", "values", "items"])
def test_iterating_a_view_is_of_one_moment(ct: Any, name: str, view: str) -> None:
    table = new(ct, name, {number: "old" for number in range(5)})
    expected = list(getattr(table, view)())
    iterator = iter(getattr(table, view)())
    seen = [next(iterator)]
    for number in range(1, 5):
        table[number] = "new"
    del table[0]
    table["more"] = 1
    seen += iterator
    assert sorted(seen, key=repr) == sorted(expected, key=repr)


def test_iteration_survives_resize(ct: Any, name: str) -> None:
    table = new(ct, name, {number: number for number in range(20)})
    iterator = iter(table)
    seen = [next(iterator) for _ in range(5)]
    for number in range(1000, 6000):
        table[number] = number
    for number in range(1000, 6000):
        del table[number]
    seen += iterator
    assert sorted(seen) == list(range(20))


def test_iteration_survives_clear(ct: Any, name: str) -> None:
    table = new(ct, name, {number: number for number in range(20)})
    iterator = iter(table)
    next(iterator)
    table.clear()
    assert list(iterator) == []
    assert list(iterator) == []


def test_exhausted_iterator_stays_exhausted(ct: Any, name: str) -> None:
    table = new(ct, name, a=1)
    iterator = iter(table)
    assert list(iterator) == ["a"]
    table["b"] = 2
    with pytest.raises(StopIteration):
        next(iterator)


def test_iterators_outlive_their_table(ct: Any, name: str) -> None:
    iterator = iter(new(ct, name, {number: number for number in range(30)}))
    assert sorted(iterator) == list(range(30))
    view = new(ct, name, a=1).items()
    assert list(view) == [("a", 1)]


@pytest.mark.parametrize("name", ORDERED_MAPPINGS)
def test_reversed_of_views(ct: Any, name: str) -> None:
    table = new(ct, name, [("a", 1), ("b", 2), ("c", 3)])
    assert list(reversed(table.values())) == [3, 2, 1]
    assert list(reversed(table.keys())) == ["c", "b", "a"]


@pytest.mark.parametrize("name", ["ConcurrentDict", "SplitDict"])
def test_reversed_beside_changes(ct: Any, name: str) -> None:
    table = new(ct, name, {str(number): number for number in range(20)})
    iterator = reversed(table)
    seen = [next(iterator)]
    for number in range(100):
        table[f"new{number}"] = number
    del table["0"]
    seen += iterator
    assert seen == [str(number) for number in range(19, 0, -1)]


def test_reversed_of_sharded_is_an_error(ct: Any) -> None:
    with pytest.raises(TypeError):
        reversed(new(ct, "ShardedDict", a=1))


def test_length_hint_is_no_promise_but_close(ct: Any, name: str) -> None:
    iterator = iter(new(ct, name, {number: number for number in range(10)}))
    next(iterator)
    assert iterator.__length_hint__() == 9


def test_sets_iterate_weakly_consistent(ct: Any) -> None:
    table = ct.ConcurrentSet(range(20))
    iterator = iter(table)
    seen = [next(iterator)]
    table.update(range(100, 400))
    gone = {item for item in range(20) if item not in seen and item % 2}
    table -= gone
    seen += iterator
    assert sorted(seen) == sorted(set(range(20)) - gone)
    assert len(seen) == len(set(seen))


def test_items_pairs_are_fresh_tuples(ct: Any, name: str) -> None:
    table = new(ct, name, {number: number for number in range(3)})
    pairs = list(table.items())
    assert len({id(pair) for pair in pairs}) == 3
    assert all(type(pair) is tuple for pair in pairs)
