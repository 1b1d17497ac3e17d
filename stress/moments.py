"""What happened beside the calls of a recorded history: collections, and resizes of its container.

Collections say so themselves (`gc.callbacks`), in the thread that collects. A container is asked for its
size (`__sizeof__`, where it is more than that of the bare object) a few thousand times a second by a thread
of its own: a resize lies somewhat before the ticket that is told, and one between two looks with the next.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

from .check.recorder import next_ticket

__all__ = ["Moments"]

_PAUSE = 2e-4  # seconds between two looks
_MOST = 500
_MOST_SECONDS = 5.0  # for a last look


class Moments:
    """Watches from `begin` to `end`; `events` are those of histories.py, in order.

    Parameters:
        container: whose resizes are told; None: only collections.
        stopping: asked now and then whether nobody will call `end` any more.

    Thread-safety: `end` may be called by any thread, and more than once.
    """

    def __init__(self, container: Any = None, stopping: Callable[[], bool] = lambda: False) -> None:
        self._container = container
        self._stopping = stopping
        self._told: list[tuple[int, str, str]] = []
        self._over = threading.Event()
        self._looker = threading.Thread(target=self._look, name="moments", daemon=True)

    def begin(self) -> None:
        """From now on."""
        gc.callbacks.append(self._collected)
        self._looker.start()

    def end(self) -> None:
        """No more."""
        self._over.set()
        with contextlib.suppress(ValueError):
            gc.callbacks.remove(self._collected)
        if threading.current_thread() is not self._looker:
            self._looker.join(_MOST_SECONDS)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """From begin to end."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    @property
    def events(self) -> list[dict[str, Any]]:
        """`at` (a ticket of the recorder), `kind` and `text` of each."""
        return [{"at": at, "kind": kind, "text": text} for at, kind, text in sorted(self._told)]

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        text = f"generation {info.get('generation', 0)} "
        text += "begins" if phase == "start" else f"ends, {info.get('collected', 0)} objects"
        self._tell("collection", text)

    def _look(self) -> None:
        before = self._size()
        while not (self._over.wait(_PAUSE) or self._stopping()):
            size = self._size()
            if size != before:
                self._tell("resize", f"{before:,} to {size:,} bytes")
            before = size
        self.end()

    def _size(self) -> int:
        try:
            return 0 if self._container is None else int(self._container.__sizeof__())
        except Exception:  # somebody else's container may refuse
            return 0

    def _tell(self, kind: str, text: str) -> None:
        if len(self._told) < _MOST:
            self._told.append((next_ticket(), kind, text))
