"""Runs one scenario many times, and cuts down one that showed something."""

from __future__ import annotations

import gc
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

from .faults import INSIDE
from .findings import Finding
from .forks import SHARED
from .freeze import freeze
from .journal import DOING, IDLE, STAGE, Journal
from .judge import Judge, rows
from .nearest import nearest
from .outcomes import Outcomes, State, TooSlow, admissible
from .pool import Pool
from .scenario import Scenario
from .subject import Subject
from .weave import Woven, weave

__all__ = ["Refused", "Run", "Sampler", "at_rest"]

_TURN = 12e-9  # seconds of one turn of an empty loop, about
_MOST_TURNS = 600
_STRIDE = 256
_COLLECTED = 1 << 14  # Py_TPFLAGS_HAVE_GC of CPython's C API
_POOL_AGE = 200  # scenarios
_SHRINK_SECONDS = 0.6
_CONFIRMING_TRIES = 4
_SLOWEST = 0.15  # seconds of one sequential run


class Refused(Exception):
    """The scenario cannot be judged: its parts do not go together, or it takes too long."""


@dataclass
class Run:
    """What came of one scenario."""

    scenario: Scenario
    samples: int = 0
    operations: int = 0
    exact: bool = False
    findings: list[Finding] = field(default_factory=list)
    outcomes: int = 0


