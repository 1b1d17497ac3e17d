"""Containers for scenario sampling to find out: each breaks one promise, or the process."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

from stress.profiles import Profile
from stress.sampling import judge

from .containers import LockedDict, LockedSet


class TornSetdefault(LockedDict):
    """`setdefault` looks and writes in two steps."""

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if key in self:
            return self[key]
        time.sleep(0)
        self[key] = default
        return default


class LosingSet(LockedSet):
    """`add` puts a new set in place of the old one."""

    def add(self, item: Any) -> None:
        changed = self._data | {item}
        time.sleep(0)
        self._data = changed


class WrongError(LockedDict):
    """Looking into it while it is being cleared shows how it is made."""

    _clearing = False

    def clear(self) -> None:
        self._clearing = True
        time.sleep(0)
        super().clear()
        self._clearing = False

    def keys(self) -> Any:
        if self._clearing:
            raise SystemError("half done")
        return super().keys()


class Miscounting(LockedSet):
    """`len` is kept apart, and not under the lock."""

    def __init__(self) -> None:
        super().__init__()
        self._size = 0

    def add(self, item: Any) -> None:
        with self._lock:
            if item in self._data:
                return
            self._data.add(item)
        size = self._size
        time.sleep(0)
        self._size = size + 1

    def discard(self, item: Any) -> None:
        with self._lock:
            if item in self._data:
                self._data.discard(item)
                self._size -= 1

    def __len__(self) -> int:
        return self._size


class Aborting(LockedSet):
    """The process ends in `discard`, except in the main thread."""

    def discard(self, item: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            os.abort()
        super().discard(item)


class Exiting(LockedSet):
    """The process ends on its own in `pop`."""

    def pop(self) -> Any:
        os._exit(7)


class Hanging(LockedSet):
    """`clear` comes back to the main thread only."""

    def clear(self) -> None:
        while threading.current_thread() is not threading.main_thread():
            time.sleep(0.01)
        super().clear()


class Bottomless(LockedSet):
    """Keeps nothing."""

    def add(self, item: Any) -> None:
        pass


class BreakingTheHarness(LockedSet):
    """Correct, but the judge in the sampling process has a bug from then on."""

    def __init__(self) -> None:
        super().__init__()
        main = getattr(sys.modules["__main__"], "__spec__", None)
        if main is not None and main.name.endswith("sampling.child"):
            judge.Judge.batch = _bug  # type: ignore[method-assign]


def _bug(*arguments: Any) -> None:
    raise LookupError("a bug of ours")


class Declared(LockedDict):
    """Says itself that its `setdefault` is no more than sound."""

    __stress_profile__ = Profile.declare("Declared", atomic="__setitem__", exact="__getitem__")

    setdefault = TornSetdefault.setdefault


class HomelySet(LockedSet):
    """Empty and closed for every thread but the one that made it: wrong in nearly every sample."""

    def __init__(self) -> None:
        super().__init__()
        self._home = threading.get_ident()

    @property
    def _abroad(self) -> bool:
        return threading.get_ident() != self._home

    def add(self, item: Any) -> None:
        if not self._abroad:
            super().add(item)

    def discard(self, item: Any) -> None:
        if not self._abroad:
            super().discard(item)

    def __contains__(self, item: object) -> bool:
        return not self._abroad and super().__contains__(item)

    def __len__(self) -> int:
        return 0 if self._abroad else super().__len__()

    def clear(self) -> None:
        if not self._abroad:
            super().clear()


def _at_exit(finalizing: Any = sys.is_finalizing) -> bool:
    """Whether the interpreter ends; the names of modules are gone then."""
    return bool(finalizing())


class HangsAtExit(LockedDict):
    """Waits, when it goes, for a lock that nobody gives back."""

    _held = threading.Lock()
    _held.acquire()

    def __del__(self, at_exit: Any = _at_exit) -> None:
        if at_exit():
            self._held.acquire()


class AbortsAtExit(LockedDict):
    """Cannot be taken down by the end of the interpreter."""

    def __del__(self, at_exit: Any = _at_exit, abort: Any = os.abort) -> None:
        if at_exit():
            abort()
