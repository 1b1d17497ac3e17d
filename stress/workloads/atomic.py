"""Single operations that must be indivisible: taking, counting, swapping, inserting once."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from ..arena import Arena, Worker
from ..cells import ABSENT
from ..keys import make_key
from ..layout import check_layout
from ..targets import Kind
from .base import Round, workload

__all__: list[str] = []


class _Tokens(Round):
    """Tokens lie in the container; who takes one out holds it alone until it is put back."""

    _tokens = 6

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.table = arena.make()
        self.keys = [make_key(arena.style, 0, number) for number in range(self._tokens)]
        self.holders: list[int | None] = [None] * self._tokens
        self.taken = [[0] * self._tokens for _ in range(self.threads)]
        for key in self.keys:
            self.give(key, 0)

    def take(self, key: Any) -> Any:
        """The token's count, or ABSENT when another thread holds it."""
        raise NotImplementedError

    def give(self, key: Any, count: int) -> None:
        raise NotImplementedError

    def step(self, worker: Worker) -> None:
        number = worker.rng.randrange(self._tokens)
        key = self.keys[number]
        worker.note("take", key)
        count = self.take(key)
        if count is ABSENT:
            return
        holder = self.holders[number]
        if holder is not None:
            worker.fail(
                "exclusion", f"threads {holder} and {worker.index} both took key {key!r} out"
            )
        self.holders[number] = worker.index
        self.taken[worker.index][number] += 1
        if worker.rng.random() < 0.3:
            time.sleep(0)  # lets other threads in while this one holds the token
        self.holders[number] = None
        worker.note("give", key, count + 1)
        self.give(key, count + 1)

    def at_rest(self) -> None:
        for number, key in enumerate(self.keys):
            count, expected = self.take(key), sum(counts[number] for counts in self.taken)
            self.arena.expect(
                count is not ABSENT, "conservation", f"the token of key {key!r} is lost"
            )
            if self.arena.target.kind is not Kind.SET and count is not ABSENT:
                self.arena.expect(
                    count == expected,
                    "conservation",
                    f"key {key!r} was taken {expected} times, but its token counted {count}",
                )
        check_layout(self.arena, self.table)


@workload(
    "tokens", "pop takes a value out exactly once; counts are conserved", [Kind.DICT], needs=["pop"]
)
class Tokens(_Tokens):
    def take(self, key: Any) -> Any:
        return self.table.pop(key, ABSENT)

    def give(self, key: Any, count: int) -> None:
        self.table[key] = count


@workload("claims", "remove takes an item out exactly once", [Kind.SET], needs=["remove"])
class Claims(_Tokens):
    def take(self, key: Any) -> Any:
        try:
            self.table.remove(key)
        except KeyError:
            return ABSENT
        return 0

    def give(self, key: Any, count: int) -> None:
        self.table.add(key)


@workload("steal", "steal takes a value out exactly once; counts are conserved", [Kind.TABLE])
class Steal(_Tokens):
    def take(self, key: Any) -> Any:
        return self.table.steal(key, ABSENT)

    def give(self, key: Any, count: int) -> None:
        self.table.set(key, count)


@workload(
    "counters",
    "increment, compute and compare_and_set lose no count",
    [Kind.DICT],
    native_only=True,
)
class Counters(Round):
    _counters = 4

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.table = arena.make()
        self.keys = [make_key(arena.style, 0, number) for number in range(self._counters)]
        self.added = [Counter[int]() for _ in range(self.threads)]
        self.highest = [[0] * self._counters for _ in range(self.threads)]

    def step(self, worker: Worker) -> None:
        rng, number = worker.rng, worker.rng.randrange(self._counters)
        key, way, delta = self.keys[number], rng.randrange(4), rng.randint(1, 9)
        if way == 0:
            worker.note("compute", key, delta)
            value = self.table.compute(key, lambda old: (old or 0) + delta)
        elif way == 1:
            worker.note("compare_and_set", key, delta)
            value = self._add_by_cas(key, delta)
        else:
            worker.note("increment", key, delta)
            value = self.table.increment(key, delta)
        self.added[worker.index][number] += delta
        seen = self.highest[worker.index]
        if value <= seen[number]:
            worker.fail(
                "counter", f"counter {key!r} rose to {value}, but it was at {seen[number]} before"
            )
        seen[number] = value

    def _add_by_cas(self, key: Any, delta: int) -> int:
        while True:
            old = self.table.get(key, self.package.MISSING)
            new = (old or 0) + delta
            if self.table.compare_and_set(key, old, new):
                return int(new)

    def at_rest(self) -> None:
        for number, key in enumerate(self.keys):
            expected = sum(counts[number] for counts in self.added)
            value = self.table.get(key, 0)
            self.arena.expect(
                value == expected,
                "conservation",
                f"counter {key!r} is {value}, but {expected} was added to it",
            )
        check_layout(self.arena, self.table)


