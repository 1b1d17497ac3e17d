"""A session: threads, models and events in place; runs schedules and judges them."""

from __future__ import annotations

import _thread
import gc
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from .errors import Blocked
from .judging import Judge, Programs, at_rest, call_on
from .patching import Patches
from .points import Tracer, code_under_test, tracer_for
from .runs import Program, Run
from .scheduler import Scheduler
from .strategies import Given, Strategy
from .token import digest_of

__all__ = ["Session", "Verdict", "deadlock_text"]

_one_at_a_time = threading.Lock()
_ALONE = 10  # times as many steps for all sequential calls on one container together


@dataclass(frozen=True)
class Verdict:
    """A run and what is wrong with it (`kind` is empty: nothing)."""

    run: Run
    kind: str
    message: str
    outcome: tuple[Any, ...]

    @property
    def digest(self) -> str:
        return digest_of(self.run, self.outcome)


class Session:
    """A context: everything is put back, and every thread has ended, when it is left."""

    def __init__(
        self,
        make: Callable[[], Any],
        programs: Programs,
        granularity: str,
        steps: int,
        watch: Iterable[Any] = (),
        container: Any = None,
    ) -> None:
        self._container = container  # one of those under test, where `make` makes something else
        self._make = make
        self.programs = programs
        self._granularity = granularity
        self._steps = steps
        self._watch = tuple(watch)
        self.scheduler = Scheduler(self._arm, self._disarm, steps)
        self._tracer: Tracer | None = None
        self._patches: Patches | None = None
        self._cold = True

    def __enter__(self) -> Session:
        _one_at_a_time.acquire()
        self._collects = gc.isenabled()
        gc.disable()  # finalizers would run at other places in each run
        try:
            self.scheduler.prepare(len(self.programs))
            container = self._make() if self._container is None else self._container
            code = code_under_test(container, self._watch)
            self._patches = Patches(self.scheduler, _thread.get_ident(), code.places)
            self._tracer = tracer_for(code.codes, self.scheduler.point, self._granularity)
            self._tracer.start()
            self._patches.__enter__()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._patches is not None:
                self._patches.__exit__()
            if self._tracer is not None:
                self._tracer.stop()
            self.scheduler.close()
        finally:
            if self._collects:
                gc.enable()
            _one_at_a_time.release()

    def _arm(self) -> None:
        assert self._tracer is not None
        self._tracer.arm()

    def _disarm(self) -> None:
        assert self._tracer is not None
        self._tracer.disarm()

    def fresh(self) -> Any:
        """A new container with modelled locks."""
        self.release()
        self.scheduler.left = _ALONE * self._steps
        self._arm()
        return self._make()

    def release(self) -> None:
        """Release the locks of modules and classes."""
        assert self._patches is not None
        self._patches.reset()

    def play(self, programs: list[Program], strategy: Strategy) -> Run:
        """One schedule of functions without arguments."""
        return self.scheduler.run(programs, strategy)

    def _warm(self) -> None:
        """What a thread does only once, such as to make its thread-local data, is not a schedule's."""
        for thread, calls in enumerate(self.programs):
            alone: list[Program] = [[] for _ in self.programs]
            alone[thread] = _bound(self.fresh(), calls)
            self.play(alone, Given(()))

    def run(
        self, judge: Judge, strategy: Strategy, invariant: Callable[[Any], Any] | None
    ) -> Verdict:
        """One schedule of the session's programs, judged."""
        if self._cold:
            self._cold = False
            self._warm()
        container = self.fresh()
        run = self.play([_bound(container, calls) for calls in self.programs], strategy)
        if run.end == "steps":
            return Verdict(run, "", "", ())
        if run.end == "deadlock":
            if judge.may_block(run):
                return Verdict(run, "", "", ())
            return Verdict(run, "deadlock", deadlock_text(run), tuple(run.outcome))
        state = at_rest(container)
        outcome = judge.outcome(run, state)
        problem = judge.problem(run, state)
        if problem is None and invariant is not None:
            problem = _violated(invariant, container)
        return Verdict(run, *(problem or ("", "")), outcome)


def _bound(container: Any, calls: Iterable[tuple[Any, ...]]) -> Program:
    return [lambda call=call: call_on(container, call) for call in calls]  # type: ignore[misc]


def deadlock_text(run: Run) -> str:
    if run.cycle:
        circle = " -> ".join(f"thread {thread}" for thread in [*run.cycle, run.cycle[0]])
        return f"deadlock ({circle}): " + "; ".join(run.blocked)
    return "deadlock: " + "; ".join(run.blocked)


def _violated(invariant: Callable[[Any], Any], container: Any) -> tuple[str, str] | None:
    try:
        said = invariant(container)
    except Blocked as error:
        return "invariant", f"looking at the container at rest would wait for ever: {error}"
    except AssertionError as error:
        return "invariant", str(error) or "the invariant does not hold"
    except Exception as error:
        return "invariant", f"the invariant raised {type(error).__name__}: {error}"
    if said is False or isinstance(said, str):
        return "invariant", said or "the invariant does not hold"
    return None
