"""Small scenarios: all admissible outcomes computed beforehand, each sample judged by one lookup.

After jcstress (OpenJDK): a scenario of two to four threads with one to three operations each is run
hundreds of thousands of times; what a run gave is one tuple, the answers of all operations, thread
after thread. The outcomes of every interleaving on the sequential model are a set; what is not in it
no atomic object can give. No tickets are needed, so nothing slows the threads down.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .history import Raised
from .models.base import Model, freeze

__all__ = ["Outcomes", "ResultRow", "outcomes_of"]

Call = tuple[Any, ...]  # (method, argument, ...)
Answers = Callable[[Any, str, tuple[Any, ...]], "list[tuple[Any, Any]]"]


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One line of the result table.

    Parameters:
        result: the answers, thread after thread, then those of the final calls.
        samples: how often it was seen.
        frequency: its share of all samples, 0 to 1.
        expected: whether some interleaving gives it.
    """

    result: tuple[Any, ...]
    samples: int
    frequency: float
    expected: bool


@dataclass(frozen=True)
class Outcomes:
    """The admissible outcomes of a scenario.

    Parameters:
        expected: every tuple of answers that some interleaving gives.

    Thread-safety: immutable.
    """

    expected: frozenset[tuple[Hashable, ...]]

    def __contains__(self, sample: tuple[Hashable, ...]) -> bool:
        return sample in self.expected

    def count(self, samples: Iterable[tuple[Any, ...]]) -> Counter[tuple[Hashable, ...]]:
        """Count samples by outcome. Counters add up: threads count for themselves."""
        samples = samples if isinstance(samples, (list, tuple)) else list(samples)
        try:
            return Counter(samples)
        except TypeError:  # answers that are lists, dicts or sets
            return Counter(map(freeze, samples))

    def table(self, samples: Iterable[tuple[Any, ...]] | Counter[Any]) -> list[ResultRow]:
        """RESULT, SAMPLES, FREQUENCY, EXPECTED: what should not be first, then by frequency.

        Admissible outcomes that were never seen are listed too, with zero samples.
        """
        counts = samples if isinstance(samples, Counter) else self.count(samples)
        total = sum(counts.values()) or 1
        rows = [
            ResultRow(result, number, number / total, result in self.expected)
            for result, number in counts.items()
        ]
        rows += [ResultRow(one, 0, 0.0, True) for one in self.expected if one not in counts]
        return sorted(rows, key=lambda row: (row.expected, -row.samples, repr(row.result)))

    def forbidden(self, samples: Iterable[tuple[Any, ...]] | Counter[Any]) -> list[ResultRow]:
        """The rows that no interleaving explains; empty when all is well."""
        return [row for row in self.table(samples) if not row.expected]


def outcomes_of(
    scenario: Sequence[Sequence[Call]],
    sequential: Model | Callable[[], Any],
    *,
    initial: Any = None,
    final: Sequence[Call] = (),
) -> Outcomes:
    """All outcomes that interleavings of the scenario can have.

    Parameters:
        scenario: for each thread its calls, `(method, argument, ...)`; 2 to 4 threads with 1 to 3
            calls are quick, more take exponentially longer.
        sequential: a model that can answer (register, dict, set, queue...), or anything that makes a
            fresh sequential object, such as `dict`: its methods are called on copies.
        initial: content before the first call, for a model.
        final: calls made after all threads have ended; their answers end the outcome.

    >>> outcomes = outcomes_of([[("setdefault", "k", 1)], [("setdefault", "k", 2)]], dict)
    >>> sorted(outcomes.expected)
    [(1, 1), (2, 2)]
    """
    if isinstance(sequential, Model):
        answers: Answers = sequential.answers
        state = sequential.initial if initial is None else sequential.state_of(initial)
        key: Callable[[Any], Hashable] = _itself
    else:
        answers, state, key = _call_copy, sequential(), id
    return Outcomes(frozenset(_explore(scenario, answers, state, key, final)))


def _itself(state: Any) -> Hashable:
    return state  # type: ignore[no-any-return]


def _call_copy(state: Any, method: str, args: tuple[Any, ...]) -> list[tuple[Any, Any]]:
    after = copy.deepcopy(state)
    try:
        result = getattr(after, method)(*args)
    except Exception as error:  # an exception is an answer
        result = Raised(type(error).__name__)
    return [(result, after)]


def _explore(
    scenario: Sequence[Sequence[Call]],
    answers: Answers,
    initial: Any,
    key: Callable[[Any], Hashable],
    final: Sequence[Call],
) -> set[tuple[Hashable, ...]]:
    """Depth first; a configuration (progress, state, answers so far) is entered once."""
    lengths = [len(calls) for calls in scenario]
    empty: tuple[tuple[Any, ...], ...] = tuple([() for _ in scenario])
    stack = [(empty, initial)]
    seen: set[Any] = set()
    keep = []  # states are told apart by id for plain objects: none may be freed
    found: set[tuple[Hashable, ...]] = set()
    while stack:
        given, state = stack.pop()
        config = (given, key(state))
        if config in seen:
            continue
        seen.add(config)
        keep.append(state)
        running = [t for t, length in enumerate(lengths) if len(given[t]) < length]
        if not running:
            found |= _finish(given, state, answers, final)
        for thread in running:
            method, *args = scenario[thread][len(given[thread])]
            for result, after in answers(state, method, tuple(args)):
                longer = (*given[thread], freeze(result))
                stack.append(((*given[:thread], longer, *given[thread + 1 :]), after))
    return found


def _finish(
    given: tuple[tuple[Any, ...], ...], state: Any, answers: Answers, final: Sequence[Call]
) -> set[tuple[Hashable, ...]]:
    flat = tuple([answer for one in given for answer in one])
    ends: list[tuple[tuple[Hashable, ...], Any]] = [(flat, state)]
    for method, *args in final:
        ends = [
            ((*before, freeze(result)), after)
            for before, at in ends
            for result, after in answers(at, method, tuple(args))
        ]
    return {outcome for outcome, _ in ends}
