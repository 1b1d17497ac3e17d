"""Split records: many `SplitDict` records append names to one `SharedKeys` while others read."""

from __future__ import annotations

from typing import Any

from ..arena import Arena, Worker
from ..cells import ABSENT, PRESENT, Cell
from ..layout import check_layout
from ..targets import Kind
from .base import Round, workload

__all__: list[str] = []

_NAMES = tuple([f"field{number}" for number in range(26)])
_MAX_SHARED = 30


class _Record:
    """One record: its table, the cell of each name, and what its owner knows to be in it."""

    def __init__(self, table: Any, serial: int, threads: int, owner: int) -> None:
        self.table = table
        self.serial = serial
        self.cells = {name: Cell((serial, name), threads, owner) for name in _NAMES}
        self.mirror: dict[Any, Any] = {}
        self.foreign: dict[Any, int] = {}  # keys that do not fit the shared shape
        self.combined = False


@workload(
    "split-records",
    "records of one shape: no value under another name or in another record, names only grow",
    [Kind.DICT],
    needs=["shared_keys"],
    native_only=True,
)
class SplitRecords(Round):
    """Every record has one writer, which replaces it by a fresh one now and then."""

    quota = 250

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        first = arena.make()
        self.type = type(first)
        self.shared = first.shared_keys
        self.serials = [0] * self.threads
        self.records = [self._fresh(number % self.threads) for number in range(2 * self.threads)]
        self.names: list[tuple[str, ...]] = [()] * self.threads

    def _fresh(self, owner: int) -> _Record:
        number = self.serials[owner] = self.serials[owner] + 1
        serial = number * self.threads + owner
        return _Record(self.type(self.shared), serial, self.threads, owner)

    def step(self, worker: Worker) -> None:
        rng, way = worker.rng, worker.rng.random()
        own = worker.index + self.threads * rng.randrange(2)
        if way < 0.4:
            self._write(worker, own)
        elif way < 0.44:
            self._check_names(worker)
        elif way < 0.5:
            self._walk(worker, rng.choice(self.records))
        else:
            record = rng.choice(self.records)
            name = rng.choice(_NAMES)
            cell = record.cells[name]
            worker.note("get", cell.key)
            floors = cell.floor()
            value = record.table.get(name, ABSENT)
            worker.require("read", cell.judge(floors, value))

    def _write(self, worker: Worker, number: int) -> None:
        rng, record = worker.rng, self.records[number]
        way = rng.random()
        if way < 0.04:
            self.records[number] = self._fresh(worker.index)
        elif way < 0.06:
            self._delete(worker, record)
        elif way < 0.07:
            key = rng.choice((7, f"extra{rng.randrange(20)}"))
            worker.note("put odd key", key)
            record.table[key] = -1  # a 31st name, sooner or later, or not a str
            record.foreign[key] = -1
            record.mirror[key] = -1
            record.combined = record.combined or key == 7
        else:
            name = rng.choice(_NAMES)
            cell = record.cells[name]
            value = cell.begin_put(worker.index)
            worker.note("put", cell.key, value[1:])
            record.table[name] = value
            cell.done(worker.index)
            record.mirror[name] = value
            if way > 0.8 and list(record.table.items()) != list(record.mirror.items()):
                worker.fail(
                    "own write",
                    f"a record that only this thread writes is {dict(record.table)!r}, "
                    f"not {record.mirror!r}",
                )

    def _delete(self, worker: Worker, record: _Record) -> None:
        name = worker.rng.choice(_NAMES)
        cell = record.cells[name]
        cell.begin_delete(worker.index)
        worker.note("pop", cell.key)
        value = record.table.pop(name, ABSENT)
        cell.done(worker.index)
        expected = record.mirror.pop(name, ABSENT)
        if value != expected:
            worker.fail("own write", f"pop({name!r}) gave {value!r}, not {expected!r}")
        record.combined = record.combined or expected is not ABSENT

    def _walk(self, worker: Worker, record: _Record) -> None:
        """Iterate a record: its names once each, each with its own value."""
        worker.note("items", record.serial)
        before = {name: cell.floor() for name, cell in record.cells.items()}
        seen: set[Any] = set()
        for key, value in record.table.items():
            if key in seen:
                worker.fail("iteration", f"a record gives key {key!r} twice")
            seen.add(key)
            if key in record.cells:
                worker.require("iteration", record.cells[key].judge(before[key], value))
            elif value != -1:
                worker.fail("provenance", f"key {key!r} of a record has {value!r}")
        for name, cell in record.cells.items():
            if name not in seen and cell.always_present(before[name]):
                worker.fail("iteration", f"a record does not give {name!r}, which is in it")
            floors = cell.floor()
            if worker.rng.random() < 0.1:
                found = PRESENT if name in record.table else ABSENT
                worker.require("read", cell.judge(floors, found))

    def _check_names(self, worker: Worker) -> None:
        worker.note("names", None)
        names, before = self.shared.names, self.names[worker.index]
        if names[: len(before)] != before:
            worker.fail("shared keys", f"shared names went from {before} to {names}")
        if len(set(names)) != len(names) or len(names) > _MAX_SHARED:
            worker.fail("shared keys", f"shared names are repeated or too many: {names}")
        self.names[worker.index] = names

    def at_rest(self) -> None:
        for record in self.records:
            self.arena.expect(
                list(record.table.items()) == list(record.mirror.items()),
                "final state",
                f"at rest a record is {dict(record.table)!r}, not {record.mirror!r}",
            )
            fits = all(key in self.shared for key in record.mirror)
            kind = self.package.inspect_table(record.table).kind
            self.arena.expect(
                not (record.mirror and fits and not record.combined) or kind == "split",
                "split form",
                f"a record whose keys all fit the shared ones is of kind {kind!r}",
            )
            check_layout(self.arena, record.table)
        self._check_names(self.arena.workers[0])
