"""A whole run: every selected cell, then the further measurements."""

from __future__ import annotations

import os
import platform
import time
from typing import Any

from .. import environment
from .contestants import Contestant, find_contestants
from .crew import Crew
from .further import run_job
from .options import BenchOptions
from .plan import cells_of, contestants_of, jobs_of
from .results import BenchResult, CellResult, Measure
from .rounds import measure_cell
from .space import available_cpus, settings_for

__all__ = ["BenchObserver", "machine", "run_bench", "warnings_of"]


class BenchObserver:
    """Hears how a run goes on; the base class ignores it all."""

    def started(self, facts: dict[str, Any], notes: list[str], options: BenchOptions) -> None:
        """Before the first cell."""

    def working_on(self, name: str, number: int, total: int) -> None:
        """Cell or measurement `number` of `total` (from 0) begins."""

    def cell_done(self, result: CellResult, clock: str) -> None:
        """A cell is measured."""

    def measure_done(self, measure: Measure) -> None:
        """A further measurement is made."""

    def failed(self, line: str) -> None:
        """Something could not be measured; the run goes on."""


def run_bench(
    options: BenchOptions | None = None, observer: BenchObserver | None = None
) -> BenchResult:
    """Measure what the options select.

    One run at a time, in a process that does nothing else: automatic garbage collection is off while
    a cell is measured, and threads are kept on one CPU each. KeyboardInterrupt ends the run with what
    has been measured, and an error that says so.

    >>> from concurrent_tables.stress.bench import BenchOptions, run_bench
    >>> options = BenchOptions(only=("dict/get/str/immortal/local",), threads=(1,), rounds=3)
    >>> result = run_bench(options)
    >>> [cell.cell.name for cell in result.cells]
    ['dict/get/str/immortal/local']
    """
    options = options or BenchOptions()
    observer = observer or BenchObserver()
    start = time.monotonic()
    contestants, versions, notes = find_contestants()
    facts = {**environment.describe(), **machine(), "versions": versions}
    result = BenchResult(facts, options.as_json(), notes)
    observer.started(facts, notes, options)
    try:
        with Crew(max((2, *options.thread_counts()))) as crew:
            _measure_all(options, contestants, crew, result, observer)
    except KeyboardInterrupt:  # a long run is worth something even when it is cut short
        result.errors.append("interrupted: the rest was not measured")
    facts["load_average_at_end"] = _load_average()
    facts["gil_enabled_at_end"] = environment.gil_enabled()
    result.seconds = time.monotonic() - start
    return result


def _measure_all(
    options: BenchOptions,
    contestants: list[Contestant],
    crew: Crew,
    result: BenchResult,
    observer: BenchObserver,
) -> None:
    cells, jobs = cells_of(options), jobs_of(options)
    settings = settings_for(options.thread_counts())
    total = len(cells) + len(jobs)
    for number, cell in enumerate(cells):
        observer.working_on(cell.name, number, total)
        rivals = contestants_of(cell, contestants, options)
        try:
            done = measure_cell(
                cell,
                rivals,
                settings,
                crew,
                rounds=options.rounds,
                seconds=options.seconds_per_cell,
            )
        except Exception as error:
            done = CellResult(cell, [], [f"{cell.name}: {type(error).__name__}: {error}"])
        result.cells.append(done)
        observer.cell_done(done, options.clock)
        for line in done.errors:
            observer.failed(line)
    for number, job in enumerate(jobs, len(cells)):
        observer.working_on(job.name, number, total)
        for found in run_job(job, contestants, options, crew):
            if isinstance(found, str):
                result.errors.append(found)
                observer.failed(found)
            else:
                result.measures.append(found)
                observer.measure_done(found)


def machine() -> dict[str, Any]:
    """What it is measured on."""
    return {
        "cpu": _cpu_model(),
        "usable_cpus": available_cpus(),
        "load_average": _load_average(),
        "compiler": platform.python_compiler(),
    }


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            for line in stream:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _load_average() -> list[float]:
    try:
        return [round(load, 2) for load in os.getloadavg()]
    except (AttributeError, OSError):
        return []


def warnings_of(facts: dict[str, Any]) -> list[str]:
    """What makes the figures of a run worthless, or worth less; to be shown loudly."""
    lines = []
    if facts.get("implementation") != "c":
        lines.append(
            f"WARNING: the tables measured here are the {facts.get('implementation')!r} "
            "implementation, NOT THE C EXTENSION: their figures are not those of an installation."
        )
    gil = environment.gil_warning(facts)
    if gil:
        lines.append(gil)
    if facts.get("debug_mode"):
        lines.append("WARNING: DEBUG MODE is on; it slows the tables down.")
    load, cpus = facts.get("load_average") or [0.0], facts.get("usable_cpus") or 1
    if load[0] > 0.5 * cpus:
        lines.append(
            f"note: the machine was busy at the start (load average {load[0]:g} on {cpus} CPUs); "
            "figures marked ~ had too few undisturbed laps"
        )
    return lines
