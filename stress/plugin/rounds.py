"""Rounds: several threads run a program at once on a fresh instance; a model judges each history.

A program gives each thread its steps. That of a test is its body, once; that of a class is drawn anew
for every round. When a history cannot be explained, steps and threads are left out as long as the rest
fails as readily (repro/rates.py), and the smallest such history is shown.
"""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from ..check import HistoryError, Model, ModelError, Outcome, Recorder, Verdict, judge_windows
from ..check.history import History
from ..options import UsageError
from ..repro.rates import Rate, clearly_below
from ..targets import Kind, target_of
from .crew import NEVER, Meeting, run_threads
from .lanes import lanes_of
from .recording import Recorded, answered
from .settings import Settings

__all__ = ["run_rounds"]

Step = tuple[str, int]  # the name of an operation, the seed of its choices
Program = tuple[tuple[Step, ...], ...]  # of each thread

_BATCH = 40
_MOST_TURNS = 300  # of an empty loop, before a thread sets off
_DEADLINE_SECONDS = 20.0  # for judging one batch
_EVENTS = 8
_OPERATION = "__concurrent_operation__"


@dataclass
class _Seen:
    """What a number of rounds came to."""

    rounds: int = 0
    operations: int = 0
    illegal: int = 0
    unknown: int = 0
    history: History | None = None
    verdict: Verdict | None = None
    program: Program = ()

    @property
    def rate(self) -> Rate:
        return Rate(self.rounds, self.illegal, self.illegal)

    def add(self, other: _Seen) -> None:
        self.rounds += other.rounds
        self.operations += other.operations
        self.illegal += other.illegal
        self.unknown += other.unknown
        if other.history is not None and (
            self.history is None or len(other.history) < len(self.history)
        ):
            self.history, self.verdict = other.history, other.verdict
            self.program = other.program


def run_rounds(item: Any, settings: Settings) -> None:
    """Run the test until its time is over or a history is illegal; then fail with the smallest."""
    bench = _Bench(item, settings)
    rng = Random(settings.seed)
    until = time.monotonic() + settings.seconds
    seen = _Seen()
    with _switching():
        while time.monotonic() < until and not seen.illegal:
            left = _BATCH if settings.rounds is None else settings.rounds - seen.rounds
            if left <= 0:
                break
            seen.add(bench.run([bench.draw(rng) for _ in range(min(_BATCH, left))]))
        if not seen.operations:
            pytest.fail(
                "@concurrent: nothing was recorded; call methods of `history`, which stands for the "
                "instance under test",
                pytrace=False,
            )
        if seen.illegal:
            seen = _smaller(bench, seen, settings)
    if seen.illegal:
        pytest.fail(_told(bench, seen, settings), pytrace=False)


# -- running ---------------------------------------------------------------------------------------


@dataclass
class _Bench:
    """Runs programs of one test."""

    item: Any
    settings: Settings
    model: Model = field(init=False)
    names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.model = self.settings.found_model()
        owner = getattr(self.item, "instance", None)
        self._steps: dict[str, Callable[..., Any]] = {}
        if self.item.originalname == "test_concurrent" and owner is not None:
            for name in dir(type(owner)):
                if getattr(getattr(type(owner), name), _OPERATION, False):
                    self._steps[name] = getattr(owner, name)
        self.names = sorted(self._steps)
        self._kind = _kind_of(self.settings.target)

    def draw(self, rng: Random) -> Program:
        """A program for one round."""
        threads = range(self.settings.threads)
        if not self.names:
            return tuple([(("", rng.randrange(2**32)),) for _ in threads])
        return tuple(
            [
                tuple(
                    [
                        (rng.choice(self.names), rng.randrange(2**32))
                        for _ in range(self.settings.operations)
                    ]
                )
                for _ in threads
            ]
        )

    def run(self, programs: list[Program]) -> _Seen:
        """One round for each program, all with the same number of threads; judged."""
        rounds = []
        for _ in programs:
            target = self.settings.target()
            rounds.append((Recorder(target, self.model.name), self._content(target)))
        recorded = [Recorded(recorder) for recorder, _ in rounds]
        width = len(programs[0])
        meeting = Meeting(width)
        delays = Random(programs[0][0][0][1])
        pauses = [[range(delays.randrange(_MOST_TURNS)) for _ in programs] for _ in range(width)]

        def walk(thread: int) -> None:
            mine, others = meeting.views(thread)
            try:
                for number, program in enumerate(programs):
                    meeting.wait(number + 1, mine, others)
                    for _ in pauses[thread][number]:
                        pass
                    self._lane(program[thread], recorded[number], thread)
            finally:
                mine[0] = NEVER  # nobody waits for a thread that failed

        run_threads(walk, count=width)
        return self._judged([(one.history(), content) for one, content in rounds], programs)

    def _lane(self, steps: tuple[Step, ...], recorded: Recorded, thread: int) -> None:
        for name, seed in steps:
            try:
                if name:
                    self._steps[name](recorded, Random(seed))
                else:
                    self._body(recorded, Random(seed), thread)
            except Exception as error:
                if not answered(recorded, error):
                    raise

    def _body(self, recorded: Recorded, rng: Random, thread: int) -> None:
        names = self.item._fixtureinfo.argnames
        given = {name: self.item.funcargs[name] for name in names}
        for name, value in (
            ("history", recorded),
            ("stress_rng", rng),
            ("stress_thread", thread),
        ):
            if name in given:
                given[name] = value
        self.item.obj(**given)

    def _judged(self, windows: list[tuple[History, Any]], programs: list[Program]) -> _Seen:
        try:
            verdicts = judge_windows(windows, self.model, deadline=_DEADLINE_SECONDS)
        except (ModelError, HistoryError) as error:
            pytest.fail(f"@concurrent: {error}", pytrace=False)
        seen = _Seen(len(windows), sum([len(history) for history, _ in windows]))
        for (history, _), verdict, program in zip(windows, verdicts, programs, strict=True):
            one = _Seen()
            if verdict.outcome is Outcome.ILLEGAL:
                one = _Seen(0, 0, 1, 0, history, verdict, program)
            elif verdict.outcome is Outcome.UNKNOWN:
                one.unknown = 1
            seen.add(one)
        return seen

    def _content(self, target: Any) -> Any:
        """What is in it before the round; None for an empty one."""
        if self._kind is Kind.DICT:
            return {key: target[key] for key in target} or None
        if self._kind is Kind.SET:
            return set(target) or None
        return None


