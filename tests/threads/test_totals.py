"""Exact totals and histories of per-key operations under threads that start at one barrier."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest

from tests.support import MUTABLE_MAPPINGS, Boom, Named, new, numbered, run_threads

THREADS = 4
STEPS = 250


@pytest.fixture(params=MUTABLE_MAPPINGS)
def table(request: pytest.FixtureRequest, ct: Any) -> Any:
    return new(ct, request.param)


@pytest.mark.parametrize("key", ["str", 5, (1, 2), Named("object")])
def test_increment(table: Any, key: Any) -> None:
    results = run_threads(lambda: [table.increment(key) for _ in range(STEPS)], count=THREADS)
    assert table[key] == THREADS * STEPS
    assert sorted(sum(results, [])) == list(range(1, THREADS * STEPS + 1))
    assert all(result == sorted(result) for result in results)


def test_increment_of_many_keys(table: Any) -> None:
    def work(number: int) -> None:
        for step in range(STEPS):
            table.increment(step % 17)
            table.increment(f"k{step % 5}", number)

    run_threads(*numbered(work, THREADS))
    assert sum(table[key] for key in range(17)) == THREADS * STEPS
    assert sum(table[f"k{key}"] for key in range(5)) == sum(range(THREADS)) * STEPS


def test_compute(table: Any, ct: Any) -> None:
    def step(old: Any) -> int:
        return 1 if old is ct.MISSING else old + 1

    results = run_threads(lambda: [table.compute("n", step) for _ in range(STEPS)], count=THREADS)
    assert table["n"] == THREADS * STEPS
    assert sorted(sum(results, [])) == list(range(1, THREADS * STEPS + 1))


def test_compute_that_deletes_and_creates(table: Any, ct: Any) -> None:
    """A token that moves between present and absent: each transition happens exactly once."""

    def flip(old: Any) -> Any:
        return "here" if old is ct.MISSING else ct.MISSING

    results = run_threads(lambda: [table.compute("t", flip) for _ in range(STEPS)], count=THREADS)
    flat = sum(results, [])
    assert flat.count("here") == flat.count(ct.MISSING) == THREADS * STEPS // 2
    assert "t" not in table


def test_compare_and_set_loop(table: Any) -> None:
    table["n"] = 0

    def work() -> int:
        failures = 0
        for _ in range(STEPS):
            while not table.compare_and_set("n", old := table["n"], old + 1):
                failures += 1
        return failures

    run_threads(work, count=THREADS)
    assert table["n"] == THREADS * STEPS


def test_compare_and_set_missing_has_one_winner(table: Any, ct: Any) -> None:
    def work(number: int) -> list[int]:
        return [key for key in range(STEPS) if table.compare_and_set(key, ct.MISSING, number)]

    wins = run_threads(*numbered(work, THREADS))
    assert sorted(sum(wins, [])) == list(range(STEPS))
    for number, keys in enumerate(wins):
        assert all(table[key] == number for key in keys)


def test_compare_and_delete_has_one_winner(table: Any) -> None:
    table.update((key, "v") for key in range(STEPS))

    def work() -> list[int]:
        return [key for key in range(STEPS) if table.compare_and_delete(key, "v")]

    assert sorted(sum(run_threads(work, count=THREADS), [])) == list(range(STEPS))
    assert len(table) == 0


@pytest.mark.parametrize("make_key", [int, str, Named])
def test_setdefault_has_one_winner(table: Any, make_key: Any) -> None:
    def work(number: int) -> list[Any]:
        return [table.setdefault(make_key(key), (number, key)) for key in range(STEPS)]

    results = run_threads(*numbered(work, THREADS))
    assert all(result == results[0] for result in results)
    assert len(table) == STEPS


def test_swap_forms_a_chain(table: Any, ct: Any) -> None:
    def work(number: int) -> list[Any]:
        return [table.swap("k", (number, step)) for step in range(STEPS)]

    given = sum(run_threads(*numbered(work, THREADS)), [])
    put = {(number, step) for number in range(THREADS) for step in range(STEPS)}
    assert given.count(ct.MISSING) == 1
    seen = [value for value in given if value is not ct.MISSING]
    assert len(seen) == len(set(seen))
    assert {*seen, table["k"]} == put


def test_popitem_gives_each_item_once(table: Any) -> None:
    total = THREADS * STEPS
    table.update((f"k{n}", n) for n in range(total))

    def work() -> list[Any]:
        items = []
        while True:
            try:
                items.append(table.popitem())
            except KeyError:
                return items

    popped = sum(run_threads(work, count=THREADS), [])
    assert sorted(value for _, value in popped) == list(range(total))
    assert all(key == f"k{value}" for key, value in popped)


def test_popitem_beside_inserts_conserves(table: Any) -> None:
    done = threading.Event()

    def produce(number: int) -> None:
        for step in range(STEPS):
            table[(number, step)] = (number, step)

    def consume() -> list[Any]:
        items = []
        while True:
            ended = done.is_set()
            try:
                items.append(table.popitem())
            except KeyError:
                if ended:
                    return items

    consumers: list[Any] = []
    consumer = threading.Thread(target=lambda: consumers.append(consume()), daemon=True)
    consumer.start()
    run_threads(*numbered(produce, 3))
    done.set()
    consumer.join(60)
    assert not consumer.is_alive()
    (items,) = consumers
    assert all(key == value for key, value in items)
    assert sorted(key for key, _ in items) == [(n, s) for n in range(3) for s in range(STEPS)]


def test_pop_gives_each_value_once(table: Any) -> None:
    for round_number in range(5):
        table.update((key, (round_number, key)) for key in range(60))
        results = run_threads(lambda: [table.pop(key, None) for key in range(60)], count=THREADS)
        for key in range(60):
            winners = [result[key] for result in results if result[key] is not None]
            assert winners == [(round_number, key)]


def test_pop_many_is_atomic_against_pop_many(table: Any) -> None:
    keys = list(range(40))
    for _ in range(10):
        table.update((key, key) for key in keys)
        results = run_threads(lambda: table.pop_many(keys), lambda: table.pop_many(keys[::-1]))
        assert sorted(map(len, results)) == [0, 40]


def test_update_many_and_get_many_are_atomic(table: Any) -> None:
    keys = [f"k{n}" for n in range(12)]
    table.update_many(dict.fromkeys(keys, -1))
    stop = threading.Event()

    def write(number: int) -> None:
        for step in range(100):
            table.update_many(dict.fromkeys(keys, (number, step)))

    def read() -> int:
        reads = 0
        while not stop.is_set():
            values = table.get_many(keys)
            assert len(values) == 12
            assert len(set(values.values())) == 1
            reads += 1
        return reads

    reader = threading.Thread(target=lambda: results.append(read()), daemon=True)
    results: list[int] = []
    reader.start()
    run_threads(*numbered(write, 3))
    stop.set()
    reader.join(60)
    assert results, "the reader saw a torn update"


def test_compute_if_absent_runs_one_factory_at_a_time(table: Any) -> None:
    running: Counter[int] = Counter()
    made: list[int] = []

    def factory(key: int) -> str:
        running[key] += 1
        assert running[key] == 1, "two factories for one key at once"
        made.append(key)
        value = f"value {key}"
        running[key] -= 1
        return value

    def work() -> list[str]:
        return [table.compute_if_absent(key, lambda key=key: factory(key)) for key in range(80)]

    results = run_threads(work, count=THREADS)
    assert sorted(made) == list(range(80))
    assert all(result == [f"value {key}" for key in range(80)] for result in results)


def test_compute_if_absent_after_an_error_another_caller_tries(table: Any) -> None:
    attempts: list[int] = []

    def factory() -> str:
        attempts.append(1)
        if len(attempts) < 3:
            raise Boom
        return "made"

    def work() -> Any:
        try:
            return table.compute_if_absent("k", factory)
        except Boom:
            return "failed"

    results = run_threads(work, count=THREADS)
    assert sorted(results) == ["failed", "failed", "made", "made"]
    assert len(attempts) == 3


def test_compute_if_absent_cycle_between_threads_is_an_error(table: Any, ct: Any) -> None:
    both = threading.Barrier(2)

    def first() -> Any:
        both.wait(30)
        return table.compute_if_absent("b", lambda: "b of first")

    def second() -> Any:
        both.wait(30)
        return table.compute_if_absent("a", lambda: "a of second")

    def work(key: str, inner: Any) -> Any:
        try:
            return table.compute_if_absent(key, inner)
        except ct.DeadlockError as error:
            return error

    results = run_threads(lambda: work("a", first), lambda: work("b", second))
    errors = [result for result in results if isinstance(result, ct.DeadlockError)]
    assert errors, results
    assert len(errors) < 2 or "a" not in table


def test_insert_delete_overwrite_of_own_keys(table: Any) -> None:
    """Each thread owns its keys: its own last write must always be what it reads."""

    def work(number: int) -> dict[Any, Any]:
        model: dict[Any, Any] = {}
        for step in range(STEPS * 2):
            key = (number, step % 23)
            if step % 5 == 4:
                assert table.pop(key, None) == model.pop(key, None)
            else:
                table[key] = model[key] = step
            assert table.get(key) == model.get(key)
            assert (key in table) == (key in model)
        return model

    models = run_threads(*numbered(work, THREADS))
    expected: dict[Any, Any] = {}
    for model in models:
        expected.update(model)
    assert table == expected
    assert len(table) == len(expected)


def test_values_have_provenance(table: Any) -> None:
    """Readers see only values that somebody wrote under that very key."""
    stop = threading.Event()
    keys = [f"key{n}" for n in range(8)]

    def write(number: int) -> None:
        for step in range(STEPS):
            key = keys[(step + number) % 8]
            table[key] = (key, number, step)
            if step % 3 == 0:
                table.pop(keys[step % 8], None)
            if step % 7 == 0:
                try:
                    key, value = table.popitem()
                    assert value[0] == key
                except KeyError:
                    pass

    def read() -> None:
        while not stop.is_set():
            for key in keys:
                value = table.get(key)
                assert value is None or value[0] == key
            for key, value in table.items():
                assert value[0] == key

    errors: list[BaseException] = []

    def guarded_read() -> None:
        try:
            read()
        except BaseException as error:  # reported below
            errors.append(error)

    reader = threading.Thread(target=guarded_read, daemon=True)
    reader.start()
    run_threads(*numbered(write, 3))
    stop.set()
    reader.join(60)
    assert not errors


def test_version_counts_every_write(table: Any) -> None:
    start = table.version
    run_threads(lambda: [table.increment("n") for _ in range(STEPS)], count=THREADS)
    assert table.version >= start + THREADS * STEPS
    keys_version = table.keys_version
    run_threads(lambda: [table.increment("n") for _ in range(50)], count=THREADS)
    assert table.keys_version == keys_version


def test_guards_never_give_another_keys_value(table: Any, ct: Any) -> None:
    table["fixed"] = "fixed value"
    table["moving"] = ("moving", 0)
    stop = threading.Event()
    errors: list[Any] = []

    def churn() -> None:
        for step in range(STEPS):
            table[("filler", step)] = step
            table.pop("moving", None)
            table["moving"] = ("moving", step)
            if step % 50 == 0:
                table.pop_many([("filler", n) for n in range(step)])

    def read() -> None:
        fixed, moving = table.guard("fixed"), table.guard("moving")
        while not stop.is_set():
            value = moving()
            if fixed() != "fixed value" or not (value is ct.MISSING or value[0] == "moving"):
                errors.append(value)

    readers = [threading.Thread(target=read, daemon=True) for _ in range(2)]
    for reader in readers:
        reader.start()
    run_threads(churn)
    stop.set()
    for reader in readers:
        reader.join(60)
    assert not errors
