"""What operations alone do not show: errors, abandoned iterators, watchers, cycles, threads."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import concurrent_tables as ct
from tests.memory.leaks.measure import finish, steady
from tests.support import MUTABLE_MAPPINGS, Boom, EqRaises, HashRaises, Trackable, new

Body = Callable[[], Any]


def _filled(name: str) -> Any:
    if name == "ConcurrentSet":
        return ct.ConcurrentSet(["a", "b", 3, (4,)])
    return new(ct, name, {"a": Trackable(1), "b": [2], "c": "3"})


def errors(name: str) -> Body:
    """Each way to be refused: unhashable, raising, absent, malformed."""

    def body() -> None:
        table = _filled(name)
        table[EqRaises()] = 1
        calls: list[Body] = [
            lambda: table[[]],
            lambda: table.__setitem__([], 1),
            lambda: table.__setitem__("x", ct.MISSING),
            lambda: table.pop({}),
            lambda: table[EqRaises()],
            lambda: table.__setitem__(EqRaises(), 2),
            lambda: table.pop(EqRaises()),
            lambda: table.setdefault(EqRaises(), 2),
            lambda: table.update({"y": 1, EqRaises(): 2}),
            lambda: table.update([("z", 1), 5]),
            lambda: table.update([("z", 1), (1, 2, 3)]),
            lambda: table.update_many([("z", 1), (HashRaises(), 3)]),
            lambda: table.update_many({"k": 1, EqRaises(): 2}),
            lambda: table.pop_many(["a", HashRaises()]),
            lambda: table.get_many(["a", EqRaises()]),
            lambda: table.pop("absent"),
            lambda: table["absent"],
            lambda: table.increment("b"),
            lambda: table.compute("a", lambda old: 1 / 0),
            lambda: table.compute_if_absent("new", lambda: 1 / 0),
            lambda: table.compare_and_set("a", EqRaises(), 1) and 1 / 0,
            lambda: table.guard([]),
            lambda: table.watch(None),
            lambda: table.watch(print, keys=[[]]),
            lambda: table.watch(print, other=1),
            lambda: table.subscribe("many"),
            lambda: table | 5,
            lambda: table.get(),
            lambda: type(table)(1, 2, 3),
            lambda: table.keys() & [[]],
            lambda: ct.exclusive(5),
        ]
        for call in calls:
            with suppress(TypeError, ValueError, KeyError, Boom, ZeroDivisionError):
                call()

    return body


def iterators(name: str) -> Body:
    """Iterators and views left half way, and ones that a change overtakes."""

    def body() -> None:
        table = _filled(name)
        left = [iter(table), iter(copy.copy(table))]
        if name != "ConcurrentSet":
            left += [iter(table.items()), iter(table.values()), iter(table.keys())]
            left += [iter(table.snapshot()), iter(table.snapshot().items())]
        for iterator in left:
            next(iterator)
        pickle.dumps(list(table.keys()) if name != "ConcurrentSet" else list(left[0]))
        table.clear()
        for iterator in left[:1]:
            list(iterator)

    return body


def watching(name: str) -> Body:
    """Watchers, subscriptions with overflow, low-level ids, callbacks that raise."""

    def body() -> None:
        table = _filled(name)
        seen: list[Any] = []
        write = table.add if name == "ConcurrentSet" else lambda key: table.__setitem__(key, [key])
        with table.watch(seen.append), table.watch(lambda event: 1 / 0, keys=["a"]):
            subscription = table.subscribe(2)
            abandoned = table.subscribe(8, kinds=ct.EventKind.ADDED)
            for key in ("a", "n1", "n2", "n3"):
                write(key)
            while len(subscription):
                subscription.get(timeout=0)
            subscription.close()
        number = ct.watchers.add_watcher(seen.append)
        ct.watchers.watch(number, table)
        write("n4")
        ct.watchers.clear_watcher(number)
        table.clear()
        del abandoned

    return body


def holding(name: str) -> Body:
    """`exclusive`, guards and snapshots, left normally and by an error."""

    def body() -> None:
        table, other = _filled(name), ct.ConcurrentDict(a=1)
        with suppress(Boom), ct.exclusive(table, other), ct.exclusive(table):
            other["x"] = 1
            raise Boom
        if name != "ConcurrentSet":
            guards = [table.guard("a"), table.guard("a", "b", "absent")]
            table["c"] = table.snapshot()
            for guard in guards:
                guard()
        table.snapshot()
        table.clear()

    return body


def cycles(name: str) -> Body:
    """Cycles through tables, their iterators, snapshots, guards and watchers."""

    def body() -> None:
        table = _filled(name)
        holder = Trackable()
        if name == "ConcurrentSet":
            table.add(holder)
        else:
            table["self"], table["holder"] = table, holder
            table["views"] = [table.items(), iter(table), table.guard("a")]
            table["snapshot"] = table.snapshot()
        holder.name = [table, iter(table), table.watch(lambda event: table), table.subscribe()]
        frozen = ct.FrozenDict(a=holder)
        holder.name.append(frozen)  # type: ignore[attr-defined]
        generic: Any = ct.HashTable(destroy_value=lambda value: table)
        generic.set(1, generic)

    return body


def threads() -> None:
    """Threads that come and go, share tables, and leave a limbo behind."""
    tables = [_filled(name) for name in MUTABLE_MAPPINGS]

    def work() -> None:
        for table in tables:
            for step in range(20):
                table[step] = [step]
                table.pop(step - 3, None)
        mine = ct.ConcurrentDict(tables[0])
        mine["iterator"] = iter(mine)

    started = [threading.Thread(target=work) for _ in range(3)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def main() -> None:
    sys.unraisablehook = lambda ignored: None
    for name in MUTABLE_MAPPINGS:
        steady(f"{name}: errors", errors(name))
    for name in (*MUTABLE_MAPPINGS, "ConcurrentSet"):
        for family in (iterators, watching, holding, cycles):
            steady(f"{name}: {family.__name__}", family(name))
    steady("threads", threads, 60)
    finish()


if __name__ == "__main__":
    main()
