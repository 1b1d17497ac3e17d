"""Containers for the harness to judge: correct ones behind a lock, and ones broken on purpose."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterable, Iterator, MutableMapping, MutableSet
from typing import Any

_ABSENT = object()


class LockedDict(MutableMapping[Any, Any]):
    """Correct: every method is one step under a lock; iteration walks over a copy."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._data: dict[Any, Any] = {}

    def __getitem__(self, key: Any) -> Any:
        with self._lock:
            return self._data[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        with self._lock:
            self._data[key] = value

    def __delitem__(self, key: Any) -> None:
        with self._lock:
            del self._data[key]

    def __contains__(self, key: object) -> bool:
        with self._lock:
            return key in self._data

    def __len__(self) -> int:
        with self._lock:
            return len(self._data)

    def __iter__(self) -> Iterator[Any]:
        with self._lock:
            return iter(list(self._data))

    def pop(self, key: Any, *default: Any) -> Any:
        with self._lock:
            return self._data.pop(key, *default)

    def popitem(self) -> tuple[Any, Any]:
        with self._lock:
            return self._data.popitem()

    def setdefault(self, key: Any, default: Any = None) -> Any:
        with self._lock:
            return self._data.setdefault(key, default)

    def clear(self) -> None:
        with self._lock:
            self._data.clear()

    def update(self, other: Any = (), /, **kwargs: Any) -> None:
        if hasattr(other, "keys"):
            other = [
                (key, value) for key in other if (value := other.get(key, _ABSENT)) is not _ABSENT
            ]
        with self._lock:
            self._data.update(other, **kwargs)


class LockedSet(MutableSet[Any]):
    """Correct: every method is one step under a lock; iteration walks over a copy."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._data: set[Any] = set()

    def __contains__(self, item: object) -> bool:
        with self._lock:
            return item in self._data

    def __len__(self) -> int:
        with self._lock:
            return len(self._data)

    def __iter__(self) -> Iterator[Any]:
        with self._lock:
            return iter(list(self._data))

    def add(self, item: Any) -> None:
        with self._lock:
            self._data.add(item)

    def discard(self, item: Any) -> None:
        with self._lock:
            self._data.discard(item)

    def remove(self, item: Any) -> None:
        with self._lock:
            self._data.remove(item)

    def pop(self) -> Any:
        with self._lock:
            return self._data.pop()

    def clear(self) -> None:
        with self._lock:
            self._data.clear()

    def update(self, other: Iterable[Any]) -> None:
        items = list(other)
        with self._lock:
            self._data.update(items)

    def difference_update(self, other: Iterable[Any]) -> None:
        items = list(other)
        with self._lock:
            self._data.difference_update(items)


class LostUpdateDict(LockedDict):
    """A write copies the table and puts the copy in place, with no lock over the two steps."""

    def __setitem__(self, key: Any, value: Any) -> None:
        copy = dict(self._data)
        copy[key] = value
        self._data = copy


class TwoStepPopDict(LockedDict):
    """`pop` reads and deletes in two steps: two threads get the same value."""

    def pop(self, key: Any, *default: Any) -> Any:
        if key not in self._data:
            return default[0]
        value = self._data.get(key, *default)
        self._data.pop(key, None)
        return value


class StaleValueDict(LockedDict):
    """Every 20th read answers from what an earlier write left behind."""

    def __init__(self) -> None:
        super().__init__()
        self._before: dict[Any, Any] = {}
        self._reads = 0

    def __setitem__(self, key: Any, value: Any) -> None:
        with self._lock:
            if key in self._data:
                self._before[key] = self._data[key]
            self._data[key] = value

    def __getitem__(self, key: Any) -> Any:
        with self._lock:
            self._reads += 1
            if self._reads % 20 == 0 and key in self._before:
                return self._before[key]
            return self._data[key]


class TornLenDict(LockedDict):
    """An overwrite takes the old entry out before it puts the new one in."""

    def __setitem__(self, key: Any, value: Any) -> None:
        with self._lock:
            self._data.pop(key, None)
        with self._lock:
            self._data[key] = value

    def __getitem__(self, key: Any) -> Any:
        while True:  # hides the gap from readers of the key
            with self._lock:
                if key in self._data:
                    return self._data[key]
            raise KeyError(key)


class CountedLenDict(LockedDict):
    """`len` comes from a counter that threads raise without a lock."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def __setitem__(self, key: Any, value: Any) -> None:
        with self._lock:
            fresh = key not in self._data
            self._data[key] = value
        if fresh:
            count = self._count
            self._count = count + 1

    def __len__(self) -> int:
        return self._count


class WrongKeyDict(LockedDict):
    """A lookup finds its place and then reads it; another lookup moves the place in between."""

    _place: Any = None

    def __getitem__(self, key: Any) -> Any:
        if key not in self._data:
            raise KeyError(key)
        self._place = key
        return self._data[self._found()]

    def _found(self) -> Any:
        return self._place


class RepeatingDict(LockedDict):
    """Iteration sometimes gives a key twice."""

    def __iter__(self) -> Iterator[Any]:
        keys = list(self._data)
        return iter([*keys, keys[0]] if len(keys) > 3 else keys)


class ForgettingDict(LockedDict):
    """Iteration leaves the last key out."""

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._data)[:-1])


