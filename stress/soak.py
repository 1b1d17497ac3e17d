"""A soak: hours of slices, each in child processes, that add up to one report.

A slice is scenario sampling of one target for some seconds, or a few of the other workloads on it. Each has
a seed of its own, derived from the soak's, and by turns runs with the interpreter's debugging
allocator, which poisons what is freed. Sampling goes on where the target's last slice ended: pairs of
operations that never met come first, and targets with many of them get more time.

What is known is written every few seconds, so that a soak that is killed leaves its report too.
"""

from __future__ import annotations

import _thread
import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from . import environment
from .isolation import run_isolated
from .memory import Memory, children, end_children, slope_text
from .options import HarnessError, Options, UsageError
from .repro.reproduce import reproduce
from .sampling.evidence import Sampling
from .sampling.report import workload_result
from .sampling.supervisor import sample
from .targets import Target
from .verdicts import CampaignResult, ExitStatus, Violation, WorkloadResult
from .workloads import applicable

__all__ = ["Soak", "SoakTarget", "check_time"]

_SLICE_SECONDS = 45.0
_SWEEP = 0.9
_WORKLOADS_SHARE = 0.25  # of a slice's time, for the workloads that are not sampling
_WORKLOADS_AT_ONCE = 4
_MINUTE = 60.0
_WRITE_SECONDS = 10.0
_TICK_SECONDS = 0.5
_AGAIN_SECONDS = 10.0  # after which an interrupt that has not ended the soak is raised again
_KEPT = 10  # violations of one workload
_MOST_BROKEN = 5  # slices in a row in which the harness failed
_MINIMISE_SECONDS = 10.0  # for the new findings of a slice
# Environments of child processes, by turns; sampling has its own such turns.
_SETTINGS: tuple[tuple[str, dict[str, str]], ...] = (
    ("", {}),
    ("debugging allocator", {"PYTHONMALLOC": "debug"}),
)


@dataclass
class SoakTarget:
    """One container under soak, and what was seen of it so far."""

    target: Target
    address: str
    sampling: Sampling
    results: dict[str, WorkloadResult] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    turns: int = 0

    @property
    def operations(self) -> int:
        """Done so far, by all workloads."""
        others = sum(result.operations for result in self.results.values())
        return others + self.sampling.totals["operations"]


