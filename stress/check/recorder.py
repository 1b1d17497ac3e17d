"""The recorder: calls go through it, and it keeps the history.

Tickets are drawn before and after each call. Where `_search` was built they come from one counter that
all threads raise with a sequentially consistent addition, so that their order is the order of the
calls; else they are nanoseconds of `time.perf_counter_ns`. Equal tickets count as overlapping, so a
coarse clock may hide an error and never invents one.

Each thread writes a journal of its own. With a `Ledger` (ledger.py) it also writes into memory that
outlives the process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from .history import History, Raised
from .ledger import Ledger, Row

try:
    from .. import _search
except ImportError:  # not built
    _search = None  # type: ignore[assignment]

__all__ = ["Recorder", "seconds_per_call"]

next_ticket: Callable[[], int] = time.perf_counter_ns if _search is None else _search.ticket
_Entry = tuple[str, tuple[Any, ...], Any, int, int]


class Recorder:
    """Calls methods of one object and records what they answered.

    Parameters:
        target: the object.
        model: the name of the model that `judge` uses by default.
        ledger: where to write as well, so that the history survives the process.

    A KeyError of a subclass is recorded as KeyError, which is what models answer.

    Thread-safety: `call` may be used by any number of threads; call `history` after they ended.

    >>> recorder = Recorder({}, "dict")
    >>> recorder.call("setdefault", "k", 1)
    1
    >>> len(recorder.history())
    1
    """

    def __init__(
        self, target: Any, model: str | None = None, *, ledger: Ledger | None = None
    ) -> None:
        self.target = target
        self.model = model
        self._ledger = ledger
        self._local = threading.local()
        self._journals: list[list[_Entry]] = []
        self._lock = threading.Lock()

    def call(self, method: str, /, *args: Any) -> Any:
        """Call `target.method(*args)` and record it; its exception is recorded and raised."""
        try:
            journal, row = self._local.mine
        except AttributeError:
            journal, row = self._local.mine = self._begin()
        bound = getattr(self.target, method)
        ticket = next_ticket
        invoke = ticket()
        if row is not None:
            row.begin(invoke, method, args)
        try:
            result = bound(*args)
        except Exception as error:
            response = ticket()
            name = "KeyError" if isinstance(error, KeyError) else type(error).__name__
            journal.append((method, args, Raised(name), invoke, response))
            if row is not None:
                row.end(response, journal[-1][2])
            raise
        response = ticket()
        journal.append((method, args, result, invoke, response))
        if row is not None:
            row.end(response, result)
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

    def _begin(self) -> tuple[list[_Entry], Row | None]:
        journal: list[_Entry] = []
        with self._lock:
            self._journals.append(journal)
            number = len(self._journals) - 1
        return journal, None if self._ledger is None else self._ledger.row(number)


class _Nothing:
    def touch(self, key: int) -> None:
        """Do nothing, to see what recording it costs."""


def seconds_per_call(ledger: Ledger | None = None, calls: int = 2000) -> float:
    """What recording adds to one call in one thread, in seconds; measured now, the least of five."""
    target, recorded, plain = _Nothing(), [], []
    for _ in range(5):
        recorder = Recorder(target, ledger=ledger)
        began = time.perf_counter()
        for _ in range(calls):
            recorder.call("touch", 1)
        middle = time.perf_counter()
        for _ in range(calls):
            target.touch(1)
        recorded.append(middle - began)
        plain.append(time.perf_counter() - middle)
        if ledger is not None:
            ledger.clear()
    return max(0.0, min(recorded) - min(plain)) / calls