@workload(
    "swap", "each written value comes out of swap exactly once", [Kind.DICT], native_only=True
)
class Swap(Round):
    _keys = 3

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.table = arena.make()
        self.keys = [make_key(arena.style, 0, number) for number in range(self._keys)]
        self.written: list[list[Any]] = [[] for _ in range(self.threads)]
        self.returned: list[list[Any]] = [[] for _ in range(self.threads)]

    def step(self, worker: Worker) -> None:
        number = worker.rng.randrange(self._keys)
        mine = self.written[worker.index]
        value = (number, worker.index, len(mine))
        mine.append(value)
        worker.note("swap", self.keys[number], value)
        old = self.table.swap(self.keys[number], value)
        if isinstance(old, tuple):
            if old[0] != number:
                worker.fail("swap", f"swap of key {self.keys[number]!r} gave another key's {old!r}")
            self.returned[worker.index].append(old)

    def at_rest(self) -> None:
        out = Counter(value for values in self.returned for value in values)
        out.update(self.table.values())
        wrong = Counter(value for values in self.written for value in values)
        wrong.subtract(out)
        bad = {value: count for value, count in wrong.items() if count}
        self.arena.expect(
            not bad,
            "conservation",
            lambda: (
                f"values swapped out not exactly once (1 lost, -1 twice): {dict(list(bad.items())[:5])}"
            ),
        )
        check_layout(self.arena, self.table)


class _Refused(Exception):
    """Raised by a factory, to be met by the caller whose factory ran."""


@workload(
    "insert-once",
    "of racing setdefault or compute_if_absent calls one wins, and all get its value",
    [Kind.DICT],
    needs=["setdefault"],
)
class InsertOnce(Round):
    """All threads walk over the same keys in the same order."""

    quota = 150

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.table = arena.make()
        self.keys = [make_key(arena.style, 0, number) for number in range(self.quota)]
        self.running: list[int | None] = [None] * self.quota
        self.got: list[list[Any]] = [[] for _ in range(self.threads)]

    def step(self, worker: Worker) -> None:
        number = len(self.got[worker.index])
        key, mine = self.keys[number], (number, worker.index)
        if self.native and number % 2:
            worker.note("compute_if_absent", key)
            value = self._compute(worker, number, mine)
        else:
            worker.note("setdefault", key, mine)
            value = self.table.setdefault(key, mine)
        self.got[worker.index].append(value)
        now = self.table.get(key, ABSENT) if self.arena.target.has("get") else self.table[key]
        if now != value:
            worker.fail("insert-once", f"key {key!r} was set to {value!r} for good, but is {now!r}")

    def _compute(self, worker: Worker, number: int, mine: Any) -> Any:
        def factory() -> Any:
            other = self.running[number]
            if other is not None:
                worker.fail(
                    "one factory at a time",
                    f"factories of threads {other} and {worker.index} ran for one key at once",
                )
            self.running[number] = worker.index
            refuse = worker.rng.random() < 0.2
            self.running[number] = None
            if refuse:
                raise _Refused
            return mine

        while True:
            try:
                return self.table.compute_if_absent(self.keys[number], factory)
            except _Refused:
                continue

    def at_rest(self) -> None:
        for number, key in enumerate(self.keys):
            values = {got[number] for got in self.got if len(got) > number}
            self.arena.expect(
                len(values) <= 1,
                "insert-once",
                f"threads got different values of {key!r}: {values}",
            )
            for value in values:
                self.arena.expect(
                    self.table[key] == value and value[0] == number,
                    "insert-once",
                    f"key {key!r} was set to {value!r} for good, but is {self.table[key]!r}",
                )
        check_layout(self.arena, self.table)
