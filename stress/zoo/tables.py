"""Whole dicts, sets and queues with one broken method each: the general campaign finds them.

Each says in `__stress_profile__` what its correct twin keeps. The twins do all under one lock. Of
iteration they promise only that it does not raise: `zip(a, a)` iterates twice, at two moments.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..profiles import Profile
from .specimen import Specimen, dawdle

__all__ = ["SPECIMENS"]

_ERRORS = frozenset({"KeyError", "IndexError", "ValueError"})  # of loose results
_LONG = 3000  # turns: about as long as it takes until a thread is made to give up the GIL


class LockedDict:
    """A dict behind a lock; iteration and views are over a copy."""

    __stress_profile__ = Profile.declare(
        "LockedDict",
        atomic="__setitem__ __delitem__ pop popitem setdefault clear",
        exact="__getitem__ get __contains__ __len__ snapshot",
        errors=_ERRORS,
        source="the zoo",
    )

    def __new__(cls, *_: Any) -> Any:
        self = super().__new__(cls)
        self._prepare()
        return self

    def __init__(self, contents: Mapping[Any, Any] | None = None) -> None:
        for key, value in (contents or {}).items():
            self[key] = value

    def _prepare(self) -> None:
        """Not in `__init__`, which a campaign calls again while others use the table."""
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

    def get(self, key: Any, default: Any = None) -> Any:
        with self._lock:
            return self._data.get(key, default)

    def items(self) -> list[tuple[Any, Any]]:
        with self._lock:
            return list(self._data.items())

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

    def snapshot(self) -> dict[Any, Any]:
        """A copy."""
        with self._lock:
            return dict(self._data)


class CopyingDict(LockedDict):
    """A write changes a copy and puts that in place."""

    def __setitem__(self, key: Any, value: Any) -> None:
        copied = dict(self._data)
        copied[key] = value
        self._data = copied


class HastyPop(LockedDict):
    """`pop` looks, then deletes."""

    def pop(self, key: Any, *default: Any) -> Any:
        found = dawdle(self._data.get(key, self))
        if found is self:
            return super().pop(key, *default)
        self._data.pop(key, None)
        return found


class GenerousDict(LockedDict):
    """`popitem` takes the last item that it saw, which may be gone."""

    def popitem(self) -> tuple[Any, Any]:
        items = dawdle(list(self._data.items()))
        if not items:
            raise KeyError("popitem(): the dictionary is empty")
        key, value = items[-1]
        self._data.pop(key, None)
        return key, value


class TouchingDict(LockedDict):
    """A read makes its key the most recent one, and brings it back if it was deleted meanwhile."""

    def __getitem__(self, key: Any) -> Any:
        value = dawdle(self._data[key])
        self._data.pop(key, None)
        self._data[key] = value
        return value


class LiveIteration(LockedDict):
    """Iterates over the dict itself."""

    def __iter__(self) -> Iterator[Any]:
        for key in self._data:  # noqa: UP028 - the window lies here
            yield key


class SlowSnapshot(LockedDict):
    """The copy is made key by key."""

    def snapshot(self) -> dict[Any, Any]:
        copied = {}
        for key in list(self._data):
            if key in self._data:
                copied[key] = dawdle(self.get(key))
        return copied


class _SlowLock:
    """A lock that is held for a while."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.acquire, self.release = self._lock.acquire, self._lock.release

    def __enter__(self) -> None:
        dawdle(self._lock.acquire())

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class ClosingDict(LockedDict):
    """All share a lock, and each takes it when it goes: a thread that was stopped may hold it."""

    _shared: Any = _SlowLock()

    def _prepare(self) -> None:
        super()._prepare()
        self._lock = self._shared

    def __del__(self) -> None:
        with self._lock:
            self._data.clear()


class LeavingDict(ClosingDict):
    """Does not wait for the lock when it goes."""

    def __del__(self) -> None:
        if self._lock.acquire(blocking=False):
            self._data.clear()
            self._lock.release()