class Soak:
    """One soak. `run` ends when the time is over or it is interrupted; `document` is its report.

    Parameters:
        targets: (target, how a child process finds it) pairs.
        options: threads, seed and patterns; `seconds` is the time.
        path: where the report is kept up to date; None: nowhere.
        say: called with each line for people.
    """

    def __init__(
        self,
        targets: list[tuple[Target, str]],
        options: Options,
        path: str | None,
        say: Callable[[str], None],
    ) -> None:
        self.targets = [SoakTarget(t, address, Sampling(t.name)) for t, address in targets]
        self.options = options
        self.ended = "running"
        self.errors: list[str] = []
        self.minutes: list[dict[str, Any]] = []
        self._budget = options.budget_seconds or 0.0
        self._path = path
        self._say = say
        self._facts = environment.describe()
        self._rng = Random(options.seed)
        self._begun = self._reported_at = time.monotonic()
        self._operations_then = 0
        self._now = ""
        self._slices = self._broken = 0
        self._asked = 0  # the signal that asked for the end
        self._asked_at = 0.0
        self._faults: dict[str, int] = {}
        self._told: set[int] = set()
        self._others = frozenset(children())  # children of this process that are not the soak's
        self._lock = threading.Lock()  # of what is written and said by the clock's thread

    # -- running ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Until the time is over; KeyboardInterrupt ends it early, and is not raised again."""
        over = threading.Event()
        clock = threading.Thread(target=self._clock, args=(over,), daemon=True)
        clock.start()
        try:
            while self._goes_on():
                for each in self.targets:
                    if self._goes_on():
                        self._turn(each)
            broken = self._broken >= _MOST_BROKEN
            self.ended = "the harness failed" if broken else "time over"
            if self._asked:
                self.ended = "interrupted"
        except KeyboardInterrupt:
            self.ended = "interrupted"
        finally:
            with _uninterrupted():
                over.set()
                clock.join(10)
                end_children(self._others)
                self._tell_new()
                self.write()

    def interrupt(self, number: int, _frame: Any) -> None:
        """The handler of the signals that end a soak early: raises KeyboardInterrupt.

        Raised in a finalizer or a callback, it is reported there and lost; so it is raised again until
        it arrives.
        """
        self._asked_at = time.monotonic()
        self._asked = number
        raise KeyboardInterrupt

    def _goes_on(self) -> bool:
        return self._left() > 0.2 and self._broken < _MOST_BROKEN and not self._asked

    def _left(self) -> float:
        return self._budget - (time.monotonic() - self._begun)

    def _turn(self, each: SoakTarget) -> None:
        """One slice of sampling and one of other workloads."""
        names = [
            workload.name
            for workload in applicable(each.target)
            if self.options.selects(each.target.name, workload.name)
        ]
        others = [name for name in names if name != "scenarios"]
        seconds = self._seconds(each)
        if "scenarios" in names:
            share = seconds if not others else seconds * (1 - _WORKLOADS_SHARE)
            with self._slice(each, "scenarios") as seed:
                self._sample(each, seed, min(share, self._left()))
        if others and self._left() > 0.2:
            start = each.turns * _WORKLOADS_AT_ONCE
            chosen = [others[(start + n) % len(others)] for n in range(_WORKLOADS_AT_ONCE)]
            chosen = list(dict.fromkeys(chosen))
            share = seconds * _WORKLOADS_SHARE if "scenarios" in names else seconds
            with self._slice(each, ", ".join(chosen)) as seed:
                self._work(each, chosen, seed, min(share, self._left()))
        each.turns += 1

    def _seconds(self, each: SoakTarget) -> float:
        """Longer where more pairs of operations never met."""
        base = min(_SLICE_SECONDS, self._budget / (3 * len(self.targets)))
        unmet = [len(other.sampling.unmet) for other in self.targets]
        most = max(unmet)
        if not most or not each.turns:
            return base
        return base * (0.2 + 1.8 * len(each.sampling.unmet) / most)

    @contextlib.contextmanager
    def _slice(self, each: SoakTarget, what: str) -> Iterator[int]:
        seed = self._rng.randrange(2**32)
        turn = 0 if what == "scenarios" else each.turns % len(_SETTINGS)
        name, variables = _SETTINGS[turn]
        self._slices += 1
        if name:
            self._faults[name] = self._faults.get(name, 0) + 1
        with self._lock:
            self._now = f"{each.target.name}/{what} seed {seed}{f' ({name})' if name else ''}"
        before = {key: os.environ.get(key) for key in variables}
        os.environ.update(variables)
        each.memory.begin(debugging=bool(name))
        try:
            yield seed
            self._broken = 0
        except Exception as error:  # whatever breaks, the other slices go on
            self._broken += 1
            known = isinstance(error, HarnessError | UsageError)
            self.errors.append(f"{self._now}: {error if known else traceback.format_exc()}")
            last = str(error).strip().rpartition("\n")[2] or type(error).__name__
            self._say(f"ERROR of the harness in {self._now}: {last}")
        finally:
            each.memory.end()
            for key, value in before.items():
                os.environ.pop(key, None)
                if value is not None:
                    os.environ[key] = value
        self._tell_new()

    def _sample(self, each: SoakTarget, seed: int, seconds: float) -> None:
        sample(
            each.address,
            seed,
            max(0.2, seconds),
            stall_seconds=self.options.stall_seconds,
            into=each.sampling,
            sweep=_SWEEP,
        )
        new = [finding for finding in each.sampling.findings if "token" not in finding]
        if new:
            profile = str(each.sampling.profile.get("name", ""))
            most = max(0.0, min(_MINIMISE_SECONDS, self._left()))
            reproduce(each.address, seed, new, most, profile=profile)

    def _work(self, each: SoakTarget, names: list[str], seed: int, seconds: float) -> None:
        options = Options(
            threads=self.options.threads,
            seconds=seconds,
            seed=seed,
            stall_seconds=self.options.stall_seconds,
            target_argument=each.address,
            isolate=True,
        )
        done, _ = run_isolated(
            each.target.name, names, options, seconds, lambda name: None, lambda fraction: None
        )
        with self._lock:
            for result in done:
                _add(each.results, result)

    # -- telling ---------------------------------------------------------------------------------

    def _clock(self, over: threading.Event) -> None:
        """Measures memory, writes the report and says a line a minute, whatever the children do."""
        written = time.monotonic()
        while not over.wait(_TICK_SECONDS):
            if self._asked and time.monotonic() - self._asked_at > _AGAIN_SECONDS:
                _interrupt_main(self._asked)
            for each in self.targets:
                each.memory.look()
            now = time.monotonic()
            if now - self._reported_at >= _MINUTE:
                self._minute(now)
            if now - written >= _WRITE_SECONDS:
                written = now
                self.write()

    def _minute(self, now: float) -> None:
        operations = sum(each.operations for each in self.targets)
        rate = (operations - self._operations_then) / (now - self._reported_at)
        met, pairs = self.pairs()
        facts = {
            "minute": round((now - self._begun) / _MINUTE),
            "operations": operations,
            "rate": round(rate),
            "pairs_met": met,
            "pairs_known": pairs,
            "memory_bytes": max(each.memory.largest for each in self.targets),
            "violations": len(self.violations()),
        }
        self._reported_at, self._operations_then = now, operations
        with self._lock:
            self.minutes.append(facts)
            running = self._now
        self._say(
            f"[{facts['minute']} of {self._budget / _MINUTE:g} min] {operations:,} operations, "
            f"{rate:,.0f} a second; {met:,} of {pairs:,} pairs of operations met; "
            f"memory at most {_mib(facts['memory_bytes'])}, {self.slope()}; "
            f"{facts['violations']} violations; now {running}"
        )

    def pairs(self) -> tuple[int, int]:
        """Pairs of operations that met, and those there are on the targets that began."""
        known = [each.sampling for each in self.targets if each.sampling.pairs]
        pairs = sum(sampling.pairs for sampling in known)
        return pairs - sum(len(_steady(lambda s=s: s.unmet)) for s in known), pairs  # type: ignore[misc]

    def slope(self) -> str:
        """The growth of child processes so far, as text."""
        memory = Memory(slopes=[slope for each in self.targets for slope in each.memory.slopes])
        return slope_text(memory.as_json()).partition(":")[0]

    def violations(self) -> list[Violation]:
        """All that were seen so far."""
        return self.result().violations

    def result(self) -> CampaignResult:
        """As a campaign's result; safe to call while children run."""
        result: CampaignResult = _steady(self._result)
        return result

    def _result(self) -> CampaignResult:
        result = CampaignResult(self._facts, self.options.as_json())
        result.seconds = time.monotonic() - self._begun
        for each in self.targets:
            options = Options(
                threads=self.options.threads,
                seconds=_SLICE_SECONDS,
                seed=self.options.seed,
                target_argument=each.address if self.options.target_argument else "",
            )
            if each.sampling.children:
                result.workloads.append(workload_result(each.target, options, each.sampling))
                result.sampling[each.target.name] = each.sampling.as_json()
            result.workloads += list(each.results.values())
            if each.sampling.gil:
                result.environment["gil_enabled_at_end"] = True
        return result

    def document(self) -> dict[str, Any]:
        """The whole report as JSON data."""
        result = self.result()
        return {
            **result.as_json(),
            "command": "soak",
            "exit_status": int(self.exit_status),
            "ended": self.ended,
            "minutes": list(self.minutes),
            "slices": self._slices,
            "settings": dict(self._faults),
            "memory": {each.target.name: each.memory.as_json() for each in self.targets},
            "errors": list(self.errors),
        }

    @property
    def exit_status(self) -> ExitStatus:
        """1 for violations, 4 when the harness itself failed, 3 when nothing ran."""
        status = self.result().exit_status
        if status is not ExitStatus.VIOLATION and self.errors:
            return ExitStatus.HARNESS
        return status

    def write(self) -> None:
        """Bring the report on disk up to date: the new one takes the old one's place at once."""
        if self._path is None or self._path == "-":
            return
        text = json.dumps(self.document(), indent=1, default=repr)
        part = f"{self._path}.part"
        try:
            with open(part, "w", encoding="utf-8") as stream:
                stream.write(text + "\n")
            os.replace(part, self._path)
        except OSError as error:
            print(f"ct-stress: {self._path}: {error.strerror or error}", file=sys.stderr)

    def _tell_new(self) -> None:
        """Say new violations as soon as their slice is over; the report has them whole."""
        for violation in self.violations():
            key = hash((violation.check, violation.message, violation.target, violation.workload))
            if key not in self._told:
                self._told.add(key)
                self._say(
                    f"VIOLATION of {violation.check!r} in {violation.target}/{violation.workload}: "
                    f"{violation.message}"
                )


