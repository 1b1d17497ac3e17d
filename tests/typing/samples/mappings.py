"""What a strict type checker says about the mappings; every `type: ignore` is an error it must see."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import assert_type

from concurrent_tables import (
    MISSING,
    ConcurrentDict,
    FrozenDict,
    Guard,
    MissingType,
    ShardedDict,
    SharedKeys,
    SplitDict,
)

by_keyword = ConcurrentDict(a=1, b=2)
assert_type(by_keyword, ConcurrentDict[str, int])
assert_type(ConcurrentDict([(1, "a")]), ConcurrentDict[int, str])
assert_type(ConcurrentDict({1: "a"}), ConcurrentDict[int, str])
assert_type(ConcurrentDict.fromkeys([1, 2], "x"), ConcurrentDict[int, str])

table: ConcurrentDict[str, int] = ConcurrentDict()
table["a"] = 1
table["a"] = "one"  # type: ignore[assignment]
table[1] = 1  # type: ignore[index]
assert_type(table["a"], int)
assert_type(table.get("a"), int | None)
assert_type(table.get("a", 0), int)
assert_type(table.get("a", "none"), int | str)
assert_type(table.pop("a", None), int | None)
assert_type(table.popitem(), tuple[str, int])
assert_type(table.setdefault("a", 1), int)
assert_type(list(table), list[str])
assert_type(list(table.items()), list[tuple[str, int]])
assert_type(table | {"b": 2}, ConcurrentDict[str, int])
assert_type(table.copy(), ConcurrentDict[str, int])

assert_type(table.compare_and_set("a", MISSING, 1), bool)
assert_type(table.compare_and_delete("a", 1), bool)
assert_type(table.swap("a", 2), int | MissingType)
assert_type(table.increment("a"), int)
assert_type(
    table.compute("a", lambda old: 0 if isinstance(old, MissingType) else old + 1),
    int | MissingType,
)
assert_type(table.compute_if_absent("a", lambda: 1), int | MissingType)
assert_type(table.get_many(["a"]), dict[str, int])
assert_type(table.pop_many(["a"]), dict[str, int])
assert_type(table.snapshot(), FrozenDict[str, int])
assert_type(table.guard("a"), Guard[str, int])
assert_type(table.version, int)
table.swap("a", "two")  # type: ignore[arg-type]
table.compute_if_absent("a", lambda: "one")  # type: ignore[arg-type,return-value]
table.update_many({"a": 1})
table.update([("a", 1)])
table.update(a=1)

sharded: ShardedDict[str, int] = ShardedDict(shards=4)
assert_type(sharded.shards, int)
reversed(sharded)  # type: ignore[arg-type]

shape = SharedKeys(["a", "b"])
assert_type(shape.names, tuple[str, ...])
record: SplitDict[str, int] = SplitDict(shape, a=1)
assert_type(record.shared_keys, SharedKeys)

frozen: FrozenDict[str, int] = FrozenDict(a=1)
frozen["a"] = 2  # type: ignore[index]
assert_type(hash(frozen), int)


def reads(mapping: Mapping[str, int]) -> int:
    return mapping["a"]


def writes(mapping: MutableMapping[str, int]) -> None:
    mapping["a"] = 1


for readable in (table, sharded, record, frozen):
    reads(readable)
for writable in (table, sharded, record):
    writes(writable)
writes(frozen)  # type: ignore[arg-type]

match table:
    case {"a": found}:
        assert_type(found, int)
