"""The gate: what a table held by `exclusive` shows to other writers; for both implementations.

A writer that finds another thread's gate leaves its section and waits outside; readers never look
at gates. A gate that was held by a thread of the parent process is void in a forked child.
"""

from __future__ import annotations

import threading
from typing import Any

from ._waits import ForkMark, Latch, wait_for

__all__ = ["Gate"]

_get_ident = threading.get_ident


class Gate(ForkMark):
    """One table's exclusive hold: who has it, and how to wait for its end."""

    __slots__ = ("released",)

    def __init__(self) -> None:
        super().__init__()
        self.released = Latch()

    @property
    def foreign(self) -> bool:
        """Whether another thread of this process holds the gate."""
        return self.owner != _get_ident() and not self.void

    def wait(self, table: Any) -> None:
        """Wait until the holder is done; DeadlockError if it waits, in turn, for this thread."""
        wait_for(
            self,
            f"{type(table).__name__}: waiting for the thread that holds this table exclusively "
            "would deadlock, since it waits for something that this thread holds; "
            "name all tables in one exclusive(...)",
        )
