"""`popitem` and `set.pop`: everything that goes in comes out exactly once, with its own value."""

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


class _Popping(Round):
    """Threads insert keys of their own and pop any; readers look at the keys just inserted.

    A table that gives an entry's place to a new key while readers are on their way to the old
    one is caught here: the latest keys come and go at the same end of the entries.
    """

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.table = arena.make()
        self.latest: list[Any] = [make_key(arena.style, t + 1, 0) for t in range(self.threads)]
        self.inserted = [0] * self.threads
        self.popped: list[list[Any]] = [[] for _ in range(self.threads)]

    def insert(self, key: Any, name: tuple[int, int]) -> None:
        raise NotImplementedError

    def pop(self, worker: Worker) -> Any:
        """The (thread, number) of what came out; KeyError when the container is empty."""
        raise NotImplementedError

    def look(self, worker: Worker, key: Any) -> None:
        """Read a key that may come and go."""
        raise NotImplementedError

    def remaining(self) -> list[Any]:
        """The (thread, number) of what is left."""
        raise NotImplementedError

    def step(self, worker: Worker) -> None:
        way, index = worker.rng.random(), worker.index
        if way < 0.3:
            number = self.inserted[index] = self.inserted[index] + 1
            key = make_key(self.arena.style, index + 1, number)
            self.latest[index] = key
            worker.note("insert", key)
            self.insert(key, (index, number))
        elif way < 0.6:
            worker.note("popitem", None)
            try:
                name = self.pop(worker)
            except KeyError:
                return
            self.popped[index].append(name)
        else:
            key = worker.rng.choice(self.latest)
            worker.note("read", key)
            self.look(worker, key)

    def at_rest(self) -> None:
        left = self.remaining()
        self.arena.expect(
            not self.arena.target.has("__len__") or len(self.table) == len(left),
            "len",
            lambda: f"at rest: len is {len(self.table)}, but {len(left)} items are there",
        )
        balance = Counter(
            (thread, number)
            for thread, count in enumerate(self.inserted)
            for number in range(1, count + 1)
        )
        balance.subtract(name for names in self.popped for name in names)
        balance.subtract(left)
        lost = [name for name, count in balance.items() if count > 0]
        twice = [name for name, count in balance.items() if count < 0]
        self.arena.expect(
            not lost and not twice,
            "conservation",
            f"inserted (thread, number) lost: {lost[:5]}, out twice: {twice[:5]}",
        )
        check_layout(self.arena, self.table)


@workload(
    "popitem", "popitem gives every inserted item exactly once", [Kind.DICT], needs=["popitem"]
)
class PopItem(_Popping):
    def insert(self, key: Any, name: tuple[int, int]) -> None:
        self.table[key] = (key, *name)

    def pop(self, worker: Worker) -> Any:
        key, value = self.table.popitem()
        self._belongs(worker, key, value)
        return value[1:]

    def look(self, worker: Worker, key: Any) -> None:
        if self.arena.target.has("get"):
            value = self.table.get(key, ABSENT)
        else:
            try:
                value = self.table[key]
            except KeyError:
                value = ABSENT
        if value is not ABSENT:
            self._belongs(worker, key, value)

    def _belongs(self, worker: Worker, key: Any, value: Any) -> None:
        if not isinstance(value, tuple) or value[0] != key:
            worker.fail("provenance", f"key {key!r} has {value!r}, written for another key")

    def remaining(self) -> list[Any]:
        return [self.table[key][1:] for key in list(self.table)]


@workload("set-pop", "pop gives every added item exactly once", [Kind.SET], needs=["pop"])
class SetPop(_Popping):
    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.names: dict[Any, tuple[int, int]] = {}

    def insert(self, key: Any, name: tuple[int, int]) -> None:
        self.names[key] = name
        self.table.add(key)

    def pop(self, worker: Worker) -> Any:
        item = self.table.pop()
        name = self.names.get(item)
        if name is None:
            worker.fail("provenance", f"pop gave {item!r}, which nobody ever added")
        return name

    def look(self, worker: Worker, key: Any) -> None:
        found = key in self.table
        if found and key not in self.names:
            worker.fail("provenance", f"{key!r} is present, but was never added")

    def remaining(self) -> list[Any]:
        return [self.names[item] for item in list(self.table)]
