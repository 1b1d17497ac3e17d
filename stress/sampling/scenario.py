"""One scenario: containers, what else the threads share, and the operations of each thread.

A scenario is data: names, sources and numbers. `weave.py` makes code of it, a report prints it, and it
can be cut down (`without`) while it still shows what it showed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..profiles import Effect, Result
from .values import Values

__all__ = ["Call", "Scenario"]


@dataclass(frozen=True)
class Call:
    """One operation of one thread.

    `source` is the code with every name filled in (`a`, `b`, `w`, `i` are the shared objects), a
    statement when it begins with `!`. `effect` and `result` are what is promised here, `why` by
    whom. `steps` are sources that do the same key by key, where that is promised. `operand` is the
    kind of its operand, `shared` whether other threads may change that meanwhile.
    """

    name: str
    source: str
    effect: Effect
    result: Result
    why: str = ""
    writes: bool = False
    bulk: bool = False
    steps: tuple[str, ...] = ()
    on: str = "a"
    operand: str = ""
    shared: bool = False

    @property
    def text(self) -> str:
        """As a report shows it."""
        text = self.source.lstrip("!")
        for end in ("; r = None", "; r = r is a", "; r = r is b"):
            text = text.removesuffix(end)
        return text


@dataclass(frozen=True)
class Scenario:
    """What is run; see the module's text.

    `a`, `b`, `view` and `iterator` are sources that make the shared objects from the names of
    `values` (empty: there is none); `contents` and `operands` bind `C0`, `O0`... to sources;
    `threads` holds each thread's calls.
    """

    number: int
    subject: str
    values: Values
    a: str
    threads: tuple[tuple[Call, ...], ...]
    b: str = ""
    view: str = ""
    iterator: str = ""
    contents: tuple[tuple[str, str], ...] = ()
    operands: tuple[tuple[str, str], ...] = ()

    @property
    def calls(self) -> list[Call]:
        return [call for thread in self.threads for call in thread]

    @property
    def judged(self) -> bool:
        """Whether the state at rest can be judged exactly; hostile keys change it on their own."""
        return not self.values.hostile and all(
            call.effect is not Effect.UNKNOWN for call in self.calls
        )

    def pairs(self) -> set[tuple[str, str]]:
        """Names of operations that met: sorted pairs of calls of different threads."""
        met = set()
        for number, thread in enumerate(self.threads):
            for other in self.threads[number + 1 :]:
                for mine in thread:
                    for theirs in other:
                        met.add((min(mine.name, theirs.name), max(mine.name, theirs.name)))
        return met

    def types(self) -> set[tuple[str, str]]:
        """(operator or method, kind of operand) that was exercised."""
        return {(call.name, call.operand) for call in self.calls if call.operand}

    def without(self, thread: int, index: int) -> Scenario | None:
        """The same with one call less; None when less than two threads would remain."""
        threads = list(self.threads)
        threads[thread] = threads[thread][:index] + threads[thread][index + 1 :]
        left = tuple([calls for calls in threads if calls])
        return replace(self, threads=left) if len(left) > 1 else None

    def lines(self) -> list[str]:
        """The scenario as text."""
        lines = [f"{name} = {source}" for name, source in self.contents]
        lines.append(f"a = {self.a}")
        if self.b:
            lines.append(f"b = {self.b}")
        if self.view:
            lines.append(f"w = {self.view}")
        if self.iterator:
            lines.append(f"i = {self.iterator}")
        lines += [f"{name} = {source}" for name, source in self.operands]
        for number, thread in enumerate(self.threads):
            lines.append(f"thread {number}: " + "; ".join(call.text for call in thread))
        style = " ".join(filter(None, (self.values.style, self.values.hostile)))
        lines.append(f"{len(self.values.namespace()['K'])} keys of style {style!r}")
        return lines

    def as_json(self) -> dict[str, Any]:
        from .facts import facts_of

        return {
            "number": self.number,
            "facts": facts_of(self),
            "lines": self.lines(),
            "threads": [[call.text for call in thread] for thread in self.threads],
            "names": [[call.name for call in thread] for thread in self.threads],
            "promised": sorted(
                {f"{c.name}: {c.effect.value}, {c.result.value} ({c.why})" for c in self.calls}
            ),
        }
