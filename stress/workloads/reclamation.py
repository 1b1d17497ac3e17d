"""Reclamation: what is removed stays whole for its readers, dies after a flush, and never piles up."""

from __future__ import annotations

import gc
import time
import weakref
from typing import Any

from ..arena import Arena, Worker
from ..cells import ABSENT
from ..keys import make_key
from ..layout import check_layout
from ..targets import Kind
from .base import Round, workload

__all__: list[str] = []

# Back-pressure holds a thread at this many retired items (the design's figure).
_LIMBO_ITEMS = 4096
_KEYS = 24
# (changes by a thread alone, items that may be pending after them), by implementation. The Python
# one polls at every 64 retired items; the core in a hurry only every sixteen batches of 64, and one
# batch may be open.
_QUIET = {"python": (512, 256), "c": (2048, 1088)}
_QUIET_ROUNDS = 50


class Tracked:
    """A value or item that can be seen dying; it knows its key."""

    __slots__ = ("__weakref__", "key", "whole")

    def __init__(self, key: Any) -> None:
        self.key = key
        self.whole = True

    def __del__(self) -> None:
        self.whole = False


class _Reclamation(Round):
    quota = 120
    _batch = 12

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.table = arena.make()
        self.keys = [make_key(arena.style, 0, number) for number in range(_KEYS)]
        self.refs: list[list[weakref.ref[Tracked]]] = [[] for _ in range(self.threads)]
        # The limbo of every thread of this round, of this thread, and what ended threads left.
        self.bound = (self.threads + 2) * (_LIMBO_ITEMS + 256) + self._pending()

    def change(self, worker: Worker, number: int, fresh: Tracked) -> None:
        """Put `fresh` in, taking what was there out."""
        raise NotImplementedError

    def look(self, worker: Worker, number: int) -> Tracked | None:
        """What is stored for a key."""
        raise NotImplementedError

    def empty(self) -> None:
        raise NotImplementedError

    def step(self, worker: Worker) -> None:
        if worker.rng.random() < 0.5:
            for _ in range(self._batch):
                self._look(worker, worker.rng.randrange(_KEYS))
            return
        for _ in range(self._batch):
            number = worker.rng.randrange(_KEYS)
            worker.note("replace", self.keys[number])
            fresh = Tracked(self.keys[number])
            self.refs[worker.index].append(weakref.ref(fresh))
            self.change(worker, number, fresh)
        pending = self._pending()
        if pending > self.bound:
            worker.fail(
                "reclamation bound",
                f"{pending} retired items are pending, the bound is {self.bound}",
            )

    def _look(self, worker: Worker, number: int) -> None:
        key = self.keys[number]
        worker.note("read", key)
        value = self.look(worker, number)
        if value is None:
            return
        if type(value) is not Tracked or value.key is not key or not value.whole:
            worker.fail("use after free", f"key {key!r} gives a value that is dead or another's")

    def _pending(self) -> int:
        return int(self.package.reclaim.stats()["pending_items"])

    def at_rest(self) -> None:
        check_layout(self.arena, self.table)
        self._check_quiet()
        self.empty()
        self.package.reclaim.flush()
        if self._alive():  # other parts of the interpreter may delay too
            gc.collect()
            self.package.reclaim.flush()
        alive = self._alive()
        total = sum(map(len, self.refs))
        self.arena.expect(
            not alive,
            "leak",
            f"{alive} of {total} removed values are alive after reclaim.flush()",
        )
        pending = self._pending()
        self.arena.expect(
            not pending, "leak", f"{pending} retired items are pending after reclaim.flush()"
        )
        self._drop_table()

    def _check_quiet(self) -> None:
        """One thread goes on writing alone: nothing may pile up, its own or what others left."""
        worker = self.arena.workers[0]
        changes, bound = _QUIET[self.package.IMPLEMENTATION]
        pending = 0
        for _ in range(_QUIET_ROUNDS):
            for number in range(changes):
                fresh = Tracked(self.keys[number % _KEYS])
                self.refs[0].append(weakref.ref(fresh))
                self.change(worker, number % _KEYS, fresh)
            pending = self._pending()
            if pending <= bound:
                return
            time.sleep(0.01)  # a joined thread may still be on its way out, with its limbo
        self.arena.expect(
            False,
            "reclamation bound",
            f"{pending} retired items are pending after {_QUIET_ROUNDS} times {changes} "
            "changes by one thread alone",
        )

    def _alive(self) -> int:
        return sum(ref() is not None for refs in self.refs for ref in refs)

    def _drop_table(self) -> None:
        """A table without references dies too (free-threaded: by the garbage collector)."""
        ref = weakref.ref(self.table)
        del self.table
        gc.collect()
        self.package.reclaim.flush()
        self.arena.expect(ref() is None, "leak", "a table is alive after its last reference")


@workload(
    "reclamation",
    "removed values die after reclaim.flush(), pending items stay bounded",
    (Kind.DICT, Kind.TABLE),
    native_only=True,
)
class ReclaimedValues(_Reclamation):
    def change(self, worker: Worker, number: int, fresh: Tracked) -> None:
        key, way = self.keys[number], worker.rng.random()
        if self.arena.target.kind is Kind.TABLE:
            if way < 0.3:
                self.table.steal(key)
            self.table.set(key, fresh)
            return
        if way < 0.3:
            self.table.pop(key, None)
        elif way < 0.32:
            self.table.clear()
        self.table[key] = fresh

    def look(self, worker: Worker, number: int) -> Tracked | None:
        value = self.table.get(self.keys[number], ABSENT)
        return None if value is ABSENT else value

    def empty(self) -> None:
        self.table.clear()


@workload(
    "set-reclamation",
    "removed items die after reclaim.flush(), pending items stay bounded",
    [Kind.SET],
    native_only=True,
)
class ReclaimedItems(_Reclamation):
    """A slot per key holds the item that is in the set for it now."""

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.slots: list[list[Tracked | None]] = [[None] * _KEYS for _ in range(self.threads)]

    def change(self, worker: Worker, number: int, fresh: Tracked) -> None:
        mine = self.slots[worker.index]
        old = mine[number]
        if old is not None:
            self.table.remove(old)
        self.table.add(fresh)
        mine[number] = fresh
        if worker.rng.random() < 0.2:
            self.table.discard(fresh)
            mine[number] = None

    def look(self, worker: Worker, number: int) -> Tracked | None:
        mine = self.slots[worker.index][number]
        if mine is not None and mine not in self.table:
            worker.fail("read", "an item that its thread added and did not remove is absent")
        for item in self.table:
            if type(item) is not Tracked or not item.whole:
                worker.fail("use after free", "iteration gives an item that is dead")
            break
        return mine

    def empty(self) -> None:
        self.slots.clear()
        self.table.clear()
