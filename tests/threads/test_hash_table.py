"""The generic table from many threads."""

from __future__ import annotations

import threading
from typing import Any

from tests.support import numbered, run_threads

THREADS = 4


def test_set_get_steal_of_own_keys(ct: Any) -> None:
    table = ct.HashTable(ct.hash_str, ct.compare_str)

    def work(number: int) -> dict[str, int]:
        model: dict[str, int] = {}
        for step in range(400):
            key = f"{number}.{step % 37}"
            if step % 4 == 3:
                assert table.steal(key) == model.pop(key, None)
            else:
                table.set(key, step)
                model[key] = step
            assert table.get(key) == model.get(key)
        return model

    models = run_threads(*numbered(work, THREADS))
    assert table.size() == sum(map(len, models))
    for model in models:
        for key, value in model.items():
            assert table.get(key) == value


def test_steal_has_one_winner(ct: Any) -> None:
    table = ct.HashTable(ct.hash_str, ct.compare_str)
    for n in range(300):
        table.set(str(n), n)
    stolen = run_threads(
        lambda: [v for n in range(300) if (v := table.steal(str(n))) is not None], count=THREADS
    )
    assert sorted(sum(stolen, [])) == list(range(300))
    assert table.size() == 0


def test_every_value_is_destroyed_once(ct: Any) -> None:
    destroyed: list[Any] = []
    table = ct.HashTable(ct.hash_str, ct.compare_str, destroy_value=destroyed.append)

    def work(number: int) -> None:
        for step in range(200):
            table.set(f"k{step % 10}", (number, step))
            if step % 50 == 0:
                table.clear()

    run_threads(*numbered(work, THREADS))
    table.destroy()
    ct.reclaim.flush()
    assert len(destroyed) == len(set(destroyed)) == THREADS * 200


def test_foreach_beside_writers(ct: Any) -> None:
    table = ct.HashTable(ct.hash_str, ct.compare_str)
    for n in range(40):
        table.set(f"fixed{n}", n)
    stop = threading.Event()

    def write(number: int) -> None:
        step = 0
        while not stop.is_set():
            table.set(f"{number}.{step % 50}", step)
            table.steal(f"{number}.{(step + 25) % 50}")
            step += 1

    def visit() -> None:
        try:
            for _ in range(40):
                seen: list[str] = []
                table.foreach(lambda key, value, seen=seen: seen.append(key))
                assert len(seen) == len(set(seen))
                assert {f"fixed{n}" for n in range(40)} <= set(seen)
        finally:
            stop.set()

    run_threads(*numbered(write, 2), visit)


def test_a_foreach_of_another_thread_is_no_error_for_a_writer(ct: Any) -> None:
    table = ct.HashTable(ct.hash_str, ct.compare_str)
    table.set("a", 1)
    inside, go_on = threading.Event(), threading.Event()

    def visit(key: str, value: int) -> None:
        inside.set()
        go_on.wait(1)

    def write() -> None:
        assert inside.wait(30)
        go_on.set()
        table.set("b", 2)

    run_threads(lambda: table.foreach(visit), write)
    assert table.get("b") == 2
