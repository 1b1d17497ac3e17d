"""A contestant in one setting of a cell, ready to be visited again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from ..environment import gil_enabled
from .contestants import Contestant
from .crew import Crew
from .loops import Loop, compile_loop, loop_source
from .material import batch_size, live_keys, lookup_keys, make_keys, make_values, two_values
from .space import EMPTY_LOOP, READS, TWO_PHASES, Cell, Setting

__all__ = ["Lap", "Material", "Stand"]

try:
    import resource

    _RUSAGE_THREAD = resource.RUSAGE_THREAD
except (ImportError, AttributeError):  # not on Windows; no per-thread figures on macOS
    resource = None  # type: ignore[assignment]

_PATIENCE_SECONDS = 60.0
_KEPT = 0.97  # of a lap's time, the part with a CPU that counts as all of it: clocks are not exact
_SHARES = {"mixed-95-5": 0.05, "mixed-50-50": 0.5}


class Holder:
    """The instance whose attribute a table is."""

    def __init__(self, table: Any) -> None:
        self.table = table


@dataclass(frozen=True)
class Lap:
    """One call of a loop by one thread; times in nanoseconds."""

    begin: int
    end: int
    busy: int  # in the measured part
    cpu: int  # of the measured part
    operations: int
    switches: Switches

    @property
    def undisturbed(self) -> bool:
        """Whether the thread had a CPU all the time, or gave it up itself, to wait for a lock."""
        if self.cpu >= _KEPT * self.busy:
            return True
        return self.switches.waits > 0 and self.switches.preemptions == 0


@dataclass(frozen=True)
class Switches:
    """How often a thread gave up its CPU, and how often the system took it away."""

    waits: int
    preemptions: int

    def since(self, earlier: Switches) -> Switches:
        return Switches(self.waits - earlier.waits, self.preemptions - earlier.preemptions)


def _switches() -> Switches:
    """Of this thread so far; zeros where the system does not say."""
    if resource is None:
        return Switches(0, 0)
    usage = resource.getrusage(_RUSAGE_THREAD)
    return Switches(usage.ru_nvcsw, usage.ru_nivcsw)


@dataclass(frozen=True)
class _Share:
    """What one thread works with: the keys and values of its table, and its two work lists."""

    stored: list[tuple[Any, Any]]
    works: tuple[Any, Any]
    operations: int  # of one pass


class Material:
    """Keys, values and work lists of one contestant in one setting.

    Equal for all, but objects of its own where the kind has no cached ones: a table may mark the
    objects that it holds as shared between threads, for good, and without the GIL that decides what
    every other table that holds them has to do to take a reference.
    """

    def __init__(self, cell: Cell, setting: Setting, crew: Crew) -> None:
        churning = cell.operation in TWO_PHASES
        self.cell = cell
        self.setting = setting
        self._live = live_keys(cell.family, cell.keys, churning=churning)
        common = [self._pairs()] if setting.tables == "one" else None
        if setting.made_by_main and common is None:
            common = [self._pairs() for _ in range(setting.threads)]
        self.shares: list[_Share] = crew.run(
            [
                self._preparation(number, common[number % len(common)] if common else None)
                for number in range(setting.threads)
            ]
        )

    def _pairs(self) -> list[tuple[Any, Any]]:
        keys = make_keys(self.cell.keys, 0, self._live)
        return list(zip(keys, make_values(self.cell.values, len(keys)), strict=True))

    def _preparation(
        self, number: int, common: list[tuple[Any, Any]] | None
    ) -> Callable[[], _Share]:
        def prepare() -> _Share:
            stored = self._pairs() if common is None else common
            first, second = self._works(number, [key for key, _ in stored])
            return _Share(stored, (first, second), self._operations(first))

        return prepare

    def _operations(self, work: Any) -> int:
        if self.cell.operation == "iterate":
            return self._live
        return len(work[0] if self._passes_bring_values() else work)

    def _passes_bring_values(self) -> bool:
        reading = self.cell.operation in (*READS, "iterate")
        return not reading and self.cell.values != "per-key"

    def _works(self, number: int, stored: list[Any]) -> tuple[Any, Any]:
        """Two passes that differ in the values they store; see loops.py for their forms."""
        if self.cell.operation == "iterate":  # for the empty loop: what counts no references
            return ([None] * len(stored),) * 2
        keys = self._keys(number, stored)
        if self.cell.operation in READS:
            return keys, keys
        flags = self._flags(number, len(keys))
        if self.cell.values == "per-key":
            return self._with_values(keys, flags), self._with_values(keys, flags)
        work = keys if flags is None else list(zip(keys, flags, strict=True))
        one, other = two_values(self.cell.values)
        return (work, one), (work, other)

    def _keys(self, number: int, stored: list[Any]) -> list[Any]:
        """The keys of one thread in its order; no two threads write the same key."""
        kind, threads = self.cell.keys, self.setting.threads
        if self.cell.operation in TWO_PHASES:
            size = batch_size(kind, threads)
            return make_keys(kind, len(stored) + number * size, size)
        return lookup_keys(kind, stored, seed=number, part=self._part(number, len(stored)))

    def _part(self, number: int, count: int) -> slice:
        """Which of the stored keys one thread works on."""
        threads = self.setting.threads
        if self.cell.operation == "overwrite-scattered":
            return slice(number, None, threads)
        if self.cell.operation == "overwrite":
            return slice(count * number // threads, count * (number + 1) // threads)
        return slice(None)

    def _flags(self, number: int, count: int) -> list[bool] | None:
        """Which lookups of a mixed pass are writes. All threads write everywhere: it is a mix."""
        share = _SHARES.get(self.cell.operation)
        if share is None:
            return None
        rng = Random(number)
        return [rng.random() < share for _ in range(count)]

    def _with_values(self, keys: list[Any], flags: list[bool] | None) -> list[Any]:
        if flags is None:
            return [(key, object()) for key in keys]
        return [(key, object(), flag) for key, flag in zip(keys, flags, strict=True)]


class Stand:
    """The tables and loops of one contestant; `contestant` is None for the empty loop."""

    def __init__(self, contestant: Contestant | None, material: Material, crew: Crew) -> None:
        self.name = contestant.name if contestant else EMPTY_LOOP
        self.setting = material.setting
        self._material = material
        self._crew = crew
        self._contestant = contestant
        self._make = contestant.maker() if contestant else dict
        self.source = loop_source(
            material.cell, self.name, contestant.special if contestant else None
        )
        self._places = self._prepare()

    def _prepare(self) -> list[tuple[Loop, Any]]:
        shares = self._material.shares
        if self.setting.tables == "one":
            return [self._place_for(shares[0])] * len(shares)
        if self.setting.made_by_main:
            return [self._place_for(share) for share in shares]
        return self._crew.run([partial(self._place_for, share) for share in shares])

    def _place_for(self, share: _Share) -> tuple[Loop, Any]:
        return self._place(self._make(share.stored))

    def _place(self, table: Any) -> tuple[Loop, Any]:
        """The loop and what it gets as `here`."""
        reach = self._material.cell.reach
        loop = compile_loop(self.source, self.name, table if reach == "global" else None)
        return loop, {"global": None, "local": table, "attribute": Holder(table)}[reach]

    def visit(self, passes: int, laps: int) -> list[list[Lap]]:
        """Let every thread make at least so many laps of so many passes; the laps of each.

        Without the GIL a thread that has made them goes on until the others have too (or has made
        four times as many), so that no thread is alone for long.
        """
        barrier = threading.Barrier(len(self._places), timeout=_PATIENCE_SECONDS)
        done: list[None] = []  # an append is atomic, the length is read without a lock
        jobs = [
            self._job(place, share, passes, laps, barrier, done)
            for place, share in zip(self._places, self._material.shares, strict=True)
        ]
        return self._crew.run(jobs)

    def _job(
        self,
        place: tuple[Loop, Any],
        share: _Share,
        passes: int,
        laps: int,
        barrier: threading.Barrier,
        done: list[None],
    ) -> Callable[[], list[Lap]]:
        loop, here = place
        work = [share.works[number % 2] for number in range(passes)]
        operations = passes * share.operations
        threads = len(self._places)
        most = laps if gil_enabled() else 4 * laps
        clocks = time.perf_counter_ns, time.thread_time_ns

        def job() -> list[Lap]:
            made: list[Lap] = []
            barrier.wait()
            try:
                now = _switches()
                while len(made) < laps or (len(done) < threads and len(made) < most):
                    times = loop(here, work, *clocks)
                    before, now = now, _switches()
                    made.append(Lap(*times, operations, now.since(before)))
                    if len(made) == laps:
                        done.append(None)
            except BaseException:
                done.extend([None] * threads)  # nobody needs to wait for this one
                raise
            return made

        return job
