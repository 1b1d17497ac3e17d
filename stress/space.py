"""A container with its oracle: the cells of its keys, and the operations that consult them.

Cells are *owned* (one thread writes them: what a read may return is known exactly) or *contended*
(all threads write them). Every operation here notes itself in the worker's journal, asks the
container, and fails the round when the cell does not admit the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from .arena import Arena, Worker
from .cells import ABSENT, PRESENT, Cell
from .keys import make_key
from .layout import check_layout
from .ops import ops_for

__all__ = ["KeySpace"]


class KeySpace:
    """The cells of one container.

    `fixed` says that nobody inserts or deletes keys while the threads run. Every `contended`-th
    cell is written by all threads (0: none), the others by the thread `owner_of` them.
    """

    def __init__(
        self, arena: Arena, count: int, *, contended: int = 4, loaded: bool, fixed: bool = False
    ) -> None:
        self.arena = arena
        self.table = arena.make()
        self.ops = ops_for(self.table, arena.target)
        self.native = arena.target.native
        self.fixed = fixed
        self.cells: list[Cell] = []
        self.by_key: dict[Any, Cell] = {}
        self.contended = list(range(0, count, contended)) if contended else []
        self.owned: list[list[int]] = [[] for _ in range(arena.threads)]
        for number in range(count):
            owner = number % arena.threads
            shared = bool(contended) and number % contended == 0
            cell = self.add_cell(make_key(arena.style, 0, number), None if shared else owner)
            if not shared:
                self.owned[owner].append(number)
            if loaded:
                value = cell.begin_put(owner)
                self.ops.put(cell.key, value, arena.rng)
                cell.done(owner)

    def add_cell(self, key: Any, owner: int | None) -> Cell:
        """A new key, not yet in the container, and the only thread that writes it (None: all)."""
        cell = Cell(key, self.arena.threads, owner)
        self.by_key[key] = cell  # before the list: who finds it there, finds it here
        self.cells.append(cell)
        return cell

    def writable(self, worker: Worker) -> Cell:
        """A cell that this worker may write: one of its own, or a contended one."""
        own = self.owned[worker.index]
        if own and (not self.contended or worker.rng.random() < 0.7):
            return self.cells[worker.rng.choice(own)]
        if self.contended:
            return self.cells[worker.rng.choice(self.contended)]
        return self._spare(worker)

    # -- operations ------------------------------------------------------------------------------

    def read(self, worker: Worker, cell: Cell) -> Any:
        """Read the key in some way; the value."""
        worker.note("read", cell.key)
        floors = cell.floor()
        value = self.ops.read(cell.key, worker.rng)
        worker.require("read", cell.judge(floors, value))
        return value

    def put(self, worker: Worker, cell: Cell) -> Any:
        """Write the next value of this worker; the value."""
        value = cell.begin_put(worker.index)
        worker.note("put", cell.key, value[1:])
        self.ops.put(cell.key, value, worker.rng)
        cell.done(worker.index)
        return value

    def delete(self, worker: Worker, cell: Cell) -> Any:
        """Delete the key; what was removed, where the method tells.

        Of its own key a thread knows what must come out; of another's, the cell does.
        """
        floors, last = cell.floor(), cell.last(worker.index)
        cell.begin_delete(worker.index)
        worker.note("delete", cell.key)
        removed = self.ops.delete(cell.key, worker.rng)
        cell.done(worker.index)
        if removed is None:
            return None
        if cell.owner == worker.index and removed is not PRESENT and removed != last:
            worker.fail(
                "delete",
                f"deleting key {cell.key!r} gave {removed!r}, although its only writer had "
                f"left {last!r} there",
            )
        worker.require("delete", cell.judge(floors, removed))
        return removed

    def size(self, worker: Worker, low: int, high: int) -> None:
        """`len`, which must be `low` to `high`."""
        worker.note("len", None)
        size = self.ops.size()
        if size is not None and not low <= size <= high:
            bounds = str(low) if low == high else f"{low} to {high}"
            worker.fail("len", f"len is {size}, but only {bounds} is possible")

    def scan(
        self,
        worker: Worker,
        limit: int | None = None,
        between: Callable[[], Cell | None] | None = None,
    ) -> None:
        """Iterate (at most `limit` steps); see the contract of iteration in targets.py.

        `between` runs after every step; it may write a cell and return it. Iterating one of our
        tables (not its views, which show one moment) is judged with what was written that way.
        """
        if not self.ops.scannable:
            return
        worker.note("scan", None)
        before = [(cell, cell.floor()) for cell in tuple(self.cells)]
        try:
            iterator = self.ops.scan(worker.rng, live=between is not None)
            born = {id(cell) for cell in tuple(self.cells) if cell.started()}
            floors = {id(cell): taken for cell, taken in before}
            found = self._consume(worker, islice(iterator, limit), floors, born, between)
        except RuntimeError as error:
            if self.native or self.fixed:
                worker.fail("iteration", f"iteration refuses, though it must not: {error}")
            worker.refusals += 1
            return
        if limit is None and (self.native or self.fixed):
            self._nothing_missed(worker, before, found)

    def _consume(
        self,
        worker: Worker,
        items: Any,
        before: dict[int, tuple[int, ...]],
        born: set[int],
        between: Callable[[], Cell | None] | None,
    ) -> set[int]:
        """Judge every step; the ids of the cells that came."""
        found: set[int] = set()
        born_later = (-1,) * self.arena.threads
        for key, value in items:
            cell = self.by_key.get(key)
            if cell is None:
                worker.fail("iteration", f"iteration gives {key!r}, which nobody ever inserted")
                continue
            if id(cell) in found and (self.native or self.fixed):
                worker.fail("iteration", f"iteration gives key {key!r} twice")
            if id(cell) not in born and self.native:
                worker.fail(
                    "iteration", f"iteration gives key {key!r}, inserted after it had begun"
                )
            found.add(id(cell))
            worker.require("iteration", cell.judge(before.get(id(cell), born_later), value))
            changed = between() if between is not None else None
            if changed is not None:
                before[id(changed)] = changed.floor()
        return found

    def _nothing_missed(
        self, worker: Worker, before: list[tuple[Cell, tuple[int, ...]]], found: set[int]
    ) -> None:
        for cell, floors in before:
            if id(cell) not in found and cell.always_present(floors):
                worker.fail(
                    "iteration",
                    f"iteration misses key {cell.key!r}, which was there from start to end",
                )

    # -- at rest ---------------------------------------------------------------------------------

    def check_at_rest(self) -> None:
        """Final values, size, iteration and structure against the recorded writers."""
        arena = self.arena
        present = []
        for cell in self.cells:
            value = self.ops.read(cell.key, arena.rng)
            problem = cell.judge(cell.settle(), value)
            if problem is not None:
                arena.fail("final state", f"at rest: {problem}")
            if value is not ABSENT:
                present.append(cell.key)
        size = self.ops.size()
        arena.expect(
            size is None or size == len(present),
            "final state",
            lambda: f"at rest: len is {size}, but {len(present)} of the keys are present",
        )
        if self.ops.scannable:
            self._check_final_scan(present)
        check_layout(arena, self.table)

    def _check_final_scan(self, present: list[Any]) -> None:
        came = [key for key, _ in self.ops.scan(self.arena.rng)]
        self.arena.expect(
            len(came) == len(present) and set(came) == set(present),
            "final state",
            lambda: (
                f"at rest: iteration gives {len(came)} keys ({len(set(came))} different), "
                f"but {len(present)} are present"
            ),
        )

    def _spare(self, worker: Worker) -> Cell:
        """More threads than cells: give the worker a key of its own."""
        cell = self.add_cell(make_key(self.arena.style, worker.index + 1, 0), worker.index)
        self.owned[worker.index].append(self.cells.index(cell))
        return cell
