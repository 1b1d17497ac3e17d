"""Caches and lazy values that show what is no longer, or not yet, there."""

from __future__ import annotations

import threading
from typing import Any

from .specimen import NO_CALL, Specimen

__all__ = ["SPECIMENS"]


class LazyTooEarly:
    """Double-checked locking that says "ready" before it is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ready = False
        self._value: Any = None

    def get(self) -> Any:
        if not self._ready:
            with self._lock:
                if not self._ready:
                    self._ready = True
                    self._value = "made"
        return self._value


class Lazy(LazyTooEarly):
    def get(self) -> Any:
        if not self._ready:
            with self._lock:
                if not self._ready:
                    self._value = "made"
                    self._ready = True
        return self._value


class ForgetfulCache:
    """An invalidation while a value is loaded finds nothing to drop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._source = 1
        self._cached: int | None = None
        self._epoch = 0

    def read(self) -> int:
        with self._lock:
            if self._cached is not None:
                return self._cached
        loaded = self._source
        with self._lock:
            self._cached = loaded
        return loaded

    def write(self, value: int) -> None:
        with self._lock:
            self._source = value
            self._cached = None
            self._epoch += 1


class EpochCache(ForgetfulCache):
    def read(self) -> int:
        with self._lock:
            if self._cached is not None:
                return self._cached
            epoch = self._epoch
        loaded = self._source
        with self._lock:
            if epoch == self._epoch:
                self._cached = loaded
        return loaded


class StaleCopy:
    """Deletes after it has announced the deletion: a copy made between them stays for ever."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._data = {"a": 1, "b": 2}
        self._copy = dict(self._data)
        self._version = self._copied = 0

    def delete(self, key: str) -> None:
        self._version += 1
        self._data.pop(key, None)

    def get(self, key: str) -> int | None:
        if self._copied != self._version:
            self._copied = self._version
            self._copy = dict(self._data)
        return self._copy.get(key)


class FreshCopy(StaleCopy):
    def delete(self, key: str) -> None:
        with self._lock:
            super().delete(key)

    def get(self, key: str) -> int | None:
        with self._lock:
            return super().get(key)


SPECIMENS = (
    Specimen(
        "double-checked locking gone wrong",
        "a reader sees the flag and takes the value that is not there yet",
        LazyTooEarly,
        Lazy,
        ((("get",),), (("get",),)),
        atomic_with_gil=NO_CALL,
    ),
    Specimen(
        "invalidation lost during a load",
        "a value that was loaded before the write is cached after it",
        ForgetfulCache,
        EpochCache,
        ((("read",), ("read",)), (("write", 2),)),
        kind="order",
        atomic_with_gil=NO_CALL,
    ),
    Specimen(
        "stale read after delete",
        "a copy taken between the announcement and the deletion shows the key for ever",
        StaleCopy,
        FreshCopy,
        ((("delete", "a"), ("get", "a")), (("get", "b"),)),
        atomic_with_gil=NO_CALL,
    ),
)