def _kind_of(target: Any) -> Kind | None:
    try:
        found = target_of(target)
        iter(target())
    except (UsageError, TypeError):
        return None
    return found.kind


@contextmanager
def _switching() -> Iterator[None]:
    """With the GIL: let threads take turns inside an operation."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


# -- making it small -------------------------------------------------------------------------------


def _smaller(bench: _Bench, first: _Seen, settings: Settings) -> _Seen:
    """The same failure with fewer threads and steps; what was seen of it."""
    until = time.monotonic() + settings.minimise
    best = first
    reference = _measure(bench, first.program, until, settings.minimise / 4)
    if not reference.illegal:
        first.rounds = max(first.rounds, 1)
        return first
    best = reference
    found = True
    while found and time.monotonic() < until:
        found = False
        for program in _less(best.program):
            left = until - time.monotonic()
            if left <= 0:
                break
            seen = _measure(bench, program, until, max(0.1, settings.minimise / 12))
            if seen.illegal and not clearly_below(seen.rate, best.rate):
                best, found = seen, True
                break
    return best


def _less(program: Program) -> Iterator[Program]:
    if len(program) > 2:
        for thread in range(len(program)):
            yield program[:thread] + program[thread + 1 :]
    for thread, steps in enumerate(program):
        for index in range(len(steps)):
            left = steps[:index] + steps[index + 1 :]
            if left:
                yield (*program[:thread], left, *program[thread + 1 :])
            elif len(program) > 2:
                yield program[:thread] + program[thread + 1 :]


def _measure(bench: _Bench, program: Program, until: float, seconds: float) -> _Seen:
    """Run one program again and again; the choices of a body are drawn anew."""
    end = min(until, time.monotonic() + seconds)
    rng = Random(program[0][0][1])
    seen = _Seen(program=program)
    while time.monotonic() < end and seen.illegal < _EVENTS:
        batch = [program] * _BATCH
        if not bench.names:
            batch = [tuple([(("", rng.randrange(2**32)),) for _ in program]) for _ in range(_BATCH)]
        seen.add(bench.run(batch))
    seen.program = program
    return seen


# -- telling ---------------------------------------------------------------------------------------


def _told(bench: _Bench, seen: _Seen, settings: Settings) -> str:
    name = getattr(settings.target, "__name__", repr(settings.target))
    lines = [
        f"{name}: no order of the operations explains what {len(seen.program)} threads saw "
        f"(model {bench.model.name!r})",
        "",
    ]
    if bench.names:
        lines += [
            f"thread {thread}: {'; '.join([step for step, _ in steps])}"
            for thread, steps in enumerate(seen.program)
        ]
    else:
        lines += [f"{len(seen.program)} threads: {inspect.unwrap(bench.item.obj).__name__}"]
    if seen.history is not None and seen.verdict is not None:
        lines += ["", *lanes_of(seen.history, seen.verdict), "", seen.verdict.explanation()]
    lines += ["", f"reproduced {seen.illegal} of {seen.rounds} rounds; {settings.again()}"]
    return "\n".join(lines)
