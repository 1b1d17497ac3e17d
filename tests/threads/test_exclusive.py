"""`exclusive` between threads: mutual exclusion of writers, readers that go on, no deadlock."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from concurrent_tables import MISSING
from tests.support import MUTABLE_MAPPINGS, new, numbered, run_threads


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_multi_step_changes_exclude_each_other(ct: Any, name: str) -> None:
    table = new(ct, name, n=0, m=0)

    def work() -> None:
        for _ in range(60):
            with ct.exclusive(table):
                value = table["n"]
                table["n"] = value + 1
                table["m"] = table["m"] + 1

    run_threads(work, count=4)
    assert table == {"n": 240, "m": 240}


def test_plain_writers_wait(ct: Any) -> None:
    table = ct.ConcurrentDict(n=0)

    def hold() -> None:
        for _ in range(40):
            with ct.exclusive(table):
                before = table["n"]
                for _ in range(5):
                    assert table["n"] == before, "another writer got in"
                table["n"] = before + 1

    def write() -> None:
        for _ in range(200):
            table.increment("n")

    run_threads(hold, write, write)
    assert table["n"] == 40 + 400


@pytest.mark.parametrize("write", [
    lambda t: t.__setitem__("w", 1), lambda t: t.pop("a", None), lambda t: t.clear(),
    lambda t: t.update(w=1), lambda t: t.setdefault("w", 1), lambda t: t.popitem(),
    lambda t: t.increment("w"), lambda t: t.swap("w", 1), lambda t: t.compute("w", lambda o: 1),
    lambda t: t.compute_if_absent("w", lambda: 1), lambda t: t.update_many({"w": 1}),
    lambda t: t.pop_many(["a"]), lambda t: t.compare_and_set("a", 1, 2), lambda t: t.__ior__({"w": 1}),
    lambda t: t.compare_and_delete("a", 1), lambda t: t.__delitem__("a"),
])  # fmt: skip
@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_every_write_waits(ct: Any, name: str, write: Any) -> None:
    table = new(ct, name, a=1)
    started, done = threading.Event(), threading.Event()

    def other() -> None:
        started.set()
        write(table)
        done.set()

    with ct.exclusive(table):
        thread = threading.Thread(target=other, daemon=True)
        thread.start()
        started.wait(30)
        assert not done.wait(0.02), "a writer passed the exclusive hold"
        assert table == {"a": 1}
    thread.join(30)
    assert done.is_set()
    assert table != {"a": 1}


@pytest.mark.parametrize("write", [
    lambda t: t.add("w"), lambda t: t.discard("a"), lambda t: t.remove("a"), lambda t: t.pop(),
    lambda t: t.clear(), lambda t: t.update("w"), lambda t: t.__ior__({"w"}), lambda t: t.__iand__({"w"}),
    lambda t: t.__isub__({"a"}), lambda t: t.__ixor__({"w"}), lambda t: t.difference_update("a"),
    lambda t: t.intersection_update("w"), lambda t: t.symmetric_difference_update("w"),
])  # fmt: skip
def test_every_write_to_a_set_waits(ct: Any, write: Any) -> None:
    table = ct.ConcurrentSet("a")
    started, done = threading.Event(), threading.Event()

    def other() -> None:
        started.set()
        write(table)
        done.set()

    with ct.exclusive(table):
        thread = threading.Thread(target=other, daemon=True)
        thread.start()
        started.wait(30)
        assert not done.wait(0.02)
        assert table == {"a"}
    thread.join(30)
    assert done.is_set()
    assert table != {"a"}


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_readers_go_on(ct: Any, name: str) -> None:
    table = new(ct, name, a=1)
    with ct.exclusive(table):
        table["a"] = 2

        def read() -> None:
            assert table["a"] == 2
            assert table.get("zz") is None
            assert "a" in table
            assert len(table) == 1
            assert list(table.items()) == [("a", 2)]
            assert table.snapshot() == table.copy() == {"a": 2}
            assert table.version

        run_threads(read, count=2)


def test_reentrant_and_nested(ct: Any) -> None:
    tables = [ct.ConcurrentDict(n=0) for _ in range(3)]

    def work(number: int) -> None:
        order = tables[number % 3 :] + tables[: number % 3]
        for _ in range(40):
            with ct.exclusive(*order), ct.exclusive(tables[0]), ct.exclusive(*reversed(tables)):
                for table in order:
                    table["n"] += 1

    run_threads(*numbered(work, 3))
    assert [table["n"] for table in tables] == [120] * 3


def test_transfers_conserve(ct: Any) -> None:
    tables = [
        ct.ConcurrentDict(money=100),
        ct.ShardedDict(money=100),
        new(ct, "SplitDict", money=100),
    ]

    def work(number: int) -> None:
        for step in range(60):
            source, target = tables[(number + step) % 3], tables[(number + step + 1) % 3]
            with ct.exclusive(target, source):
                source["money"] -= 1
                target["money"] += 1

    def audit() -> None:
        for _ in range(30):
            with ct.exclusive(*tables):
                assert sum(table["money"] for table in tables) == 300

    run_threads(*numbered(work, 4), audit)
    assert sum(table["money"] for table in tables) == 300


def test_a_cycle_of_holders_is_an_error(ct: Any) -> None:
    left, right = ct.ConcurrentDict(), ct.ConcurrentDict()
    both = threading.Barrier(2)

    def work(first: Any, second: Any) -> str:
        try:
            with ct.exclusive(first):
                both.wait(30)
                with ct.exclusive(second):
                    return "held both"
        except ct.DeadlockError:
            return "deadlock"

    results = run_threads(lambda: work(left, right), lambda: work(right, left))
    assert sorted(results) in (["deadlock", "held both"], ["deadlock", "deadlock"])
    with ct.exclusive(left, right):
        left["free"] = right["free"] = True


def test_a_cycle_through_a_plain_write_is_an_error(ct: Any) -> None:
    left, right = ct.ConcurrentDict(), ct.ConcurrentDict()
    both = threading.Barrier(2)

    def work(first: Any, second: Any) -> str:
        try:
            with ct.exclusive(first):
                both.wait(30)
                second["k"] = 1
                return "wrote"
        except ct.DeadlockError:
            return "deadlock"

    results = run_threads(lambda: work(left, right), lambda: work(right, left))
    assert sorted(results) in (["deadlock", "wrote"], ["deadlock", "deadlock"])


def test_order_of_the_arguments_does_not_matter(ct: Any) -> None:
    tables = [ct.ConcurrentSet() for _ in range(4)]

    def work(number: int) -> None:
        order = tables if number % 2 else tables[::-1]
        for step in range(60):
            with ct.exclusive(*order):
                for table in order:
                    table.add((number, step))

    run_threads(*numbered(work, 4))
    assert all(len(table) == 240 for table in tables)


def test_watchers_run_while_held(ct: Any) -> None:
    table = ct.ConcurrentDict()
    events: list[Any] = []
    table.watch(events.append)
    with ct.exclusive(table):
        table["a"] = 1
        assert len(events) == 1


INSERTIONS = {
    "setdefault": (lambda t: t.setdefault("w", "waiter"), "holder"),
    "compute_if_absent": (lambda t: t.compute_if_absent("w", lambda: "waiter"), "holder"),
    "setitem": (lambda t: t.__setitem__("w", "waiter"), None),
    "swap": (lambda t: t.swap("w", "waiter"), "holder"),
    "compare_and_set": (lambda t: t.compare_and_set("w", MISSING, "waiter"), False),
    "increment": (lambda t: t.increment("w", "+", "none"), "holder+"),
    "compute": (lambda t: t.compute("w", lambda old: (old, "waiter")), ("holder", "waiter")),
    "update": (lambda t: t.update(w="waiter"), None),
    "update_many": (lambda t: t.update_many({"w": "waiter"}), None),
}


@pytest.mark.parametrize("operation", INSERTIONS)
@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_a_waiter_looks_again(ct: Any, name: str, operation: str) -> None:
    """A writer that found no key, and then had to wait, sees the key that came meanwhile."""
    table = new(ct, name)
    call, expected = INSERTIONS[operation]
    started = threading.Event()
    results: list[Any] = []

    def wait_and_write() -> None:
        started.set()
        results.append(call(table))

    with ct.exclusive(table):
        thread = threading.Thread(target=wait_and_write, daemon=True)
        thread.start()
        started.wait(30)
        thread.join(0.05)  # it now waits for the end of the hold, having looked the key up
        table["w"] = "holder"
    thread.join(30)
    assert results == [expected]
    assert list(table) == ["w"]
    assert len(table) == 1


@pytest.mark.parametrize("operation", ["add", "update", "ior", "symmetric_difference_update"])
def test_a_waiter_on_a_set_looks_again(ct: Any, operation: str) -> None:
    table = ct.ConcurrentSet()
    started, method = threading.Event(), operation
    call = {
        "add": lambda: table.add("w"),
        "update": lambda: table.update(["w"]),
        "ior": lambda: table.__ior__({"w"}),
        "symmetric_difference_update": lambda: table.symmetric_difference_update(["w"]),
    }[method]

    def wait_and_write() -> None:
        started.set()
        call()

    with ct.exclusive(table):
        thread = threading.Thread(target=wait_and_write, daemon=True)
        thread.start()
        started.wait(30)
        thread.join(0.05)
        table.add("w")
    thread.join(30)
    assert not thread.is_alive()
    assert list(table) == ([] if method == "symmetric_difference_update" else ["w"])
