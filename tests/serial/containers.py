"""Containers for the command."""

from __future__ import annotations

import threading
from collections.abc import Iterator, MutableMapping
from typing import Any


class LosingDict(MutableMapping[Any, Any]):
    """Every change is made to a copy, which is put in the place of the old content."""

    def __init__(self) -> None:
        self._data: dict[Any, Any] = {}

    def __getitem__(self, key: Any) -> Any:
        return self._data[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(dict(self._data))

    def __len__(self) -> int:
        return len(self._data)

    def __setitem__(self, key: Any, value: Any) -> None:
        changed = dict(self._data)
        changed[key] = value
        self._data = changed

    def __delitem__(self, key: Any) -> None:
        changed = dict(self._data)
        del changed[key]
        self._data = changed

    def clear(self) -> None:
        self._data = {}


_acquire = type(threading.RLock()).acquire
_release = type(threading.RLock()).release


class UnboundDict(LosingDict):
    """Insists on real locks."""

    def __init__(self) -> None:
        super().__init__()
        lock = threading.RLock()
        _acquire(lock)
        _release(lock)
