"""The process that samples: `python -m ... sampling.child`, with its orders as JSON on stdin.

It writes one JSON document a line on its standard output: `ready`, `finding`, `progress`, `end`. All
that must survive its own death is in the journal and in the file of faulthandler.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import resource
import signal
import sys
import time
import traceback
from random import Random
from typing import Any, TextIO

from .. import environment
from ..options import UsageError
from ..targets import Target, default_targets, resolve
from .catalogue import catalogue_of
from .endings import NAME as ENDINGS
from .endings import Endings
from .faults import Faults, prepare
from .findings import Finding
from .forks import SHARED
from .generator import Generator
from .journal import Journal
from .sampler import Refused, Run, Sampler
from .scenario import Scenario
from .subject import Subject

__all__ = ["find_target", "main"]

_SCENARIO_SECONDS = 0.004
_REPORT_SECONDS = 0.5
_MOST_BYTES = 6 << 30  # of address space: a corrupt list may have no end
_FINDINGS_PER_PAIR = 1


def main() -> int:
    """Read the orders, sample until the time is over."""
    orders = json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what containers print must not mix with our lines
    stacks = open(orders["stacks"], "w", encoding="utf-8")  # noqa: SIM115 - until the end
    faulthandler.enable(stacks, all_threads=True)
    faulthandler.register(signal.SIGUSR1, stacks, all_threads=True)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if not environment.sanitized():  # its shadow memory is larger than any sensible limit
            resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    if environment.gil_enabled():
        sys.setswitchinterval(1e-6)
    prepare()
    sys.unraisablehook = _unraisable
    try:
        _Session(orders, out).run()
    except UsageError as error:
        _say(out, "usage", details=str(error))
    except Exception:
        _say(out, "broken", details=traceback.format_exc())
    out.flush()
    os._exit(0)  # containers may be corrupt: nothing more is taken down


def _say(out: TextIO, what: str, **facts: Any) -> None:
    out.write(json.dumps({"what": what, **facts}, default=repr) + "\n")
    out.flush()


class _Session:
    """One child's work."""

    def __init__(self, orders: dict[str, Any], out: TextIO) -> None:
        self._orders = orders
        self._out = out
        self._journal = Journal(orders["journal"])
        self._rng = Random(f"{orders['seed']}/{orders['first']}")
        self._journal.describe({"phase": "finding out which operations there are"})
        self._subject = Subject(find_target(orders["target"]))
        catalogue = catalogue_of(self._subject, self._journal.beat)
        self._generator = Generator(self._subject, catalogue, self._rng)
        self._generator.banned |= {(x, y) for x, y in orders["banned"]}
        self._generator.avoid |= set(orders["avoid"])
        self._generator.sweep = float(orders.get("sweep", 0.0))
        for x, y, count in orders["met"]:
            self._generator.met[x, y] = count
        # To spin on plain words is a data race, which is what ThreadSanitizer looks for.
        spinning = not environment.gil_enabled() and not environment.sanitized()
        self._sampler = Sampler(self._subject, self._journal, self._rng, spinning=spinning)
        self._faults = Faults(self._rng, self._subject.bears)
        self._points = self._subject.target.native and _delay_at_points(orders["seed"])
        SHARED.beat = self._journal.beat_aside
        self._endings = Endings(orders["target"], self._journal.beat)
        self._totals = {"scenarios": 0, "samples": 0, "operations": 0, "judged": 0, "refused": 0}
        self._done = 0  # operations in all
        self._met: dict[tuple[str, str], int] = {}
        self._types: dict[tuple[str, str], int] = {}
        _say(
            out,
            "ready",
            operations=sorted({op.name for op in catalogue.ops}),
            templates=len(catalogue.ops) + len(catalogue.view_ops) + len(catalogue.iterator_ops),
            pairs=len(self._generator.universe()),
            types=sorted({(op.name, kind) for op in catalogue.ops for kind in op.operands}),
            profile=self._subject.profile.as_json(),
        )

    def run(self) -> None:
        until = time.monotonic() + self._orders["seconds"]
        reported = time.monotonic()
        number = self._orders["first"]
        most = self._orders.get("operations")
        while time.monotonic() < until:
            if most is not None and self._done >= most:
                break
            scenario = self._generator.draw(number)
            number += 1
            with self._faults.around(scenario):
                self._sampler.faults = self._faults.on
                self._one(scenario)
            self._forked(scenario)
            self._ended(scenario)
            if time.monotonic() - reported > _REPORT_SECONDS:
                reported = time.monotonic()
                self._progress(number)
        self._progress(number)
        _say(self._out, "end")

    def _one(self, scenario: Scenario) -> None:
        try:
            run = self._sampler.run(scenario, _SCENARIO_SECONDS)
        except Refused:
            self._totals["refused"] += 1
            return
        self._count(run)
        if not run.findings:
            return
        if len(run.findings[0].scenario.calls if run.findings[0].scenario else ()) > 2:
            run = self._sampler.shrink(run)
        told = set()
        for finding in run.findings:
            if finding.kind not in told:
                told.add(finding.kind)
                _say(self._out, "finding", finding=self._told(finding), number=scenario.number)
        self._generator.banned |= run.scenario.pairs()

    def _forked(self, scenario: Scenario) -> None:
        trouble, SHARED.trouble, SHARED.containers = SHARED.trouble, "", []
        if trouble:
            finding = Finding("fork", trouble, scenario)
            _say(self._out, "finding", finding=self._told(finding), number=scenario.number)
            self._generator.banned |= scenario.pairs()

    def _ended(self, scenario: Scenario) -> None:
        finding = self._endings.look(scenario)
        self._faults.counts[ENDINGS] += self._endings.count
        self._endings.count = 0
        if finding is not None:
            told = {**finding.as_json(), "faults": ()}  # nothing was on in that process
            _say(self._out, "finding", finding=told, number=scenario.number)
            self._generator.banned |= scenario.pairs()

    def _told(self, finding: Finding) -> dict[str, Any]:
        return {**finding.as_json(), "faults": self._faults.on}

    def _count(self, run: Run) -> None:
        totals = self._totals
        totals["scenarios"] += 1
        self._faults.counts["raising watchers"] += "watched(" in run.scenario.a
        self._faults.counts["yield points"] += self._points
        totals["samples"] += run.samples
        totals["operations"] += run.operations
        self._done += run.operations
        totals["judged"] += run.samples if run.exact else 0
        self._generator.count(run.scenario, run.samples)
        for pair in run.scenario.pairs():
            self._met[pair] = self._met.get(pair, 0) + run.samples
        for kind in run.scenario.types():
            self._types[kind] = self._types.get(kind, 0) + run.samples

    def _progress(self, number: int) -> None:
        """What happened since the last report; the parent adds up."""
        _say(
            self._out,
            "progress",
            next=number,
            totals=self._totals,
            met=[[x, y, count] for (x, y), count in self._met.items()],
            types=[[x, y, count] for (x, y), count in self._types.items()],
            faults=self._faults.counts,
            gil=environment.gil_enabled(),
        )
        self._totals = dict.fromkeys(self._totals, 0)
        self._met, self._types = {}, {}
        self._faults.counts = dict.fromkeys(self._faults.counts, 0)


def find_target(specification: str) -> Target:
    if ":" in specification:
        return resolve(specification)
    return next(target for target in default_targets() if target.name == specification)


def _delay_at_points(seed: int) -> bool:
    """Seeded delays at the yield points of the core, where it was built with them."""
    core = sys.modules.get("concurrent_tables._core")
    configure = getattr(core, "_points_configure", None)
    if configure is not None:
        configure("delays", seed=seed)
    return configure is not None


def _unraisable(unraisable: Any) -> None:
    """What watchers raise on purpose is no news."""
    if unraisable.exc_type is not LookupError and unraisable.exc_type is not MemoryError:
        sys.__unraisablehook__(unraisable)


if __name__ == "__main__":
    sys.exit(main())
