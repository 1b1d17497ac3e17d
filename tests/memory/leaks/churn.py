"""Hot loops from two threads: the resident size stays where it is.

`python -m tests.memory.leaks.churn PAIRS` runs so many insert and delete pairs at 100 live keys, and
half as many `popitem`/insert pairs.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import concurrent_tables as ct
from tests.memory.leaks.measure import resident, settle
from tests.support import new

LIVE = 100
ALLOWED = 5 * 2**20


def _insert_and_delete(table: Any, number: int, count: int) -> None:
    half = LIVE // 2
    for step in range(number, 2 * count + number, 2):
        table[step] = step
        table.pop(step - 2 * half, None)


def _popitem(table: Any, number: int, count: int) -> None:
    for step in range(number, 2 * count + number, 2):
        table[step] = step
        table.popitem()


def _add_and_discard(table: Any, number: int, count: int) -> None:
    for step in range(number, 2 * count + number, 2):
        table.add(step)
        table.discard(step - LIVE)


def grows(body: Callable[[Any, int, int], None], table: Any, pairs: int) -> int:
    """By how many bytes `pairs` pairs from two threads raise the resident size."""

    def run(count: int) -> None:
        started = [
            threading.Thread(target=body, args=(table, number, count // 2)) for number in range(2)
        ]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
        settle()

    run(max(pairs // 10, 20_000))
    before = resident()
    run(pairs)
    return resident() - before


def main() -> None:
    pairs = int(sys.argv[1])
    failed = False
    for name in ("ConcurrentDict", "ShardedDict", "SplitDict"):
        for body in (_insert_and_delete, _popitem):
            growth = grows(body, new(ct, name), pairs if body is _insert_and_delete else pairs // 2)
            print(f"{name} {body.__name__}: {pairs:,} pairs, {growth / 2**20:+.2f} MiB", flush=True)
            failed |= growth > ALLOWED
    growth = grows(_add_and_discard, ct.ConcurrentSet(), pairs)
    print(f"ConcurrentSet: {pairs:,} pairs, {growth / 2**20:+.2f} MiB", flush=True)
    sys.exit(failed or growth > ALLOWED)


if __name__ == "__main__":
    main()
