"""Our `HashTable`: destructors run once for everything that was not stolen."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ..arena import Arena, Worker
from ..cells import ABSENT
from ..keys import make_key
from ..layout import check_layout
from ..targets import Kind
from .base import Round, workload

__all__: list[str] = []


@workload(
    "destructors",
    "each value is destroyed exactly once, unless it was stolen",
    [Kind.TABLE],
    native_only=True,
)
class Destructors(Round):
    _keys = 20

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.destroyed: list[tuple[int, int, int]] = []
        self.table: Any = arena.target.make(destroy_value=self.destroyed.append)
        self.keys = [make_key(arena.style, 0, number) for number in range(self._keys)]
        self.written = [0] * self.threads
        self.stolen: list[list[Any]] = [[] for _ in range(self.threads)]

    def step(self, worker: Worker) -> None:
        number, way = worker.rng.randrange(self._keys), worker.rng.random()
        key, index = self.keys[number], worker.index
        if way < 0.5:
            self.written[index] += 1
            value = (number, index, self.written[index])
            worker.note("set", key, value)
            self.table.set(key, value)
        elif way < 0.75:
            worker.note("steal", key)
            value = self.table.steal(key, ABSENT)
            if value is not ABSENT:
                self.stolen[index].append(value)
                self._belongs(worker, number, value)
        elif way < 0.76:
            worker.note("clear", None)
            self.table.clear()
        else:
            worker.note("get", key)
            value = self.table.get(key, ABSENT)
            if value is not ABSENT:
                self._belongs(worker, number, value)

    def _belongs(self, worker: Worker, number: int, value: Any) -> None:
        if value[0] != number:
            worker.fail(
                "provenance", f"key {self.keys[number]!r} has another key's value {value!r}"
            )

    def at_rest(self) -> None:
        check_layout(self.arena, self.table)
        self.table.destroy()
        self.package.reclaim.flush()
        balance = Counter(
            {
                (thread, number): 1
                for thread, count in enumerate(self.written)
                for number in range(1, count + 1)
            }
        )
        balance.subtract(value[1:] for values in self.stolen for value in values)
        balance.subtract(value[1:] for value in self.destroyed)
        wrong = {name: count for name, count in balance.items() if count}
        self.arena.expect(
            not wrong,
            "destructors",
            lambda: (
                "values neither stolen nor destroyed (1), or both or twice (-1), as (thread, number): "
                f"{dict(list(wrong.items())[:5])}"
            ),
        )


@workload(
    "readers",
    "many threads read, hash and compare one immutable table",
    (Kind.FROZEN_DICT, Kind.FROZEN_SET),
)
class Readers(Round):
    """The first thread that asks computes what is cached; all must get the same."""

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        count = arena.rng.choice((3, 28, 120))
        keys = [make_key(arena.style, 0, number) for number in range(count)]
        self.absent = [make_key(arena.style, 1, number) for number in range(8)]
        self.is_dict = arena.target.kind is Kind.FROZEN_DICT
        self.contents: Any = {key: (number,) for number, key in enumerate(keys)}
        self.keys = keys
        self.table = arena.make(self.contents if self.is_dict else keys)
        self.order = list(self.table)
        self.hashes: set[int] = set()
        self.hashable = type(self.table).__hash__ is not None and arena.target.native

    def step(self, worker: Worker) -> None:
        table, rng = self.table, worker.rng
        way, key = rng.random(), rng.choice(self.keys)
        worker.note("read", key)
        if key not in table or rng.choice(self.absent) in table:
            worker.fail("read", f"membership of {key!r} or of an absent key is wrong")
        if self.is_dict and table[key] is not self.contents[key]:
            worker.fail("read", f"key {key!r} gives {table[key]!r}, not the stored object")
        if way < 0.03:
            self._whole(worker)
        elif way < 0.1 and self.hashable:
            self.hashes.add(hash(table))

    def _whole(self, worker: Worker) -> None:
        worker.note("whole", None)
        same = self.contents if self.is_dict else set(self.keys)
        if (
            list(self.table) != self.order
            or len(self.table) != len(self.keys)
            or self.table != same
        ):
            worker.fail("read", "iteration, len or equality of an immutable table changed")

    def at_rest(self) -> None:
        self.arena.expect(len(self.hashes) <= 1, "hash", f"different hashes: {self.hashes}")
        if self.hashes and not self.is_dict:
            self.arena.expect(
                self.hashes == {hash(frozenset(self.keys))}, "hash", "hash differs from frozenset's"
            )
        check_layout(self.arena, self.table)


@workload(
    "snapshots",
    "snapshots never change, while their table does",
    (Kind.DICT, Kind.SET),
    native_only=True,
)
class Snapshots(Round):
    """Threads pass snapshots around through a board and find them as they were."""

    quota = 100

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.is_dict = arena.target.kind is Kind.DICT
        self.table = arena.make()
        self.keys = [make_key(arena.style, 0, number) for number in range(30)]
        self.board: list[Any] = []

    def step(self, worker: Worker) -> None:
        rng = worker.rng
        way, number = rng.random(), rng.randrange(len(self.keys))
        key = self.keys[number]
        if way < 0.4:
            worker.note("put", key)
            if self.is_dict:
                self.table[key] = (number, worker.index, worker.operations)
            else:
                self.table.add(key)
        elif way < 0.7:
            worker.note("delete", key)
            if self.is_dict:
                self.table.pop(key, None)
            else:
                self.table.discard(key)
        elif way < 0.8 or not self.board:
            worker.note("snapshot", None)
            taken = self.table.snapshot()
            self.board.append((taken, self._content(taken), hash(taken), len(taken)))
        else:
            self._check(worker, *rng.choice(self.board))

    def _content(self, snapshot: Any) -> Any:
        return dict(snapshot.items()) if self.is_dict else set(snapshot)

    def _check(self, worker: Worker, snapshot: Any, content: Any, hashed: int, size: int) -> None:
        worker.note("check snapshot", None)
        same = len(snapshot) == size and hash(snapshot) == hashed
        if not same or self._content(snapshot) != content or snapshot != content:
            worker.fail("snapshot", "a snapshot changed after it was taken")
        if self.is_dict:
            for key, value in snapshot.items():
                if self.keys[value[0]] != key:
                    worker.fail("provenance", f"a snapshot gives {key!r} another key's {value!r}")

    def at_rest(self) -> None:
        worker = self.arena.workers[0]
        for entry in self.board:
            self._check(worker, *entry)
        check_layout(self.arena, self.table)
