"""Subclasses: attributes, `__missing__`, overridden methods, `super()`, slots."""

from __future__ import annotations

import collections
from typing import Any

import pytest

from tests.support import MAPPINGS, MUTABLE_MAPPINGS, SETS


def subclass(ct: Any, name: str, **namespace: Any) -> Any:
    """A subclass of the named type and a way to make an instance from contents."""
    base = getattr(ct, name)
    cls = type("Sub", (base,), {"__module__": __name__, **namespace})

    def make(*args: Any, **kwargs: Any) -> Any:
        return (
            cls(ct.SharedKeys(), *args, **kwargs) if name == "SplitDict" else cls(*args, **kwargs)
        )

    return make


@pytest.mark.parametrize("name", MAPPINGS)
def test_missing_hook(ct: Any, name: str) -> None:
    asked = []

    def missing(self: Any, key: Any) -> Any:
        asked.append(key)
        return f"made {key}"

    table = subclass(ct, name, __missing__=missing)({"a": 1})
    assert table["a"] == 1
    assert table["zz"] == "made zz"
    assert asked == ["zz"]
    assert table.get("zz") is None
    assert "zz" not in table
    assert table.get_many(["zz"]) == {}
    assert len(table) == 1


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_missing_hook_that_stores(ct: Any, name: str) -> None:
    def missing(self: Any, key: Any) -> Any:
        return self.setdefault(key, [])

    table = subclass(ct, name, __missing__=missing)()
    table["a"].append(1)
    table["a"].append(2)
    assert table == {"a": [1, 2]}
    with pytest.raises(KeyError):
        table.pop("zz")
    with pytest.raises(TypeError):
        table[[]]


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_missing_hook_that_raises(ct: Any, name: str) -> None:
    def missing(self: Any, key: Any) -> Any:
        raise LookupError(key)

    with pytest.raises(LookupError):
        subclass(ct, name, __missing__=missing)()["a"]


@pytest.mark.parametrize("name", MAPPINGS)
def test_subclass_has_attributes_and_name(ct: Any, name: str) -> None:
    table = subclass(ct, name)({"a": 1})
    table.label = "x"
    assert table.label == "x"
    assert repr(table) == "Sub({'a': 1})"
    assert table == {"a": 1}
    assert isinstance(table, getattr(ct, name))


@pytest.mark.parametrize("name", SETS)
def test_subclass_of_sets(ct: Any, name: str) -> None:
    table = subclass(ct, name)([1])
    table.label = "x"
    assert repr(table) == "Sub({1})"
    assert table == {1}
    assert table | {2} == {1, 2}


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_overridden_setitem_is_not_used_by_update(ct: Any, name: str) -> None:
    calls = []

    def set_item(self: Any, key: Any, value: Any) -> None:
        calls.append(key)
        getattr(ct, name).__setitem__(self, key, value)

    table = subclass(ct, name, __setitem__=set_item)(a=1)
    table.update(b=2)
    table["c"] = 3
    assert calls == ["c"]  # as with dict
    assert table == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_overridden_getitem_is_used_by_subscription_only(ct: Any, name: str) -> None:
    table = subclass(ct, name, __getitem__=lambda self, key: "always")({"a": 1})
    assert table["zz"] == "always"
    assert table.get("a") == 1
    assert list(table.values()) == [1]


def test_cooperative_init(ct: Any) -> None:
    class Base(ct.ConcurrentDict):  # type: ignore[misc,name-defined]
        def __init__(self, label: str, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.label = label

    table = Base("name", {"a": 1}, b=2)
    assert table == {"a": 1, "b": 2}
    assert table.label == "name"


def test_missing_init_call_leaves_an_empty_table(ct: Any) -> None:
    class Lazy(ct.ConcurrentDict):  # type: ignore[misc,name-defined]
        def __init__(self, *args: Any) -> None:
            pass

    table = Lazy({"a": 1})
    assert table == {}
    table["b"] = 2
    assert table == {"b": 2}


def test_slots(ct: Any) -> None:
    class Slotted(ct.ConcurrentDict):  # type: ignore[misc,name-defined]
        __slots__ = ("label",)

    table = Slotted(a=1)
    table.label = "x"
    with pytest.raises(AttributeError):
        table.other = 1
    assert table == {"a": 1}


@pytest.mark.parametrize("name", ["ConcurrentDict", "ShardedDict", "FrozenDict"])
def test_fromkeys_of_a_subclass(ct: Any, name: str) -> None:
    make = subclass(ct, name)
    cls = type(make())
    table = cls.fromkeys("ab", 1)
    assert type(table) is cls
    assert table == {"a": 1, "b": 1}


def test_defaultdict_counter_and_chainmap_read_ours(ct: Any) -> None:
    table = ct.ConcurrentDict(a=2, b=1)
    assert collections.Counter(table) == {"a": 2, "b": 1}
    assert collections.ChainMap({}, table)["a"] == 2
    assert collections.OrderedDict(table) == {"a": 2, "b": 1}
    assert collections.defaultdict(int, table)["b"] == 1


@pytest.mark.parametrize("name", ["SharedKeys", "Guard", "exclusive"])
def test_final_types_refuse_subclasses(ct: Any, name: str) -> None:
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Sub", (getattr(ct, name),), {})


@pytest.mark.parametrize("name", [*MAPPINGS, *SETS])
def test_plain_instances_have_no_dict(ct: Any, name: str) -> None:
    table = getattr(ct, name)(ct.SharedKeys()) if name == "SplitDict" else getattr(ct, name)()
    with pytest.raises(AttributeError):
        table.arbitrary = 1


def test_multiple_inheritance_with_a_plain_class(ct: Any) -> None:
    class Mixin:
        def doubled(self: Any) -> dict[Any, Any]:
            return {key: value * 2 for key, value in self.items()}

    cls = type("Both", (Mixin, ct.ConcurrentDict), {})
    assert cls(a=1).doubled() == {"a": 2}


def test_format_str_and_bool(ct: Any) -> None:
    assert str(ct.ConcurrentDict(a=1)) == "ConcurrentDict({'a': 1})"
    assert f"{ct.FrozenSet([1])}" == "FrozenSet({1})"
    assert "%(a)s" % ct.ConcurrentDict(a=1) == "1"  # noqa: UP031 - the operator is meant
    assert "{a}".format_map(ct.FrozenDict(a=1)) == "1"
    assert "{a}".format(**ct.ConcurrentDict(a=1)) == "1"