class SlottedDict(LockedDict):
    """An index of positions in a list; freed positions are used again."""

    def _prepare(self) -> None:
        super()._prepare()
        self._index: dict[Any, int] = {}
        self._slots: list[Any] = []
        self._free: list[int] = []

    def __getitem__(self, key: Any) -> Any:
        with self._lock:
            return self._slots[self._index[key]]

    def __setitem__(self, key: Any, value: Any) -> None:
        with self._lock:
            place = self._index.get(key)
            if place is not None:
                self._slots[place] = value
            elif self._free:
                place = self._index[key] = self._free.pop()
                self._slots[place] = value
            else:
                self._slots.append(value)
                self._index[key] = len(self._slots) - 1

    def __delitem__(self, key: Any) -> None:
        with self._lock:
            place = self._index.pop(key)
            self._slots[place] = None
            self._free.append(place)

    def __contains__(self, key: object) -> bool:
        with self._lock:
            return key in self._index

    def __len__(self) -> int:
        with self._lock:
            return len(self._index)

    def __iter__(self) -> Iterator[Any]:
        with self._lock:
            return iter(list(self._index))

    def get(self, key: Any, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default

    def items(self) -> list[tuple[Any, Any]]:
        return list(self.snapshot().items())

    def pop(self, key: Any, *default: Any) -> Any:
        with self._lock:
            if key not in self._index and default:
                return default[0]
            value = self[key]
            del self[key]
            return value

    def popitem(self) -> tuple[Any, Any]:
        with self._lock:
            for key in reversed(self._index):
                return key, self.pop(key)
            raise KeyError("popitem(): the dictionary is empty")

    def setdefault(self, key: Any, default: Any = None) -> Any:
        with self._lock:
            if key not in self._index:
                self[key] = default
            return self[key]

    def clear(self) -> None:
        with self._lock:
            self._index.clear()
            self._slots.clear()
            self._free.clear()

    def snapshot(self) -> dict[Any, Any]:
        with self._lock:
            return {key: self._slots[place] for key, place in self._index.items()}


class FreedSlot(SlottedDict):
    """A reader finds its place and then looks there, where another key may be by then."""

    def __getitem__(self, key: Any) -> Any:
        place = self._index[key]
        return self._at(dawdle(place))

    def _at(self, place: int) -> Any:
        return self._slots[place]


class HalfCleared(SlottedDict):
    """`clear` empties the index and the slots one after the other."""

    def clear(self) -> None:
        self._index.clear()
        self._free.clear()
        self._slots.clear()


class LockedSet:
    """A set behind a lock; iteration is over a copy."""

    __stress_profile__ = Profile.declare(
        "LockedSet",
        atomic="add discard remove pop clear __ior__ __isub__ __iand__",
        exact="__contains__ __len__",
        arbitrary=frozenset({"pop"}),
        errors=_ERRORS,
        source="the zoo",
    )

    def __new__(cls, *_: Any) -> Any:
        self = super().__new__(cls)
        self._prepare()
        return self

    def __init__(self, contents: Iterable[Any] = ()) -> None:
        for item in contents:
            self.add(item)

    def _prepare(self) -> None:
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

    def __ior__(self, other: Any) -> Any:
        items = set(other)
        with self._lock:
            self._data |= items
        return self

    def __isub__(self, other: Any) -> Any:
        items = set(other)
        with self._lock:
            self._data -= items
        return self

    def __iand__(self, other: Any) -> Any:
        items = set(other)
        with self._lock:
            self._data &= items
        return self


class LosingInPlace(LockedSet):
    """`-=` computes the difference and puts it in place."""

    def __isub__(self, other: Any) -> Any:
        items = set(other)
        with self._lock:
            left = self._data.difference(items)
        self._data = dawdle(left)
        return self


class CountedSet(LockedSet):
    """`len` is a number kept beside the items, and not under the lock."""

    def _prepare(self) -> None:
        super()._prepare()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def _count(self) -> None:
        size = len(self._data)
        self._size = dawdle(size)

    def add(self, item: Any) -> None:
        super().add(item)
        self._count()

    def discard(self, item: Any) -> None:
        super().discard(item)
        self._count()


class LockedQueue:
    """First in, first out."""

    __stress_profile__ = Profile.declare(
        "LockedQueue",
        atomic="append popleft",
        exact="__len__",
        errors=_ERRORS,
        source="the zoo",
    )

    def __new__(cls, *_: Any) -> Any:
        self = super().__new__(cls)
        self._prepare()
        return self

    def __init__(self, contents: Iterable[Any] = ()) -> None:
        for item in contents:
            self.append(item)

    def _prepare(self) -> None:
        self._lock = threading.RLock()
        self._data: list[Any] = []

    def __len__(self) -> int:
        with self._lock:
            return len(self._data)

    def __iter__(self) -> Iterator[Any]:
        with self._lock:
            return iter(list(self._data))

    def append(self, item: Any) -> None:
        with self._lock:
            self._data.append(item)

    def popleft(self) -> Any:
        with self._lock:
            return self._data.pop(0)


class OvertakingQueue(LockedQueue):
    """Whoever appends also carries over what others have left, and may be overtaken meanwhile."""

    def _prepare(self) -> None:
        super()._prepare()
        self._arrived: list[Any] = []

    def append(self, item: Any) -> None:
        # In one line, which is one step of the serialised mode; others carry it over meanwhile.
        dawdle(self._arrived.append(item), _LONG)  # type: ignore[func-returns-value]
        while (carried := self._next()) is not None:
            self._data.append(dawdle(carried, _LONG))

    def _next(self) -> Any:
        with self._lock:
            return self._arrived.pop(0) if self._arrived else None


SPECIMENS = (
    Specimen(
        "lost update of a copied table",
        "a write puts a copy in place, without what others wrote meanwhile",
        CopyingDict,
        LockedDict,
        ((("__setitem__", "a", 1),), (("__setitem__", "b", 2),)),
        general=True,
    ),
    Specimen(
        "value popped twice",
        "two threads get the value that one of them removed",
        HastyPop,
        LockedDict,
        (
            (("__setitem__", "a", 1), ("pop", "a", None)),
            (("pop", "a", None),),
        ),
        general=True,
    ),
    Specimen(
        "item handed out twice",
        "popitem of two threads returns the same item",
        GenerousDict,
        LockedDict,
        (
            (("__setitem__", "a", 1), ("__setitem__", "b", 2), ("popitem",)),
            (("__len__",), ("popitem",)),
        ),
        general=True,
    ),
    Specimen(
        "key brought back by a reader",
        "a read that marks its key as recently used inserts it again after it was deleted",
        TouchingDict,
        LockedDict,
        ((("__setitem__", "a", 1), ("__getitem__", "a")), (("pop", "a", None),)),
        general=True,
    ),
    Specimen(
        "iterator that raises",
        "iteration over the live dict fails when its size changes",
        LiveIteration,
        LockedDict,
        ((("__setitem__", "a", 1), ("list()",)), (("__setitem__", "b", 2),)),
        kind="error",
        general=True,
    ),
    Specimen(
        "snapshot not of one moment",
        "a copy made key by key holds what was never there together",
        SlowSnapshot,
        LockedDict,
        (
            (("__setitem__", "a", 1), ("__setitem__", "b", 1), ("snapshot",)),
            (("__setitem__", "a", 2), ("__setitem__", "b", 2)),
        ),
        general=True,
    ),
    Specimen(
        "lock that is taken at exit",
        "the interpreter hangs at its end when it stopped a daemon thread that held the lock",
        ClosingDict,
        LeavingDict,
        (),
        kind="shutdown",
        general=True,
    ),
    Specimen(
        "use of a freed slot",
        "a reader looks into a place that belongs to another key by then",
        FreedSlot,
        SlottedDict,
        (
            (("__setitem__", "a", 1), ("get", "a")),
            (("pop", "a", None), ("__setitem__", "b", 2)),
        ),
        general=True,
    ),
    Specimen(
        "clear that leaves the index of a late insertion",
        "an insertion between the two halves of clear has an index and no slot",
        HalfCleared,
        SlottedDict,
        ((("clear",), ("get", "a")), (("__setitem__", "a", 1),)),
        kind="error",
        general=True,
    ),
    Specimen(
        "in-place operator of a set",
        "`-=` loses what another thread adds between its halves",
        LosingInPlace,
        LockedSet,
        ((("__isub__", (1,)),), (("add", 2),)),
        general=True,
    ),
    Specimen(
        "length kept apart",
        "two additions, and the length of one of them stays",
        CountedSet,
        LockedSet,
        ((("add", 1), ("__len__",)), (("add", 2), ("__len__",))),
        kind="order",
        general=True,
    ),
    Specimen(
        "queue that reorders",
        "an item is overtaken by a later one of the same thread",
        OvertakingQueue,
        LockedQueue,
        ((("append", 1), ("append", 2)), (("append", 3),)),
    ),
)
