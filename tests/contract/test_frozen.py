"""The immutable tables: equal to the builtins, hashable like them, and truly immutable."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import Boom, Named

HASHABLE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)


@given(items=st.lists(HASHABLE, max_size=40))
def test_hash_of_frozen_set_is_that_of_frozenset(ct: Any, items: list[Any]) -> None:
    assert hash(ct.FrozenSet(items)) == hash(frozenset(items))
    assert ct.FrozenSet(items) == frozenset(items)
    assert frozenset(items) == ct.FrozenSet(items)


@pytest.mark.parametrize("size", [0, 1, 2, 5, 6, 100, 5000])
def test_hash_at_sizes(ct: Any, size: int) -> None:
    assert hash(ct.FrozenSet(range(size))) == hash(frozenset(range(size)))


def test_frozen_set_and_frozenset_are_one_key(ct: Any) -> None:
    table = {frozenset([1, 2]): "builtin"}
    assert table[ct.FrozenSet([2, 1])] == "builtin"
    ours = ct.ConcurrentDict({ct.FrozenSet([1, 2]): "ours"})
    assert ours[frozenset([1, 2])] == "ours"


def test_hash_is_cached(ct: Any) -> None:
    calls = []

    class Counting:
        def __hash__(self) -> int:
            calls.append(1)
            return 5

    frozen = ct.FrozenDict(a=Counting())
    first = hash(frozen)
    made = len(calls)
    assert made
    assert hash(frozen) == first
    assert len(calls) == made


@given(
    pairs=st.lists(st.tuples(st.text(max_size=3), st.integers()), max_size=20), seed=st.randoms()
)
def test_frozen_dict_hash_ignores_order(ct: Any, pairs: list[Any], seed: Any) -> None:
    model = dict(pairs)
    shuffled = list(model.items())
    seed.shuffle(shuffled)
    left, right = ct.FrozenDict(model), ct.FrozenDict(shuffled)
    assert left == right == model
    assert hash(left) == hash(right)


def test_frozen_dict_hash_of_equal_numbers(ct: Any) -> None:
    assert hash(ct.FrozenDict({1: 2.0})) == hash(ct.FrozenDict({True: 2}))


def test_frozen_dict_hash_tells_keys_from_values(ct: Any) -> None:
    hashes = {hash(ct.FrozenDict({a: b})) for a in range(20) for b in range(20)}
    assert len(hashes) > 390


def test_unhashable_value(ct: Any) -> None:
    frozen = ct.FrozenDict(a=[])
    for _ in range(2):
        with pytest.raises(TypeError):
            hash(frozen)
    assert frozen["a"] == []


@pytest.mark.parametrize("method", ["clear", "pop", "popitem", "setdefault", "update", "swap",
                                    "compute", "increment", "update_many", "watch"])  # fmt: skip
def test_frozen_dict_has_no_mutator(ct: Any, method: str) -> None:
    with pytest.raises(AttributeError):
        getattr(ct.FrozenDict(a=1), method)


def test_frozen_dict_refuses_item_changes(ct: Any) -> None:
    frozen = ct.FrozenDict(a=1)
    with pytest.raises(TypeError):
        frozen["a"] = 2
    with pytest.raises(TypeError):
        del frozen["a"]
    with pytest.raises(AttributeError):
        frozen.x = 1
    frozen_before = frozen
    frozen |= {"b": 2}
    assert frozen_before == {"a": 1}
    assert frozen == {"a": 1, "b": 2}


def test_init_does_not_change_a_frozen_table(ct: Any) -> None:
    frozen, items = ct.FrozenDict(a=1), ct.FrozenSet([1])
    for table, argument in ((frozen, {"b": 2}), (items, [2])):
        try:
            table.__init__(argument)
        except TypeError:
            pass
    assert frozen == {"a": 1}
    assert items == {1}


def test_in_place_operators_make_new_frozen_sets(ct: Any) -> None:
    frozen = same = ct.FrozenSet([1, 2])
    frozen |= {3}
    assert type(frozen) is ct.FrozenSet
    assert same == {1, 2}
    assert frozen == {1, 2, 3}


@pytest.mark.parametrize("name", ["FrozenDict", "FrozenSet"])
def test_copy_is_the_same_object(ct: Any, name: str) -> None:
    frozen = getattr(ct, name)([("a", 1)])
    assert frozen.copy() == frozen
    assert copy.copy(frozen) == frozen
    deep = copy.deepcopy(frozen)
    assert deep == frozen
    assert type(deep) is type(frozen)


def test_constructor_reuses_an_equal_frozen_table_or_equals_it(ct: Any) -> None:
    items = ct.FrozenSet("ab")
    assert ct.FrozenSet(items) == items
    table = ct.FrozenDict(a=1)
    assert ct.FrozenDict(table) == table
    assert ct.FrozenDict(table, b=2) == {"a": 1, "b": 2}


def test_recursive_frozen_dict_repr(ct: Any) -> None:
    inner: list[Any] = []
    frozen = ct.FrozenDict(a=inner)
    inner.append(frozen)
    assert repr(frozen) == "FrozenDict({'a': [FrozenDict({...})]})"
    inner.clear()


def test_repr(ct: Any) -> None:
    assert repr(ct.FrozenDict(a=1)) == "FrozenDict({'a': 1})"
    assert repr(ct.FrozenDict()) == "FrozenDict({})"
    assert repr(ct.FrozenSet([1])) == "FrozenSet({1})"
    assert repr(ct.FrozenSet()) == "FrozenSet()"
    assert repr(ct.ConcurrentSet([1])) == "ConcurrentSet({1})"
    assert repr(ct.ConcurrentSet()) == "ConcurrentSet()"


def test_get_many(ct: Any) -> None:
    assert ct.FrozenDict(a=1, b=2).get_many(["a", "z"]) == {"a": 1}


def test_failed_construction_raises_what_the_source_raised(ct: Any) -> None:
    def source() -> Any:
        yield 1
        raise Boom

    for name in ("FrozenSet", "ConcurrentSet", "FrozenDict", "ConcurrentDict"):
        with pytest.raises((Boom, TypeError)):
            getattr(ct, name)(source())
    with pytest.raises(Boom):
        ct.FrozenSet(source())


def test_colliding_members(ct: Any) -> None:
    frozen = ct.FrozenSet(map(Named, range(50)))
    assert len(frozen) == 50
    assert all(Named(number) in frozen for number in range(50))
    assert Named(50) not in frozen
    table = ct.FrozenDict({Named(number): number for number in range(50)})
    assert all(table[Named(number)] == number for number in range(50))
