"""What a schedule is made of, and what it gave."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["MAIN", "Location", "Program", "Run", "Waiting", "cycle_of"]

MAIN = -1  # the thread that makes containers and runs sequentially

Location = tuple[str, int, int]  # file, line, offset of the instruction (-1: lines only)
Program = Sequence[Callable[[], Any]]


@dataclass(frozen=True)
class Waiting:
    """What a blocked thread waits for: in words, and by whom it is held."""

    what: str
    until: Callable[[], bool]
    holders: Callable[[], list[int]]
    timed: bool = False


@dataclass
class Run:
    """What one schedule gave.

    `results[t]` are the answers of thread t's finished calls; `spans` the steps at which each call
    began and ended; `end` is "done", "deadlock" or "steps" (too many); `blocked` says, in words, who waits.
    """

    results: list[list[Any]]
    spans: list[list[tuple[int, int]]]
    choices: list[int] = field(default_factory=list)
    trace: list[tuple[int, Location]] = field(default_factory=list)
    end: str = "done"
    blocked: list[str] = field(default_factory=list)
    cycle: list[int] = field(default_factory=list)
    texts: dict[tuple[int, int], str] = field(default_factory=dict)

    @property
    def outcome(self) -> tuple[Any, ...]:
        return tuple([result for results in self.results for result in results])


def cycle_of(waits: Mapping[int, Waiting]) -> list[int]:
    """Threads each of which waits for the next, and the last for the first; empty: there are none."""
    for start in sorted(waits):
        path = [start]
        while path[-1] in waits:
            holders = waits[path[-1]].holders()
            if not holders:
                break
            if holders[0] in path:
                return path[path.index(holders[0]) :]
            path.append(holders[0])
    return []
