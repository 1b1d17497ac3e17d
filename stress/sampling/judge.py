"""Judges the samples of one batch; most of the work is done by `zip`, `map` and `set`.

Checked for every sample: the outcome against the admissible ones, errors against those that the
operations may raise, reference counts of the shared containers against those they began with. For
some: that the container is sound, looked at in every way (subject.py).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from .findings import Finding
from .freeze import Raised, freeze
from .outcomes import Outcomes, State
from .subject import Subject
from .weave import Woven

__all__ = ["Judge", "errors_allowed", "rows"]

_SOUND_EVERY = 8
_LOOK_EVERY = 16
_SHOWN_ROWS = 12
# What an operand that other threads change may raise when it is read.
_OPERAND_ERRORS = frozenset({"RuntimeError", "KeyError", "IndexError", "ValueError"})
_HOSTILE_ERRORS = _OPERAND_ERRORS | {"HostileError", "TypeError", "RecursionError"}
# The interpreter's own, beside whoever lists all objects: it then finds tuples that are being made.
_HALF_BUILT = "tupleobject.c"
# Some types of the interpreter (deque) answer a failed allocation with no error set, which becomes a
# SystemError; they may be what an operation makes, not what is under test.
_INTERRUPTIONS = frozenset({"MemoryError", "Interrupted", "SystemError"})
# While it reads the mapping of `f(**mapping)` the interpreter takes every KeyError for a name that came
# twice, and makes a TypeError of it.
_KEYWORDS = "(**"
_ALWAYS_WRONG = frozenset({"SystemError", "MemoryError", "UnboundLocalError", "BufferError"})


class Judge:
    """Judges batches of one scenario; one instance per thread.

    `interrupted`: operations may have ended halfway, with a MemoryError or with `Interrupted`.
    """

    def __init__(
        self,
        woven: Woven,
        outcomes: Outcomes,
        subject: Subject,
        state: State,
        *,
        interrupted: bool = False,
    ) -> None:
        self._interrupted = interrupted
        self._woven = woven
        self._outcomes = outcomes
        self._subject = subject
        self._state = state
        self.samples = 0
        self.counts: Counter[Any] = Counter()
        self.findings: list[Finding] = []
        self._known = _Known(woven)

    def batch(
        self, A: list[Any], B: list[Any], results: Sequence[Sequence[list[Any]]], lo: int, hi: int
    ) -> None:
        """Judge the samples lo..hi-1."""
        self.samples += hi - lo
        part_a, part_b = A[lo:hi], B[lo:hi]
        self._references(part_a, part_b)
        if self.findings:
            return  # looking further at it could end the process
        self._errors(results, lo, hi)
        for sample in range(lo, hi, _SOUND_EVERY):
            problem = self._subject.unsound(A[sample], self._known)
            if problem:
                self._found("unsound", problem, 1)
                return
        if self._outcomes.exact:
            self._exact(part_a, part_b, results, lo, hi)
        else:
            self._look(results, lo, hi)

    # -- the checks ------------------------------------------------------------------------------

    def _references(self, part_a: list[Any], part_b: list[Any]) -> None:
        for name, part in zip("ab", (part_a, part_b), strict=True):
            if part[0] is None:
                continue
            lost = sum(count < _HELD for count in map(sys.getrefcount, part))
            if lost:
                self._found(
                    "references",
                    f"{name} lost a reference that is still in use: the next release frees it "
                    "while it is reachable",
                    lost,
                )

    def _errors(self, results: Sequence[Sequence[list[Any]]], lo: int, hi: int) -> None:
        exact = set(self._outcomes.columns.exact) if self._outcomes.exact else set()
        for thread, columns in enumerate(results):
            for index, column in enumerate(columns):
                if (thread, index) in exact:
                    continue
                raised = [r for r in column[lo:hi] if type(r) is Raised]
                if not raised:
                    continue
                call = self._woven.scenario.threads[thread][index]
                expected = errors_allowed(self._woven, self._outcomes, self._subject, thread, index)
                if self._interrupted:
                    expected |= _HOSTILE_ERRORS | _INTERRUPTIONS
                for error in raised:
                    if _of_a_half_built_tuple(error):
                        continue
                    if error.name not in expected:
                        message = f"{call.text} raised {error.name}: {error.text}"
                        finding = self._found("error", message, len(raised))
                        finding.evidence["raised"] = [thread, index, repr(error)]
                        return

    def _exact(
        self,
        part_a: list[Any],
        part_b: list[Any],
        results: Sequence[Sequence[list[Any]]],
        lo: int,
        hi: int,
    ) -> None:
        columns: list[Any] = []
        for thread, index in self._outcomes.columns.exact:
            column = results[thread][index][lo:hi]
            plain = (thread, index) in self._outcomes.columns.plain
            columns.append(column if plain else map(freeze, column))
        try:
            keys = list(zip(*columns, *self._at_rest(part_a, part_b), strict=True))
            counts = Counter(keys)
        except TypeError:
            keys = self._frozen(part_a, part_b, results, lo, hi)
            counts = Counter(keys)
        except Exception as error:
            self._found("unsound", f"reading the state at rest raised {error!r}", 1)
            return
        self.counts.update(counts)
        bad = [
            key
            for key in counts
            if key not in self._outcomes.orders and not any(map(_of_a_half_built_tuple, key))
        ]
        if bad:
            sample = lo + keys.index(bad[0])
            message = self._outcome_message(bad[0])
            finding = self._found("outcome", message, sum(counts[key] for key in bad))
            finding.evidence["sample"] = sample
            finding.evidence["outcomes"] = bad

    def _frozen(
        self,
        part_a: list[Any],
        part_b: list[Any],
        results: Sequence[Sequence[list[Any]]],
        lo: int,
        hi: int,
    ) -> list[Any]:
        """As above, when a result was not hashable although no sequential one was so."""
        columns = [
            [freeze(value) for value in results[thread][index][lo:hi]]
            for thread, index in self._outcomes.columns.exact
        ]
        return list(zip(*columns, *self._at_rest(part_a, part_b), strict=True))

    def _at_rest(self, part_a: list[Any], part_b: list[Any]) -> list[Any]:
        """One column for each thing that is looked at when all is at rest."""
        parts = (part_a, part_b)
        return [map(column, parts[which]) for which, column in self._state]

    def _look(self, results: Sequence[Sequence[list[Any]]], lo: int, hi: int) -> None:
        """Touch every part of some results: what was freed too early shows here."""
        for columns in results:
            for column in columns:
                for sample in range(lo, hi, _LOOK_EVERY):
                    freeze(column[sample])

    # -- telling ---------------------------------------------------------------------------------

    def _found(self, kind: str, message: str, seen: int) -> Finding:
        finding = Finding(kind, message, self._woven.scenario, seen)
        self.findings.append(finding)
        return finding

    def _outcome_message(self, key: Any) -> str:
        results = ", ".join(
            f"{self._woven.scenario.threads[t][c].text} -> {value!r}"
            for (t, c), value in zip(self._outcomes.columns.exact, key, strict=False)
        )
        state = _short(key[len(self._outcomes.columns.exact)])
        return f"no order of the operations explains: {results or 'results'}; at rest a = {state}"


def _of_a_half_built_tuple(result: Any) -> bool:
    """Whether CPython failed to finish a tuple that gc.get_objects() had handed out meanwhile."""
    return type(result) is Raised and result.name == "SystemError" and _HALF_BUILT in result.text


def errors_allowed(
    woven: Woven, outcomes: Outcomes, subject: Subject, thread: int, index: int
) -> frozenset[str]:
    """Names of the exceptions that a call may raise when its result is not judged exactly."""
    call = woven.scenario.threads[thread][index]
    expected = subject.profile.errors | outcomes.errors.get((thread, index), set())
    if woven.scenario.values.hostile:
        expected |= _HOSTILE_ERRORS
    if call.shared or call.on != "a":
        expected |= _OPERAND_ERRORS
    if not outcomes.complete:
        # An operand may be read in another state than in the orders that were run.
        expected |= _OPERAND_ERRORS | {"TypeError"}
    if _KEYWORDS in call.source and "KeyError" in expected:
        expected |= {"TypeError"}
    return expected - _ALWAYS_WRONG


def _held() -> int:
    """The count of what three lists hold, seen as in `_references`: the batch's, the sampler's, ours.

    Asked of an object that no collector knows, for which nobody else can hold a reference.
    """
    everything = [object() for _ in range(2)]
    kept = everything[:]
    part = everything[0:2]
    count = min(map(sys.getrefcount, part))
    del kept
    return count


_HELD = _held()


def rows(counts: Counter[Any], outcomes: Outcomes) -> list[tuple[str, int, bool]]:
    """RESULT / SAMPLES / EXPECTED, most frequent first; what was not expected always shows."""
    shown = sorted(counts.items(), key=lambda item: (item[0] in outcomes.orders, -item[1]))
    return [(_short(key), count, key in outcomes.orders) for key, count in shown[:_SHOWN_ROWS]]


class _Known(frozenset[Any]):
    """All that operations could have put into a container."""

    def __new__(cls, woven: Woven) -> _Known:
        return super().__new__(cls, [*woven.names["K"], *woven.names["V"]])

    def __init__(self, woven: Woven) -> None:
        super().__init__()

    def __contains__(self, key: object) -> bool:
        if super().__contains__(key) or type(key) in (int, bool, type(None)):
            return True
        if isinstance(key, tuple):
            return all(part in self for part in key)
        return type(key).__name__ == "Fresh"


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__name__} whose repr raises {error!r}>"
    return text if len(text) <= 300 else text[:297] + "..."
