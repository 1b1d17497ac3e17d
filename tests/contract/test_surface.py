"""The public names are there, complete against the running Python's builtins, and say who they are."""

from __future__ import annotations

import copy
import pickle
import types
from collections.abc import Mapping, MutableMapping, MutableSet, Set
from typing import Any

import pytest

import concurrent_tables
from tests.support import MUTABLE_MAPPINGS, SETS, new, run_child

TABLE_NAMES = ("ConcurrentDict", "ConcurrentSet", "FrozenDict", "FrozenSet", "HashTable",
               "ShardedDict", "SharedKeys", "SplitDict")  # fmt: skip
OTHER_NAMES = ("DeadlockError", "Event", "EventKind", "Guard", "IMPLEMENTATION", "MISSING",
               "MissingType", "RecursiveComputeError", "Subscription", "TableDestroyedError",
               "TableInfo", "TableMutationError", "Watch", "WatchError", "compare_identity",
               "compare_str", "exclusive", "hash_identity", "hash_str", "inspect_table",
               "reclaim", "watch", "watchers")  # fmt: skip
ADDED = ("compare_and_set", "compare_and_delete", "swap", "compute", "compute_if_absent",
         "increment", "get_many", "update_many", "pop_many", "snapshot", "version",
         "keys_version", "guard", "watch", "subscribe")  # fmt: skip
MUTATORS_OF_DICT = {"__setitem__", "__delitem__", "__ior__", "clear", "pop", "popitem",
                    "setdefault", "update"}  # fmt: skip


@pytest.mark.parametrize("name", [*TABLE_NAMES, *OTHER_NAMES, "__version__"])
def test_public_names_are_exported(name: str) -> None:
    assert name in concurrent_tables.__all__
    assert hasattr(concurrent_tables, name)


def test_all_names_nothing_that_is_absent() -> None:
    assert sorted(set(concurrent_tables.__all__)) == sorted(concurrent_tables.__all__)
    assert all(hasattr(concurrent_tables, name) for name in concurrent_tables.__all__)


def test_implementation_is_told(ct: Any) -> None:
    assert concurrent_tables.IMPLEMENTATION in ("c", "python")
    assert ct.IMPLEMENTATION in ("c", "python")


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_types_live_in_the_public_module(ct: Any, name: str) -> None:
    cls = getattr(ct, name)
    assert cls.__module__ == "concurrent_tables"
    assert cls.__name__ == cls.__qualname__ == name
    assert cls.__doc__


@pytest.mark.parametrize("attribute", sorted(set(dir(dict)) - {"__class__"}))
@pytest.mark.parametrize("name", ["ConcurrentDict", "SplitDict", "ShardedDict", "FrozenDict"])
def test_every_name_of_dict_is_here(ct: Any, name: str, attribute: str) -> None:
    if name == "FrozenDict" and attribute in MUTATORS_OF_DICT:
        assert not hasattr(ct.FrozenDict, attribute)
        return
    if name == "ShardedDict" and attribute == "__reversed__":
        return  # documented: a sharded table has no order to reverse
    assert hasattr(getattr(ct, name), attribute)


@pytest.mark.parametrize("attribute", sorted(set(dir(set)) - {"__class__"}))
def test_every_name_of_set_is_here(ct: Any, attribute: str) -> None:
    assert hasattr(ct.ConcurrentSet, attribute)


@pytest.mark.parametrize("attribute", sorted(set(dir(frozenset)) - {"__class__"}))
def test_every_name_of_frozenset_is_here(ct: Any, attribute: str) -> None:
    assert hasattr(ct.FrozenSet, attribute)


def test_frozen_set_has_no_mutators(ct: Any) -> None:
    mutators = set(dir(set)) - set(dir(frozenset))
    assert "add" in mutators
    assert not [name for name in mutators if name in dir(ct.FrozenSet)]


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
@pytest.mark.parametrize("attribute", ADDED)
def test_added_operations_are_here(ct: Any, name: str, attribute: str) -> None:
    assert hasattr(getattr(ct, name), attribute)


@pytest.mark.parametrize("attribute", ["freeze", "snapshot", "version", "keys_version", "watch",
                                       "subscribe"])  # fmt: skip
