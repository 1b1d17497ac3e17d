"""Scenarios of the sampling campaign, run serialised: every operation of a type, drawn at random.

The scenarios, what is promised in them and the judges are those of `stress.sampling`; only what runs
them is another. A scenario is known by its number and the seed, so that a token is short.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from ..histories import history_of_run
from ..sampling.catalogue import catalogue_of
from ..sampling.freeze import freeze
from ..sampling.generator import Generator
from ..sampling.judge import Judge
from ..sampling.nearest import AT_REST, nearest
from ..sampling.outcomes import Outcomes, State, TooSlow, admissible
from ..sampling.scenario import Scenario
from ..sampling.subject import Subject
from ..sampling.weave import Woven, weave
from ..targets import resolve
from .errors import SerialError, TokenError
from .report import lanes_of
from .runs import Program, Run
from .session import Session, deadlock_text
from .strategies import Given, Strategy, strategy_named
from .token import decode, digest_of, encode

__all__ = ["ScenarioFinding", "ScenarioSearch", "replay_scenario"]

_MOST_THREADS = 4
_STEPS = 4_000
_LONG = 400  # steps
_MOST_FAILURES = 10  # scenarios that cannot even be prepared, before any other
_LESS = 8  # where outcomes are not judged, only that the container is sound


@dataclass(frozen=True)
class ScenarioFinding:
    """A schedule of a scenario on which the container broke a promise."""

    kind: str
    message: str
    token: str
    schedules: int
    text: str
    exact: bool = True
    timeline: dict[str, Any] | None = None  # what histories.py makes


@dataclass
class ScenarioSearch:
    """Explores one scenario after the other, for one container type.

    Parameters:
        target: `module:Class`. seed: of the scenarios and of the strategy.
        limit: schedules for each scenario.
    """

    target: str
    seed: int
    strategy: str = "bounded"
    granularity: str = "line"
    limit: int = 300
    findings: list[ScenarioFinding] = field(default_factory=list)
    scenarios: int = 0
    skipped: int = 0
    schedules: int = 0
    steps: int = 0
    pairs: set[tuple[str, str]] = field(default_factory=set)
    profile: str = ""

    def run(self, seconds: float, most: int, found: Callable[[ScenarioFinding], None]) -> None:
        """Until the time is over or `most` scenarios were drawn."""
        until = time.monotonic() + seconds
        subject = Subject(resolve(self.target))
        self.profile = subject.profile.name
        generator = Generator(subject, catalogue_of(subject), Random(self.seed))
        known: set[tuple[str, str]] = set()
        with _session(subject, self.granularity) as session:
            for number in range(most):
                if time.monotonic() > until:
                    return
                scenario = generator.draw(number)
                generator.count(scenario, 1)
                if known & scenario.pairs():
                    continue
                finding = self._explore(session, subject, scenario, until)
                if finding is not None:
                    known |= scenario.pairs()
                    self.findings.append(finding)
                    found(finding)

    def _explore(
        self, session: Session, subject: Subject, scenario: Scenario, until: float
    ) -> ScenarioFinding | None:
        try:
            stage = _Stage(session, subject, scenario)
        except (TooSlow, _Waits):
            self.skipped += 1
            return None
        except Exception as error:
            self.skipped += 1
            if self.scenarios == 0 and self.skipped >= _MOST_FAILURES:
                raise SerialError(
                    f"{self.target} does not work with modelled locks: "
                    f"{type(error).__name__}: {error}"
                ) from error
            return None
        self.scenarios += 1
        self.pairs |= scenario.pairs()
        strategy = strategy_named(self.strategy, self.seed + scenario.number)
        most = self.limit if stage.exact else max(4, self.limit // _LESS)
        for schedule in range(most):
            run, problem = stage.run(strategy)
            self.schedules += 1
            self.steps += len(run.trace)
            if problem is not None:
                return self._finding(stage, run, problem, schedule + 1)
            if time.monotonic() > until or not strategy.again():
                break
            if schedule == 0 and len(run.trace) > _LONG:
                self.skipped += 1
                break  # of large operands: short scenarios show more in the same time
        return None

    def _finding(
        self, stage: _Stage, run: Run, problem: tuple[str, str], schedules: int
    ) -> ScenarioFinding:
        facts = {
            "target": self.target,
            "seed": self.seed,
            "number": stage.scenario.number,
            "lines": _digest(stage.scenario),
            "granularity": self.granularity,
            "digest": digest_of(run, ()),
        }
        token = encode(facts, run.choices)
        text, timeline = stage.text(run, problem, token), stage.timeline(run)
        return ScenarioFinding(*problem, token, schedules, text, timeline=timeline)


class _Waits(Exception):
    """A call waits for another one even when they run one by one."""


class _Stage:
    """One scenario, ready to be run again and again.

    `patient`: it has been judged before, so that how long that takes now is no reason to refuse it.
    """

    def __init__(
        self, session: Session, subject: Subject, scenario: Scenario, *, patient: bool = False
    ) -> None:
        self._session = session
        self._subject = subject
        self.scenario = scenario
        self._outcome: Any = None  # of the latest run, when no order explains it
        self._state: State = [(0, subject.freeze)]
        if hasattr(subject.type, "__len__"):
            self._state.append((0, len))
        if scenario.b:
            self._state.append((1, freeze))
        self._prepare(patient)

    def _prepare(self, patient: bool) -> None:
        self._session.release()
        self._woven: Woven = weave(self.scenario, self._subject, spinning=False)
        self._outcomes: Outcomes = admissible(
            self._woven, self._state, lambda: None, patient=patient
        )
        if any("Blocked" in names for names in self._outcomes.errors.values()):
            raise _Waits

    @property
    def exact(self) -> bool:
        """Whether outcomes are judged."""
        return self._outcomes.exact

    def run(self, strategy: Strategy) -> tuple[Run, tuple[str, str] | None]:
        """One schedule: (what it gave, None or (kind, message))."""
        self._session.release()
        A, B, W, its = self._woven.build(1)
        kept = (A[:], B[:])
        shared = (A[0], B[0], W[0], its[0])
        programs: list[Program] = [
            [partial(call, *shared) for call in calls] for calls in self._woven.calls
        ]
        run = self._session.play(programs, strategy)
        if run.end == "deadlock":
            self._woven = weave(self.scenario, self._subject, spinning=False)
            return run, ("deadlock", deadlock_text(run))
        if run.end != "done":
            self._woven = weave(self.scenario, self._subject, spinning=False)
            return run, None
        judge = Judge(self._woven, self._outcomes, self._subject, self._state)
        judge.batch(A, B, [[[answer] for answer in answers] for answers in run.results], 0, 1)
        del kept
        for found in judge.findings:
            self._outcome = next(iter(found.evidence.get("outcomes", ())), None)
            return run, (found.kind, found.message)
        return run, None

    def text(self, run: Run, problem: tuple[str, str], token: str) -> str:
        """The finding for people."""
        texts = ["; ".join(call.text for call in calls) for calls in self.scenario.threads]
        setting = [line for line in self.scenario.lines() if not line.startswith("thread ")]
        return "\n".join(
            [f"{problem[0]}: {problem[1]}", *setting, lanes_of(run, texts), f"replay: {token}"]
        )

    def timeline(self, run: Run) -> dict[str, Any]:
        """The schedule's calls as a history for reports."""
        texts = [[call.text for call in calls] for calls in self.scenario.threads]
        shown = history_of_run(run, texts)
        if self._outcome is not None:
            self._explain(run, shown)
        return shown

    def _explain(self, run: Run, shown: dict[str, Any]) -> None:
        """Add the longest order that explains a part of the outcome."""
        spans = [
            ((thread, index), span)
            for thread, each in enumerate(run.spans)
            for index, span in enumerate(each)
        ]
        came_first = {(x, y) for x, (_, ended) in spans for y, (began, _) in spans if ended < began}
        self._session.release()
        near = nearest(self._woven, self._outcomes, self._state, self._outcome, came_first)
        for row, other in zip(shown["operations"], near["operations"], strict=False):
            row.update(place=other["place"], state=other["state"], mark=other["mark"])
        shown["initial"] = near["initial"]
        if near["threads"][-1] == AT_REST:
            last = max(span[1] for _, span in spans) + 1
            shown["threads"].append(AT_REST)
            shown["operations"].append(
                {**near["operations"][-1], "invoke": last, "response": last + 1}
            )


def replay_scenario(token: str) -> ScenarioFinding | None:
    """The schedule of a token again; None when it does nothing wrong any more."""
    facts, choices = decode(token)
    subject = Subject(resolve(facts["target"]))
    generator = Generator(subject, catalogue_of(subject), Random(facts["seed"]))
    for number in range(facts["number"] + 1):
        scenario = generator.draw(number)
        generator.count(scenario, 1)
    if _digest(scenario) != facts["lines"]:
        raise TokenError("the class has other operations than when the token was made")
    given = Given(choices)
    with _session(subject, facts["granularity"]) as session:
        stage = _Stage(session, subject, scenario, patient=True)
        run, problem = stage.run(given)
    exact = digest_of(run, ()) == facts["digest"] and not given.astray
    if problem is None:
        return None
    text, timeline = stage.text(run, problem, token), stage.timeline(run)
    return ScenarioFinding(*problem, token, 1, text, exact, timeline)


def _session(subject: Subject, granularity: str) -> Session:
    container = subject.target.make()
    return Session(lambda: None, [()] * _MOST_THREADS, granularity, _STEPS, container=container)


def _digest(scenario: Scenario) -> str:
    return hashlib.sha256("\n".join(scenario.lines()).encode()).hexdigest()[:12]
