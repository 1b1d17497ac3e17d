"""Runs of a test build: the extension loaded from any path, and threads in a chosen order.

Used inside the child processes (run_scenario.py), never in a process that uses the package otherwise.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Run", "core", "ct", "here", "load", "serialised"]

core: Any = None  # the extension module
ct: Any = None  # its public names
Step = tuple[int, str | None] | tuple[int, str | None, int]


def load(path: str) -> None:
    """Load the extension at `path` as the C implementation of the package."""
    global core, ct
    os.environ["CONCURRENT_TABLES_PURE"] = "1"  # the package must not look for its own extension
    import concurrent_tables  # noqa: F401
    from concurrent_tables._select import load as load_names

    name = "concurrent_tables._core"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    core = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(core)
    ct = load_names("c")


def here(name: str) -> None:
    """A point in Python code."""
    core._points_here(name)


@dataclass(frozen=True)
class Run:
    """What a serialised run did: a result (or error) per thread, and the schedule's account."""

    results: list[Any]
    trace: list[tuple[int, str]]
    stats: dict[str, int]


def serialised(
    mode: str,
    bodies: Sequence[Callable[[], Any]],
    *,
    seed: int = 0,
    order: Sequence[int] | Sequence[Step] | None = None,
    first: Callable[[], Any] | None = None,
) -> Run:
    """Run each body in a thread of its own, one thread at a time.

    `first` runs before the others begin, in the thread of the first body: what it makes is that
    thread's own. Garbage collection is off meanwhile (csrc/points.c says why).
    """
    results: list[Any] = [None] * len(bodies)
    prepared, finished = threading.Event(), threading.Barrier(len(bodies))

    def work(number: int) -> None:
        if number == 0 and first is not None:
            first()
        if number == 0:
            prepared.set()
        core._points_enter(number)
        try:
            results[number] = bodies[number]()
        except BaseException as error:
            results[number] = error
        finally:
            core._points_leave()
        finished.wait()  # nobody hands its limbo over while others still run

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(bodies))]
    collecting = gc.isenabled()
    gc.disable()
    try:
        core._points_configure(mode, seed=seed, threads=len(bodies), order=order)
        for thread in threads:
            thread.start()
            prepared.wait()
        for thread in threads:
            thread.join()
        return Run(results, core._points_trace(), core._points_stats())
    finally:
        core._points_configure("off")
        if collecting:
            gc.enable()
