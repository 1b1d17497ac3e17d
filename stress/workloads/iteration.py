"""The contract of iteration, with as many changes under way as the container allows."""

from __future__ import annotations

from typing import Any

from ..arena import Arena, Worker
from ..cells import Cell
from ..keys import make_key
from ..space import KeySpace
from ..targets import Kind
from .base import Round, workload

__all__: list[str] = []


@workload(
    "iteration",
    "what is there from start to end comes exactly once; nothing twice, nothing else",
    (Kind.DICT, Kind.SET),
    needs=["__iter__"],
)
class Iteration(Round):
    """Stable keys between keys that come and go.

    Containers that are not ours may refuse to iterate over changing keys, so for them only
    values change.
    """

    quota = 80

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.space = KeySpace(arena, 16, contended=0, loaded=True, fixed=not self.native)
        self.passing = [self._own_cells(thread) for thread in range(self.threads)]

    def _own_cells(self, thread: int) -> list[Cell]:
        if not self.native:
            return []
        keys = [make_key(self.arena.style, thread + 1, number) for number in range(12)]
        return [self.space.add_cell(key, thread) for key in keys]

    def step(self, worker: Worker) -> None:
        space, rng, passing = self.space, worker.rng, self.passing[worker.index]
        if worker.index % 2 == 0:
            if passing and rng.random() < 0.5:
                space.scan(worker, between=lambda: self._change(worker))
            else:
                space.scan(worker)
        else:
            self._change(worker)

    def _change(self, worker: Worker) -> Cell | None:
        """One write to a cell of this thread; the cell."""
        space, rng, passing = self.space, worker.rng, self.passing[worker.index]
        own = space.owned[worker.index]
        if own and (not passing or rng.random() < 0.2):
            cell = space.cells[rng.choice(own)]
            space.put(worker, cell)
        elif passing:
            cell = rng.choice(passing)
            if rng.random() < 0.5:
                space.put(worker, cell)
            else:
                space.delete(worker, cell)
        else:
            return None
        return cell

    def at_rest(self) -> None:
        self.space.check_at_rest()


@workload(
    "shared-iterator",
    "an iterator shared by all threads gives each entry to exactly one of them",
    (Kind.DICT, Kind.SET),
    native_only=True,
)
class SharedIterator(Round):
    quota = 200

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.space = KeySpace(arena, 60, contended=0, loaded=True)
        self.iterator = iter(self.space.table)
        self.came: list[list[Any]] = [[] for _ in range(self.threads)]
        self.exhausted = [False] * self.threads

    def step(self, worker: Worker) -> None:
        if self.exhausted[worker.index] or worker.rng.random() < 0.5:
            self.space.read(worker, worker.rng.choice(self.space.cells))
            return
        worker.note("next", None)
        key = next(self.iterator, None)
        if key is None:
            self.exhausted[worker.index] = True
        else:
            self.came[worker.index].append(key)

    def at_rest(self) -> None:
        came = [key for keys in self.came for key in keys] + list(self.iterator)
        self.arena.expect(
            len(came) == len(set(came)) and set(came) == {cell.key for cell in self.space.cells},
            "iteration",
            f"a shared iterator gave {len(came)} keys, {len(set(came))} different, of 60",
        )
        self.space.check_at_rest()
