"""Versions rise with changes and with nothing else; guards notice exactly the changes of keys."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import MUTABLE_MAPPINGS, new


@pytest.fixture(params=MUTABLE_MAPPINGS)
def table(request: pytest.FixtureRequest, ct: Any) -> Any:
    return new(ct, request.param, a=1, b=2)


CHANGES_OF_KEYS = {
    "insert": lambda t: t.__setitem__("new", 1),
    "delete": lambda t: t.__delitem__("a"),
    "pop": lambda t: t.pop("a"),
    "popitem": lambda t: t.popitem(),
    "setdefault": lambda t: t.setdefault("new", 1),
    "update": lambda t: t.update(new=1),
    "ior": lambda t: t.__ior__({"new": 1}),
    "clear": lambda t: t.clear(),
    "swap": lambda t: t.swap("new", 1),
    "compute": lambda t: t.compute("new", lambda old: 1),
    "compute_if_absent": lambda t: t.compute_if_absent("new", lambda: 1),
    "increment": lambda t: t.increment("new"),
    "update_many": lambda t: t.update_many({"new": 1}),
    "pop_many": lambda t: t.pop_many(["a"]),
    "compare_and_delete": lambda t: t.compare_and_delete("a", 1),
    "delete and insert again": lambda t: (t.__delitem__("a"), t.__setitem__("a", 1)),
}
CHANGES_OF_VALUES = {
    "overwrite": lambda t: t.__setitem__("a", 5),
    "overwrite with the same": lambda t: t.__setitem__("a", t["a"]),
    "update": lambda t: t.update(a=5),
    "swap": lambda t: t.swap("a", 5),
    "compute": lambda t: t.compute("a", lambda old: 5),
    "compare_and_set": lambda t: t.compare_and_set("a", 1, 5),
    "increment": lambda t: t.increment("a"),
    "update_many": lambda t: t.update_many({"a": 5}),
}
NO_CHANGES = {
    "reads": lambda t: (t["a"], t.get("zz"), "a" in t, len(t), list(t), repr(t), t == {}, t.copy()),
    "pop with default": lambda t: t.pop("zz", None),
    "setdefault of a present key": lambda t: t.setdefault("a", 9),
    "empty update": lambda t: (t.update(), t.update({}), t.update([]), t.update_many({})),
    "failed compare": lambda t: (t.compare_and_set("a", 9, 9), t.compare_and_delete("a", 9)),
    "compute_if_absent of a present key": lambda t: t.compute_if_absent("a", lambda: 9),
    "pop_many of absent keys": lambda t: t.pop_many(["zz"]),
    "snapshot": lambda t: t.snapshot(),
    "guard": lambda t: t.guard("a")(),
    "views": lambda t: (t.keys() & {"a"}, t.items(), list(t.values())),
}


@pytest.mark.parametrize("change", CHANGES_OF_KEYS)
def test_changes_of_keys_raise_both(table: Any, change: str) -> None:
    version, keys_version = table.version, table.keys_version
    CHANGES_OF_KEYS[change](table)
    assert table.version > version
    assert table.keys_version > keys_version


@pytest.mark.parametrize("change", CHANGES_OF_VALUES)
def test_changes_of_values_raise_only_version(table: Any, change: str) -> None:
    version, keys_version = table.version, table.keys_version
    CHANGES_OF_VALUES[change](table)
    assert table.version > version
    assert table.keys_version == keys_version


@pytest.mark.parametrize("reads", NO_CHANGES)
def test_what_changes_nothing_raises_nothing(table: Any, reads: str) -> None:
    version, keys_version = table.version, table.keys_version
    NO_CHANGES[reads](table)
    assert (table.version, table.keys_version) == (version, keys_version)


def test_clearing_an_empty_table_is_no_change(ct: Any) -> None:
    for name in (*MUTABLE_MAPPINGS, "ConcurrentSet"):
        table = new(ct, name)
        version = table.version
        table.clear()
        assert table.version == version


def test_versions_are_read_only_ints(table: Any) -> None:
    assert type(table.version) is int
    assert type(table.keys_version) is int
    for name in ("version", "keys_version"):
        with pytest.raises(AttributeError):
            setattr(table, name, 5)


def test_versions_survive_resizes(table: Any) -> None:
    last = (table.version, table.keys_version)
    for number in range(500):
        table[str(number)] = number
        now = (table.version, table.keys_version)
        assert now[0] > last[0]
        assert now[1] > last[1]
        last = now


def test_guard_gives_the_current_value(table: Any) -> None:
    guard = table.guard("a")
    assert guard() == 1
    table["a"] = 5
    assert guard() == 5
    assert guard.keys == ("a",)


def test_guard_of_several_keys(ct: Any, table: Any) -> None:
    guard = table.guard("a", "zz", "b")
    assert guard() == (1, ct.MISSING, 2)
    table["zz"] = 3
    assert guard() == (1, 3, 2)
    assert guard.keys == ("a", "zz", "b")


def test_guard_of_an_absent_key(ct: Any, table: Any) -> None:
    guard = table.guard("zz")
    assert guard() is ct.MISSING
    table["zz"] = 1
    assert guard() == 1
    del table["zz"]
    assert guard() is ct.MISSING


def test_overwrites_keep_a_guard_valid(table: Any) -> None:
    guard = table.guard("a", "b")
    guard()
    refreshes = guard.refreshes
    for number in range(20):
        table["a"] = number
        table["b"] = -number
        assert guard.valid
        assert guard() == (number, -number)
    assert guard.refreshes == refreshes


@pytest.mark.parametrize("change", CHANGES_OF_KEYS)
def test_changes_of_keys_invalidate_a_guard(table: Any, change: str) -> None:
    guard = table.guard("b")
    guard()
    assert guard.valid
    refreshes = guard.refreshes
    CHANGES_OF_KEYS[change](table)
    expected = table.get("b", table.guard("absent")())
    if type(table).__name__ != "ShardedDict":
        assert not guard.valid
    assert guard() == expected
    if type(table).__name__ != "ShardedDict":
        assert guard.refreshes > refreshes
    assert guard.valid


def test_guard_survives_resize_and_clear(ct: Any, table: Any) -> None:
    guard = table.guard("a")
    guard()
    for number in range(3000):
        table[str(number)] = number
    assert guard() == 1
    table.clear()
    assert guard() is ct.MISSING
    table["a"] = "back"
    assert guard() == "back"


def test_guard_needs_hashable_keys(table: Any) -> None:
    with pytest.raises(TypeError):
        table.guard([])()
    with pytest.raises(TypeError):
        table.guard()


def test_guard_keeps_its_table(ct: Any) -> None:
    guard = ct.ConcurrentDict(a=1).guard("a")
    assert guard() == 1
