"""What the sets promise beyond the line-by-line comparison with `set` and `frozenset`."""

from __future__ import annotations

import gc
import itertools
import operator
import weakref
from typing import Any

import pytest

from tests.support import Boom, EqRaises, HashRaises, Named

OPERATORS = [operator.and_, operator.or_, operator.sub, operator.xor]
COMPARISONS = [operator.le, operator.lt, operator.ge, operator.gt, operator.eq, operator.ne]
CONTENTS = [set(), {1}, {1, 2}, {2, 3}, {1, 2, 3}]


def kinds(ct: Any) -> list[Any]:
    return [set, frozenset, ct.ConcurrentSet, ct.FrozenSet]


@pytest.mark.parametrize("op", COMPARISONS)
def test_comparisons_between_all_kinds(ct: Any, op: Any) -> None:
    for left_kind, right_kind in itertools.product(kinds(ct), repeat=2):
        for left, right in itertools.product(CONTENTS, repeat=2):
            assert op(left_kind(left), right_kind(right)) is op(left, right)


@pytest.mark.parametrize("op", OPERATORS)
def test_operators_between_all_kinds(ct: Any, op: Any) -> None:
    for left_kind, right_kind in itertools.product(kinds(ct), repeat=2):
        for left, right in itertools.product(CONTENTS, repeat=2):
            result = op(left_kind(left), right_kind(right))
            assert result == op(left, right)
            assert type(result) is left_kind


@pytest.mark.parametrize("op", [operator.iand, operator.ior, operator.isub, operator.ixor])
def test_in_place_operators_keep_the_object(ct: Any, op: Any) -> None:
    for kind in kinds(ct):
        for left, right in itertools.product(CONTENTS, repeat=2):
            table = ct.ConcurrentSet(left)
            model = set(left)
            result = op(table, kind(right))
            assert result is table
            assert table == op(model, right)
            plain = set(left)
            assert op(plain, ct.ConcurrentSet(right)) == op(set(left), right)


@pytest.mark.parametrize("method", ["union", "intersection", "difference", "symmetric_difference",
                                    "issubset", "issuperset", "isdisjoint"])  # fmt: skip
def test_named_methods_between_all_kinds(ct: Any, method: str) -> None:
    for left_kind, right_kind in itertools.product(kinds(ct), repeat=2):
        for left, right in itertools.product(CONTENTS, repeat=2):
            result = getattr(left_kind(left), method)(right_kind(right))
            assert result == getattr(left, method)(right)
            if not isinstance(result, bool):
                assert type(result) is left_kind


def test_in_place_with_itself(ct: Any) -> None:
    table = ct.ConcurrentSet(range(100))
    table |= table
    table &= table
    assert table == set(range(100))
    table -= table
    assert table == set()
    table.update(range(100))
    table ^= table
    assert len(table) == 0
    table.update(range(10))
    table.difference_update(table)
    assert not table


def test_pop_empties(ct: Any) -> None:
    table = ct.ConcurrentSet(range(100))
    assert sorted(table.pop() for _ in range(100)) == list(range(100))
    with pytest.raises(KeyError):
        table.pop()


def test_first_equal_item_stays(ct: Any) -> None:
    table = ct.ConcurrentSet([1])
    table.add(1.0)
    table.add(True)
    assert [type(item) for item in table] == [int]
    assert [type(item) for item in ct.ConcurrentSet([1.0]) | {1}] == [float]


def test_intersection_keeps_what_set_keeps(ct: Any) -> None:
    result = ct.ConcurrentSet([1]) & {1.0}
    model = {1} & {1.0}
    assert result == model


def test_freeze_and_snapshot(ct: Any) -> None:
    table = ct.ConcurrentSet([1, 2])
    for frozen in (table.freeze(), table.snapshot()):
        assert type(frozen) is ct.FrozenSet
        assert frozen == {1, 2}
        assert hash(frozen) == hash(frozenset([1, 2]))
    frozen = table.freeze()
    table.add(3)
    assert frozen == {1, 2}
    assert table.freeze() == {1, 2, 3}


