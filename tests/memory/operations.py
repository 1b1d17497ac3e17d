"""The operations of every type that the allocation sweep goes through, by name.

Each gets a table and the `World` that made it. `PARTIAL` are those whose contract handles one key
after the other, or that are several calls, so that a failure may leave some done.
"""

from __future__ import annotations

import copy
from typing import Any

PARTIAL = {"update", "update pairs", "update keywords", "|=", "|= pairs", "set many", "guard again"}
# When Py_ReprLeave cannot shrink its list, CPython keeps the object in it for ever, and shows what
# is made at the same address later as "(...)".
REPRS = {"repr", "view repr"}
# CPython 3.11 leaks what list(), a frame or a generator was about to take over.
LEAK_IN_3_11 = {"reduce", "watch keys", "inspect"}
# Much Python code: CPython 3.12 and 3.13 crash when they have no memory for a closure.
IN_PYTHON = {"watch", "watch keys", "subscribe", "inspect"}

READS: dict[str, Any] = {
    "[]": lambda t, w: t[w.old[2]],
    "get": lambda t, w: t.get(w.old[1]),
    "get absent": lambda t, w: t.get(w.fresh[1]),
    "in": lambda t, w: w.old[3] in t,
    "len": lambda t, w: len(t),
    "list": lambda t, w: list(t),
    "next": lambda t, w: next(iter(t)),
    "keys": lambda t, w: list(t.keys()),
    "values": lambda t, w: list(t.values()),
    "items": lambda t, w: list(t.items()),
    "view in": lambda t, w: (w.old[1] in t.keys(), (w.old[1], 1) in t.items(), 1 in t.values()),
    "keys &": lambda t, w: t.keys() & set(w.old),
    "keys |": lambda t, w: t.keys() | w.fresh,
    "keys -": lambda t, w: t.keys() - w.old[:2],
    "keys ^": lambda t, w: t.keys() ^ w.old[:2],
    "keys ==": lambda t, w: t.keys() == set(w.old),
    "items <=": lambda t, w: t.items() <= {(key, 1) for key in w.old},
    "keys isdisjoint": lambda t, w: t.keys().isdisjoint(w.fresh),
    "== dict": lambda t, w: t == dict.fromkeys(w.old),
    "== own": lambda t, w: t == t.copy(),
    "repr": lambda t, w: repr(t),
    "view repr": lambda t, w: repr(t.items()),
    "| dict": lambda t, w: t | w.mapping,
    "dict |": lambda t, w: w.mapping | t,
    "copy": lambda t, w: t.copy(),
    "copy.copy": lambda t, w: copy.copy(t),
    "fromkeys": lambda t, w: type(t).fromkeys(w.fresh) if hasattr(t, "fromkeys") else None,
    "reduce": lambda t, w: t.__reduce__(),
    "get_many": lambda t, w: t.get_many(w.some),
    "snapshot": lambda t, w: t.snapshot(),
    "sizeof": lambda t, w: t.__sizeof__(),
}
WRITES: dict[str, Any] = {
    "overwrite": lambda t, w: t.__setitem__(w.old[1], w.values[9]),
    "insert": lambda t, w: t.__setitem__(w.fresh[0], w.values[9]),
    "insert str": lambda t, w: t.__setitem__("one more", w.values[9]),
    "del": lambda t, w: t.__delitem__(w.old[2]),
    "pop": lambda t, w: t.pop(w.old[1]),
    "pop default": lambda t, w: t.pop(w.fresh[1], None),
    "popitem": lambda t, w: t.popitem(),
    "setdefault": lambda t, w: t.setdefault(w.fresh[1], w.values[8]),
    "setdefault present": lambda t, w: t.setdefault(w.old[1], w.values[8]),
    "clear": lambda t, w: t.clear(),
    "update": lambda t, w: t.update(w.mapping),
    "update pairs": lambda t, w: t.update(w.pairs),
    "update keywords": lambda t, w: t.update(q=w.values[9], r=2),
    "|=": lambda t, w: t.__ior__(w.mapping),
    "|= pairs": lambda t, w: t.__ior__(w.pairs),
    "update_many": lambda t, w: t.update_many(w.mapping),
    "update_many large": lambda t, w: t.update_many(w.many),
    "update_many pairs": lambda t, w: t.update_many(w.pairs),
    "pop_many": lambda t, w: t.pop_many(w.some),
    "swap": lambda t, w: t.swap(w.old[1], w.values[9]),
    "swap absent": lambda t, w: t.swap(w.fresh[1], w.values[9]),
    "compare_and_set": lambda t, w: t.compare_and_set(w.old[1], w.values[1], w.values[9]),
    "compare_and_set absent": lambda t, w: t.compare_and_set(w.fresh[1], w.ct.MISSING, w.values[9]),
    "compare_and_delete": lambda t, w: t.compare_and_delete(w.old[1], w.values[1]),
    "compute": lambda t, w: t.compute(w.old[1], w.to_value),
    "compute absent": lambda t, w: t.compute(w.fresh[1], w.to_value),
    "compute delete": lambda t, w: t.compute(w.old[1], w.to_missing),
    "compute_if_absent": lambda t, w: t.compute_if_absent(w.fresh[1], w.to_value),
    "increment": lambda t, w: t.increment(w.fresh[1]),
    "exclusive": lambda t, w: _held(t, w),
    "guard": lambda t, w: t.guard(w.old[0], w.fresh[0])(),
    "guard again": lambda t, w: _guarded_twice(t, w),
    "watch": lambda t, w: t.watch(print).cancel(),
    "watch keys": lambda t, w: t.watch(print, keys=w.old[:2]).cancel(),
    "subscribe": lambda t, w: t.subscribe(4).close(),
}
SET_READS: dict[str, Any] = {
    "in": lambda t, w: w.old[1] in t,
    "in set": lambda t, w: {1} in t,
    "list": lambda t, w: list(t),
    "repr": lambda t, w: repr(t),
    "copy": lambda t, w: t.copy(),
    "copy.copy": lambda t, w: copy.copy(t),
    "==": lambda t, w: t == set(w.old),
    "<=": lambda t, w: t <= {*w.old, *w.fresh},
    "< own": lambda t, w: t < t.copy(),
    ">= list": lambda t, w: t.issuperset(w.old),
    "issubset": lambda t, w: t.issubset(w.old),
    "isdisjoint": lambda t, w: t.isdisjoint(w.fresh),
    "&": lambda t, w: t & set(w.old[:3]),
    "|": lambda t, w: t | set(w.fresh),
    "-": lambda t, w: t - set(w.old[:3]),
    "^": lambda t, w: t ^ {*w.old[:3], *w.fresh},
    "set &": lambda t, w: set(w.old[:3]) & t,
    "set |": lambda t, w: set(w.old[:3]) | t,
    "set -": lambda t, w: set(w.old[:3]) - t,
    "set ^": lambda t, w: set(w.old[:3]) ^ t,
    "union": lambda t, w: t.union(w.old, w.fresh),
    "intersection": lambda t, w: t.intersection(w.old, w.old[:2]),
    "difference": lambda t, w: t.difference(w.old[:2], w.fresh),
    "symmetric_difference": lambda t, w: t.symmetric_difference(w.fresh),
    "reduce": lambda t, w: t.__reduce__(),
    "sizeof": lambda t, w: t.__sizeof__(),
}
SET_WRITES: dict[str, Any] = {
    "add": lambda t, w: t.add(w.fresh[1]),
    "add present": lambda t, w: t.add(w.old[1]),
    "discard": lambda t, w: t.discard(w.old[1]),
    "discard set": lambda t, w: t.discard({1}),
    "remove": lambda t, w: t.remove(w.old[2]),
    "pop": lambda t, w: t.pop(),
    "clear": lambda t, w: t.clear(),
    "update": lambda t, w: t.update(w.old, w.fresh),
    "difference_update": lambda t, w: t.difference_update(w.old[:2], w.fresh),
    "intersection_update": lambda t, w: t.intersection_update(w.old[:2]),
    "symmetric_difference_update": lambda t, w: t.symmetric_difference_update(w.many),
    "|=": lambda t, w: t.__ior__(set(w.fresh)),
    "&=": lambda t, w: t.__iand__(set(w.old[:2])),
    "-=": lambda t, w: t.__isub__(set(w.old[:2])),
    "^=": lambda t, w: t.__ixor__({*w.old[:2], *w.fresh}),
    "freeze": lambda t, w: t.freeze(),
    "snapshot": lambda t, w: t.snapshot(),
    "exclusive": lambda t, w: _added_held(t, w),
    "watch": lambda t, w: t.watch(print).cancel(),
    "subscribe": lambda t, w: t.subscribe(4).close(),
}
HASH_TABLE: dict[str, Any] = {
    "set": lambda t, w: t.set(w.fresh[0], w.values[9]),
    "set many": lambda t, w: _set_many(t, w),
    "replace": lambda t, w: t.set(w.old[1], w.values[9]),
    "get": lambda t, w: t.get(w.old[1]),
    "get absent": lambda t, w: t.get(w.fresh[1]),
    "in": lambda t, w: w.old[1] in t,
    "steal": lambda t, w: t.steal(w.old[1]),
    "foreach": lambda t, w: t.foreach(w.to_none),
    "clear": lambda t, w: t.clear(),
    "stats": lambda t, w: t.stats(),
    "size": lambda t, w: t.size(),
    "repr": lambda t, w: repr(t),
}
LAYOUT = {
    "layout": lambda t, w: t._layout(),
    "inspect": lambda t, w: w.ct.inspect_table(t).check(),
}
FROZEN = {"hash": lambda t, w: hash(t.copy())}


def _held(table: Any, world: Any) -> None:
    with world.held:
        table[world.fresh[0]] = 1


def _added_held(table: Any, world: Any) -> None:
    with world.held:
        table.add(world.fresh[0])


def _set_many(table: Any, world: Any) -> None:
    for key in world.fresh:
        table.set(key, 1)


def _guarded_twice(table: Any, world: Any) -> None:
    guard = table.guard(world.old[0])
    guard()
    table[world.fresh[0]] = 1
    guard()


def operations_of(name: str) -> dict[str, Any]:
    """The operations of the named type."""
    if name == "HashTable":
        return HASH_TABLE | LAYOUT
    if name == "FrozenSet":
        return SET_READS | FROZEN | LAYOUT
    if name == "FrozenDict":
        return READS | FROZEN | LAYOUT
    return (SET_READS | SET_WRITES if name == "ConcurrentSet" else READS | WRITES) | LAYOUT