def test_added_operations_of_sets(ct: Any, attribute: str) -> None:
    assert hasattr(ct.ConcurrentSet, attribute)


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("ConcurrentDict", MutableMapping, Set),
        ("ShardedDict", MutableMapping, Set),
        ("SplitDict", MutableMapping, Set),
        ("FrozenDict", Mapping, MutableMapping),
        ("ConcurrentSet", MutableSet, Mapping),
        ("FrozenSet", Set, MutableSet),
    ],
)
def test_abstract_base_classes(ct: Any, name: str, yes: type, no: type) -> None:
    table = new(ct, name)
    assert isinstance(table, yes)
    assert issubclass(type(table), yes)
    assert not isinstance(table, no)


@pytest.mark.parametrize("name", ["ConcurrentDict", "ShardedDict", "SplitDict", "FrozenDict"])
def test_generic_alias_of_mappings(ct: Any, name: str) -> None:
    cls = getattr(ct, name)
    alias = cls[str, int]
    assert isinstance(alias, types.GenericAlias)
    assert alias.__origin__ is cls
    assert alias.__args__ == (str, int)


def test_generic_alias_constructs(ct: Any) -> None:
    assert ct.ConcurrentDict[str, int](a=1) == {"a": 1}
    assert ct.ConcurrentSet[int]([1]) == {1}
    assert ct.FrozenSet[int].__args__ == (int,)


@pytest.mark.parametrize("name", ["ConcurrentDict", "ShardedDict", "SplitDict", "FrozenDict"])
def test_mapping_pattern(ct: Any, name: str) -> None:
    match new(ct, name, {"op": "add", "args": [1, 2], "more": 3}):
        case {"op": "add", "args": [first, *_], **rest}:
            assert first == 1
            assert rest == {"more": 3}
        case _:
            raise AssertionError("a table does not match a mapping pattern")


@pytest.mark.parametrize("name", SETS)
def test_sets_do_not_match_mapping_patterns(ct: Any, name: str) -> None:
    match new(ct, name):
        case {}:
            raise AssertionError("a set matched a mapping pattern")


def test_missing_is_one_false_object() -> None:
    missing = concurrent_tables.MISSING
    assert not missing
    assert "MISSING" in repr(missing)
    assert copy.copy(missing) is missing
    assert copy.deepcopy(missing) is missing
    assert type(missing) is concurrent_tables.MissingType
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(missing, protocol)) is missing


def test_missing_has_no_second_instance() -> None:
    missing = concurrent_tables.MISSING
    try:
        other = type(missing)()
    except TypeError:
        return
    assert other is missing


def test_missing_is_the_same_for_all_implementations(columns: dict[str, Any]) -> None:
    assert {id(ct.MISSING) for ct in columns.values()} == {id(concurrent_tables.MISSING)}


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("DeadlockError", RuntimeError),
        ("RecursiveComputeError", RuntimeError),
        ("TableDestroyedError", RuntimeError),
        ("TableMutationError", RuntimeError),
        ("WatchError", RuntimeError),
    ],
)
def test_errors_subclass_builtins(name: str, base: type) -> None:
    assert issubclass(getattr(concurrent_tables, name), base)


@pytest.mark.parametrize("name", ["ConcurrentDict", "ShardedDict", "SplitDict", "ConcurrentSet"])
def test_mutable_tables_are_unhashable(ct: Any, name: str) -> None:
    with pytest.raises(TypeError):
        hash(new(ct, name))


def test_the_extension_uses_nothing_of_the_python_twin(columns: dict[str, Any]) -> None:
    if "c" not in columns:
        pytest.skip("the extension is not built")
    done = run_child(
        "import sys, concurrent_tables as ct\n"
        "table = ct.HashTable()\n"
        "table.foreach(print)\n"
        "with ct.exclusive(table):\n"
        "    ct.ShardedDict(a=1).copy().watch(id)\n"
        "print(*[name for name in sys.modules if '_pure' in name])\n",
        CONCURRENT_TABLES_PURE="0",
        CONCURRENT_TABLES_DEBUG="1",
    )
    assert done.stdout == "\n", done.stdout + done.stderr
