"""The end of a process that hangs with the GIL held, where no Python code can run any more.

The watchdog of runner.py is Python code. When an extension module waits without releasing the
GIL, only the interpreter's own C-level timer still fires: it prints all stacks and exits with
status 1, which is the status of a violation.
"""

from __future__ import annotations

import faulthandler
import sys
import time

from .campaign import Observer
from .verdicts import WorkloadResult

__all__ = ["LastResort"]

_REARM_SECONDS = 1.0


class LastResort(Observer):
    """Passes everything on to another observer, and rearms the timer whenever it is called."""

    def __init__(self, inner: Observer, seconds: float) -> None:
        self._inner = inner
        self._seconds = seconds + _REARM_SECONDS
        self._armed_at = float("-inf")

    def started(self, target: str, workload: str, number: int, total: int) -> None:
        self._rearm()
        self._inner.started(target, workload, number, total)

    def progress(self, fraction: float) -> None:
        self._rearm()
        self._inner.progress(fraction)

    def finished(self, result: WorkloadResult) -> None:
        self._inner.finished(result)

    def cancel(self) -> None:
        """The campaign is over."""
        faulthandler.cancel_dump_traceback_later()

    def _rearm(self) -> None:
        now = time.monotonic()
        if now - self._armed_at < _REARM_SECONDS or sys.__stderr__ is None:
            return
        self._armed_at = now
        faulthandler.dump_traceback_later(self._seconds, exit=True, file=sys.__stderr__)
