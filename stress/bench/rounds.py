"""Interleaved rounds: every round visits each stand of a cell once, one after another.

A burst of foreign load, or a change of the CPU's frequency, so falls on all contestants alike, and
ratios are taken within rounds. Each round begins with another stand, so that none is always the one
after the slowest.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..environment import gil_enabled
from .contestants import Contestant
from .crew import Crew
from .laps import Sample, sample_of
from .results import CellResult, Series
from .space import EMPTY_LOOP, Cell, Setting
from .stands import Material, Stand

__all__ = ["measure_cell"]

_LAP_SECONDS = 0.0003  # short enough that many laps end before the system takes the CPU away
_LAP_SECONDS_WITH_GIL = 0.01  # longer than a switch interval, where threads must take turns
_ATTEMPTS = 5  # visits in a round for a clean lap, each twice as long as the one before
_PATIENCE_SECONDS = 0.15  # after which a visit is not repeated
_MOST_PASSES = 1_000_000


@contextmanager
def _no_collections() -> Iterator[None]:
    """Without automatic garbage collections, and after a full one."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def measure_cell(
    cell: Cell,
    contestants: Sequence[Contestant],
    settings: Sequence[Setting],
    crew: Crew,
    *,
    rounds: int,
    seconds: float,
) -> CellResult:
    """Measure all contestants in all settings; an error drops its contestant from the cell."""
    result = CellResult(cell)
    entries: list[tuple[Stand, Series]] = []
    for setting in settings:
        rivals = [one for one in contestants if cell.operation not in one.lacks]
        empty: list[Contestant | None] = [None] if setting.tables == "each" else []
        for contestant in [*empty, *rivals]:
            entry = _open(contestant, Material(cell, setting, crew), crew, result)
            if entry is not None:
                entries.append(entry)
    with _no_collections():
        _run(_calibrated(entries, result), rounds, seconds, result)
    return result


def _open(
    contestant: Contestant | None, material: Material, crew: Crew, result: CellResult
) -> tuple[Stand, Series] | None:
    name = contestant.name if contestant else EMPTY_LOOP
    try:
        stand = Stand(contestant, material, crew)
    except Exception as error:
        result.errors.append(_complaint(result.cell, name, material.setting, error))
        return None
    return stand, Series(name, contestant.side if contestant else "loop", material.setting)


def _complaint(cell: Cell, name: str, setting: Setting, error: BaseException) -> str:
    return f"{cell.name}: {name} with {setting.name}: {type(error).__name__}: {error}"


Ready = tuple[Stand, Series, int, float]  # passes of a lap, and the seconds that it takes


def _taking_turns(threads: int) -> bool:
    return threads > 1 and gil_enabled()


def _lap_seconds(threads: int) -> float:
    return _LAP_SECONDS_WITH_GIL if _taking_turns(threads) else _LAP_SECONDS


def _calibrated(entries: list[tuple[Stand, Series]], result: CellResult) -> list[Ready]:
    """How many passes of each stand make a lap; this also warms them up."""
    ready = []
    for stand, series in entries:
        seconds = _lap_seconds(stand.setting.threads)
        try:
            passes, taken = 2, _cpu_seconds(stand, 2)
            while taken < seconds / 4 and passes < _MOST_PASSES:
                passes *= max(2, min(16, int(seconds / 2 / max(taken, 1e-7))))
                taken = _cpu_seconds(stand, passes)
        except Exception as error:
            result.errors.append(_complaint(result.cell, stand.name, stand.setting, error))
            continue
        each = max(taken, 1e-7) / passes
        passes = round(seconds / each)
        passes = min(_MOST_PASSES, max(2, passes + passes % 2))
        ready.append((stand, series, passes, passes * each))
    return ready


def _cpu_seconds(stand: Stand, passes: int) -> float:
    """Of a lap that is not the first."""
    return max(laps[-1].cpu for laps in stand.visit(passes, 2)) / 1e9


def _run(ready: list[Ready], rounds: int, seconds: float, result: CellResult) -> None:
    """The rounds, and as many again where the machine left too few of them clean."""
    broken: set[int] = set()
    share = seconds / max(1, rounds * len(ready))
    for number in range(2 * rounds):
        if number >= rounds and not _too_noisy(ready, broken):
            break
        start = number * 7 % max(1, len(ready))
        for place in [*range(start, len(ready)), *range(start)]:
            if place in broken:
                continue
            error = _visit(ready[place], share)
            if error is not None:
                broken.add(place)
                stand = ready[place][0]
                result.errors.append(_complaint(result.cell, stand.name, stand.setting, error))
    result.series = [one[1] for place, one in enumerate(ready) if place not in broken]


def _too_noisy(ready: list[Ready], broken: set[int]) -> bool:
    return any(series.noisy for place, (_, series, _, _) in enumerate(ready) if place not in broken)


def _visit(ready: Ready, seconds: float) -> Exception | None:
    """Add one sample to a series."""
    stand, series, passes, lap_seconds = ready
    try:
        sample = _sample(stand, passes, max(2, round(seconds / lap_seconds)))
    except Exception as error:
        return error
    series.wall_ns.append(sample.wall_ns)
    series.cpu_ns.append(sample.cpu_ns)
    series.clean.append(sample.clean)
    return None


def _sample(stand: Stand, passes: int, laps: int) -> Sample:
    """The first visit with clean laps, or else the last."""
    start = time.monotonic()
    for _ in range(_ATTEMPTS):
        visit = stand.visit(passes, laps)
        laps *= 2
        sample = sample_of(visit, taking_turns=_taking_turns(stand.setting.threads))
        if sample.clean > 0 or time.monotonic() - start > _PATIENCE_SECONDS:
            break
    return sample
