"""Which cells a run measures, and which tables in each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from .contestants import Contestant
from .options import BenchOptions
from .space import FAMILIES, KEYS, NO_VALUES, OPERATIONS, REACHES, READS, VALUES, Cell, fits

__all__ = ["Job", "cells_of", "contestants_of", "jobs_of"]

_SORTS = ("str", "heap-str", "small-int", "big-int", "tuple", "object")
_WRITES = ("overwrite", "insert", "delete")

# family, operations, keys, values, reaches: what the goals are about
_QUICK: tuple[tuple[str, Sequence[str], Sequence[str], Sequence[str], Sequence[str]], ...] = (
    ("dict", READS, _SORTS, ("immortal",), tuple(REACHES)),
    ("dict", ("overwrite",), ("str", "big-int"), ("immortal", "per-key"), ("global", "local")),
    ("dict", ("insert", "delete"), ("str", "big-int"), ("immortal",), ("local",)),
    ("dict", ("iterate",), ("str", "big-int"), ("immortal",), ("local",)),
    ("set", ("in", "insert", "delete", "iterate"), ("str", "big-int"), ("-",), ("local",)),
    ("set", ("in",), ("str",), ("-",), ("global",)),
    ("record", ("getitem", "overwrite"), ("str",), ("immortal",), ("local",)),
)


@dataclass(frozen=True)
class Job:
    """A further measurement: its name for `--only`, what it is, and the contestant's arguments."""

    measure: str
    family: str
    kind: str
    count: int = 0

    @property
    def name(self) -> str:
        return "/".join(part for part in (self.measure, self.family, self.kind) if part)


_MILLION = 1_000_000
_JOBS = (
    Job("memory", "dict", "str", _MILLION),
    Job("memory", "dict", "big-int", _MILLION),
    Job("memory", "set", "big-int", _MILLION),
    Job("records", "record", "", 100_000),
    Job("snapshot", "", ""),
    Job("latency", "dict", ""),
    Job("growth", "dict", "pairs", 10 * _MILLION),
    Job("growth", "dict", "popitem", 10 * _MILLION),
    Job("growth", "set", "pairs", 10 * _MILLION),
    Job("growth", "set", "popitem", 10 * _MILLION),
)
_FULL_ONLY = frozenset({"growth/set/pairs", "growth/set/popitem"})


def cells_of(options: BenchOptions) -> list[Cell]:
    """The selected cells, in the order of measuring."""
    return [cell for cell in _candidates(options) if fits(cell) and options.selects(cell.name)]


def _candidates(options: BenchOptions) -> Iterator[Cell]:
    if options.preset == "quick" and not options.narrowed:
        for family, operations, keys, values, reaches in _QUICK:
            yield from _cells(family, operations, keys, values, reaches)
        return
    for family in FAMILIES:
        values = options.values or tuple(VALUES)
        yield from _cells(
            family,
            options.operations or tuple(OPERATIONS),
            options.keys or tuple(KEYS),
            (NO_VALUES,) if family == "set" else values,
            options.reaches or tuple(REACHES),
        )


def _cells(family: str, *axes: Iterable[str]) -> Iterator[Cell]:
    for operation, keys, values, reach in product(*axes):
        yield Cell(family, operation, keys, values, reach)


def contestants_of(
    cell: Cell, contestants: Sequence[Contestant], options: BenchOptions
) -> list[Contestant]:
    """Who is measured in a cell. The builtin always is: without it there is no ratio.

    The quick run leaves ShardedDict to the writes, which it is made for.
    """
    chosen = []
    for one in contestants:
        if one.family != cell.family:
            continue
        if options.contestants:
            wanted = one.name in options.contestants
        else:
            many = options.preset == "full" or options.narrowed or cell.operation in _WRITES
            wanted = many or one.name != "ShardedDict"
        if wanted or one.side == "builtin":
            chosen.append(one)
    return chosen


def jobs_of(options: BenchOptions) -> list[Job]:
    """The selected further measurements; none when axes of cells were chosen."""
    if options.narrowed:
        return []
    return [
        job
        for job in _JOBS
        if options.selects(job.name) and (options.preset == "full" or job.name not in _FULL_ONLY)
    ]