class RaisingDict(LockedDict):
    """Fails in the middle of a run."""

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        if value[2] == 5:
            raise OSError("the table is on fire")


class TwoWinnersDict(LockedDict):
    """`setdefault` looks and inserts in two steps."""

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if key in self:
            return self[key]
        self[key] = default
        return default


class LostAddSet(LockedSet):
    """An addition copies the table and puts the copy in place, with no lock over the two steps."""

    def add(self, item: Any) -> None:
        copy = set(self._data)
        copy.add(item)
        self._data = copy


class StaleSet(LockedSet):
    """`discard` leaves the item for the next call to take away."""

    _late: Any = None

    def discard(self, item: Any) -> None:
        with self._lock:
            self._data.discard(self._late)
            self._late = item


class TwoStepRemoveSet(LockedSet):
    """`remove` looks and removes in two steps: two threads remove the same item."""

    def remove(self, item: Any) -> None:
        if item not in self:
            raise KeyError(item)
        self.discard(item)


class StrangerSet(LockedSet):
    """Iteration gives an item that nobody added."""

    def __iter__(self) -> Iterator[Any]:
        return iter([*self._data, "a stranger"])


class RepeatingSet(LockedSet):
    """Iteration gives an item twice."""

    def __iter__(self) -> Iterator[Any]:
        items = list(self._data)
        return iter(items + items[:1])


class TwoStepUpdateSet(LockedSet):
    """`update` computes the union first and then puts it in place."""

    def update(self, other: Iterable[Any]) -> None:
        self._data = self._data.union(other)


class DeadlockDict(LockedDict):
    """Readers and writers take two locks in opposite orders."""

    def __init__(self) -> None:
        super().__init__()
        self._second = threading.Lock()

    def __setitem__(self, key: Any, value: Any) -> None:
        with self._lock:
            time.sleep(0)
            with self._second:
                self._data[key] = value

    def __getitem__(self, key: Any) -> Any:
        with self._second:
            time.sleep(0)
            with self._lock:
                return self._data[key]


class GilHoldingDict(LockedDict):
    """A write waits in C code that does not release the GIL."""

    def __setitem__(self, key: Any, value: Any) -> None:
        ctypes.PyDLL(None).pause()


class NoContainer:
    """Neither dict- nor set-like."""


class NeedsArguments(LockedDict):
    """Cannot be made without arguments."""

    def __init__(self, size: int, name: str) -> None:
        super().__init__()


class OnlyItems:
    """Dict-like by its three methods alone, and correct."""

    def __init__(self) -> None:
        self._inner = LockedDict()

    def __getitem__(self, key: Any) -> Any:
        return self._inner[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._inner[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._inner[key]


class OnlyMembers:
    """Set-like by its three methods alone, and correct."""

    def __init__(self) -> None:
        self._inner = LockedSet()

    def add(self, item: Any) -> None:
        self._inner.add(item)

    def discard(self, item: Any) -> None:
        self._inner.discard(item)

    def __contains__(self, item: object) -> bool:
        return item in self._inner


CORRECT = (LockedDict, LockedSet, OnlyItems)
BROKEN = {
    LostUpdateDict: "ycsb-d",
    TwoStepPopDict: "tokens",
    StaleValueDict: "ycsb-a",
    TornLenDict: "ycsb-a",
    CountedLenDict: "ycsb-d",
    WrongKeyDict: "ycsb-b",
    RepeatingDict: "iteration",
    ForgettingDict: "ycsb-a",
    RaisingDict: "ycsb-a",
    TwoWinnersDict: "insert-once",
    LostAddSet: "ycsb-d",
    StaleSet: "churn",
    TwoStepRemoveSet: "claims",
    StrangerSet: "ycsb-e",
    RepeatingSet: "iteration",
    TwoStepUpdateSet: "set-bulk",
}
