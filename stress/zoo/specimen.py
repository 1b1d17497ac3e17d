"""What the zoo says of each of its animals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Specimen"]

Call = tuple[Any, ...]


@dataclass(frozen=True)
class Specimen:
    """A broken container and its correct twin.

    Parameters:
        name: of the bug; `about` says in a sentence what goes wrong.
        broken: makes the container with the bug. correct: makes the same without it.
        programs: calls of two or three threads, `(method, argument, ...)`, that can show it.
        kind: of the finding: "outcome", "order", "error" or "deadlock".
        granularity: "instruction" where the bug lies within one line.
        general: whether it is dict-, set- or deque-like, so that the general campaign (`ct-stress
            run --target`) finds it, without these programs.
        atomic_with_gil: why threads in parallel cannot show it where the GIL is on; empty: they can.
    """

    name: str
    about: str
    broken: Callable[[], Any]
    correct: Callable[[], Any]
    programs: tuple[tuple[Call, ...], ...]
    kind: str = "outcome"
    granularity: str = "line"
    general: bool = False
    atomic_with_gil: str = ""
