"""`explore` and `replay`: the serialised mode as functions."""

from __future__ import annotations

import ast
import gc
import importlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from ..check.models.base import Model
from ..profiles import Profile, Result
from .errors import TokenError
from .judging import Judge, Programs
from .report import lanes, told
from .session import Session, Verdict
from .strategies import Given, Strategy, strategy_named
from .token import decode, encode, literal, version

__all__ = ["Exploration", "Finding", "explore", "replay"]

LIMIT = 20_000
STEPS = 5_000


@dataclass(frozen=True)
class Finding:
    """A schedule on which the container was wrong.

    Parameters:
        kind: "outcome", "order" (not linearizable), "error", "deadlock" or "invariant".
        message: what was wrong, in a sentence.
        token: repeats it exactly: `replay(token)`.
        trace: every step as (thread, "file:line"); with instructions "file:line+offset".
        outcome: the answers, thread after thread, then the state at rest.
        expected: what sequential runs give.
        schedule: how many schedules it took, this one counted.
        text: trace lanes and outcomes for people.
    """

    kind: str
    message: str
    token: str
    trace: tuple[tuple[int, str], ...]
    outcome: tuple[Any, ...]
    expected: frozenset[tuple[Any, ...]]
    schedule: int
    digest: str
    text: str
    exact: bool = True


@dataclass(frozen=True)
class Exploration:
    """What was tried, and what was found.

    Parameters:
        found: the first schedule that went wrong, or None. None is no proof, unless `complete`.
        schedules: how many were run. distinct: how many different ones.
        cut: how many were given up because they took too many steps (endless loops).
        steps: lines or instructions run, over all schedules.
        complete: whether the strategy tried all schedules that it has.
        seconds: how long it took. note: how far the search came.
    """

    found: Finding | None
    schedules: int
    distinct: int
    cut: int
    steps: int
    complete: bool
    seconds: float
    note: str
    expected: frozenset[tuple[Any, ...]]

    def __str__(self) -> str:
        rate = self.schedules / self.seconds if self.seconds else 0.0
        head = (
            f"{self.schedules} schedules ({self.distinct} distinct, {self.cut} cut), "
            f"{self.steps} steps, {rate:.0f} schedules/s"
        )
        head += f", {self.note}" if self.note else ""
        head += ", all there are" if self.complete else ""
        return head if self.found is None else f"{self.found.text}\n{head}"


def explore(
    make: Callable[[], Any],
    programs: Programs,
    *,
    strategy: str | Strategy = "bounded",
    seed: int = 0,
    limit: int = LIMIT,
    granularity: str = "line",
    invariant: Callable[[Any], Any] | None = None,
    promises: Profile | None = None,
    model: Model | None = None,
    bound: int | None = 2,
    depth: int = 3,
    steps: int = STEPS,
    watch: Iterable[Any] = (),
) -> Exploration:
    """Search for a schedule on which a pure-Python container does what no sequential run does.

    Parameters:
        make: makes a fresh container; its locks must be made by it, or belong to its modules.
        programs: for each thread its calls `(method, argument, ...)`; `("list()",)` is
            `list(container)`, and a function instead of a name is called with the container.
        strategy: "bounded" (up to `bound` preemptions), "exhaustive", "pct" (`depth` events),
            "random", or a `Strategy`.
        seed: of the strategy; the same seed tries the same schedules.
        limit: schedules at most. steps: lines or instructions of one schedule at most.
        granularity: threads can be switched at every "line" or "instruction".
        invariant: called with the container after each schedule; raises, or returns False or a
            text, when it does not hold.
        promises: a profile; results of methods that promise no exact one are not judged.
        model: a model of `stress.check` to judge by, instead of sequential runs of the container,
            which must begin as the model does: empty.
        watch: more modules, classes or functions in which threads can be switched.

    Raises:
        SerialError: the container has no Python code, is not deterministic, or waits for something
            that is not modelled.

    Thread-safety: one exploration at a time in a process; others wait.

    >>> class Hits:
    ...     def __init__(self): self.n = 0
    ...     def hit(self):
    ...         seen = self.n
    ...         self.n = seen + 1
    ...         return seen + 1
    >>> result = explore(Hits, [[("hit",)], [("hit",)]])
    >>> result.found.kind, result.found.outcome[:2]
    ('outcome', (1, 1))
    """
    began = time.perf_counter()
    judged = None if promises is None else _judged_by(promises)
    searched = strategy_named(strategy, seed, depth=depth, bound=bound)
    schedules = cut = total = 0
    distinct: set[int] = set()
    found: Finding | None = None
    complete = False
    with Session(make, programs, granularity, steps, watch) as session:
        judge = Judge(session.fresh, programs, model, judged)
        expected = frozenset(judge.expected)
        while schedules < limit:
            verdict = session.run(judge, searched, invariant)
            schedules += 1
            total += len(verdict.run.trace)
            cut += verdict.run.end == "steps"
            distinct.add(hash(tuple(verdict.run.choices)))
            if verdict.kind:
                found = _finding(verdict, make, programs, granularity, expected, schedules)
                break
            if not searched.again():
                complete = True
                break
            if not schedules % 1000:
                gc.collect()
    seconds = time.perf_counter() - began
    return Exploration(
        found, schedules, len(distinct), cut, total, complete, seconds, searched.note(), expected
    )


