"""What the tests of several directories share: tables by name, threads from a barrier, hostile keys."""

from __future__ import annotations

import faulthandler
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MUTABLE_MAPPINGS = ("ConcurrentDict", "SplitDict", "ShardedDict")
MAPPINGS = (*MUTABLE_MAPPINGS, "FrozenDict")
ORDERED_MAPPINGS = ("ConcurrentDict", "SplitDict", "FrozenDict")
SETS = ("ConcurrentSet", "FrozenSet")
MUTABLE_TABLES = (*MUTABLE_MAPPINGS, "ConcurrentSet")
LONG_SECONDS = float(os.environ.get("CT_LONG", "0"))
JOIN_SECONDS = 90.0


def new(ct: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    """A table of the named type; a `SplitDict` gets a `SharedKeys` of its own."""
    if name == "SplitDict":
        return ct.SplitDict(ct.SharedKeys(), *args, **kwargs)
    return getattr(ct, name)(*args, **kwargs)


def duration(short: float) -> float:
    """Seconds a repeating threaded test runs: `CT_LONG` where it is set, else `short`."""
    return LONG_SECONDS or short


class Deadline:
    """True until the given seconds are over: the loop condition of repeating threads."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def __bool__(self) -> bool:
        return time.monotonic() < self._end


def run_threads(
    *bodies: Callable[[], Any], count: int = 1, timeout: float = JOIN_SECONDS
) -> list[Any]:
    """Run every body in `count` threads that start at one barrier; their results, in order.

    An error in a thread is raised here once all have ended; threads that do not end are a
    failure with the stacks of all threads on stderr.
    """
    jobs = [body for body in bodies for _ in range(count)]
    barrier = threading.Barrier(len(jobs))
    results: list[Any] = [None] * len(jobs)
    errors: list[BaseException] = []

    def work(number: int, body: Callable[[], Any]) -> None:
        try:
            barrier.wait(JOIN_SECONDS)
            results[number] = body()
        except BaseException as error:  # handed to the main thread
            errors.append(error)

    threads = [
        threading.Thread(target=work, args=(number, body), daemon=True)
        for number, body in enumerate(jobs)
    ]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # with the GIL: switch often enough to meet inside an operation
    try:
        for thread in threads:
            thread.start()
        end = time.monotonic() + max(timeout, LONG_SECONDS + JOIN_SECONDS)
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
    finally:
        sys.setswitchinterval(interval)
    if any(thread.is_alive() for thread in threads):
        faulthandler.dump_traceback(all_threads=True)
        raise AssertionError("threads hang; their stacks are on stderr")
    if errors:
        raise errors[0]
    return results


def numbered(body: Callable[[int], Any], count: int) -> list[Callable[[], Any]]:
    """`count` bodies for `run_threads`, each called with its number."""
    return [lambda number=number: body(number) for number in range(count)]


def run_child(
    code: str | list[str], *, timeout: float = 60.0, root: Path = ROOT, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run code (or arguments) in a fresh interpreter that imports the package from `root`."""
    arguments = ["-c", code] if isinstance(code, str) else code
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), **env},
        check=False,
    )


def implementation_environment(ct: Any) -> dict[str, str]:
    """The environment in which a child process uses the implementation of `ct`."""
    return {"CONCURRENT_TABLES_PURE": "1" if ct.IMPLEMENTATION == "python" else "0"}


def outcome(call: Callable[[], Any]) -> tuple[str, Any]:
    """("value", result) or ("error", the exception) of a call."""
    try:
        return "value", call()
    except Exception as error:  # the comparison is about which error
        return "error", error


class Named:
    """A key with a name; equal names are equal keys and all share one hash: every probe collides."""

    __slots__ = ("__weakref__", "name")

    def __init__(self, name: object) -> None:
        self.name = name

    def __hash__(self) -> int:
        return 42

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named) and self.name == other.name

    def __repr__(self) -> str:
        return f"Named({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Named, (self.name,)


class Boom(Exception):
    """What hostile keys and callbacks raise."""


class HashRaises:
    def __hash__(self) -> int:
        raise Boom("hash")


class EqRaises:
    """Collides with every other `EqRaises`, and raises when it is compared."""

    def __hash__(self) -> int:
        return 7

    def __eq__(self, other: object) -> bool:
        raise Boom("eq")


class Trackable:
    """A value that can be weakly referenced."""

    def __init__(self, name: object = None) -> None:
        self.name = name


def items_of(table: Iterable[Any]) -> list[tuple[Any, Any]]:
    """The items of a mapping, sorted by repr: the state of an unordered mapping."""
    return sorted(table.items(), key=repr)  # type: ignore[attr-defined]
