"""Detectors by name, and what they are made of."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Sequence
from typing import Any

from . import serial

__all__ = [
    "PARALLEL",
    "SCENARIOS",
    "dies",
    "get",
    "parallel",
    "put",
    "scenario",
    "scripted",
    "shared",
]

SCENARIOS: dict[str, Callable[[], None]] = {}
PARALLEL: set[str] = set()  # those that need a build without the GIL


def scenario(function: Callable[[], None]) -> Callable[[], None]:
    """Register under the function's name."""
    SCENARIOS[function.__name__] = function
    return function


def parallel(function: Callable[[], None]) -> Callable[[], None]:
    """The same for what only parallel threads can show."""
    PARALLEL.add(function.__name__)
    return scenario(function)


def shared(**contents: Any) -> Any:
    """A ConcurrentDict that two threads have touched and whose overwrites go without its lock."""
    return share(serial.ct.ConcurrentDict(contents))


def share(table: Any) -> Any:
    """Let another thread overwrite its values until that goes without the lock."""
    contents = dict(table)

    def touch() -> None:
        for key in contents:
            for _ in range(100):
                table[key] = contents[key]

    thread = threading.Thread(target=touch)
    thread.start()
    thread.join()
    return table


def scripted(order: Sequence[serial.Step], *bodies: Callable[[], Any], **options: Any) -> list[Any]:
    """Run one schedule; it must go where it is told to, unless the bug itself keeps it from that."""
    run = serial.serialised("script", bodies, order=order, **options)
    for result in run.results:
        if isinstance(result, BaseException):
            raise result
    assert run.stats["missed"] == 0, f"the script does not fit: {order}\n{run.trace}"
    return run.results


def dies(make: Callable[[], Any]) -> bool:
    """Whether the object behind the returned weak reference is gone after a flush."""
    reference = make()
    serial.ct.reclaim.flush()
    gc.collect()
    return reference() is None


def get(key: Any) -> Callable[[Any], Any]:
    """The operation `table.get(key)`."""
    return lambda table: table.get(key)


def put(key: Any, value: Any) -> Callable[[Any], Any]:
    """The operation `table[key] = value`."""
    return lambda table: table.__setitem__(key, value)
