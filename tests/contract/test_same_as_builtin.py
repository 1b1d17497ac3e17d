"""Every expression and statement of `cases` behaves as on the builtin of the running Python."""

from __future__ import annotations

from collections.abc import KeysView, Mapping, Set, ValuesView
from typing import Any

import pytest

from tests.contract import cases
from tests.support import Named

START: dict[Any, Any] = {
    "a": 1, "b": 2, 1: "one", 2.5: None, None: 0, (1, 2): "pair", b"x": [], Named("x"): 3, "c": "last",
}  # fmt: skip
SET_START = ["a", 1, 2.5, None, (1, 2), b"x", Named("x"), "c"]


class PartMapping:
    """What `update` takes as a mapping: `keys` and `__getitem__`, nothing else."""

    def keys(self) -> list[str]:
        return ["a", "m"]

    def __getitem__(self, key: str) -> str:
        return key * 2


def normal(value: Any, builtin: type, table: type, *, ordered: bool) -> Any:
    """A form in which results of the two kinds compare equal when they are the same."""
    if value is NotImplemented or isinstance(value, bool | int | float | str | bytes | None):
        return type(value), value
    if isinstance(value, tuple):
        return tuple, tuple(normal(part, builtin, table, ordered=ordered) for part in value)
    if isinstance(value, list):
        parts = [normal(part, builtin, table, ordered=ordered) for part in value]
        return list, parts if ordered else sorted(parts, key=repr)
    if isinstance(value, Mapping):
        kind = dict if isinstance(value, dict) else table
        pairs = [(type(key), repr(key), repr(item)) for key, item in value.items()]
        same = builtin if kind is table or kind is builtin else kind
        return same, pairs if ordered else sorted(pairs, key=repr)
    if isinstance(value, KeysView | ValuesView):
        return "view", len(value)
    if isinstance(value, Set):
        own = type(value) in (table, builtin)
        return builtin if own else type(value), sorted(map(repr, value))
    return type(value).__name__, repr(value) if isinstance(value, Named) else None


def run(source: str, variable: str, table: Any, builtin: type, *, ordered: bool) -> Any:
    """("value" or "error", what, state after) of one line of `cases`, in comparable form."""
    cls = type(table)
    names: dict[str, Any] = {variable: table, "T": cls, "N": Named, "X": PartMapping, "r": None}
    if variable == "d":
        hashable = {key: value for key, value in START.items() if value != []}
        names["H"] = hashable if cls is dict else table.__class__(*_keys(table), hashable)
    source = source.replace("\\n", "\n")
    try:
        if _is_expression(source):
            names["r"] = eval(source, names)
        else:
            exec(source, names)
        result: Any = ("value", normal(names["r"], builtin, cls, ordered=ordered))
    except Exception as error:  # the comparison is about which error
        result = ("error", error)
    return (*result, normal(names[variable], builtin, cls, ordered=ordered))


def _keys(table: Any) -> tuple[Any, ...]:
    return (type(table.shared_keys)(),) if type(table).__name__ == "SplitDict" else ()


def _is_expression(source: str) -> bool:
    try:
        compile(source, "case", "eval")
    except SyntaxError:
        return False
    return True


def assert_same(
    source: str, variable: str, table: Any, model: Any, *, ordered: bool = True
) -> None:
    builtin = type(model)
    ours = run(source, variable, table, builtin, ordered=ordered)
    theirs = run(source, variable, model, builtin, ordered=ordered)
    assert ours[0] == theirs[0], f"{source}: {ours[1]!r} instead of {theirs[1]!r}"
    if ours[0] == "error":
        assert isinstance(ours[1], type(theirs[1])), f"{source}: {ours[1]!r}, not {theirs[1]!r}"
    else:
        assert ours[1] == theirs[1]
    assert ours[2] == theirs[2]


ALL_DICT = cases.lines(cases.DICT_READS + cases.DICT_WRITES)
ORDERED_DICT = cases.lines(cases.DICT_ORDERED_READS + cases.DICT_POPITEM)
READS = cases.lines(cases.DICT_READS)
NEEDS_PLAIN_CONSTRUCTOR = "T.fromkeys"


@pytest.mark.parametrize("source", ALL_DICT + ORDERED_DICT)
def test_concurrent_dict(ct: Any, source: str) -> None:
    assert_same(source, "d", ct.ConcurrentDict(START), dict(START))


@pytest.mark.parametrize("source", ALL_DICT + ORDERED_DICT)
def test_concurrent_dict_of_str_keys(ct: Any, source: str) -> None:
    start = {f"key{number}": number for number in range(4)} | {"a": 1, "b": 2, "c": 3}
    assert_same(source, "d", ct.ConcurrentDict(start), dict(start))


@pytest.mark.parametrize("source", ALL_DICT)
def test_sharded_dict(ct: Any, source: str) -> None:
    assert_same(source, "d", ct.ShardedDict(START), dict(START), ordered=False)


@pytest.mark.parametrize("source", [s for s in ALL_DICT + ORDERED_DICT if "__init__" not in s])
@pytest.mark.parametrize("names", [(), ("c", "b", "a"), ("a", "b", "c", "new")])
def test_split_dict(ct: Any, names: tuple[str, ...], source: str) -> None:
    if source.startswith(NEEDS_PLAIN_CONSTRUCTOR) and names:
        pytest.skip("fromkeys does not depend on the record; run once")
    start = {"a": 1, "b": 2, "c": 3}
    assert_same(source, "d", ct.SplitDict(ct.SharedKeys(names), start), dict(start))


@pytest.mark.parametrize("source", [s for s in ALL_DICT + ORDERED_DICT if "__init__" not in s])
def test_split_dict_that_became_combined(ct: Any, source: str) -> None:
    assert_same(source, "d", ct.SplitDict(ct.SharedKeys("ab"), START), dict(START))


@pytest.mark.parametrize("source", READS + cases.lines(cases.DICT_ORDERED_READS))
def test_frozen_dict(ct: Any, source: str) -> None:
    if source == "d.copy() is d":
        pytest.skip("a copy of an immutable table may be the table")
    assert_same(source, "d", ct.FrozenDict(START), dict(START))


SET_LINES = cases.lines(cases.SET_READS)


@pytest.mark.parametrize("source", SET_LINES + cases.lines(cases.SET_WRITES))
@pytest.mark.parametrize("start", [SET_START, [], [1, 2, 3]])
def test_concurrent_set(ct: Any, source: str, start: list[Any]) -> None:
    assert_same(source, "s", ct.ConcurrentSet(start), set(start))


@pytest.mark.parametrize("source", SET_LINES)
@pytest.mark.parametrize("start", [SET_START, [], [1, 2, 3]])
def test_frozen_set(ct: Any, source: str, start: list[Any]) -> None:
    assert_same(source, "s", ct.FrozenSet(start), frozenset(start))
