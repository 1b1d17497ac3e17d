"""`gc.get_objects()` sees tuples that are still being built, and CPython then refuses to resize them.

`tuple(iterable of unknown length)` starts with ten places and is resized at its end, which raises
SystemError if another thread holds a reference meanwhile. No operation of ours may build one so.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_ROUNDS = 300


@contextmanager
def _somebody_looks() -> Iterator[None]:
    """Another thread asks for all objects, and holds them a moment, until the block ends."""
    stop, looking = threading.Event(), threading.Event()

    def look() -> None:
        while not stop.is_set():
            held = gc.get_objects(0)
            looking.set()
            del held

    before = sys.getswitchinterval()
    thread = threading.Thread(target=look)
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        looking.wait()
        yield
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(before)


def _guard(ct: Any) -> Callable[[], None]:
    table = ct.ShardedDict({key: key for key in range(20)}, shards=4)
    guard = table.guard(*range(20))

    def step() -> None:
        table.pop("other", None)
        table["other"] = 1  # the set of keys changes, so that the guard looks everything up again
        assert guard() == (*range(20),)

    return step


def _shards(ct: Any) -> Callable[[], None]:
    def step() -> None:
        assert len(ct.ShardedDict(shards=32)) == 0

    return step


def _pairs(ct: Any) -> Callable[[], None]:
    def step() -> None:
        table = ct.ConcurrentDict((part for part in (number, -number)) for number in range(20))
        assert len(table) == 20

    return step


@pytest.mark.parametrize("make", [_guard, _shards, _pairs], ids=lambda make: make.__name__[1:])
def test_get_objects_beside_an_operation(
    ct: Any, make: Callable[[Any], Callable[[], None]]
) -> None:
    step = make(ct)
    with _somebody_looks():
        for _ in range(_ROUNDS):
            step()
