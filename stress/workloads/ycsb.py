"""The mixes of YCSB (Cooper et al., "Benchmarking cloud serving systems with YCSB", 2010).

Reads choose keys with Zipf weights. Owned keys make the oracle exact, contended keys make the
threads meet. In A, B and C nobody changes the set of keys, so `len`, `keys_version` and
iteration are exact at every moment.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ..arena import Arena, Worker
from ..cells import ABSENT, PRESENT, Cell
from ..keys import Zipf, make_key
from ..space import KeySpace
from ..targets import Kind
from .base import Round, workload

__all__: list[str] = []

MUTABLE = (Kind.DICT, Kind.SET, Kind.TABLE)
_SIZES = (5, 24, 90)  # within the smallest table; within 30 shared keys; several index steps


class _FixedKeys(Round):
    """A, B, C: reads, and updates of keys that are there."""

    reads: ClassVar[float]

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        count = max(arena.rng.choice(_SIZES), 2 * self.threads)
        self.space = KeySpace(arena, count, loaded=True, fixed=True)
        self.count = count
        self.zipf = Zipf(count)
        self.versioned = self.native and arena.target.has("version", "keys_version")
        self.keys_version = self.space.table.keys_version if self.versioned else 0

    def step(self, worker: Worker) -> None:
        space, rng = self.space, worker.rng
        way = rng.random()
        if way < 0.02:
            space.size(worker, self.count, self.count)
        elif way < 0.03:
            space.scan(worker)
        elif way < 0.05 and self.versioned:
            self._check_keys_version(worker)
        elif rng.random() < self.reads:
            space.read(worker, space.cells[self.zipf.draw(rng)])
        else:
            self._update(worker, space.writable(worker))

    def _update(self, worker: Worker, cell: Cell) -> None:
        table = self.space.table
        before = table.version if self.versioned else 0
        self.space.put(worker, cell)
        # An item that a set already has is no change; every write to a dict is one.
        if self.versioned and self.arena.target.kind is Kind.DICT:
            after = table.version
            if after <= before:
                worker.fail("version", f"version was {before} before a write and {after} after it")

    def _check_keys_version(self, worker: Worker) -> None:
        now = self.space.table.keys_version
        if now != self.keys_version:
            worker.fail(
                "keys_version",
                f"keys_version went from {self.keys_version} to {now}, but only values changed",
            )

    def at_rest(self) -> None:
        self.space.check_at_rest()
        size = self.space.ops.size()
        self.arena.expect(
            size in (None, self.count), "len", f"at rest: len is {size}, not {self.count}"
        )


@workload("ycsb-a", "half reads, half updates of the same keys (YCSB A)", MUTABLE)
class YcsbA(_FixedKeys):
    reads = 0.5


@workload("ycsb-b", "95% reads, 5% updates (YCSB B)", MUTABLE)
class YcsbB(_FixedKeys):
    reads = 0.95


@workload("ycsb-c", "reads only, of keys loaded by another thread (YCSB C)", MUTABLE)
class YcsbC(_FixedKeys):
    reads = 1.0


class _Inserting(Round):
    """D, E: keys are added and never removed."""

    inserts: ClassVar[float]
    loaded: ClassVar[int] = 12

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.space = KeySpace(arena, self.loaded, contended=0, loaded=True)
        self.inserted = [0] * self.threads

    def step(self, worker: Worker) -> None:
        if worker.rng.random() < self.inserts:
            number = self.inserted[worker.index] = self.inserted[worker.index] + 1
            key = make_key(self.arena.style, worker.index + 1, number)
            cell = self.space.add_cell(key, worker.index)
            self.space.put(worker, cell)
        else:
            self.look(worker)

    def look(self, worker: Worker) -> None:
        raise NotImplementedError

    def at_rest(self) -> None:
        self.space.check_at_rest()
        size, count = self.space.ops.size(), len(self.space.cells)
        self.arena.expect(
            size in (None, count), "len", f"at rest: len is {size}, but {count} keys were inserted"
        )


@workload("ycsb-d", "inserts, and reads of the latest inserted keys (YCSB D)", MUTABLE)
class YcsbD(_Inserting):
    inserts = 0.05
    zipf = Zipf(64)

    def look(self, worker: Worker) -> None:
        cells = self.space.cells
        count = len(cells)
        if worker.rng.random() < 0.02:
            self.space.size(worker, self.loaded, len(self.arena.workers) * self.quota + self.loaded)
        back = min(self.zipf.draw(worker.rng), count - 1)
        self.space.read(worker, cells[count - 1 - back])


@workload("ycsb-e", "scans (iteration) while keys are inserted (YCSB E)", MUTABLE)
class YcsbE(_Inserting):
    inserts = 0.05
    quota = 80

    def look(self, worker: Worker) -> None:
        self.space.scan(worker, None if worker.rng.random() < 0.5 else worker.rng.randint(1, 20))


@workload("ycsb-f", "read-modify-write: own keys, and contended ones by CAS (YCSB F)", MUTABLE)
class YcsbF(Round):
    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.count = max(arena.rng.choice(_SIZES), 2 * self.threads)
        self.space = KeySpace(arena, self.count, loaded=True)
        self.zipf = Zipf(self.count)
        self.cas = self.native and arena.target.has("compare_and_set")
        self.replaced: list[list[Any]] = [[] for _ in range(self.threads)]

    def step(self, worker: Worker) -> None:
        space, rng = self.space, worker.rng
        if rng.random() < 0.5:
            space.read(worker, space.cells[self.zipf.draw(rng)])
        elif self.cas and rng.random() < 0.5:
            self._replace(worker, space.cells[rng.choice(space.contended)])
        elif space.owned[worker.index]:
            self._modify(worker, space.cells[rng.choice(space.owned[worker.index])])

    def _modify(self, worker: Worker, cell: Cell) -> None:
        """Nobody else writes this key: what is read must be the thread's own last write."""
        value = self.space.read(worker, cell)
        if value not in (PRESENT, cell.last(worker.index)):
            worker.fail(
                "own write", f"thread reads {value!r} after writing {cell.last(worker.index)!r}"
            )
        if value is PRESENT and self.arena.target.kind is Kind.SET:
            self.space.delete(worker, cell)
            self.space.read(worker, cell)
        self.space.put(worker, cell)

    def _replace(self, worker: Worker, cell: Cell) -> None:
        """Contended keys change by compare-and-set only; each value is replaced at most once."""
        table = self.space.table
        floors = cell.floor()
        old = table.get(cell.key, ABSENT)
        worker.require("read", cell.judge(floors, old))
        new = cell.begin_put(worker.index)
        worker.note("compare_and_set", cell.key, (old, new))
        if table.compare_and_set(cell.key, old, new):
            cell.done(worker.index)
            self.replaced[worker.index].append(old)
        else:
            cell.cancel(worker.index)

    def at_rest(self) -> None:
        self.space.check_at_rest()
        replaced = [value for values in self.replaced for value in values]
        self.arena.expect(
            len(set(map(_identity, replaced))) == len(replaced),
            "lost update",
            "two compare_and_set calls both replaced the same value of a key",
        )


def _identity(stamp: tuple[Any, int, int]) -> tuple[int, int, int]:
    return id(stamp[0]), stamp[1], stamp[2]
