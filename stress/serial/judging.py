"""What a schedule may give: the container's own answers when whole operations run one by one.

The container is its own specification: every order of the operations that keeps each thread's is
run on a fresh one (or on a model of `stress.check`). An outcome of none of these orders is
wrong. So is one whose orders all put an operation before another that had ended when it began: the
outcome is then not linearizable (M. Herlihy and J. Wing, TOPLAS 1990).

A call that blocks when it is run alone cannot come next; when all threads wait in such calls, and
would in a sequential order too, that is no deadlock of the container.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence, Set
from typing import Any

from ..check.history import Raised
from ..check.models.base import Model, freeze
from ..check.outcomes import outcomes_of
from .errors import Blocked, SerialError
from .runs import Run

__all__ = ["Call", "Judge", "Programs", "at_rest", "call_on"]

Call = tuple[Any, ...]  # (method, argument, ...); a method "list()" is list(container)
Programs = Sequence[Sequence[Call]]

AT_REST = "state at rest"
ITSELF = "the container itself"


def call_on(container: Any, call: Call) -> Any:
    """Do one call of a program; where it returns the container, as in-place operators do, ITSELF."""
    answer = _answer(container, call)
    return ITSELF if answer is container else answer


def _answer(container: Any, call: Call) -> Any:
    method, *args = call
    if callable(method):
        return method(container, *args)
    if method.endswith("()"):
        import builtins

        return getattr(builtins, method[:-2])(container, *args)
    return getattr(container, method)(*args)


def at_rest(container: Any) -> Any:
    """What is left: the content of a mapping, set, or whatever else can be iterated."""
    try:
        if isinstance(container, Mapping) or hasattr(container, "items"):
            return frozenset((key, freeze(value)) for key, value in container.items())
        if isinstance(container, Set):
            return frozenset(container)
        if hasattr(type(container), "__iter__") and hasattr(type(container), "__len__"):
            return (*map(freeze, container),)
    except Blocked:
        return "blocked"
    except Exception as error:
        return Raised(type(error).__name__)
    return None


class _ByRunning(Model):
    """The container itself as a model: its state is the list of calls that made it."""

    name = "the container, one operation at a time"

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self.initial: Hashable = ()
        self._numbers: dict[int, Call] = {}

    def number(self, call: Call) -> int:
        """Calls are known by number: their arguments may not be hashable."""
        self._numbers[id(call)] = call
        return id(call)

    def answers(self, state: Any, method: Any, args: tuple[Any, ...]) -> list[tuple[Any, Any]]:
        container = self._make()
        for number in state:
            try:
                call_on(container, self._numbers[number])
            except Exception:  # it was this call's answer
                pass
        if method == AT_REST:
            return [(at_rest(container), state)]
        try:
            answer = call_on(container, self._numbers[method])
        except Blocked:
            return []
        except Exception as error:
            answer = Raised(type(error).__name__)
        return [(answer, (*state, method))]


class Judge:
    """Judges runs of one set of programs.

    Parameters:
        make: makes a fresh container (with modelled locks, in the calling thread).
        model: a model of `stress.check` to judge by, instead of the container itself.
        judged: the methods of which results count; None: all.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        programs: Programs,
        model: Model | None = None,
        judged: Callable[[str], bool] | None = None,
    ) -> None:
        self._programs = programs
        self._judged = [
            judged is None or judged(_name(call)) for calls in programs for call in calls
        ]
        self._known: dict[Any, bool] = {}
        if model is None:
            running = _ByRunning(make)
            self._model: Model = running
            self._calls: list[list[Call]] = [
                [(running.number(call),) for call in calls] for calls in programs
            ]
            self._final: list[Call] = [(AT_REST,)]
        else:
            self._model = model
            self._calls = [list(calls) for calls in programs]
            self._final = []
        self._every = outcomes_of(self._calls, self._model, final=self._final).expected
        self.expected = {self._only(outcome) for outcome in self._every}
        self.judges_state = model is None
        if not self.expected and model is not None:
            raise SerialError(f"the model {model.name!r} allows no outcome of these programs")

    def outcome(self, run: Run, state: Any) -> tuple[Hashable, ...]:
        """The outcome of a finished run, as in `expected`."""
        end = (state,) if self.judges_state else ()
        return self._only((*map(freeze, run.outcome), *end))

    def _only(self, outcome: tuple[Any, ...]) -> tuple[Any, ...]:
        kept = tuple([a for a, wanted in zip(outcome, self._judged, strict=False) if wanted])
        return (*kept, *outcome[len(self._judged) :])

    def problem(self, run: Run, state: Any) -> tuple[str, str] | None:
        """What is wrong with a finished run: (kind, message), or None."""
        outcome = self.outcome(run, state)
        if outcome not in self.expected:
            if error := self._stranger(run):
                return "error", error
            return "outcome", "no order of the operations gives this outcome"
        before = _precedence(run)
        key = (outcome, before)
        if key not in self._known:
            self._known[key] = self._placed(run, outcome, before)
        if not self._known[key]:
            return "order", (
                "only orders give this outcome that put an operation before one that had already "
                "ended when it began"
            )
        return None

    def _stranger(self, run: Run) -> str | None:
        """An exception that its call raises in no sequential order."""
        place = 0
        for thread, results in enumerate(run.results):
            for index, result in enumerate(results):
                if isinstance(result, Raised) and result not in {
                    outcome[place] for outcome in self._every
                }:
                    call = shown(self._programs[thread][index])
                    text = run.texts.get((thread, index), "")
                    return f"{call} raised {result.name}: {text}; no order of the operations does"
                place += 1
        return None

    def may_block(self, run: Run) -> bool:
        """Whether the calls that a deadlocked run left open could all wait sequentially too."""
        done = [calls[: len(run.results[t])] for t, calls in enumerate(self._calls)]
        given = (*map(freeze, run.outcome),)
        if given not in outcomes_of(done, self._model).expected:
            return False
        for thread, calls in enumerate(self._calls):
            if len(done[thread]) < len(calls):
                further = outcomes_of(done, self._model, final=[calls[len(done[thread])]]).expected
                if any(outcome[: len(given)] == given for outcome in further):
                    return False
        return True

    def _placed(self, run: Run, outcome: tuple[Any, ...], before: frozenset[Any]) -> bool:
        """Whether an order that respects `before` gives the outcome (depth first)."""
        stack: list[tuple[tuple[int, ...], Any, tuple[Any, ...]]] = [
            (tuple([0 for _ in self._calls]), self._model.initial, ())
        ]
        seen = set()
        while stack:
            done, state, _ = entry = stack.pop()
            if (done, state) in seen:
                continue
            seen.add((done, state))
            if all(n == len(calls) for n, calls in zip(done, self._calls, strict=True)):
                if not self.judges_state or outcome[-1] == self._state(state):
                    return True
                continue
            stack.extend(self._next(run, before, entry))
        return False

    def _state(self, state: Any) -> Any:
        return self._model.answers(state, AT_REST, ())[0][0]

    def _next(self, run: Run, before: frozenset[Any], entry: Any) -> list[Any]:
        done, state, _ = entry
        found = []
        for thread, index in enumerate(done):
            if index == len(self._calls[thread]) or any(
                then == (thread, index) and first[1] >= done[first[0]] for first, then in before
            ):
                continue
            method, *args = self._calls[thread][index]
            wanted = freeze(run.results[thread][index])
            counted = self._judged[sum(map(len, self._calls[:thread])) + index]
            for answer, after in self._model.answers(state, method, tuple(args)):
                if not counted or freeze(answer) == wanted:
                    found.append(((*done[:thread], index + 1, *done[thread + 1 :]), after, ()))
        return found


def _precedence(run: Run) -> frozenset[Any]:
    """Pairs of calls of different threads of which the first had ended when the second began."""
    calls = [
        ((thread, index), span)
        for thread, spans in enumerate(run.spans)
        for index, span in enumerate(spans)
    ]
    return frozenset(
        (first, then)
        for first, (_, end) in calls
        for then, (begin, _) in calls
        if end < begin and first[0] != then[0]
    )


def _name(call: Call) -> str:
    return call[0] if isinstance(call[0], str) else getattr(call[0], "__name__", "call")


def shown(call: Call) -> str:
    """A call as a report shows it."""
    return f"{_name(call).removesuffix('()')}({', '.join(map(repr, call[1:]))})"
