"""Interrupts at every line of `compute_if_absent`: the next caller of the key does not wait for ever.

A line tracer raises where a signal handler, or another thread's exception, could.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from concurrent_tables import _inflight, _waits
from tests.support import MUTABLE_MAPPINGS, new

pytestmark = pytest.mark.skipif(
    sys.gettrace() is not None, reason="somebody else traces this run, a coverage tool perhaps"
)

GIVE_UP_SECONDS = 60.0
MOST_LINES = 10_000


class Interrupt(BaseException):
    """What the tracer raises."""


@contextmanager
def interrupt_at(number: int) -> Iterator[list[str]]:
    """Raise at the line of that number; yields what tells where, nothing if there is none."""
    seen = count(1)
    where: list[str] = []

    def trace(frame: Any, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in (_inflight.__file__, _waits.__file__):
            return None
        if event == "line" and next(seen) == number:
            sys.settrace(None)
            where.append(f"{frame.f_code.co_name}, line {frame.f_lineno}")
            raise Interrupt
        return trace

    sys.settrace(trace)
    try:
        yield where
    except Interrupt:
        pass
    finally:
        sys.settrace(None)


def in_a_thread(work: Callable[[], Any]) -> Any:
    """What `work` returns, or "hangs"."""
    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(work()), daemon=True)
    thread.start()
    thread.join(GIVE_UP_SECONDS)
    return result[0] if result else "hangs"


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_an_interrupt_leaves_no_flight(ct: Any, name: str) -> None:
    for number in range(1, MOST_LINES):
        table = new(ct, name)
        with interrupt_at(number) as where:
            table.compute_if_absent("k", lambda: "first")
        if not where:
            break
        then = in_a_thread(lambda table=table: table.compute_if_absent("k", lambda: "then"))
        assert then in ("first", "then"), where
        table.pop("k")
        assert table.compute_if_absent("k", lambda: "again") == "again", where
    assert 10 < number < MOST_LINES
