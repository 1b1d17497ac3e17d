"""The process that samples one scenario after the other: `python -m ... repro.child`.

The first line on its standard input are its orders, each further line a scenario to measure; it answers
with one JSON document a line. It is replaced when it dies, and after findings that tell of broken memory.
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
from ..sampling.child import find_target
from ..sampling.endings import KIND, ending, finding_of
from ..sampling.facts import scenario_from
from ..sampling.faults import named, prepare
from ..sampling.journal import Journal
from ..sampling.outcomes import TooSlow
from ..sampling.sampler import Refused, Sampler
from ..sampling.scenario import Scenario
from ..sampling.subject import Subject
from .expected import expectation

__all__ = ["main"]

_MOST_BYTES = 6 << 30  # of address space: a corrupt list may have no end
_SLICE_SECONDS = 0.04
_END_SECONDS = 5.0  # for the end of an interpreter; the campaign gave it longer
_REFUSALS = 8  # of a scenario that was measured before, or of a candidate
_DIRTY = frozenset({"references", "operand"})  # the next release may free what is in use


def main() -> int:
    """Measure until the input ends."""
    orders = json.loads(sys.stdin.readline())
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what containers print must not mix with our lines
    stacks = open(orders["stacks"], "w", encoding="utf-8")  # noqa: SIM115 - until the end
    faulthandler.enable(stacks, all_threads=True)
    faulthandler.register(signal.SIGUSR1, stacks, all_threads=True)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if not environment.sanitized():
            resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    if environment.gil_enabled():
        sys.setswitchinterval(1e-6)
    prepare()
    try:
        _Measurer(orders, out).run()
    except Exception:
        _say(out, what="broken", details=traceback.format_exc())
    os._exit(0)  # containers may be corrupt: nothing more is taken down


def _say(out: TextIO, **facts: Any) -> None:
    out.write(json.dumps(facts, default=repr) + "\n")
    out.flush()


class _Measurer:
    def __init__(self, orders: dict[str, Any], out: TextIO) -> None:
        self._out = out
        self._journal = Journal(orders["journal"])
        self._target = orders["target"]
        self._subject = Subject(find_target(self._target))
        spinning = not environment.gil_enabled() and not environment.sanitized()
        self._sampler = Sampler(
            self._subject, self._journal, Random(orders["seed"]), spinning=spinning
        )
        _say(out, what="ready", profile=self._subject.profile.name, **environment.describe())

    def run(self) -> None:
        for line in sys.stdin:
            orders = json.loads(line)
            scenario = scenario_from(orders["scenario"])
            try:
                if orders["what"] == "expect":
                    _say(self._out, what="done", **expectation(scenario, self._subject))
                    continue
                dirty = self._measure(scenario, orders)
            except (Refused, NameError, TooSlow) as error:
                _say(self._out, what="done", refused=str(error))
                continue
            if dirty:
                return

    def _end(self, scenario: Scenario, orders: dict[str, Any]) -> None:
        """The same with ends of interpreters: each is a sample."""
        until = time.monotonic() + orders["seconds"]
        samples = events = 0
        first: dict[str, Any] = {}
        while time.monotonic() < until:
            samples += 1
            seen = ending(
                self._target, scenario, self._journal.beat, seed=samples, limit=_END_SECONDS
            )
            if seen is not None:
                events += 1
                first = first or finding_of(seen, scenario).as_json()
            if events >= orders["enough"] or samples >= orders["samples"]:
                break
        said = {"samples": samples, "events": events, "failing": events, "finding": first}
        _say(self._out, what="done", dirty=False, **said)

    def _measure(self, scenario: Scenario, orders: dict[str, Any]) -> bool:
        """Until the time is over or enough was seen; whether memory may be broken now."""
        if KIND in orders["kinds"]:
            self._end(scenario, orders)
            return False
        until = time.monotonic() + orders["seconds"]
        kinds = set(orders["kinds"])
        samples = events = failing = refusals = 0
        first: dict[str, Any] = {}
        dirty = False
        self._sampler.faults = tuple(orders["faults"])
        with named(orders["faults"]):
            while time.monotonic() < until and not dirty:
                try:
                    run = self._sampler.run(scenario, _SLICE_SECONDS)
                except Refused:  # for good, or because the machine was busy for a moment
                    refusals += 1
                    if refusals >= _REFUSALS:
                        raise
                    continue
                samples += run.samples
                wanted = [finding for finding in run.findings if finding.kind in kinds]
                dirty = any(finding.kind in _DIRTY for finding in run.findings)
                if wanted:
                    events += 1
                    seen = sum(each.seen for each in wanted if each.kind == wanted[0].kind)
                    failing += max(1, min(seen, run.samples))
                    first = first or wanted[0].as_json()
                if events >= orders["enough"] or samples >= orders["samples"]:
                    break
        _say(
            self._out,
            what="done",
            samples=samples,
            events=events,
            failing=failing,
            finding=first,
            dirty=dirty,
        )
        return dirty


if __name__ == "__main__":
    sys.exit(main())
