"""Keys that do things while a container compares them: hooks inside foreign C code.

Only inside a sample (`HERE.container` is set there): in sequential runs and while a container is
looked at afterwards they are harmless. All of them collide with each other.

collide    nothing more
sleep      gives the processor away in the middle of a lookup
raise      fails now and then
reenter    reads and changes the container that is comparing
clear      empties it
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

__all__ = ["HERE", "MODES", "HostileError", "HostileKey"]

MODES = ("collide", "sleep", "raise", "reenter", "clear")
_RARELY = 5  # one comparison of so many does something drastic


class HostileError(Exception):
    """What hostile keys raise."""


class _Here(threading.local):
    """The container that this thread works on, and whether a key is at work already."""

    container: Any = None
    busy = False


HERE = _Here()


class HostileKey:
    """A key of some mode; equal only to itself and keys of the same name."""

    __slots__ = ("__weakref__", "mode", "name", "turn")

    def __init__(self, name: str, mode: str) -> None:
        self.name = name
        self.mode = mode
        self.turn = 0

    def __hash__(self) -> int:
        return 17

    def __eq__(self, other: object) -> bool:
        if HERE.container is not None and not HERE.busy:
            HERE.busy = True
            try:
                self._act(HERE.container)
            finally:
                HERE.busy = False
        return isinstance(other, HostileKey) and self.name == other.name

    def __repr__(self) -> str:
        return f"HostileKey({self.name!r})"

    def _act(self, container: Any) -> None:
        self.turn += 1
        if self.mode == "sleep":
            time.sleep(0)
        if self.turn % _RARELY:
            return
        if self.mode == "raise":
            raise HostileError(self.name)
        with contextlib.suppress(Exception):
            if self.mode == "clear":
                container.clear()
            elif self.mode == "reenter":
                _reenter(container, self)


def _reenter(container: Any, key: HostileKey) -> None:
    """Read it, then take the comparing key itself out of it."""
    len(container)
    list(container)
    for name in ("discard", "remove", "__delitem__"):
        if hasattr(container, name):
            getattr(container, name)(key)
            return
