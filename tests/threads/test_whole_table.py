"""Whole-table operations beside writers: snapshots, iteration, cross updates, exclusive."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import pytest

from tests.support import (
    MUTABLE_MAPPINGS,
    ORDERED_MAPPINGS,
    Deadline,
    duration,
    new,
    numbered,
    run_threads,
)

STEPS = 200


@pytest.fixture(params=MUTABLE_MAPPINGS)
def table(request: pytest.FixtureRequest, ct: Any) -> Any:
    return new(ct, request.param)


class Background:
    """A thread that runs a body until the `with` block ends; its error is raised at the end."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.rounds = 0

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._body()
                self.rounds += 1
        except BaseException as error:
            self._error = error

    def __enter__(self) -> Background:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error


SNAPSHOTS = {
    "snapshot": lambda table: dict(table.snapshot()),
    "copy": lambda table: dict(table.copy().items()),
    "union": lambda table: dict((table | {}).items()),
    "pickle": lambda table: dict(pickle.loads(pickle.dumps(table)).items()),
    "list of items": lambda table: dict(list(table.items())),
    "repr": lambda table: eval(repr(table).partition("(")[2].rpartition(")")[0]),
}


@pytest.mark.usefixtures("as_active")
@pytest.mark.parametrize("how", SNAPSHOTS)
def test_snapshots_are_never_torn(table: Any, how: str) -> None:
    """A writer keeps two keys equal at every commit, and one rises before the other between."""
    table.update_many({"a": 0, "b": 0, "first": 0, "second": 0})
    last = [0]

    def look() -> None:
        seen = SNAPSHOTS[how](table)
        assert seen["a"] == seen["b"]
        assert seen["first"] - seen["second"] in (0, 1)
        assert seen["a"] >= last[0]
        last[0] = seen["a"]

    def write() -> None:
        for step in range(1, STEPS):
            table.update_many({"a": step, "b": step})
            table["first"] = step
            table["second"] = step

    with Background(look):
        run_threads(write)
    assert table["second"] == STEPS - 1


def test_equality_is_atomic(ct: Any, table: Any) -> None:
    table.update_many({"a": 0, "b": 0})
    values = {(n, n) for n in range(STEPS)}

    def look() -> None:
        assert (table == {"a": -1, "b": -1}) is False
        keys = table.keys() & {"a", "b"}
        assert keys == {"a", "b"}

    def write() -> None:
        for a, b in sorted(values):
            table.update_many({"a": a, "b": b})

    with Background(look):
        run_threads(write)


def test_iteration_contract_beside_writers(table: Any) -> None:
    """Present from start to end: exactly once. Never twice. Never something never inserted."""
    fixed = {("fixed", n): n for n in range(40)}
    table.update(fixed)

    def look() -> None:
        keys = list(iter(table))
        assert len(keys) == len(set(keys))
        assert set(fixed) <= set(keys)
        assert all(key[0] in ("fixed", 0, 1, 2) for key in keys)
        items = [*table.items().__iter__()]
        assert len(items) == len(dict(items))
        assert all(value == key[1] for key, value in items)

    def write(number: int) -> None:
        for step in range(STEPS):
            table[(number, step)] = step
            table.pop((number, step - 15), None)

    with Background(look) as background:
        run_threads(*numbered(write, 3))
    assert background.rounds


def test_slow_iterator_beside_writers(table: Any) -> None:
    """One iterator, advanced while the table is rebuilt many times under it."""
    fixed = [f"fixed{n}" for n in range(30)]
    table.update((key, "same") for key in fixed)
    iterator = iter(table.items())
    seen = []
    for step, pair in enumerate(iterator):
        seen.append(pair)
        run_threads(lambda step=step: [table.__setitem__((step, n), n) for n in range(30)], count=2)
        table.pop_many([(step, n) for n in range(30)])
    assert sorted(seen) == sorted((key, "same") for key in fixed)


@pytest.mark.parametrize("view", ["keys", "values", "items"])
def test_shared_iterator_gives_each_entry_once(table: Any, view: str) -> None:
    table.update((n, n) for n in range(2000))
    iterator = iter(getattr(table, view)())
    parts = run_threads(lambda: list(iterator), count=4)
    got = sorted(sum(parts, []))
    assert got == ([(n, n) for n in range(2000)] if view == "items" else list(range(2000)))


@pytest.mark.parametrize("name", [n for n in ORDERED_MAPPINGS if n != "SplitDict"])
def test_shared_reverse_iterator(ct: Any, name: str) -> None:
    iterator = reversed(new(ct, name, {n: n for n in range(1500)}))
    parts = run_threads(lambda: list(iterator), count=4)
    assert sorted(sum(parts, [])) == list(range(1500))
    assert all(part == sorted(part, reverse=True) for part in parts)


