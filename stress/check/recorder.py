"""A small recorder for one's own tests: calls go through it, and it keeps the history.

Tickets are nanoseconds of `time.perf_counter_ns`, which threads read without meeting one another.
Equal tickets count as overlapping, so a coarse clock may hide an error and never invents one.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from .history import History, Raised

__all__ = ["Recorder"]


class Recorder:
    """Calls methods of one object and records what they answered.

    Parameters:
        target: the object.
        model: the name of the model that `judge` uses by default.

    Thread-safety: `call` may be used by any number of threads; call `history` after they ended.

    >>> recorder = Recorder({}, "dict")
    >>> recorder.call("setdefault", "k", 1)
    1
    >>> len(recorder.history())
    1
    """

    def __init__(self, target: Any, model: str | None = None) -> None:
        self.target = target
        self.model = model
        self._local = threading.local()
        self._journals: list[list[tuple[str, tuple[Any, ...], Any, int, int]]] = []
        self._lock = threading.Lock()

    def call(self, method: str, /, *args: Any) -> Any:
        """Call `target.method(*args)` and record it; its exception is recorded and raised."""
        journal = getattr(self._local, "journal", None)
        if journal is None:
            journal = self._local.journal = []
            with self._lock:
                self._journals.append(journal)
        bound = getattr(self.target, method)
        clock = time.perf_counter_ns
        invoke = clock()
        try:
            result = bound(*args)
        except Exception as error:
            journal.append((method, args, Raised(type(error).__name__), invoke, clock()))
            raise
        journal.append((method, args, result, invoke, clock()))
        return result

    def history(self) -> History:
        """What was recorded, in order of invocation; clients are numbered by their first call."""
        rows = [
            (invoke, response, client, method, args, result)
            for client, journal in enumerate(self._journals)
            for method, args, result, invoke, response in journal
        ]
        rows.sort(key=lambda row: row[:3])
        made = History(self.model)
        for invoke, response, client, method, args, result in rows:
            made.append(client, method, args, result, invoke, response)
        return made