class Sampler:
    """Samples scenarios of one subject with a pool of threads and a journal."""

    def __init__(self, subject: Subject, journal: Journal, rng: Random, *, spinning: bool) -> None:
        self._subject = subject
        self._journal = journal
        self._rng = rng
        self._spinning = spinning
        self._pool: Pool | None = None
        self._pool_age = 0
        self.faults: tuple[str, ...] = ()  # that are on, for the journal
        self._leak: list[Any] = []  # what lost a reference must never be freed

    def run(self, scenario: Scenario, seconds: float, *, confirming: bool = False) -> Run:
        """Sample for about so long; ends early with a finding. May raise `Refused`."""
        woven = self._woven(scenario)
        state = at_rest(self._subject, scenario, woven.names["K"])
        run = Run(scenario)
        described = {"scenario": scenario.as_json(), "faults": self.faults}
        self._journal.describe({**described, "phase": "one thread"})
        outcomes = self._admissible(woven, state)
        self._journal.describe({**described, "phase": "sampling"})
        outcomes.exact &= INSIDE.isdisjoint(self.faults)
        run.exact = outcomes.exact
        if confirming:
            gc.collect()  # garbage of the sequential runs may hold keys until somebody collects
        before = [sys.getrefcount(key) for key in woven.names["K"]]
        judges = self._sample(woven, outcomes, state, seconds)
        counts: Counter[Any] = Counter()
        for judge in judges:
            run.samples += judge.samples
            counts += judge.counts
            run.findings += judge.findings
        run.operations = run.samples * len(scenario.calls)
        run.outcomes = len(counts)
        run.findings = self._confirmed(run.findings, woven, outcomes, state)
        for finding in run.findings:
            finding.samples = run.samples
            if finding.kind == "outcome":
                finding.table = rows(counts, outcomes)
        del judges, judge, counts
        SHARED.containers = []
        if not run.findings and scenario.values.private:
            self._keys(woven, before, run)
            if run.findings and not confirming:
                # What went by chance while we counted first is not seen again.
                return self.run(scenario, 4 * seconds, confirming=True)
        return run

    def shrink(self, run: Run) -> Run:
        """Drop calls as long as a finding of the same kind remains."""
        wanted = run.findings[0].kind
        smaller = True
        while smaller:
            smaller = False
            for thread, calls in enumerate(run.scenario.threads):
                for index in range(len(calls)):
                    less = run.scenario.without(thread, index)
                    if less is None:
                        continue
                    try:
                        tried = self.run(less, _SHRINK_SECONDS)
                    except Refused:
                        continue
                    if any(finding.kind == wanted for finding in tried.findings):
                        run, smaller = tried, True
                        break
                if smaller:
                    break
        return run

    def end(self) -> None:
        if self._pool is not None:
            self._pool.end()
            self._pool = None

    # -- one thread ------------------------------------------------------------------------------

    def _woven(self, scenario: Scenario) -> Woven:
        try:
            return weave(scenario, self._subject, spinning=self._spinning, faults=self.faults)
        except Exception as error:  # operands that the type does not take
            raise Refused(f"{type(error).__name__}: {error}") from None

    def _admissible(self, woven: Woven, state: State) -> Outcomes:
        """What one thread alone raises around the calls is the type's way to say no."""
        try:
            found = admissible(woven, state, self._journal.beat)
        except Exception as error:
            raise Refused(f"{type(error).__name__}: {error}") from None
        if found.whole > _SLOWEST:
            raise Refused("it takes too long")
        return found

    # -- sampling --------------------------------------------------------------------------------

    def _sample(
        self, woven: Woven, outcomes: Outcomes, state: State, seconds: float
    ) -> list[Judge]:
        threads = len(woven.threads)
        pool = self._threads(threads)
        count = self._stride(outcomes, threads, seconds)
        share = count // threads
        A: list[Any] = [None] * count
        B, W, its = list(A), list(A), list(A)
        results = [[[None] * count for _ in calls] for calls in woven.scenario.threads]
        interrupted = not INSIDE.isdisjoint(self.faults)
        judges = [
            Judge(woven, outcomes, self._subject, state, interrupted=interrupted)
            for _ in range(threads)
        ]
        delays = self._delays(outcomes, woven)
        until = time.perf_counter() + seconds
        stop = [False]

        def job(t: int) -> None:
            judge, row, rows = judges[t], pool.row(t), pool.rows(t)
            lo, hi = t * share, (t + 1) * share
            loop, mine = woven.threads[t], results[t]
            while True:
                A[lo:hi], B[lo:hi], W[lo:hi], its[lo:hi] = parts = woven.build(share)
                kept = (parts[0][:], parts[1][:])
                del parts
                row[0] = 0
                row[STAGE] ^= 1
                if t == 0:
                    SHARED.containers = A
                pool.barrier(t)
                loop(count, A, B, W, its, row, rows, delays[t], mine)
                row[DOING] = IDLE
                pool.barrier(t)
                judge.batch(A, B, results, lo, hi)
                row[STAGE] ^= 2
                if t == 0:
                    self._journal.beat()
                    self._journal.sampled(count)
                    stop[0] = time.perf_counter() > until
                if judge.findings:
                    self._leak.append(kept)
                    self._leak.append(
                        (W[lo:hi], its[lo:hi], [c[lo:hi] for r in results for c in r])
                    )
                    stop[0] = True
                pool.barrier(t)
                del kept
                if stop[0]:
                    break

        pool.run(job, threads)
        return judges

    def _threads(self, count: int) -> Pool:
        if self._pool is None or self._pool.count < count or self._pool_age > _POOL_AGE:
            self.end()
            self._pool = Pool(max(count, 2), self._journal, spinning=self._spinning)
            self._pool_age = 0
        self._pool_age += 1
        return self._pool

    def _stride(self, outcomes: Outcomes, threads: int, seconds: float) -> int:
        """Fewer samples at once where each takes long."""
        fitting = int(seconds / 4 / max(outcomes.whole, 1e-7))
        return max(8, min(_STRIDE, fitting)) // (4 * threads) * (4 * threads) or 4 * threads

    def _delays(self, outcomes: Outcomes, woven: Woven) -> list[list[range]]:
        """For each thread, how long to wait before the sample: at times one, at times another."""
        rng = self._rng
        threads = len(woven.threads)
        most = max(6, min(_MOST_TURNS, int(1.2 * outcomes.seconds / _TURN)))
        delays = [[range(0)] * 64 for _ in range(threads)]
        for sample in range(64):
            if rng.random() < 0.75:
                delays[rng.randrange(threads)][sample] = range(rng.randrange(most))
        return delays

    # -- afterwards ------------------------------------------------------------------------------

    def _again(self, woven: Woven, state: State) -> Outcomes | None:
        for _ in range(_CONFIRMING_TRIES):  # the machine may be slow for a while
            try:
                return admissible(woven, state, self._journal.beat)
            except TooSlow:
                continue
        return None

    def _confirmed(
        self, findings: list[Finding], woven: Woven, outcomes: Outcomes, state: State
    ) -> list[Finding]:
        """Without outcomes that the sequential runs only missed by chance."""
        kept = []
        for finding in findings:
            bad = finding.evidence.pop("outcomes", None)
            if bad is not None:
                again = self._again(woven, state)
                if again is None or not again.exact or any(key in again.orders for key in bad):
                    continue
                if set(again.orders) != set(outcomes.orders):
                    continue
                finding.timeline = nearest(woven, outcomes, state, bad[0])
            kept.append(finding)
        return kept

    def _keys(self, woven: Woven, before: list[int], run: Run) -> None:
        """Keys must have the references again that they had, or more.

        Not keys of a type that collectors know: who lists all objects holds a reference for a while,
        also to tuples that a collection then takes off the list. And not where others let go of keys
        meanwhile: operands that are iterators when they come to their end, and the interpreter's cache
        of names that were looked up in types.
        """
        keys = woven.names["K"]
        operands = [woven.names[name] for name, _ in run.scenario.operands]
        if any(hasattr(each, "__next__") for each in operands) or "instance_dict" in run.scenario.a:
            return
        after = [sys.getrefcount(key) for key in keys]
        for number, (then, now) in enumerate(zip(before, after, strict=True)):
            if now < then and not type(keys[number]).__flags__ & _COLLECTED:
                self._leak.append(woven)
                run.findings.append(
                    Finding(
                        "references",
                        f"key K{number} lost {then - now} references that are still in use",
                        run.scenario,
                        samples=run.samples,
                    )
                )
                return


def at_rest(subject: Subject, scenario: Scenario, keys: list[Any]) -> State:
    """What is looked at when all is at rest: contents, length, and a shared operand's contents."""
    columns: State = [(0, subject.reader(keys))]
    if hasattr(subject.type, "__len__"):
        columns.append((0, len))
    if scenario.b:
        columns.append((1, freeze))
    return columns
