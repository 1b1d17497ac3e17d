"""One face for dicts, sets and hash tables, so that one workload fits all three.

`read` gives the stored value, `PRESENT` where a container knows no values, or `ABSENT`.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from .cells import ABSENT, PRESENT, Marker
from .targets import Kind, Target

__all__ = ["DictOps", "Ops", "SetOps", "TableOps", "ops_for"]


class Ops:
    """Operations on `table`, each one call of one method of it."""

    def __init__(self, table: Any, target: Target) -> None:
        self.table = table
        self.target = target

    def put(self, key: Any, value: Any, rng: Random) -> None:
        raise NotImplementedError

    def read(self, key: Any, rng: Random) -> Any:
        raise NotImplementedError

    def delete(self, key: Any, rng: Random) -> Any:
        """Remove the key: what was removed, `ABSENT`, or None when the method does not say."""
        raise NotImplementedError

    def scan(self, rng: Random, *, live: bool = False) -> Iterator[tuple[Any, Any]]:
        """(key, value or PRESENT) of an iteration; made, with its iterator, before this returns.

        `live`: an iteration that shows, on our tables, what is written while it runs.
        """
        raise NotImplementedError

    def size(self) -> int | None:
        """`len`, or None when there is none."""
        return len(self.table) if self.target.has("__len__") else None

    @property
    def scannable(self) -> bool:
        return self.target.has("__iter__")


class DictOps(Ops):
    def put(self, key: Any, value: Any, rng: Random) -> None:
        table, way = self.table, rng.random()
        if self.target.native and way < 0.2:
            if way < 0.1:
                table.swap(key, value)
            else:
                table.compute(key, lambda old: value)
        elif way < 0.3 and self.target.has("update"):
            table.update({key: value})
        else:
            table[key] = value

    def read(self, key: Any, rng: Random) -> Any:
        table, way = self.table, rng.random()
        if way < 0.4 and self.target.has("get"):
            return table.get(key, ABSENT)
        if way < 0.5 and self.target.has("__contains__"):
            return PRESENT if key in table else ABSENT
        if way < 0.6 and self.target.native:
            return table.get_many([key]).get(key, ABSENT)
        try:
            return table[key]
        except KeyError:
            return ABSENT

    def delete(self, key: Any, rng: Random) -> Any:
        table, way = self.table, rng.random()
        if way < 0.4 and self.target.has("pop"):
            return table.pop(key, ABSENT)
        if way < 0.5 and self.target.native:
            return table.pop_many([key]).get(key, ABSENT)
        try:
            del table[key]
        except KeyError:
            return ABSENT
        return None

    def scan(self, rng: Random, *, live: bool = False) -> Iterator[tuple[Any, Any]]:
        if not live and rng.random() < 0.7 and self.target.has("items"):
            return iter(self.table.items())
        return _keys_only(iter(self.table))


class SetOps(Ops):
    def put(self, key: Any, value: Any, rng: Random) -> None:
        if rng.random() < 0.2 and self.target.has("update"):
            self.table.update([key])
        else:
            self.table.add(key)

    def read(self, key: Any, rng: Random) -> Any:
        return PRESENT if key in self.table else ABSENT

    def delete(self, key: Any, rng: Random) -> Any:
        table, way = self.table, rng.random()
        if way < 0.5 and self.target.has("remove"):
            try:
                table.remove(key)
            except KeyError:
                return ABSENT
            return PRESENT
        if way < 0.6 and self.target.has("difference_update"):
            table.difference_update([key])
        else:
            table.discard(key)
        return None

    def scan(self, rng: Random, *, live: bool = False) -> Iterator[tuple[Any, Any]]:
        return _keys_only(iter(self.table))


class TableOps(Ops):
    """Our `HashTable`."""

    def put(self, key: Any, value: Any, rng: Random) -> None:
        self.table.set(key, value)

    def read(self, key: Any, rng: Random) -> Any:
        if rng.random() < 0.2 and self.target.has("__contains__"):
            return PRESENT if key in self.table else ABSENT
        return self.table.get(key, ABSENT)

    def delete(self, key: Any, rng: Random) -> Any:
        return self.table.steal(key, ABSENT)

    def scan(self, rng: Random, *, live: bool = False) -> Iterator[tuple[Any, Any]]:
        found: list[tuple[Any, Any]] = []
        self.table.foreach(lambda key, value: found.append((key, value)))
        return iter(found)

    def size(self) -> int | None:
        return int(self.table.size())

    @property
    def scannable(self) -> bool:
        return True


def _keys_only(keys: Iterator[Any]) -> Iterator[tuple[Any, Marker]]:
    return ((key, PRESENT) for key in keys)


_OPS: dict[Kind, type[Ops]] = {Kind.DICT: DictOps, Kind.SET: SetOps, Kind.TABLE: TableOps}


def ops_for(table: Any, target: Target) -> Ops:
    """The operations that fit the kind of the target."""
    return _OPS[target.kind](table, target)