def test_colliding_items(ct: Any) -> None:
    table = ct.ConcurrentSet()
    for number in range(60):
        table.add(Named(number))
    for number in range(0, 60, 2):
        table.remove(Named(number))
    for number in range(60):
        assert (Named(number) in table) is bool(number % 2)
    table.update(map(Named, range(60)))
    assert sorted(item.name for item in table) == list(range(60))


@pytest.mark.parametrize("bad", [HashRaises(), EqRaises(), []])
@pytest.mark.parametrize("method", ["add", "discard", "remove", "__contains__"])
def test_errors_of_items_change_nothing(ct: Any, method: str, bad: Any) -> None:
    resident = EqRaises()
    table = ct.ConcurrentSet([resident])
    version = table.version
    with pytest.raises((Boom, TypeError)):
        getattr(table, method)(bad)
    assert [item is resident for item in table] == [True]
    assert table.version == version


@pytest.mark.parametrize("method", ["update", "difference_update", "intersection_update",
                                    "symmetric_difference_update"])  # fmt: skip
def test_a_source_that_fails_half_way(ct: Any, method: str) -> None:
    """What was gathered before the error is committed in one step, as the builtin keeps it."""

    def source() -> Any:
        yield 1
        yield 99
        raise Boom

    table, model = ct.ConcurrentSet([1, 2, 3]), {1, 2, 3}
    version = table.version
    for each in (table, model):
        with pytest.raises(Boom):
            getattr(each, method)(source())
    assert table == model
    assert (table.version > version) is (model != {1, 2, 3})


def test_set_as_item_is_found_as_frozenset(ct: Any) -> None:
    table = ct.ConcurrentSet([frozenset([1]), ct.FrozenSet([2])])
    assert {1} in table
    assert {2} in table
    assert ct.ConcurrentSet([1]) in table
    table.discard({1})
    table.remove(ct.ConcurrentSet([2]))
    assert not table


def test_recursive_repr(ct: Any) -> None:
    class Holder:
        table: Any = None

        def __repr__(self) -> str:
            return repr(self.table)

    holder = Holder()
    holder.table = ct.ConcurrentSet([holder])
    assert repr(holder.table) == "ConcurrentSet({ConcurrentSet(...)})"
    holder.table.clear()


def test_versions(ct: Any) -> None:
    table = ct.ConcurrentSet()
    steps = [lambda: table.add(1), lambda: table.discard(1), lambda: table.update([1, 2]),
             lambda: table.pop(), lambda: table.clear(), lambda: table.__ior__({5})]  # fmt: skip
    for step in steps:
        version, keys_version = table.version, table.keys_version
        step()
        assert table.version > version
        assert table.keys_version > keys_version
    no_ops = [lambda: table.add(5), lambda: table.discard(9), lambda: table.update([5]),
              lambda: table.__iand__({5}), lambda: table.__isub__({9})]  # fmt: skip
    for step in no_ops:
        version = table.version
        step()
        assert table.version == version


@pytest.mark.parametrize("size", [10, 1_000, 60_000])
def test_large_sets(ct: Any, size: int) -> None:
    table = ct.ConcurrentSet(range(size))
    assert len(table) == size
    assert all(item in table for item in range(0, size, 97))
    for item in range(1, size):
        table.discard(item)
    assert list(table) == [0]
    assert size not in table


def test_a_cycle_through_an_iterator_of_former_contents_is_collected(ct: Any) -> None:
    class Node:
        pass

    node, table = Node(), ct.ConcurrentSet([1, 2, 3])
    table.add(node)
    node.rest = iter(table)  # which goes on with what there is now
    next(node.rest)
    table.add("later")
    alive = weakref.ref(node)
    del node, table
    gc.collect()
    ct.reclaim.flush()
    gc.collect()
    assert alive() is None
