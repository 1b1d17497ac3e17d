"""Two tables at once: a.update(b) against b.update(a)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from ..arena import Arena, Worker
from ..layout import check_layout
from ..targets import Kind
from .base import Round, workload

__all__: list[str] = []


@workload(
    "cross-update",
    "a.update(b) against b.update(a): no hang, no lost key",
    (Kind.DICT, Kind.SET),
    needs=["update"],
)
class CrossUpdate(Round):
    """Threads also insert keys of their own; in the end both tables hold every key."""

    quota = 60

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.tables = (arena.make(), arena.make())
        self.is_set = arena.target.kind is Kind.SET
        self.inserted = [0] * self.threads
        for thread in range(self.threads):
            self._insert(self.tables[thread % 2], (thread, 0))

    def _insert(self, table: Any, name: tuple[int, int]) -> None:
        key = f"{name[0]}_{name[1]}"
        if self.is_set:
            table.add(key)
        else:
            table[key] = name

    def step(self, worker: Worker) -> None:
        rng = worker.rng
        one = rng.randrange(2)
        table, other = self.tables[one], self.tables[1 - one]
        way = rng.random()
        if way < 0.3:
            number = self.inserted[worker.index] = self.inserted[worker.index] + 1
            worker.note("insert", "ab"[one], number)
            self._insert(table, (worker.index, number))
        elif way < 0.8 or not self.native:
            worker.note("update", "ab"[one])
            self._update(worker, table, other)
        elif way < 0.9:
            worker.note("|=", "ab"[one])
            table |= other
        else:
            worker.note("|", "ab"[one])
            self._check(worker, table | other)

    def _update(self, worker: Worker, table: Any, other: Any) -> None:
        try:
            table.update(other)
        except RuntimeError:
            if self.native:
                raise
            worker.refusals += 1

    def _check(self, worker: Worker, union: Any) -> None:
        for thread in range(self.threads):
            if f"{thread}_0" not in union:
                worker.fail("union", f"the union of both tables lacks the key of thread {thread}")

    def at_rest(self) -> None:
        one, two = self.tables
        one.update(two)
        two.update(one)
        for thread, count in enumerate(self.inserted):
            for number in range(count + 1):
                self._expect_key((thread, number))
        total = sum(self.inserted) + self.threads
        for table in self.tables:
            self.arena.expect(
                len(table) == total, "len", f"at rest: len is {len(table)}, not {total}"
            )
        ordered = isinstance(one, OrderedDict)  # equal only in the same order
        equal = dict(one) == dict(two) if ordered else one == two
        self.arena.expect(equal, "equality", "tables with the same items are not equal")
        check_layout(self.arena, *self.tables)

    def _expect_key(self, name: tuple[int, int]) -> None:
        key = f"{name[0]}_{name[1]}"
        for letter, table in zip("ab", self.tables, strict=True):
            self.arena.expect(key in table, "lost key", f"table {letter} has lost key {key!r}")
            if not self.is_set and key in table:
                self.arena.expect(
                    table[key] == name, "provenance", f"table {letter}: {key!r} is {table[key]!r}"
                )
