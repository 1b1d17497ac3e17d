"""Pickles (all protocols, recursive, subclasses, between implementations) and copies."""

from __future__ import annotations

import copy
import pickle
import weakref
from typing import Any

import pytest

import concurrent_tables
from tests.support import (
    MAPPINGS,
    MUTABLE_MAPPINGS,
    SETS,
    Named,
    Trackable,
    implementation_environment,
    new,
    run_child,
)

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
SUBCLASSABLE = ("ConcurrentDict", "ShardedDict", "ConcurrentSet", "FrozenDict", "FrozenSet")


class MyDict(concurrent_tables.ConcurrentDict):  # type: ignore[type-arg]
    """Importable subclasses, as pickles need them."""


class MySharded(concurrent_tables.ShardedDict):  # type: ignore[type-arg]
    pass


class MyFrozen(concurrent_tables.FrozenDict):  # type: ignore[type-arg]
    pass


class MySet(concurrent_tables.ConcurrentSet):  # type: ignore[type-arg]
    pass


class MyFrozenSet(concurrent_tables.FrozenSet):  # type: ignore[type-arg]
    pass


SUBCLASSES = [MyDict, MySharded, MyFrozen, MySet, MyFrozenSet]


def active(ct: Any) -> None:
    """Pickles load into the active implementation: run such tests in its column."""
    if ct.IMPLEMENTATION != concurrent_tables.IMPLEMENTATION:
        pytest.skip("a pickle loads into the active implementation; the crossing test covers this")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", MAPPINGS)
def test_mappings(ct: Any, name: str, protocol: int) -> None:
    active(ct)
    table = new(ct, name, {"a": 1, (1, 2): [3], None: None, Named("k"): "v"})
    clone = pickle.loads(pickle.dumps(table, protocol))
    assert type(clone) is type(table)
    assert clone == table
    if name != "ShardedDict":
        assert list(clone.items()) == list(table.items())
    assert pickle.loads(pickle.dumps(new(ct, name), protocol)) == {}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", SETS)
def test_sets(ct: Any, name: str, protocol: int) -> None:
    active(ct)
    table = new(ct, name, ["a", 1, (1, 2), Named("k")])
    clone = pickle.loads(pickle.dumps(table, protocol))
    assert type(clone) is type(table)
    assert clone == table


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_sharded_keeps_its_shards(ct: Any, protocol: int) -> None:
    active(ct)
    clone = pickle.loads(pickle.dumps(ct.ShardedDict(a=1, shards=4), protocol))
    assert clone.shards == 4
    assert clone == {"a": 1}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_records_still_share_keys(ct: Any, protocol: int) -> None:
    active(ct)
    shared = ct.SharedKeys(["x", "y"])
    records = [ct.SplitDict(shared, x=n) for n in range(3)]
    clones = pickle.loads(pickle.dumps(records, protocol))
    assert clones == records
    assert len({id(clone.shared_keys) for clone in clones}) == 1
    assert clones[0].shared_keys.names == ("x", "y")
    assert ct.inspect_table(clones[0]).kind == "split"
    assert pickle.loads(pickle.dumps(shared, protocol)).names == shared.names


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_recursive(ct: Any, name: str, protocol: int) -> None:
    active(ct)
    table = new(ct, name, a=1)
    table["self"] = [table]
    clone = pickle.loads(pickle.dumps(table, protocol))
    assert clone["self"][0] is clone
    assert clone["a"] == 1
    deep = copy.deepcopy(table)
    assert deep["self"][0] is deep
    for each in (table, clone, deep):
        each.clear()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("cls", SUBCLASSES)