def _add(results: dict[str, WorkloadResult], new: WorkloadResult) -> None:
    known = results.setdefault(new.workload, WorkloadResult(new.target, new.workload))
    known.rounds += new.rounds
    known.operations += new.operations
    known.refusals += new.refusals
    for name, number in new.facts.items():
        # Times are of one call; all else is counted.
        known.facts[name] = number if name.endswith("_ns") else known.facts.get(name, 0) + number
    known.seconds += new.seconds
    room = max(0, _KEPT - len(known.violations))
    known.violations += new.violations[:room]
    known.suppressed += new.suppressed + len(new.violations[room:])


def _steady(read: Callable[[], Any]) -> Any:
    """Read what another thread adds to: once more when it changed meanwhile."""
    for _ in range(100):
        try:
            return read()
        except RuntimeError:  # a dict changed its size during iteration
            time.sleep(0.001)
    return read()


def _interrupt_main(number: int) -> None:
    """The signal once more; it also ends what the main thread waits for."""
    ident = threading.main_thread().ident
    if ident is not None and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(ident, number)
    else:
        _thread.interrupt_main(signal.Signals(number))


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """A second interrupt must not cost the report."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB"


def check_time(minutes: float | None, hours: float | None) -> float:
    """Seconds of `--minutes` and `--hours`; UsageError where they make no sense."""
    total = 60 * (minutes or 0.0) + 3600 * (hours or 0.0)
    if not 0 < total < float("inf"):
        raise UsageError("say how long: --minutes N or --hours N, above 0")
    return total
