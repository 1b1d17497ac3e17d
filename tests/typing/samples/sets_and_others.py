"""The same for sets, the generic table, watching, and what has no type parameter."""

from __future__ import annotations

from collections.abc import MutableSet, Set
from typing import Literal, assert_type

from concurrent_tables import (
    IMPLEMENTATION,
    ConcurrentDict,
    ConcurrentSet,
    Event,
    EventKind,
    FrozenSet,
    HashTable,
    Subscription,
    Watch,
    compare_str,
    exclusive,
    hash_str,
    inspect_table,
    watch,
)

names = ConcurrentSet("ab")
assert_type(names, ConcurrentSet[str])
names.add("c")
names.add(1)  # type: ignore[arg-type]
names |= {"d"}
assert_type(names & {"a"}, ConcurrentSet[str])
assert_type(names | {1}, ConcurrentSet[str | int])
assert_type(names.pop(), str)
assert_type(names.freeze(), FrozenSet[str])
assert_type(names.snapshot(), FrozenSet[str])
assert_type(hash(names.freeze()), int)
names.freeze().add("e")  # type: ignore[attr-defined]


def reads(items: Set[str]) -> bool:
    return "a" in items


def writes(items: MutableSet[str]) -> None:
    items.discard("a")


reads(names), reads(names.freeze())
writes(names)
writes(names.freeze())  # type: ignore[arg-type]

chained: HashTable[str, int] = HashTable(hash_str, compare_str)
chained.set("a", 1)
chained.set("a", "one")  # type: ignore[arg-type]
assert_type(chained.get("a"), int | None)
assert_type(chained.steal("a", 0), int)
assert_type(chained.size(), int)

table: ConcurrentDict[str, int] = ConcurrentDict()


def changed(event: Event) -> None:
    assert_type(event.kind, EventKind)
    assert_type(event.version, int)
    assert_type(event.lost, range)


with table.watch(changed, kinds=EventKind.ADDED | EventKind.DELETED) as one:
    assert_type(one, Watch)
with watch(table, changed, keys=["a"]) as other:
    assert_type(other, Watch)
table.watch(lambda: None)  # type: ignore[arg-type,misc]

with table.subscribe(maxlen=10) as changes:
    assert_type(changes, Subscription)
    for event in changes:
        assert_type(event, Event)


async def consume() -> None:
    async for event in table.subscribe():
        assert_type(event, Event)


with exclusive(table, names):
    pass

assert_type(inspect_table(table).kind, str)
assert_type(IMPLEMENTATION, Literal["c", "python"])
