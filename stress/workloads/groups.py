"""Several keys at one moment: `update_many`, `pop_many`, `snapshot`, `get_many`, guards, `exclusive`."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

from ..arena import Arena, Worker
from ..cells import ABSENT
from ..keys import Zipf, make_key
from ..layout import check_layout
from ..space import KeySpace
from ..targets import Kind
from .base import Round, workload

__all__: list[str] = []


@workload(
    "groups",
    "update_many and pop_many are never seen torn by snapshots, get_many, copies or guards",
    [Kind.DICT],
    native_only=True,
)
class Groups(Round):
    """The keys of a group are written together with one value, and removed together."""

    quota = 150
    _groups = 4
    _members = 3

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.table = arena.make()
        self.groups = [
            [make_key(arena.style, group, member) for member in range(self._members)]
            for group in range(self._groups)
        ]
        self.extra = [make_key(arena.style, self._groups + t, 0) for t in range(self.threads)]
        self.written = [0] * self.threads
        self.guards = [self.table.guard(*keys) for keys in self.groups]

    def step(self, worker: Worker) -> None:
        rng, group = worker.rng, worker.rng.randrange(self._groups)
        keys, way = self.groups[group], worker.rng.random()
        if way < 0.3:
            number = self.written[worker.index] = self.written[worker.index] + 1
            value = (group, worker.index, number)
            worker.note("update_many", keys[0], value)
            self.table.update_many(dict.fromkeys(rng.sample(keys, len(keys)), value))
        elif way < 0.4:
            worker.note("pop_many", keys[0])
            self._judge(worker, "pop_many", group, self.table.pop_many(keys))
        elif way < 0.5:  # the table grows and shrinks around the groups
            worker.note("put", self.extra[worker.index])
            self.table[self.extra[worker.index]] = (-1, worker.index, 0)
            self.table.pop(self.extra[worker.index])
        elif way < 0.65:
            worker.note("get_many", keys[0])
            self._judge(worker, "get_many", group, self.table.get_many(keys))
        elif way < 0.75:
            worker.note("guard", keys[0])
            values = zip(keys, self.guards[group](), strict=True)
            present = {key: value for key, value in values if isinstance(value, tuple)}
            self._judge(worker, "guard", group, present)
        else:
            self._judge_whole(worker)

    def _judge_whole(self, worker: Worker) -> None:
        """Look at the whole table in one of the ways that see one moment of it."""
        way = worker.rng.choice(
            ("snapshot", "copy", "|", "list(items())", "items() | ()", "pickle")
        )
        worker.note(way, None)
        if way == "snapshot":
            seen = self.table.snapshot()
        elif way == "copy":
            seen = self.table.copy()
        elif way == "|":
            seen = self.table | {}
        elif way == "pickle":
            if "<locals>" in type(self.table).__qualname__:
                return  # a class that no other process could find
            seen = pickle.loads(pickle.dumps(self.table))
        elif way == "list(items())":
            seen = dict(list(self.table.items()))
        else:
            seen = dict(self.table.items() | set())
        for group in range(self._groups):
            self._judge(worker, way, group, seen)

    def _judge(self, worker: Worker, way: str, group: int, seen: Mapping[Any, Any]) -> None:
        values = [seen.get(key, ABSENT) for key in self.groups[group]]
        first = values[0]
        if any(value != first for value in values):
            worker.fail("torn", f"{way} sees group {group} torn: {values}")
        if first is not ABSENT and (first[0] != group or first[2] > self.written[first[1]]):
            worker.fail("provenance", f"{way} gives group {group} the value {first}")

    def at_rest(self) -> None:
        for group, keys in enumerate(self.groups):
            values = {self.table.get(key, ABSENT) for key in keys}
            self.arena.expect(
                len(values) == 1, "torn", f"at rest: group {group} has the values {values}"
            )
            value = values.pop()
            self.arena.expect(
                value is ABSENT or value[0] == group,
                "provenance",
                f"at rest: group {group} has the value {value}",
            )
        check_layout(self.arena, self.table)


@workload(
    "guards",
    "a guard gives current values through inserts, deletes and overwrites",
    [Kind.DICT],
    native_only=True,
)
class Guards(Round):
    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        count = 3 * self.threads
        self.space = KeySpace(arena, count, contended=0, loaded=True)
        self.guards = [self.space.table.guard(cell.key) for cell in self.space.cells]
        self.zipf = Zipf(count)

    def step(self, worker: Worker) -> None:
        space, rng = self.space, worker.rng
        way = rng.random()
        if way < 0.2:
            space.put(worker, space.writable(worker))
        elif way < 0.25:
            space.delete(worker, space.writable(worker))
        else:
            number = self.zipf.draw(rng)
            cell = space.cells[number]
            worker.note("guard", cell.key)
            floors = cell.floor()
            value = self.guards[number]()
            found = value if isinstance(value, tuple) else ABSENT
            worker.require("guard", cell.judge(floors, found))

    def at_rest(self) -> None:
        for cell, guard in zip(self.space.cells, self.guards, strict=True):
            value = guard()
            problem = cell.judge(cell.settle(), value if isinstance(value, tuple) else ABSENT)
            self.arena.expect(problem is None, "guard", f"at rest: a guard: {problem}")
        self.space.check_at_rest()


@workload(
    "exclusive",
    "no other writer gets between the steps of an exclusive block; transfers conserve the total",
    [Kind.DICT],
    native_only=True,
)
class Exclusive(Round):
    quota = 60
    _accounts = 4

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.keys = [make_key(arena.style, 0, number) for number in range(self._accounts)]
        self.noise = make_key(arena.style, 1, 0)
        self.one, self.two = arena.make(), arena.make()
        for key in self.keys:
            self.one[key] = self.two[key] = 0
        self.one[self.noise] = 0
        self.moved = [0] * self.threads
        self.noises = [0] * self.threads

    def step(self, worker: Worker) -> None:
        rng = worker.rng
        way, key = rng.random(), rng.choice(self.keys)
        if way < 0.4:
            worker.note("increment", self.noise)
            self.one.increment(self.noise)
            self.noises[worker.index] += 1
        elif way < 0.5:
            worker.note("read", key)
            if not isinstance(self.one[key], int):  # readers go on during a block
                worker.fail("provenance", f"account {key!r} is {self.one[key]!r}")
        else:
            tables = (self.one, self.two) if rng.random() < 0.5 else (self.two, self.one)
            worker.note("exclusive", key)
            with self.package.exclusive(*tables):
                self._transfer(worker, key, rng.randint(1, 9))

    def _transfer(self, worker: Worker, key: Any, amount: int) -> None:
        noise = self.one[self.noise]
        balance = self.one[key]
        self.one[key] = balance - amount
        self.two[key] = self.two[key] + amount
        self.moved[worker.index] += amount
        if self.one[self.noise] != noise or self.one[key] != balance - amount:
            worker.fail("exclusion", "another thread wrote to a table inside an exclusive block")

    def at_rest(self) -> None:
        moved = sum(self.moved)
        given = -sum(self.one[key] for key in self.keys)
        taken = sum(self.two[key] for key in self.keys)
        self.arena.expect(
            given == taken == moved,
            "conservation",
            f"{moved} was moved, but {given} left one table and {taken} reached the other",
        )
        noise, expected = self.one[self.noise], sum(self.noises)
        self.arena.expect(
            noise == expected,
            "conservation",
            f"a counter beside the exclusive blocks is {noise}, not {expected}",
        )
        check_layout(self.arena, self.one, self.two)
