"""What a run yields: samples of every round, from which every figure follows, and JSON of it all.

Nothing derived is stored that could not be computed again: a result that was read back from its
file can be judged and drawn like a fresh one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import product
from statistics import median, quantiles
from typing import Any

from .space import EMPTY_LOOP, Cell, Setting

__all__ = ["SCHEMA", "BenchResult", "CellResult", "Measure", "Series", "Spread", "spread"]

SCHEMA = 1
_ENOUGH_ROUNDS = 3  # clean ones, for a figure that is not marked as noisy
_LEAST_NS = 0.1  # a net time is never below this


@dataclass(frozen=True)
class Spread:
    """A median, and the quartiles around it."""

    median: float
    low: float
    high: float


def spread(samples: list[float]) -> Spread:
    """Median and quartiles; of a single sample, itself."""
    if len(samples) == 1:
        return Spread(samples[0], samples[0], samples[0])
    low, _, high = quantiles(samples, n=4, method="inclusive")
    return Spread(median(samples), low, high)


@dataclass
class Series:
    """One contestant in one setting: gross nanoseconds per operation, one sample a round."""

    contestant: str
    side: str
    setting: Setting
    wall_ns: list[float] = field(default_factory=list)
    cpu_ns: list[float] = field(default_factory=list)
    clean: list[float] = field(default_factory=list)  # part of the laps; 0: none, see laps.py

    def samples(self, clock: str) -> list[float]:
        """One for each round."""
        return self.cpu_ns if clock == "cpu" else self.wall_ns

    @property
    def noisy(self) -> bool:
        """Whether too few rounds had laps in which all threads were running."""
        return len(self.clean_rounds()) < min(_ENOUGH_ROUNDS, len(self.clean))

    def clean_rounds(self) -> set[int]:
        return {number for number, part in enumerate(self.clean) if part > 0}

    def good_rounds(self) -> list[int]:
        """The clean ones; all where there are none."""
        return sorted(self.clean_rounds() or range(len(self.clean)))


def _pairs(one: Series, other: Series) -> list[tuple[int, int]]:
    """Which rounds of the two to compare: the same ones, or where too few are clean in both,
    every good round of one with every good round of the other."""
    common = sorted(set(one.good_rounds()) & set(other.good_rounds()))
    if len(common) >= min(_ENOUGH_ROUNDS, len(one.clean)):
        return [(number, number) for number in common]
    return list(product(one.good_rounds(), other.good_rounds()))


@dataclass
class CellResult:
    """Every series of one cell."""

    cell: Cell
    series: list[Series] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def find(self, contestant: str, setting: Setting) -> Series | None:
        for series in self.series:
            if (series.contestant, series.setting) == (contestant, setting):
                return series
        return None

    def measured(self) -> Iterator[Series]:
        """The series of tables, without those of the empty loop."""
        return (series for series in self.series if series.contestant != EMPTY_LOOP)

    def overhead_ns(self, threads: int, clock: str = "wall") -> float:
        """The median of the empty loop with so many threads; 0 where it was not measured."""
        empty = self.find(EMPTY_LOOP, Setting(threads, "each"))
        return self.gross_ns(empty, clock).median if empty and empty.wall_ns else 0.0

    def gross_ns(self, series: Series, clock: str = "wall") -> Spread:
        """Nanoseconds per operation with the loop around it."""
        samples = series.samples(clock)
        return spread([samples[number] for number in series.good_rounds()])

    def net_ns(self, series: Series, clock: str = "wall") -> Spread:
        """Nanoseconds per operation without the loop."""
        samples = self._net(series, clock)
        return spread([samples[number] for number in series.good_rounds()])

    def _net(self, series: Series, clock: str) -> list[float]:
        overhead = self.overhead_ns(series.setting.threads, clock)
        return [max(_LEAST_NS, sample - overhead) for sample in series.samples(clock)]

    def ratio(self, one: Series, other: Series, clock: str = "wall") -> Spread:
        """How many times the other's net time; the two are compared within rounds."""
        ours, theirs = self._net(one, clock), self._net(other, clock)
        return spread([ours[mine] / theirs[its] for mine, its in _pairs(one, other)])

    def gross_ratio(self, one: Series, other: Series, clock: str = "wall") -> Spread:
        """The same with the loop."""
        ours, theirs = one.samples(clock), other.samples(clock)
        return spread([ours[mine] / theirs[its] for mine, its in _pairs(one, other)])

    def baseline(self, series: Series) -> Series | None:
        """The builtin in the same setting."""
        for other in self.series:
            if other.side == "builtin" and other.setting == series.setting:
                return other
        return None

    def scaling(self, series: Series, clock: str = "wall") -> Spread | None:
        """How many times the net time of the same contestant with one thread."""
        alone = self.find(series.contestant, Setting(1, "each"))
        return self.ratio(series, alone, clock) if alone else None


@dataclass(frozen=True)
class Measure:
    """A figure that is not a time per operation of a cell: memory, growth, latency, snapshots."""

    measure: str
    case: str
    contestant: str
    unit: str
    figures: dict[str, float]


@dataclass
class BenchResult:
    """A whole run."""

    environment: dict[str, Any]
    options: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    cells: list[CellResult] = field(default_factory=list)
    measures: list[Measure] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def clock(self) -> str:
        """Which clock the figures of this run are read from."""
        return str(self.options.get("clock", "wall"))

    def all_errors(self) -> list[str]:
        return [*(error for cell in self.cells for error in cell.errors), *self.errors]

    def as_json(self) -> dict[str, Any]:
        """The result with the figures that readers of the file want; `from_json` drops those."""
        document = {"schema": SCHEMA, **asdict(self)}
        for cell, written in zip(self.cells, document["cells"], strict=True):
            for series, row in zip(cell.series, written["series"], strict=True):
                row["figures"] = _figures(cell, series, self.clock)
        return document

    def dumps(self) -> str:
        return json.dumps(self.as_json(), indent=1)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> BenchResult:
        """Read what `as_json` wrote; ValueError for another schema."""
        if document.get("schema") != SCHEMA:
            raise ValueError(f"not a result of ct-stress bench with schema {SCHEMA}")
        result = cls(document["environment"], document["options"], document["notes"])
        result.cells = [_cell(cell) for cell in document["cells"]]
        result.measures = [Measure(**measure) for measure in document["measures"]]
        result.errors = document["errors"]
        result.seconds = document["seconds"]
        return result


def _cell(document: dict[str, Any]) -> CellResult:
    series = []
    for row in document["series"]:
        given = {name: value for name, value in row.items() if name != "figures"}
        series.append(Series(**{**given, "setting": Setting(**row["setting"])}))
    return CellResult(Cell(**document["cell"]), series, document["errors"])


def _figures(cell: CellResult, series: Series, clock: str) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "gross_ns": asdict(cell.gross_ns(series, clock)),
        "net_ns": asdict(cell.net_ns(series, clock)),
        "noisy": series.noisy,
    }
    baseline = cell.baseline(series)
    if baseline is not None:
        figures["ratio"] = asdict(cell.ratio(series, baseline, clock))
        figures["gross_ratio"] = asdict(cell.gross_ratio(series, baseline, clock))
    scaling = cell.scaling(series, clock)
    if scaling is not None:
        figures["scaling"] = asdict(scaling)
    return figures