def test_shared_iterator_beside_writers(table: Any) -> None:
    table.update((("fixed", n), n) for n in range(500))
    iterator = iter(table)

    def write() -> list[Any]:
        for n in range(STEPS):
            table[("new", n)] = n
            table.pop(("new", n - 10), None)
        return []

    parts = run_threads(*[lambda: list(iterator)] * 3, write)
    fixed = [key for key in sum(parts, []) if key[0] == "fixed"]
    assert sorted(fixed) == [("fixed", n) for n in range(500)]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_cross_updates(ct: Any, name: str) -> None:
    """`a.update(b)` against `b.update(a)` from 8 threads: no hang, no lost key."""
    left, right = new(ct, name), new(ct, name)
    expected: dict[Any, int] = {}
    lock = threading.Lock()
    deadline = Deadline(duration(0.5))

    def work(number: int) -> int:
        mine, other = (left, right) if number % 2 else (right, left)
        step = 0
        while step < 20 or deadline:  # a slow machine too gets some crossings
            key = (number, step % 40)
            mine[key] = number
            with lock:
                expected[key] = number
            mine.update(other)
            step += 1
        return step

    steps = run_threads(*numbered(work, 8))
    assert all(steps)
    left.update(right)
    right.update(left)
    assert left == right == expected


@pytest.mark.parametrize("operation", [
    lambda a, b: a.update(b),
    lambda a, b: a.__ior__(b),
    lambda a, b: a | b,
    lambda a, b: a == b,
    lambda a, b: a.keys() & b.keys(),
    lambda a, b: a.items() == b.items(),
    lambda a, b: a.update_many(b),
])  # fmt: skip
def test_two_table_operations_cross(ct: Any, operation: Any) -> None:
    left, right = (
        ct.ConcurrentDict({n: 1 for n in range(20)}),
        ct.ShardedDict({n: 1 for n in range(20)}),
    )

    def work(number: int) -> None:
        a, b = (left, right) if number % 2 else (right, left)
        for _ in range(60):
            operation(a, b)
            a.increment("n")

    run_threads(*numbered(work, 4))
    assert {n: 1 for n in range(20)}.items() <= left.items()


def test_update_of_itself_from_threads(table: Any) -> None:
    table.update((n, n) for n in range(50))
    run_threads(lambda: [table.update(table) for _ in range(40)], count=4)
    assert table == {n: n for n in range(50)}


def test_clear_loses_only_what_was_there(table: Any) -> None:
    """Every item is seen by the consumer or was cleared; a clear is one moment."""
    stop = threading.Event()

    def write(number: int) -> None:
        for step in range(STEPS):
            table.update_many({(number, step, "x"): step, (number, step, "y"): step})

    def clear() -> None:
        while not stop.is_set():
            table.clear()

    def look() -> None:
        keys = set(table.snapshot())
        assert {(a, b) for a, b, c in keys if c == "x"} == {(a, b) for a, b, c in keys if c == "y"}

    clearing = threading.Thread(target=clear, daemon=True)
    clearing.start()
    with Background(look):
        run_threads(*numbered(write, 2))
    stop.set()
    clearing.join(60)
    table.clear()
    assert len(table) == 0


def test_resize_storm(table: Any) -> None:
    """Readers of fixed keys never miss them while the table grows and shrinks."""
    fixed = {f"fixed{n}": n for n in range(20)}
    table.update(fixed)

    def look() -> None:
        for key, value in fixed.items():
            assert table[key] == value
            assert key in table
            assert table.get(key) == value

    def write() -> None:
        for _ in range(8):
            table.update((n, n) for n in range(400))
            table.pop_many(range(400))

    with Background(look) as background:
        run_threads(write)
    assert background.rounds
    assert table == fixed


def test_kind_change_under_readers(ct: Any) -> None:
    for _ in range(15):
        table = ct.ConcurrentDict({f"k{n}": n for n in range(50)})

        def look(table: Any = table) -> None:
            for n in range(50):
                assert table[f"k{n}"] == n

        def change(table: Any = table) -> None:
            table[5] = 5
            table[(1, 2)] = 6

        run_threads(look, look, change)
        assert len(table) == 52


def test_sharded_snapshot_is_atomic_over_all_shards(ct: Any) -> None:
    """One writer raises the keys of all shards in turn: a snapshot shows a prefix of its steps."""
    keys = list(range(64))
    table = ct.ShardedDict(dict.fromkeys(keys, 0), shards=16)

    def look() -> None:
        seen = table.snapshot()
        values = [seen[key] for key in keys]
        assert values == sorted(values, reverse=True)
        assert values[0] - values[-1] <= 1

    def write() -> None:
        for step in range(1, 60):
            for key in keys:
                table[key] = step

    with Background(look) as background:
        run_threads(write)
    assert background.rounds