def replay(
    token: str,
    make: Callable[[], Any] | None = None,
    programs: Programs | None = None,
    *,
    invariant: Callable[[Any], Any] | None = None,
    promises: Profile | None = None,
    model: Model | None = None,
    steps: int = STEPS,
    watch: Iterable[Any] = (),
) -> Finding:
    """Run the schedule of a token again. `exact` says whether it was the same run, step by step.

    `make` and `programs` are only needed when the token could not hold them (a local class, arguments
    that are no literals); the other arguments are those of `explore`.

    Raises:
        TokenError: the token is damaged, or does not name its container or programs.
    """
    facts, choices = decode(token)
    make = make or _found(facts.get("make"))
    if programs is None:
        if facts.get("programs") is None:
            raise TokenError("this token does not hold its programs; give them to replay()")
        programs = ast.literal_eval(facts["programs"])
    given = Given(choices)
    judged = None if promises is None else _judged_by(promises)
    with Session(make, programs, facts["granularity"], steps, watch) as session:
        judge = Judge(session.fresh, programs, model, judged)
        verdict = session.run(judge, given, invariant)
    exact = verdict.digest == facts["digest"] and not given.astray
    expected = frozenset(judge.expected)
    finding = _finding(verdict, make, programs, facts["granularity"], expected, 1)
    note = "" if exact else _astray(facts)
    return replace(finding, exact=exact, text=finding.text + note)


def _astray(facts: dict[str, Any]) -> str:
    text = "\nnot the same run: the code has changed since the token was made"
    if facts.get("python") != version():
        text += f", or it is that the token is of Python {facts.get('python')}, this is {version()}"
    return text


def _finding(
    verdict: Verdict,
    make: Callable[[], Any],
    programs: Programs,
    granularity: str,
    expected: frozenset[Any],
    schedule: int,
) -> Finding:
    run = verdict.run
    facts = {
        "make": _path(make),
        "programs": literal([list(calls) for calls in programs]),
        "granularity": granularity,
        "digest": verdict.digest,
    }
    text = told(verdict, expected) + "\n" + lanes(run, programs)
    token = encode(facts, run.choices)
    return Finding(
        verdict.kind,
        verdict.message,
        token,
        tuple([(thread, _at(place)) for thread, place in run.trace]),
        verdict.outcome,
        expected,
        schedule,
        verdict.digest,
        f"{text}\nreplay: {token}",
    )


def _at(place: tuple[str, int, int]) -> str:
    file, line, offset = place
    return f"{file}:{line}" if offset < 0 else f"{file}:{line}+{offset}"


def _path(make: Callable[[], Any]) -> str | None:
    """`module:name` of a factory that can be imported again."""
    path = f"{getattr(make, '__module__', '')}:{getattr(make, '__qualname__', '')}"
    try:
        return path if _found(path) is make else None
    except (TokenError, AttributeError, ValueError):
        return None


def _found(path: str | None) -> Callable[[], Any]:
    module, _, name = (path or "").partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise TokenError(
            "this token does not hold its container, or it cannot be imported; give replay() `make`"
        ) from error
    return found  # type: ignore[no-any-return]


def _judged_by(promises: Profile) -> Callable[[str], bool]:
    def judged(name: str) -> bool:
        return promises.promise(name, writes=True).result is not Result.LOOSE

    return judged
