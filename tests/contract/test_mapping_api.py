"""What every mutable mapping promises beyond the line-by-line comparison with `dict`."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.support import (
    MAPPINGS,
    MUTABLE_MAPPINGS,
    ORDERED_MAPPINGS,
    Boom,
    EqRaises,
    HashRaises,
    Named,
    new,
)


@pytest.fixture(params=MUTABLE_MAPPINGS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_construction_forms(ct: Any, name: str) -> None:
    model = {"a": 1, "b": 2}
    assert new(ct, name) == {}
    assert new(ct, name, model) == model
    assert new(ct, name, list(model.items())) == model
    assert new(ct, name, iter(model.items())) == model
    assert new(ct, name, model, c=3) == {**model, "c": 3}
    assert new(ct, name, new(ct, name, model)) == model
    assert new(ct, name, a=1) == {"a": 1}


@pytest.mark.parametrize("bad", [5, None, [1], [("a",)], [([], 1)]])
def test_construction_errors_are_those_of_dict(ct: Any, name: str, bad: Any) -> None:
    with pytest.raises(Exception) as theirs:
        dict(bad)
    with pytest.raises(theirs.type):
        new(ct, name, bad)


@pytest.mark.parametrize("name", ORDERED_MAPPINGS)
@pytest.mark.parametrize("names", [*itertools.permutations("abc")])
def test_insertion_order(ct: Any, name: str, names: tuple[str, ...]) -> None:
    table = new(ct, name, [(key, key.upper()) for key in names])
    assert list(table) == list(names)
    assert list(reversed(table)) == list(reversed(names))
    assert [*table.values()] == [key.upper() for key in names]
    assert [*reversed(table.items())] == [(key, key.upper()) for key in reversed(names)]


@pytest.mark.parametrize("names", [*itertools.permutations("abc")])
def test_insertion_order_of_records_is_their_own(ct: Any, names: tuple[str, ...]) -> None:
    shared = ct.SharedKeys("abc")
    record = ct.SplitDict(shared)
    for key in names:
        record[key] = key
    assert list(record) == list(names)
    assert record.popitem() == (names[-1], names[-1])
    assert list(record) == list(names[:-1])


@pytest.mark.parametrize("name", ["ConcurrentDict", "SplitDict"])
def test_overwriting_keeps_position_and_key(ct: Any, name: str) -> None:
    table = new(ct, name, {"a": 1, 1: 2, "c": 3})
    table[1.0] = "changed"
    table[True] = "again"
    assert list(table.items()) == [("a", 1), (1, "again"), ("c", 3)]
    assert [type(key) for key in table] == [str, int, str]


@pytest.mark.parametrize("name", ["ConcurrentDict", "SplitDict"])
def test_reinserted_key_goes_last(ct: Any, name: str) -> None:
    table = new(ct, name, {"a": 1, "b": 2})
    del table["a"]
    table["a"] = 3
    assert list(table) == ["b", "a"]
    assert table.popitem() == ("a", 3)
    assert table.popitem() == ("b", 2)
    with pytest.raises(KeyError):
        table.popitem()


def test_popitem_empties_every_mapping(ct: Any, name: str) -> None:
    model = {number: str(number) for number in range(100)}
    table = new(ct, name, model)
    assert dict(table.popitem() for _ in range(100)) == model
    assert len(table) == 0
    with pytest.raises(KeyError):
        table.popitem()


@pytest.mark.parametrize("name", MAPPINGS)
@pytest.mark.parametrize("operation", ["get", "__getitem__", "__contains__"])
def test_errors_of_user_hash_and_eq_reach_the_reader(ct: Any, name: str, operation: str) -> None:
    table = new(ct, name, {EqRaises(): 1})
    with pytest.raises(Boom, match="eq"):
        getattr(table, operation)(EqRaises())
    with pytest.raises(Boom, match="hash"):
        getattr(table, operation)(HashRaises())


@pytest.mark.parametrize("key", [HashRaises(), EqRaises(), []])
@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("__setitem__", (1,)),
        ("__delitem__", ()),
        ("pop", ()),
        ("pop", (None,)),
        ("setdefault", ()),
        ("swap", (1,)),
        ("compare_and_set", (1, 2)),
        ("compare_and_delete", (1,)),
        ("increment", ()),
        ("compute", (lambda old: 1,)),
        ("compute_if_absent", (lambda: 1,)),
    ],
)
def test_errors_of_user_hash_and_eq_change_nothing(
    ct: Any, name: str, key: Any, operation: str, arguments: tuple[Any, ...]
) -> None:
    resident, other = EqRaises(), Named("other")
    table = new(ct, name, {resident: 1, other: 2})
    version = table.version
    with pytest.raises((Boom, TypeError)):
        getattr(table, operation)(key, *arguments)
    assert len(table) == 2
    assert {id(k): v for k, v in table.items()} == {id(resident): 1, id(other): 2}
    assert table.version == version


def test_identity_comes_before_equality(ct: Any, name: str) -> None:
    never_equal = float("nan")
    key = EqRaises()
    table = new(ct, name, [(never_equal, 1), (key, 2)])
    assert table[never_equal] == 1
    assert table[key] == 2
    assert float("nan") not in table


def test_key_error_carries_the_key(ct: Any, name: str) -> None:
    table = new(ct, name, a=1)
    for call in (
        lambda: table[("k", 1)],
        lambda: table.pop(("k", 1)),
        lambda: table.__delitem__(("k", 1)),
    ):
        with pytest.raises(KeyError) as caught:
            call()
        assert repr(("k", 1)) in str(caught.value) or caught.value.args[0] == ("k", 1)


def test_colliding_keys(ct: Any, name: str) -> None:
    table = new(ct, name)
    for number in range(60):
        table[Named(number)] = number
    for number in range(0, 60, 2):
        del table[Named(number)]
    for number in range(60):
        assert table.get(Named(number)) == (number if number % 2 else None)
    for number in range(60):
        table[Named(number)] = -number
    assert {key.name: value for key, value in table.items()} == {n: -n for n in range(60)}


def test_equal_strings_of_every_length_and_width(ct: Any, name: str) -> None:
    words = [
        letter * size + end for letter in "aé\u20ac\U0001f40d" for size in range(40) for end in "xy"
    ]
    table = new(ct, name, {word: number for number, word in enumerate(dict.fromkeys(words))})
    for word, number in {word: n for n, word in enumerate(dict.fromkeys(words))}.items():
        again = word.encode().decode()  # another object
        assert table[again] == number
        assert table.get(again + "z") is None


def test_str_subclass_keys(ct: Any, name: str) -> None:
    class Loud(str):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, str) and str(self).lower() == str(other).lower()

        def __hash__(self) -> int:
            return hash(str(self).lower())

    table = new(ct, name, {"key": 1})
    assert table[Loud("KEY")] == 1
    table[Loud("Other")] = 2
    assert table["other"] == 2
    assert "Other" not in table


def test_repr_and_recursion(ct: Any, name: str) -> None:
    table = new(ct, name, {"a": 1})
    assert repr(table) == f"{name}({{'a': 1}})"
    assert repr(new(ct, name)) == f"{name}({{}})"
    table["a"] = table
    assert repr(table) == f"{name}({{'a': {name}({{...}})}})"
    table.clear()


def test_recursive_tables_compare_without_hanging(ct: Any, name: str) -> None:
    left, right = new(ct, name), new(ct, name)
    left["x"], right["x"] = right, left
    with pytest.raises(RecursionError):
        assert left == right
    left.clear()
    right.clear()


def test_values_of_equal_objects_are_kept_by_identity(ct: Any, name: str) -> None:
    first, second = [1], [1]
    table = new(ct, name, k=first)
    table["k"] = second
    assert table["k"] is second


@pytest.mark.parametrize("name", MAPPINGS)
def test_comparison_both_ways(ct: Any, name: str) -> None:
    model = {"a": 1, (1, 2): [3], None: None}
    table = new(ct, name, model)
    assert table == model
    assert model == table
    assert not table != model
    assert not model != table
    different = {**model, "a": 2}
    assert table != different
    assert different != table
    for other in MAPPINGS:
        assert table == new(ct, other, model)
        assert table != new(ct, other, different)
        assert table != new(ct, other, {**model, "more": 1})


@pytest.mark.parametrize("name", MAPPINGS)
@pytest.mark.parametrize("other", MAPPINGS)
def test_union_has_the_type_of_the_left_operand(ct: Any, name: str, other: str) -> None:
    left, right = new(ct, name, a=1, b=2), new(ct, other, b=3, c=4)
    assert type(left | right) is type(left)
    assert left | right == {"a": 1, "b": 3, "c": 4}
    assert left == {"a": 1, "b": 2}


@pytest.mark.parametrize("name", MAPPINGS)
def test_union_with_a_builtin_dict(ct: Any, name: str) -> None:
    table = new(ct, name, a=1, b=2)
    right = {"b": 3, "c": 4} | table
    assert type(right) is type(table)
    assert right == {"b": 2, "c": 4, "a": 1}
    if name != "ShardedDict":
        assert list(right) == ["b", "c", "a"]
    assert type(table | {"b": 3}) is type(table)


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_in_place_union_keeps_the_object(ct: Any, name: str) -> None:
    table = same = new(ct, name, a=1)
    table |= {"b": 2}
    table |= [("c", 3)]
    table |= new(ct, "FrozenDict", d=4)
    assert table is same
    assert table == {"a": 1, "b": 2, "c": 3, "d": 4}
    plain = {"z": 0}
    plain |= table
    assert plain == {"z": 0, "a": 1, "b": 2, "c": 3, "d": 4}
    plain.update(table)
    assert type(plain) is dict


def test_update_of_a_table_with_itself(ct: Any, name: str) -> None:
    table = new(ct, name, {number: number for number in range(50)})
    table.update(table)
    table |= table
    assert table == {number: number for number in range(50)}


def test_views_are_live(ct: Any, name: str) -> None:
    table = new(ct, name, a=1)
    keys, values, items = table.keys(), table.values(), table.items()
    table["b"] = 2
    assert sorted(keys) == ["a", "b"]
    assert sorted(values) == [1, 2]
    assert sorted(items) == [("a", 1), ("b", 2)]
    assert len(keys) == len(values) == len(items) == 2
    assert keys.mapping == {"a": 1, "b": 2}
    with pytest.raises(TypeError):
        keys.mapping["c"] = 3
    table.clear()
    assert not list(keys)
    assert keys.mapping == {}


def test_results_of_view_operators_are_builtin_sets(ct: Any, name: str) -> None:
    table = new(ct, name, a=1)
    for result in (table.keys() & {"a"}, table.keys() | {"b"}, table.items() - {("a", 1)},
                   {"a"} ^ table.keys(), table.keys() - table.keys()):  # fmt: skip
        assert type(result) is set


def test_views_of_both_kinds_work_together(ct: Any, name: str) -> None:
    table, plain = new(ct, name, a=1, b=2), {"b": 2, "c": 3}
    assert table.keys() & plain.keys() == {"b"}
    assert plain.keys() & table.keys() == {"b"}
    assert table.items() & plain.items() == {("b", 2)}
    assert plain.keys() - table.keys() == {"c"}
    assert table.keys() <= {"a": 0, "b": 0, "c": 0}.keys()
    assert {"a": 0}.keys() < table.keys()
    assert table.keys() == {"a": 0, "b": 0}.keys()


def test_missing_cannot_be_stored(ct: Any, name: str) -> None:
    table = new(ct, name, a=1)
    calls = [
        lambda: table.__setitem__("a", ct.MISSING),
        lambda: table.__setitem__("b", ct.MISSING),
        lambda: table.setdefault("b", ct.MISSING),
        lambda: table.swap("a", ct.MISSING),
        lambda: table.compare_and_set("a", 1, ct.MISSING),
        lambda: table.update({"b": ct.MISSING}),
        lambda: table.update_many({"b": ct.MISSING}),
        lambda: new(ct, name, {"b": ct.MISSING}),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="MISSING"):
            call()
    assert table == {"a": 1}


def test_sizeof_grows(ct: Any, name: str) -> None:
    small = new(ct, name, a=1).__sizeof__()
    large = new(ct, name, {number: number for number in range(1000)}).__sizeof__()
    assert 0 < small < large


@pytest.mark.parametrize("name", ["ConcurrentDict", "ShardedDict", "FrozenDict"])
def test_fromkeys(ct: Any, name: str) -> None:
    cls = getattr(ct, name)
    table = cls.fromkeys("abca")
    assert type(table) is cls
    assert table == {"a": None, "b": None, "c": None}
    marker: list[int] = []
    assert all(value is marker for value in cls.fromkeys("ab", marker).values())


@pytest.mark.parametrize("name", MAPPINGS)
def test_copy_is_shallow_and_separate(ct: Any, name: str) -> None:
    inner = [1]
    table = new(ct, name, a=inner)
    clone = table.copy()
    assert type(clone) is type(table)
    assert clone["a"] is inner
    if name != "FrozenDict":
        clone["b"] = 2
        assert table == {"a": [1]}
