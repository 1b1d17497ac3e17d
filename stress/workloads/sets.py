"""Set algebra: bulk methods lose nothing, and ours are atomic, the in-place operators too."""

from __future__ import annotations

from typing import Any

from ..arena import Arena, Worker
from ..keys import make_key
from ..layout import check_layout
from ..space import KeySpace
from ..targets import Kind
from .base import Round, workload

__all__: list[str] = []


@workload(
    "set-bulk",
    "update and difference_update of own items beside everybody else's",
    [Kind.SET],
    needs=["update", "difference_update"],
)
class SetBulk(Round):
    """Every item has one writer; no bulk change may lose another thread's."""

    quota = 80

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.space = KeySpace(arena, 12 * self.threads, contended=0, loaded=False)
        self.everything = {cell.key for cell in self.space.cells}

    def step(self, worker: Worker) -> None:
        space, rng = self.space, worker.rng
        own = space.owned[worker.index]
        cells = [space.cells[number] for number in rng.sample(own, rng.randint(1, len(own)))]
        keys, way = [cell.key for cell in cells], rng.random()
        if way < 0.1:
            for cell in cells:
                space.put(worker, cell)
        elif way < 0.7:
            adding = way < 0.4
            for cell in cells:
                cell.begin_put(worker.index) if adding else cell.begin_delete(worker.index)
            worker.note("update" if adding else "difference_update", keys[0], len(keys))
            self._change(adding, keys, rng.random())
            for cell in cells:
                cell.done(worker.index)
        elif self.native and way < 0.75:
            worker.note("&=", None)
            table = space.table
            table &= self.everything
        for cell in rng.sample(space.cells, 6):
            space.read(worker, cell)

    def _change(self, adding: bool, keys: list[Any], way: float) -> None:
        table = self.space.table
        if self.native and way < 0.4:
            if adding:
                table |= set(keys)
            else:
                table -= set(keys)
        elif adding:
            table.update(keys)
        else:
            table.difference_update(keys)

    def at_rest(self) -> None:
        self.space.check_at_rest()


@workload(
    "set-algebra",
    "one of each pair is in the set at every moment, whatever operators run",
    [Kind.SET],
    native_only=True,
)
class SetAlgebra(Round):
    """`s ^= {a, b}` flips a pair. The length never changes, and every snapshot has one of each."""

    quota = 120
    _pairs = 10

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.pairs = [
            (make_key(arena.style, 0, number), make_key(arena.style, 1, number))
            for number in range(self._pairs)
        ]
        self.universe = {key for pair in self.pairs for key in pair}
        self.strangers = {make_key(arena.style, 2, number) for number in range(5)}
        self.table = arena.make()
        self.table.update(first for first, _ in self.pairs)
        self.flips = [[0] * self._pairs for _ in range(self.threads)]

    def step(self, worker: Worker) -> None:
        way = worker.rng.random()
        if way < 0.4:
            self._flip(worker)
        elif way < 0.6:
            self._change_nothing(worker)
        elif way < 0.8:
            worker.note("len", None)
            size = len(self.table)
            if size != self._pairs:
                worker.fail("len", f"len is {size}, but every change keeps it at {self._pairs}")
        else:
            self._look(worker)

    def _flip(self, worker: Worker) -> None:
        number = worker.rng.randrange(self._pairs)
        pair, way, table = self.pairs[number], worker.rng.randrange(3), self.table
        worker.note("^=", pair[0])
        if way == 0:
            table ^= set(pair)
        elif way == 1:
            table.symmetric_difference_update(list(pair))
        else:
            other = self.arena.make()
            other.update(pair)
            table ^= other
        self.flips[worker.index][number] += 1

    def _change_nothing(self, worker: Worker) -> None:
        """In-place operators that change nothing, and must not undo what others change."""
        table, way = self.table, worker.rng.randrange(5)
        worker.note(("&=", "-=", "|=", "intersection_update", "difference_update")[way], None)
        if way == 0:
            table &= self.universe
        elif way == 1:
            table -= self.strangers
        elif way == 2:
            table |= set()
        elif way == 3:
            table.intersection_update(self.universe)
        else:
            table.difference_update(self.strangers)

    def _look(self, worker: Worker) -> None:
        table, way = self.table, worker.rng.randrange(8)
        name = ("snapshot", "freeze", "copy", "|", "&", "-", "^", "issubset")[way]
        worker.note(name, None)
        if way == 7:
            if not table <= self.universe or table.isdisjoint(self.universe):
                worker.fail("set algebra", "the set is not within its universe")
            return
        seen = (
            lambda: table.snapshot(),
            lambda: table.freeze(),
            lambda: table.copy(),
            lambda: table | set(),
            lambda: table & self.universe,
            lambda: table - self.strangers,
            lambda: table ^ set(),
        )[way]()
        for first, second in self.pairs:
            if (first in seen) == (second in seen):
                both = "both" if first in seen else "none"
                worker.fail("torn", f"{name} sees {both} of the pair {first!r}, {second!r}")

    def at_rest(self) -> None:
        for number, (first, second) in enumerate(self.pairs):
            flips = sum(counts[number] for counts in self.flips)
            there = second if flips % 2 else first
            self.arena.expect(
                there in self.table and (first in self.table) != (second in self.table),
                "lost update",
                f"after {flips} flips of {first!r}, {second!r} the set must have {there!r} alone",
            )
        self.arena.expect(
            len(self.table) == self._pairs, "len", f"at rest: len is {len(self.table)}"
        )
        check_layout(self.arena, self.table)
