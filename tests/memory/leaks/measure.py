"""What a process holds, and the check that it does not grow from round to round.

A script of this directory runs in a fresh process, prints one line per family of operations and
ends with status 1 if one of them leaks: `python -m tests.memory.leaks.NAME`. Interpreter objects are
counted with `sys.getallocatedblocks()`; memory from malloc() with glibc's `mallinfo2()`, where there
is one; whole-process growth by the resident size.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from concurrent_tables import reclaim

ROUNDS = 150
WARM_UP = 100
WINDOWS = 8
BLOCKS = ROUNDS // 3  # a leak of one block per round is three times as much
BYTES = ROUNDS * 24  # and the smallest block of malloc() has 32 bytes
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
failures: list[str] = []


class _Mallinfo2(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
        )
    ]


def _find_mallinfo() -> Callable[[], Any] | None:
    try:
        found = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError, TypeError):
        return None
    found.restype = _Mallinfo2
    return found  # type: ignore[no-any-return]


_mallinfo = _find_mallinfo()


def settle() -> None:
    """Free what only waits for the collector or for a grace period."""
    for _ in range(3):
        gc.collect()
        reclaim.flush()


def held() -> tuple[int, int]:
    """Live blocks of the interpreter, and bytes in use of malloc() (main arena)."""
    settle()
    return sys.getallocatedblocks(), _mallinfo().uordblks if _mallinfo else 0


def resident() -> int:
    """The resident size of this process in bytes; 0 where it cannot be read."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
    except OSError:
        return 0


def steady(
    name: str,
    body: Callable[[], Any],
    rounds: int = ROUNDS,
    warm_up: int = WARM_UP,
    *,
    counts: bool = True,
) -> bool:
    """Run `body` in rounds; a failure if blocks, bytes or limbo grow in each of the windows.

    A cache that fills grows in some windows, a leak in all of them. Without the GIL it takes the
    interpreter up to a thousand rounds until nothing grows any more, and now and then with it, too:
    a first try that need not be the last does not count.
    """
    for _ in range(warm_up):
        body()
    grown: list[tuple[int, int]] = []
    before, grows = held(), True
    while grows and len(grown) < WINDOWS:
        for _ in range(rounds):
            body()
        now = held()
        grown.append((now[0] - before[0], now[1] - before[1]))
        before = now
        grows = grown[-1][0] > BLOCKS * rounds // ROUNDS or grown[-1][1] > BYTES
    pending = reclaim.stats()["pending_items"]
    leaks = grows or pending > 0
    if leaks:
        failures.extend([name] * counts)
        print(f"{name}: (blocks, bytes) grew by {grown} in {rounds} rounds each, {pending=}")
    sys.stdout.flush()
    return not leaks


def finish() -> None:
    """The exit status of a script."""
    print("leaks:", failures if failures else "none")
    sys.exit(bool(failures))
