"""Insertion and deletion: single keys, bursts that make tables grow and shrink, and `clear`."""

from __future__ import annotations

from typing import Any

from ..arena import Arena, Worker
from ..cells import ABSENT, PRESENT, Cell
from ..keys import make_key
from ..space import KeySpace
from ..targets import Kind
from .base import Round, workload

__all__: list[str] = []

MUTABLE = (Kind.DICT, Kind.SET, Kind.TABLE)
_BURST = 40


@workload("churn", "inserts, deletes and reads of few keys by all threads", MUTABLE)
class Churn(Round):
    """Every value that comes out of the container comes out once."""

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.count = max(arena.rng.choice((4, 16, 60)), 2 * self.threads)
        self.space = KeySpace(arena, self.count, contended=3, loaded=False)
        self.removed: list[list[Any]] = [[] for _ in range(self.threads)]

    def step(self, worker: Worker) -> None:
        space, rng = self.space, worker.rng
        way = rng.random()
        if way < 0.4:
            space.read(worker, space.cells[rng.randrange(self.count)])
        elif way < 0.42:
            space.size(worker, 0, self.count + self.threads)
        elif way < 0.44:
            space.scan(worker)
        elif way < 0.74:
            space.put(worker, space.writable(worker))
        else:
            self._delete(worker, space.writable(worker))

    def _delete(self, worker: Worker, cell: Cell) -> None:
        removed = self.space.delete(worker, cell)
        if removed is not None and removed is not ABSENT and removed is not PRESENT:
            self.removed[worker.index].append((id(removed[0]), *removed[1:]))

    def at_rest(self) -> None:
        self.space.check_at_rest()
        removed = [stamp for stamps in self.removed for stamp in stamps]
        self.arena.expect(
            len(set(removed)) == len(removed), "removal", "one written value was removed twice"
        )


@workload("bursts", "tables grow and shrink by bursts while other keys are read", MUTABLE)
class Bursts(Round):
    """Stable keys must be found, and found once, through every resize and compaction."""

    quota = 60
    _stable = 10

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.space = KeySpace(arena, self._stable, contended=0, loaded=True)
        self.bursts = [
            [
                self.space.add_cell(make_key(arena.style, thread + 1, number), thread)
                for number in range(_BURST)
            ]
            for thread in range(self.threads)
        ]

    def step(self, worker: Worker) -> None:
        space, rng = self.space, worker.rng
        if worker.index % 2 and rng.random() < 0.9:
            for _ in range(8):
                space.read(worker, space.cells[rng.randrange(self._stable)])
        elif rng.random() < 0.1:
            space.scan(worker)
        else:
            self._burst(worker)
        high = self._stable + _BURST * self.threads
        space.size(worker, self._stable, high)

    def _burst(self, worker: Worker) -> None:
        cells = self.bursts[worker.index][: worker.rng.randint(1, _BURST)]
        for cell in cells:
            self.space.put(worker, cell)
        for cell in worker.rng.sample(cells, len(cells)):
            self.space.read(worker, cell)
            self.space.delete(worker, cell)

    def at_rest(self) -> None:
        self.space.check_at_rest()


@workload("clear", "clear against inserts and reads", (Kind.DICT, Kind.SET), needs=["clear"])
class Clear(Round):
    """`clear` is a deletion of every key; what was cleared never comes back."""

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.space = KeySpace(arena, 20, contended=1, loaded=True)

    def step(self, worker: Worker) -> None:
        space, rng = self.space, worker.rng
        way = rng.random()
        if way < 0.04:
            self._clear(worker)
        elif way < 0.5:
            space.put(worker, rng.choice(space.cells))
        elif way < 0.53:
            space.size(worker, 0, len(space.cells))
        else:
            space.read(worker, rng.choice(space.cells))

    def _clear(self, worker: Worker) -> None:
        for cell in self.space.cells:
            cell.begin_delete(worker.index)
        worker.note("clear", None)
        self.space.table.clear()
        for cell in self.space.cells:
            cell.done(worker.index)

    def at_rest(self) -> None:
        self.space.check_at_rest()