def test_subclasses_with_attributes(cls: Any, protocol: int) -> None:
    table = cls([("a", 1), ("b", 2)])
    table.label = ["attribute"]
    for clone in (
        pickle.loads(pickle.dumps(table, protocol)),
        copy.deepcopy(table),
        copy.copy(table),
    ):
        assert type(clone) is cls
        assert clone == table
        assert clone.label == ["attribute"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", MAPPINGS)
def test_iterators_and_views_of_builtin_kind(ct: Any, name: str, protocol: int) -> None:
    iterator = iter(new(ct, name, a=1, b=2))
    try:
        clone = pickle.loads(pickle.dumps(iterator, protocol))
    except TypeError:
        return  # an iterator need not be picklable, but must say so with TypeError
    assert sorted(clone) == ["a", "b"]


@pytest.mark.parametrize("name", [*MAPPINGS, *SETS])
def test_copy_module(ct: Any, name: str) -> None:
    inner = (1, [2]) if name in MAPPINGS else (1, (2,))
    table = new(ct, name, [inner])
    shallow, deep = copy.copy(table), copy.deepcopy(table)
    assert type(shallow) is type(deep) is type(table)
    assert shallow == deep == table
    if name in MAPPINGS:
        assert shallow[1] is table[1]
        assert deep[1] is not table[1]


def test_deepcopy_of_records_shares_copied_keys(ct: Any) -> None:
    active(ct)
    shared = ct.SharedKeys("ab")
    records = copy.deepcopy([ct.SplitDict(shared, a=[n]) for n in range(2)])
    assert records == [{"a": [0]}, {"a": [1]}]
    assert records[0].shared_keys is records[1].shared_keys


def test_missing_inside_a_pickle(ct: Any) -> None:
    assert pickle.loads(pickle.dumps([ct.MISSING]))[0] is ct.MISSING


DUMP = """
import pickle, sys
from concurrent_tables import *
shared = SharedKeys(["x", "y"])
tables = [ConcurrentDict(a=1), ShardedDict({1: 2}, shards=4), SplitDict(shared, x=1), FrozenDict(b=2),
          ConcurrentSet([1, 2]), FrozenSet([3]), shared.names, IMPLEMENTATION]
print(pickle.dumps(tables, %d).hex())
"""
LOAD = """
import pickle, sys
from concurrent_tables import *
tables = pickle.loads(bytes.fromhex(sys.argv[1]))
expected = [ConcurrentDict, ShardedDict, SplitDict, FrozenDict, ConcurrentSet, FrozenSet, tuple, str]
assert [type(table) for table in tables] == expected, tables
assert tables[:4] == [{"a": 1}, {1: 2}, {"x": 1}, {"b": 2}]
assert tables[4:7] == [{1, 2}, {3}, ("x", "y")]
assert tables[1].shards == 4
print(tables[-1], "->", IMPLEMENTATION)
"""


@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
def test_pickles_cross_implementations_and_processes(
    columns: dict[str, Any], protocol: int
) -> None:
    for source in columns.values():
        dumped = run_child(DUMP % protocol, **implementation_environment(source))
        assert dumped.returncode == 0, dumped.stderr
        for target in columns.values():
            loaded = run_child(
                ["-c", LOAD, dumped.stdout.strip()], **implementation_environment(target)
            )
            assert loaded.returncode == 0, loaded.stderr
            assert loaded.stdout.split() == [source.IMPLEMENTATION, "->", target.IMPLEMENTATION]


@pytest.mark.parametrize("name", [*MAPPINGS, *SETS])
def test_weak_references(ct: Any, name: str) -> None:
    table = new(ct, name)
    reference = weakref.ref(table)
    assert reference() is table
    fired: list[int] = []
    weakref.finalize(table, fired.append, 1)
    del table
    import gc

    gc.collect()
    assert reference() is None
    assert fired == [1]


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_values_die_with_their_table(ct: Any, name: str) -> None:
    value = Trackable()
    reference = weakref.ref(value)
    table = new(ct, name, a=value)
    del value
    assert reference() is not None
    del table
    import gc

    gc.collect()
    ct.reclaim.flush()
    assert reference() is None


@pytest.mark.parametrize("name", [*MAPPINGS, *SETS])
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_subclass_says_itself_what_its_copies_carry(ct: Any, name: str, duplicate: Any) -> None:
    if duplicate is copy.copy and name.startswith("Frozen"):
        pytest.skip("a copy of an immutable table is the table")

    class Own(getattr(ct, name)):  # type: ignore[misc]
        __slots__ = ("extra",)
        extra: list[Any]

        def __getstate__(self) -> Any:
            return "own", self.extra

        def __setstate__(self, state: Any) -> None:
            self.extra = [*state, "again"]

    contents = [1, 2] if name in SETS else {"a": 1, "b": 2}
    table = Own(ct.SharedKeys(), contents) if name == "SplitDict" else Own(contents)
    table.extra = [3]
    twin = duplicate(table)
    assert type(twin) is Own and twin == table and twin.extra == ["own", [3], "again"]


@pytest.mark.parametrize("name", ["ConcurrentDict", "SplitDict"])
def test_a_subclass_says_itself_how_it_is_made_again(ct: Any, name: str) -> None:
    class Named(getattr(ct, name)):  # type: ignore[misc]
        def __new__(cls, label: str, *args: Any) -> Any:
            self = super().__new__(cls, *args)
            self.label = label
            return self

        def __init__(self, label: str, *args: Any) -> None:
            super().__init__(*args)

        def __getnewargs__(self) -> tuple[Any, ...]:
            return (self.label, self.shared_keys) if name == "SplitDict" else (self.label,)

    table = Named("x", *([ct.SharedKeys()] if name == "SplitDict" else []), {"a": 1})
    twin = copy.copy(table)
    assert type(twin) is Named and twin.label == "x" and twin == {"a": 1}
    assert twin.__getstate__() == {"label": "x"}
