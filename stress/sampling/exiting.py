"""The process that ends under daemon threads: `python -m ... sampling.exiting`, orders as JSON on stdin.

Threads run the calls of a scenario on fresh containers, again and again. When each has been round
twice the main thread marks that (it makes a file) and is over, at a random moment a little later. The
first containers, which no thread uses any more, are left to the end of the interpreter.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import resource
import signal
import sys
import threading
import time
import types
from collections.abc import Callable
from random import Random
from typing import Any

from .. import environment
from .child import find_target
from .facts import scenario_from
from .subject import Subject
from .weave import weave

__all__ = ["main"]

_CONTAINERS = 64
_LATEST = 3e-3  # seconds


def main() -> int:
    """Read the orders, let the threads work, and end."""
    orders = json.load(sys.stdin)
    stacks = os.open(orders["stacks"], os.O_WRONLY | os.O_CREAT, 0o600)  # for as long as we live
    faulthandler.enable(stacks, all_threads=True)
    faulthandler.register(signal.SIGUSR1, stacks, all_threads=True)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if environment.gil_enabled():
        sys.setswitchinterval(1e-6)
    subject = Subject(find_target(orders["target"]))
    woven = weave(scenario_from(orders["scenario"]), subject, spinning=False)
    alone = orders["alone"]
    crew = _Crew(lambda: [[None] * _CONTAINERS] * 4 if alone else woven.build(_CONTAINERS))
    first = crew.current[1]
    for number, calls in enumerate(woven.calls):
        work = [_nothing] if alone else calls
        threading.Thread(target=crew.work, args=(number, work), daemon=True).start()
    # The frames of threads hold what they use for ever: the first containers must be over.
    while min(crew.rounds.get(number, 0) for number in range(len(woven.calls))) < 2:
        time.sleep(1e-3)
    time.sleep(Random(f"{os.getpid()}/{orders['seed']}").random() * _LATEST)
    kept = types.ModuleType("kept")  # not ours: the threads' frames keep our names alive
    kept.containers = first  # type: ignore[attr-defined]
    sys.modules["kept"] = kept
    os.close(os.open(orders["mark"], os.O_WRONLY | os.O_CREAT, 0o600))
    return 0


class _Crew:
    """Threads that go over the same containers; the first one makes new ones after each round."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build
        self.current = (0, build())
        self.rounds: dict[int, int] = {}

    def work(self, thread: int, calls: list[Callable[..., Any]]) -> None:
        seen = -1
        while True:
            number, (A, B, W, its) = self.current
            if number == seen:
                time.sleep(0)
                continue
            seen = number
            for n in range(_CONTAINERS):
                for call in calls:
                    call(A[n], B[n], W[n], its[n])
            self.rounds[thread] = self.rounds.get(thread, 0) + 1
            if thread == 0:
                self.current = (number + 1, self._build())


def _nothing(*shared: Any) -> list[Any]:
    return [dict.fromkeys(range(9)) for _ in range(9)]


if __name__ == "__main__":
    sys.exit(main())
