"""Forks of the process while its threads work: the child looks at containers that were in use.

The child has a time limit. That it dies by a signal, or does not come back, is a finding; what its
looks raise is not.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["SHARED", "forking"]

_LOOKED_AT = 12  # containers
_PAUSE = 2e-3
_LIMIT_SECONDS = 20.0


class _Shared:
    """What a sampler lends: the containers of its batch, and how to say that things go on."""

    containers: list[Any] = []  # noqa: RUF012 - replaced, never changed
    beat: Callable[[], None] = staticmethod(lambda: None)
    trouble = ""  # what went wrong; taken by whoever tells it
    forks = 0


SHARED = _Shared()


@contextlib.contextmanager
def forking() -> Iterator[None]:
    """Children that are forked while threads sample, and look at the containers."""
    over = threading.Event()
    thread = threading.Thread(target=_fork, args=(over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        while thread.is_alive():  # at most the limit, and it says that things go on
            thread.join(0.5)


def _fork(over: threading.Event) -> None:
    while not over.wait(_PAUSE) and not SHARED.trouble:
        containers = SHARED.containers[:_LOOKED_AT]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            _look(containers)
        SHARED.forks += 1
        SHARED.trouble = _outcome(pid)


def _look(containers: list[Any]) -> None:
    """In the child; does not return."""
    try:
        for container in containers:
            if container is not None:
                with contextlib.suppress(Exception):
                    len(container)
                    list(container)
                    repr(container)
    finally:
        os._exit(0)


def _outcome(pid: int) -> str:
    until = time.monotonic() + _LIMIT_SECONDS
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            if os.WIFSIGNALED(status):
                name = signal.Signals(os.WTERMSIG(status)).name
                return f"a forked child died by {name} while it looked at the containers"
            return ""
        SHARED.beat()
        time.sleep(1e-3)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return f"a forked child did not come back from the containers within {_LIMIT_SECONDS:g} s"
