"""What a run of the benchmark is asked to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from ..environment import gil_enabled
from ..options import UsageError
from .space import KEYS, OPERATIONS, REACHES, VALUES, available_cpus

__all__ = ["AXES", "BenchOptions", "parse_threads"]

AXES = {"operations": OPERATIONS, "keys": KEYS, "values": VALUES, "reaches": REACHES}
_MOST_THREADS = 256


@dataclass(frozen=True)
class BenchOptions:
    """Selection and effort.

    Parameters
    ----------
    preset: `"quick"`, the cells that the goals are about, or `"full"`, the whole space.
    only: shell patterns on names of cells (`dict/getitem/str/immortal/global`) and of further
        measurements (`memory/dict/str`); empty selects all.
    operations, keys, values, reaches: names of axes; empty means those of the preset.
    contestants: names; empty means all.
    threads: numbers of threads; empty means those of the preset.
    rounds: interleaved rounds of each cell.
    seconds_per_cell: measuring time of a cell over all contestants, settings and rounds. A busy
        machine takes longer.
    clock: `"wall"`, or `"cpu"`: time that the thread had a CPU, which leaves out waiting for locks.
    """

    preset: str = "quick"
    only: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    reaches: tuple[str, ...] = ()
    contestants: tuple[str, ...] = ()
    threads: tuple[int, ...] = ()
    rounds: int = 9
    seconds_per_cell: float = 0.5
    clock: str = "wall"

    def __post_init__(self) -> None:
        for axis, names in AXES.items():
            _check_names(axis, getattr(self, axis), names)
        if self.preset not in ("quick", "full"):
            raise UsageError(f"the preset is quick or full, not {self.preset!r}")
        if self.clock not in ("wall", "cpu"):
            raise UsageError(f"the clock is wall or cpu, not {self.clock!r}")
        if self.rounds < 1:
            raise UsageError(f"rounds must be at least 1, not {self.rounds}")
        if not 0 < self.seconds_per_cell < 3600:
            raise UsageError(f"seconds per cell must be above 0, not {self.seconds_per_cell}")
        if not all(1 <= count <= _MOST_THREADS for count in self.threads):
            raise UsageError(f"threads must be 1 to {_MOST_THREADS}, not {self.threads}")

    @property
    def narrowed(self) -> bool:
        """Whether an axis was chosen: then only cells are meant, no further measurements."""
        return any(getattr(self, axis) for axis in AXES)

    def selects(self, name: str) -> bool:
        """Whether a pattern of `only` matches (no pattern matches all)."""
        return not self.only or any(fnmatchcase(name, pattern) for pattern in self.only)

    def thread_counts(self) -> tuple[int, ...]:
        """The chosen ones, or those of the preset. With a GIL the goals are about one thread."""
        if self.threads:
            return tuple(sorted(set(self.threads)))
        if self.preset == "quick":
            return (1,) if gil_enabled() else (1, 2)
        return tuple(sorted({1, 2, 4, available_cpus()}))

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def _check_names(axis: str, chosen: Sequence[str], known: dict[str, str]) -> None:
    for name in chosen:
        if name not in known:
            raise UsageError(f"{axis}: {name!r} is none of {', '.join(known)}")


def parse_threads(words: Sequence[str]) -> tuple[int, ...]:
    """Numbers, or `all` for as many as there are CPUs."""
    counts = []
    for word in words:
        try:
            counts.append(available_cpus() if word == "all" else int(word))
        except ValueError:
            raise UsageError(f"threads: {word!r} is neither a number nor 'all'") from None
    return tuple(counts)
