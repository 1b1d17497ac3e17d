"""Which interpreter, which implementation, and whether the GIL is really off."""

from __future__ import annotations

import functools
import os
import platform
import sys
import sysconfig
import time
from typing import Any

__all__ = [
    "describe",
    "free_threaded_build",
    "gil_enabled",
    "gil_warning",
    "pin_thread",
    "sanitized",
    "slowness",
    "summary",
]

_A_PIECE_OF_WORK = 2000  # turns of the loop in `slowness`
_ITS_SECONDS = 0.0004  # what they take a release build on a usual machine


def free_threaded_build() -> bool:
    """Whether this interpreter can run without the GIL."""
    return bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def sanitized() -> bool:
    """Whether the interpreter runs under AddressSanitizer or ThreadSanitizer."""
    built = "-sanitizer" in str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    return built or "san.so" in os.environ.get("LD_PRELOAD", "")


def pin_thread(number: int, *, stay: bool = True) -> None:
    """Move the calling thread to one CPU, that with this number of those that it may use, counted round.

    Two threads that the scheduler puts on the same CPU do not meet, and where they offer the processor to
    each other by turns it leaves them there. With `stay` the thread stays on that CPU, else it only
    goes on from there. Does nothing where the system has no call for it.
    """
    try:
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {sorted(allowed)[number % len(allowed)]})
        if not stay:
            os.sched_setaffinity(0, allowed)
    except (AttributeError, OSError):
        pass


@functools.cache
def slowness() -> float:
    """How many times slower than a release build this interpreter works, from 1; measured once.

    Under ThreadSanitizer it is 25: what tells a slow process from one that hangs must know that.
    """
    seconds = []
    for _ in range(3):
        began = time.thread_time()
        counts: dict[int, int] = {}
        for number in range(_A_PIECE_OF_WORK):
            counts[number % 97] = counts.get(number % 97, 0) + len(str(number))
        seconds.append(time.thread_time() - began)
    return max(1.0, min(seconds) / _ITS_SECONDS)


def gil_enabled() -> bool:
    """Whether the GIL is on now; any import may have turned it on."""
    probe = getattr(sys, "_is_gil_enabled", None)
    return True if probe is None else bool(probe())


def _implementation() -> str:
    try:
        from concurrent_tables import IMPLEMENTATION
    except ImportError:
        return "not importable"
    return str(IMPLEMENTATION)


def describe() -> dict[str, Any]:
    """The facts of this process; call it after the targets were imported."""
    return {
        "python": platform.python_version(),
        "python_implementation": platform.python_implementation(),
        "free_threaded_build": free_threaded_build(),
        "gil_enabled": gil_enabled(),
        "implementation": _implementation(),
        "debug_mode": os.environ.get("CONCURRENT_TABLES_DEBUG", "") not in ("", "0"),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
    }


def summary(facts: dict[str, Any]) -> str:
    """One line for the head of a report."""
    build = " free-threaded" if facts["free_threaded_build"] else ""
    gil = "on" if facts["gil_enabled"] else "off"
    debug = ", debug mode" if facts["debug_mode"] else ""
    return (
        f"{facts['python_implementation']} {facts['python']}{build}, GIL {gil}, "
        f"concurrent_tables implementation: {facts['implementation']}{debug}"
    )


def gil_warning(facts: dict[str, Any]) -> str | None:
    """A loud line when a free-threaded interpreter runs, or ended, with its GIL on."""
    if not facts["free_threaded_build"]:
        return None
    if facts["gil_enabled"]:
        return (
            "WARNING: this is a free-threaded interpreter, but its GIL IS ON (an imported extension "
            "module or PYTHON_GIL=1 turned it on): threads did not run in parallel."
        )
    if facts.get("gil_enabled_at_end"):
        return "WARNING: THE GIL CAME ON DURING THE RUN: from then on no threads ran in parallel."
    return None
