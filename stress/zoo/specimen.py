"""What the zoo says of each of its animals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["NO_CALL", "Specimen", "dawdle"]

Call = tuple[Any, ...]
NO_CALL = "with the GIL threads are switched at calls and at the ends of loops; none lies between the steps"


def dawdle(value: Any, turns: int = 400) -> Any:
    """The value, a little later: a window that real threads meet, and one step of the serialised mode."""
    for _ in range(turns):
        pass
    return value


@dataclass(frozen=True)
class Specimen:
    """A broken container and its correct twin.

    Parameters:
        name: of the bug; `about` says in a sentence what goes wrong.
        broken: makes the container with the bug. correct: makes the same without it.
        programs: calls of two or three threads, `(method, argument, ...)`, that can show it; none where
            it is the end of the interpreter that shows it, which only the general campaign looks at.
        kind: of the finding: "outcome", "order", "error", "deadlock" or "shutdown".
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
