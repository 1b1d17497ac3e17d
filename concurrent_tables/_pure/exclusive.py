"""`exclusive`: whole tables held against other writers for several steps.

A critical section is internal: it may be suspended, and no user code runs inside it. What a user
holds is a *gate*. A writer that finds another thread's gate on its table leaves its section and
waits outside; readers never look at gates. The holder's own writes pass. Gates are taken in
address order; nested `exclusive` blocks may still close a cycle of waiting threads, which is
found before waiting (_waits.py) and raised.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from .. import _gates
from .critical_section import CriticalSection, wait_outside

__all__ = ["Gate", "exclusive"]


class Gate(_gates.Gate):
    """A gate that counts how often its holder entered, and waits outside of sections."""

    __slots__ = ("depth",)

    def __init__(self) -> None:
        super().__init__()
        self.depth = 1

    def wait(self, table: Any) -> None:
        """As the shared gate does; no section of this thread is held meanwhile."""
        # A finalizer may write in the middle of a section.
        wait_outside(lambda: super(Gate, self).wait(table))


class exclusive:
    """Hold one or more whole tables against other *writers* while a `with` block runs.

    Re-entrant; readers stay lock-free and see each write as it happens. Of a `ShardedDict` every
    shard is held. Raises TypeError for anything but a mutable table of this package, and
    DeadlockError instead of closing a cycle of waiting threads.

    Thread-safety: entering and leaving are atomic; an instance belongs to one thread at a time.

    >>> from concurrent_tables import ConcurrentDict, exclusive
    >>> checking, savings = ConcurrentDict(ann=70), ConcurrentDict(ann=30)
    >>> with exclusive(checking, savings):
    ...     checking["ann"] -= 20
    ...     savings["ann"] += 20
    >>> checking["ann"], savings["ann"]
    (50, 50)
    """

    __slots__ = ("_held", "_parts")
    __module__ = "concurrent_tables"

    def __init_subclass__(cls) -> None:
        raise TypeError("type 'concurrent_tables.exclusive' is not an acceptable base type")

    def __init__(self, table: Any, /, *tables: Any) -> None:
        from .table import Table

        parts: dict[int, Table] = {}
        for candidate in (table, *tables):
            found = getattr(type(candidate), "_exclusive_parts", None)
            if found is not None:
                members = found(candidate)
            elif isinstance(candidate, Table):
                members = (candidate,)
            else:
                raise TypeError(
                    "exclusive() takes mutable tables of concurrent_tables, not "
                    f"{type(candidate).__name__}"
                )
            parts.update((id(member), member) for member in members)
        self._parts = [parts[address] for address in sorted(parts)]
        self._held: list[list[Table]] = []

    def __enter__(self) -> exclusive:
        held: list[Any] = []
        try:
            for part in self._parts:
                _enter(part)
                held.append(part)
        except BaseException:
            _leave(held)
            raise
        self._held.append(held)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        if not self._held:
            raise RuntimeError("exclusive: left without having been entered")
        _leave(self._held[-1])
        self._held.pop()


def _enter(table: Any) -> None:
    table._touch()
    while True:
        with CriticalSection(table._mutex):
            gate = table._gate
            if gate is None or gate.void:
                table._gate = Gate()
                return
            if not gate.foreign:
                gate.depth += 1
                return
        gate.wait(table)


def _leave(tables: list[Any]) -> None:
    if any(table._gate is None or table._gate.foreign for table in tables):
        raise RuntimeError("exclusive: left by another thread than the one that entered")
    for table in reversed(tables):
        with CriticalSection(table._mutex):
            gate = table._gate
            gate.depth -= 1
            if gate.depth == 0:
                table._gate = None
                gate.released.set()
