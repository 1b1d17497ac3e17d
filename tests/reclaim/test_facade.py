"""The public `reclaim`: stats, flush, synchronize, retire, for tables of either implementation."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest

from tests.support import MUTABLE_MAPPINGS, Boom, Trackable, new, numbered, run_child, run_threads
from tests.support import implementation_environment as environment


def share(table: Any) -> Any:
    """Let a second thread touch the table, so that it counts as shared."""
    thread = threading.Thread(target=lambda: (table.clear(), len(table)))
    thread.start()
    thread.join()
    return table


def test_stats_are_ints_by_name(ct: Any) -> None:
    stats = ct.reclaim.stats()
    assert all(type(name) is str and type(value) is int for name, value in stats.items())
    for name in ("pending_items", "pending_bytes", "retired_total", "freed_total", "threads"):
        assert stats[name] >= 0
    assert stats["retired_total"] >= stats["freed_total"]


def test_retire_calls_a_callback_once(ct: Any) -> None:
    calls: list[int] = []
    ct.reclaim.retire(lambda: calls.append(1))
    ct.reclaim.flush()
    ct.reclaim.flush()
    assert calls == [1]


def test_retire_drops_an_object(ct: Any) -> None:
    value = Trackable()
    reference = weakref.ref(value)
    ct.reclaim.retire(value)
    del value
    ct.reclaim.flush()
    assert reference() is None


def test_retire_order_and_errors(ct: Any, unraisable: list[Any]) -> None:
    calls: list[int] = []

    def fail() -> None:
        raise Boom

    for number in range(3):
        ct.reclaim.retire(lambda number=number: calls.append(number))
        ct.reclaim.retire(fail)
    ct.reclaim.flush()
    assert calls == [0, 1, 2]
    assert [type(entry.exc_value) for entry in unraisable] == [Boom] * 3


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
@pytest.mark.parametrize(
    "remove",
    [
        lambda t: t.__delitem__("k"),
        lambda t: t.pop("k"),
        lambda t: t.popitem(),
        lambda t: t.clear(),
        lambda t: t.__setitem__("k", None),
        lambda t: t.swap("k", None),
        lambda t: t.pop_many(["k"]),
        lambda t: t.update(k=None),
    ],
)
def test_removed_values_die_after_flush(ct: Any, name: str, remove: Any) -> None:
    table = share(new(ct, name))
    table["k"] = Trackable()
    reference = weakref.ref(table["k"])
    assert reference() is not None
    remove(table)
    ct.reclaim.flush()
    gc.collect()
    assert reference() is None


def test_removed_keys_die_after_flush(ct: Any) -> None:
    for make in (ct.ConcurrentDict.fromkeys, ct.ConcurrentSet):
        key = Trackable()
        reference = weakref.ref(key)
        table = make([key])
        del key
        thread = threading.Thread(target=lambda table=table: len(table))
        thread.start()
        thread.join()
        table.clear()
        ct.reclaim.flush()
        gc.collect()
        assert reference() is None


def test_values_of_an_unshared_table_die_at_once(ct: Any) -> None:
    """As with dict: code that relies on prompt finalizers keeps working in one thread."""
    table = ct.ConcurrentDict(k=Trackable())
    reference = weakref.ref(table["k"])
    if ct.inspect_table(table).shared:
        pytest.skip("this implementation counts every table as shared")
    del table["k"]
    assert reference() is None


def test_nothing_else_is_dropped_by_flush(ct: Any) -> None:
    table = share(new(ct, "ConcurrentDict"))
    for number in range(200):
        table[number] = Trackable(number)
    for number in range(100):
        table[number] = Trackable(-number)
    ct.reclaim.flush()
    assert [table[number].name for number in range(200)] == [
        *(-number for number in range(100)), *range(100, 200)]  # fmt: skip


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_cycles_through_tables_are_collected(ct: Any, name: str) -> None:
    table, value = new(ct, name), Trackable()
    table["self"], table["value"], value.name = table, value, table
    reference = weakref.ref(value)
    del table, value
    gc.collect()
    ct.reclaim.flush()
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("name", ["ConcurrentSet", "FrozenSet", "FrozenDict"])
def test_cycles_through_other_tables(ct: Any, name: str) -> None:
    value = Trackable()
    contents = [("k", value)] if name == "FrozenDict" else [value]
    value.name = getattr(ct, name)(contents)
    reference = weakref.ref(value)
    del value, contents
    gc.collect()
    ct.reclaim.flush()
    gc.collect()
    assert reference() is None


def test_cycles_through_iterators_views_and_guards(ct: Any) -> None:
    value = Trackable()
    table = ct.ConcurrentDict(k=value)
    table["iterator"] = iter(table)
    table["view"] = table.items()
    table["guard"] = table.guard("k")
    table["watch"] = table.watch(lambda event, table=table: None)
    reference = weakref.ref(value)
    del table, value
    for _ in range(3):
        gc.collect()
        ct.reclaim.flush()
    assert reference() is None


def test_everything_is_freed_after_threads_churned(ct: Any) -> None:
    made = 4 * 300
    freed = ct.ConcurrentDict(n=0)

    class Counted:
        def __del__(self) -> None:
            freed.increment("n")

    table = ct.ConcurrentDict()

    def churn(number: int) -> None:
        for step in range(300):
            table[(number, step % 10)] = Counted()
            if step % 3 == 0:
                table.pop((number, step % 10), None)

    run_threads(*numbered(churn, 4))
    table.clear()
    for _ in range(3):
        ct.reclaim.flush()
        gc.collect()
    assert freed["n"] == made


def test_pending_is_bounded_under_churn(ct: Any) -> None:
    table = ct.ConcurrentDict()
    worst: list[int] = []

    def churn(number: int) -> None:
        for step in range(2000):
            table[step % 50] = [step]
            if step % 100 == 0:
                worst.append(ct.reclaim.stats()["pending_items"])

    run_threads(*numbered(churn, 3))
    assert max(worst) < 20_000
    ct.reclaim.flush()
    assert ct.reclaim.stats()["pending_items"] <= 64


def test_finalizers_may_use_their_table(ct: Any) -> None:
    table = share(ct.ConcurrentDict())

    class Reviving:
        def __init__(self, key: int) -> None:
            self.key = key

        def __del__(self) -> None:
            table.increment("finalized")
            table[("gone", self.key)] = self.key

    for number in range(50):
        table[number] = Reviving(number)
    for number in range(50):
        del table[number]
    ct.reclaim.flush()
    gc.collect()
    assert table["finalized"] == 50
    assert len(table) == 51


def test_synchronize_returns(ct: Any) -> None:
    stop = threading.Event()
    table = ct.ConcurrentDict({number: number for number in range(100)})

    def read() -> None:
        while not stop.is_set():
            for number in range(100):
                assert table[number] == number

    def wait() -> None:
        try:
            for _ in range(10):
                ct.reclaim.synchronize()
                ct.reclaim.flush()
        finally:
            stop.set()

    run_threads(read, read, wait)


def test_flush_inside_a_finalizer_and_a_callback(ct: Any) -> None:
    table = share(ct.ConcurrentDict())
    calls: list[str] = []

    class Flushes:
        def __del__(self) -> None:
            ct.reclaim.flush()
            calls.append("finalizer")

    table["k"] = Flushes()
    del table["k"]
    ct.reclaim.retire(lambda: (ct.reclaim.flush(), calls.append("callback")))
    ct.reclaim.flush()
    gc.collect()
    assert sorted(calls) == ["callback", "finalizer"]


EXIT = """
import threading
from concurrent_tables import ConcurrentDict, reclaim
class Noisy:
    def __del__(self):
        pass
table = ConcurrentDict()
def work():
    for n in range(500):
        table[n % 10] = Noisy()
threads = [threading.Thread(target=work) for _ in range(3)]
[t.start() for t in threads]
[t.join() for t in threads]
reclaim.retire(lambda: None)
print("end")
"""


def test_interpreter_exit_with_pending_items(ct: Any) -> None:
    done = run_child(EXIT, **environment(ct))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "end\n"
    assert done.stderr == ""
