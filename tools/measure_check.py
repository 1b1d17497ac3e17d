"""How many operations a second the judges of histories take: `python tools/measure_check.py`.

Prints, for the tiers with a goal, operations per second of wall time and of CPU time (of all threads
together: on a busy machine the second figure tells more). The histories are simulated: clients call
one operation after the other, all clients at all times inside one, and the operations take effect
in the order of random moments between call and return.
"""

from __future__ import annotations

import heapq
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stress.check import COMPILED, History, Raised, judge, judge_windows, outcomes_of

ROUNDS = 3


def moments(rng: random.Random, count: int, clients: int) -> list[tuple[float, float, float, int]]:
    """(effect, call, return, client) for each operation, in order of effect."""
    ready = [(rng.random(), client) for client in range(clients)]
    heapq.heapify(ready)
    found = []
    for _ in range(count):
        call, client = heapq.heappop(ready)
        effect = call + 3 * rng.random()
        end = effect + 3 * rng.random()
        heapq.heappush(ready, (end + rng.random() / 2, client))
        found.append((effect, call, end, client))
    return sorted(found)


def draw(
    rng: random.Random, table: dict[Any, Any], keys: int, value: int, whole: tuple[str, ...]
) -> tuple[str, tuple[Any, ...], Any]:
    """One operation on the table, done: its method, arguments and answer."""
    if whole and rng.random() < 0.15:
        method = rng.choice(whole)
        if method == "iter":
            return method, (), tuple(table)
        if method == "popitem":
            return method, (), table.popitem() if table else Raised("KeyError")
        return method, (), len(table) if method == "__len__" else table.clear()
    key = rng.randrange(keys)
    method = rng.choice(("get", "get", "get", "__setitem__", "__setitem__", "pop", "setdefault"))
    args = {"get": (key,), "pop": (key, None)}.get(method, (key, value))
    return method, args, getattr(table, method)(*args)


def dict_history(
    rng: random.Random,
    count: int,
    clients: int,
    keys: int,
    unique: bool,
    whole: tuple[str, ...] = (),
) -> History:
    history, table = History("dict"), dict[Any, Any]()
    for number, (_, call, end, client) in enumerate(moments(rng, count, clients)):
        value = number if unique else rng.randrange(4)
        method, args, result = draw(rng, table, keys, value, whole)
        history.append(client, method, args, result, int(call * 1e6), int(end * 1e6))
    return history


def report(name: str, operations: int, work: Callable[[], None]) -> None:
    wall, cpu = [], []
    for _ in range(ROUNDS):
        began, cpu_began = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - cpu_began)
    print(f"{name:48} {operations / min(wall):12,.0f} {operations / min(cpu):12,.0f}", flush=True)


def main() -> None:
    rng = random.Random(1)
    print(
        f"compiled search: {COMPILED}\n{'operations or samples':48} {'per s':>12} {'per CPU s':>12}"
    )
    for keys in (10, 64):
        for unique in (False, True):
            history = dict_history(rng, 100_000, 8, keys, unique)

            def by_key(history: History = history) -> None:
                assert judge(history).ok

            kind = "unique" if unique else "small"
            report(f"T2, {keys} keys, 8 clients, {kind} values", len(history), by_key)
    for whole in (("__len__", "clear", "popitem"), ("__len__", "clear", "popitem", "iter")):
        windows = [
            (dict_history(rng, 32, 4, 4, rng.random() < 0.5, whole), None) for _ in range(2000)
        ]

        def by_window(windows: list[tuple[History, None]] = windows) -> None:
            assert all(verdict.ok for verdict in judge_windows(windows, "dict"))

        report(f"T3, 4 clients x 8, with {', '.join(whole)}", 32 * len(windows), by_window)
    scenario = [
        [("setdefault", "k", 1), ("get", "k")],
        [("setdefault", "k", 2), ("pop", "k", None)],
    ]
    outcomes = outcomes_of(scenario, dict)
    expected = sorted(outcomes.expected, key=repr)
    samples = [(*rng.choice(expected),) for _ in range(300_000)]

    def by_outcome() -> None:
        assert not outcomes.forbidden(samples)

    report("T4, 2 clients x 2", len(samples), by_outcome)


if __name__ == "__main__":
    main()
