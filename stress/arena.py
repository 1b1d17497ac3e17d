"""What one round shares: the target, the seed, the threads' journals and the verdict.

A *round* is one run of a workload on fresh containers: set up, threads from a barrier, checks at
rest. Rounds are short and many, so that tables are young, growing and shared for the first time
again and again, and everything is checked at rest often.
"""

from __future__ import annotations

import shlex
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from .histories import history_of_steps
from .keys import STYLES
from .options import Options
from .targets import Target
from .verdicts import Violation

__all__ = ["Arena", "RoundOver", "Worker"]

KEPT_VIOLATIONS = 5  # per round
_JOURNAL = 48  # latest operations kept per thread
_SHOWN_OWN = 10
_SHOWN_OTHERS = 4


class RoundOver(BaseException):
    """Unwinds a thread after a violation; not an error of the container."""


@dataclass(frozen=True)
class Step:
    """One line of a journal."""

    at: float  # seconds, monotonic
    thread: int
    operation: str
    key: Any
    argument: Any

    def __str__(self) -> str:
        argument = "" if self.argument is None else f", {self.argument!r}"
        return f"{self.operation}({self.key!r}{argument})"


class Worker:
    """One thread of a round: its number, its random choices, and its latest operations."""

    def __init__(self, arena: Arena, index: int) -> None:
        self.arena = arena
        self.index = index
        self.rng = arena.random(index)
        self.operations = 0  # finished steps: the watchdog looks at it
        self.refusals = 0
        self._journal: deque[tuple[float, str, Any, Any]] = deque(maxlen=_JOURNAL)

    def note(self, operation: str, key: Any, argument: Any = None) -> None:
        """Remember the operation that begins now; `argument` is kept alive for a while."""
        self._journal.append((time.monotonic(), operation, key, argument))

    def steps(self) -> list[Step]:
        """The latest operations, oldest first."""
        for _ in range(100):
            try:
                return [Step(at, self.index, *what) for at, *what in tuple(self._journal)]
            except RuntimeError:  # the thread appended meanwhile
                continue
        return []

    def fail(self, check: str, message: str, details: str = "") -> None:
        """Report a violation found by this thread, and end the round."""
        self.arena.fail(check, message, details, worker=self)
        raise RoundOver

    def require(self, check: str, problem: str | None) -> None:
        """`fail` when an oracle has something to say."""
        if problem is not None:
            self.fail(check, problem)


class Arena:
    """The surroundings of one round."""

    def __init__(self, target: Target, workload: str, number: int, options: Options) -> None:
        self.target = target
        self.workload = workload
        self.number = number
        self.options = options
        self.threads = options.threads
        self.violations: list[Violation] = []
        self.suppressed = 0
        self.facts: dict[str, float] = {}  # what the workload counted or measured
        self.stopping = False
        self._lock = threading.Lock()
        self.rng = self.random("round")
        # SplitDict shares only str keys, and would otherwise leave that form at once.
        splits = any(base.__name__ == "SplitDict" for base in target.type.__mro__)
        self.style = "str" if splits else STYLES[number % len(STYLES)]
        self.workers = [Worker(self, index) for index in range(self.threads)]

    def random(self, part: object) -> Random:
        """Random choices of one part of the round; they depend on nothing but names and seed."""
        return Random(
            f"{self.options.seed}/{self.target.name}/{self.workload}/{self.number}/{part}"
        )

    def make(self, contents: Any = None) -> Any:
        """A fresh container of the target."""
        return self.target.make() if contents is None else self.target.make(contents)

    def fail(
        self,
        check: str,
        message: str,
        details: str = "",
        *,
        worker: Worker | None = None,
        timeline: dict[str, Any] | None = None,
    ) -> None:
        """Report a violation; the round stops as soon as its threads notice.

        `timeline` is a history that says more than the latest operations (histories.py).
        """
        steps = self._steps(worker)
        violation = Violation(
            check=check,
            message=message,
            target=self.target.name,
            workload=self.workload,
            seed=self.options.seed,
            round=self.number,
            rerun=self._rerun(),
            operations=tuple(
                [f"[{step.at:.6f}] thread {step.thread}: {_text(step)}" for step in steps]
            ),
            details=details,
            timeline=timeline or history_of_steps([(s.at, s.thread, _text(s)) for s in steps]),
        )
        with self._lock:
            self.stopping = True
            if len(self.violations) < KEPT_VIOLATIONS:
                self.violations.append(violation)
            else:
                self.suppressed += 1

    def expect(self, holds: bool, check: str, message: str | Callable[[], str]) -> None:
        """`fail` unless `holds`; for checks at rest."""
        if not holds:
            self.fail(check, message if isinstance(message, str) else message())

    def _steps(self, worker: Worker | None) -> list[Step]:
        """The failing thread's latest operations and the others' around them, in time order."""
        own = worker.steps()[-_SHOWN_OWN:] if worker else []
        shown = list(own)
        key = own[-1].key if own else None
        for other in self.workers:
            if other is not worker:
                steps = other.steps()
                related = [step for step in steps if own and step.key is key]
                shown += (related or steps)[-_SHOWN_OTHERS if own else -2 :]
        shown.sort(key=lambda step: step.at)
        return shown

    def _rerun(self) -> str:
        options = self.options
        words = ["ct-stress", "run"]
        if options.target_argument:
            words += ["--target", options.target_argument]
        words += ["--only", f"{self.target.name}/{self.workload}", "--seed", str(options.seed)]
        words += ["--threads", str(options.threads)]
        if options.ops is not None:
            words += ["--ops", str(options.ops)]
        if options.budget_seconds is not None:
            words += ["--seconds", f"{options.budget_seconds:g}"]
        return shlex.join(words)


def _text(step: Step) -> str:
    try:
        return str(step)
    except Exception as error:  # the repr of a broken container's value may fail
        return f"{step.operation}(<{error!r}>)"
