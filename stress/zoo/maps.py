"""Mappings and sets whose operations come apart."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from .specimen import NO_CALL, Specimen

__all__ = ["SPECIMENS"]


class _Table:
    """A dict behind methods; the content can be looked at when all is at rest."""

    def __init__(self) -> None:
        self._data: dict[Any, Any] = {"a": 1}
        self._lock = threading.RLock()

    def items(self) -> list[tuple[Any, Any]]:
        return list(self._data.items())

    def delete(self, key: Any) -> bool:
        with self._lock:
            return self._data.pop(key, None) is not None

    def store(self, key: Any, value: Any) -> None:
        with self._lock:
            self._data[key] = value


class HastyDefaults(_Table):
    """setdefault as get, then set."""

    def setdefault(self, key: Any, value: Any) -> Any:
        found = self._data.get(key)
        if found is None:
            self._data[key] = found = value
        return found


class LockedDefaults(HastyDefaults):
    def setdefault(self, key: Any, value: Any) -> Any:
        with self._lock:
            return super().setdefault(key, value)


class Resurrecting(_Table):
    """Replaces a value that it saw; the key may be gone by then."""

    def replace(self, key: Any, value: Any) -> bool:
        if key not in self._data:
            return False
        self._data[key] = value
        return True


class Replacing(Resurrecting):
    def replace(self, key: Any, value: Any) -> bool:
        with self._lock:
            return super().replace(key, value)


class LosingUnion(_Table):
    """`|=` as copy, change, put back."""

    def merge(self, other: dict[Any, Any]) -> None:
        copied = dict(self._data)
        copied.update(other)
        self._data = copied


class LockedUnion(LosingUnion):
    def merge(self, other: dict[Any, Any]) -> None:
        with self._lock:
            super().merge(other)


class PopsWhatIsGone(_Table):
    """`if key in ...: pop` raises the KeyError that it wanted to avoid."""

    def take(self, key: Any) -> Any:
        if key in self._data:
            return self._data.pop(key)
        return None


class PopsSafely(PopsWhatIsGone):
    def take(self, key: Any) -> Any:
        return self._data.pop(key, None)


class TornLength(_Table):
    """The size is counted apart from the content."""

    def __init__(self) -> None:
        super().__init__()
        self._size = 1

    def add(self, key: Any) -> None:
        self._data[key] = True
        self._size += 1

    def __contains__(self, key: Any) -> bool:
        return key in self._data

    def __len__(self) -> int:
        return self._size


class WholeLength(TornLength):
    def add(self, key: Any) -> None:
        with self._lock:
            super().add(key)

    def __contains__(self, key: Any) -> bool:
        with self._lock:
            return super().__contains__(key)

    def __len__(self) -> int:
        with self._lock:
            return super().__len__()


class IndexIteration:
    """Iterates over positions of a list that others change."""

    def __init__(self) -> None:
        self._keys = ["a", "b", "c"]
        self._lock = threading.RLock()

    def __iter__(self) -> Iterator[str]:
        index = 0
        while index < len(self._keys):
            try:
                key = self._keys[index]
            except IndexError:
                return
            yield key
            index += 1

    def remove(self, key: str) -> None:
        with self._lock:
            self._keys.remove(key)

    def touch(self, key: str) -> None:
        """Move to the end: most recently used."""
        with self._lock:
            self._keys = [*(k for k in self._keys if k != key), key]


class SnapshotIteration(IndexIteration):
    def __iter__(self) -> Iterator[str]:
        with self._lock:
            keys = list(self._keys)
        return iter(keys)


SPECIMENS = (
    Specimen(
        "unsafe setdefault",
        "both threads find nothing, and get different values",
        HastyDefaults,
        LockedDefaults,
        ((("setdefault", "k", 1),), (("setdefault", "k", 2),)),
    ),
    Specimen(
        "resurrected key",
        "a deleted key comes back with the value of a replace that had seen it",
        Resurrecting,
        Replacing,
        ((("replace", "a", 2),), (("delete", "a"),)),
        atomic_with_gil=NO_CALL,
    ),
    Specimen(
        "lost update of a union in place",
        "what another thread stored while the copy was made is lost",
        LosingUnion,
        LockedUnion,
        ((("merge", {"b": 2}),), (("store", "c", 3),)),
    ),
    Specimen(
        "pop of what is gone",
        "an exception that no order of the operations raises",
        PopsWhatIsGone,
        PopsSafely,
        ((("take", "a"),), (("take", "a"),)),
        kind="error",
        atomic_with_gil=NO_CALL,
    ),
    Specimen(
        "torn len",
        "a key is there that len does not count",
        TornLength,
        WholeLength,
        ((("add", "b"),), (("__contains__", "b"), ("__len__",))),
        atomic_with_gil=NO_CALL,
    ),
    Specimen(
        "duplicate on iteration",
        "a key that moves is yielded twice",
        IndexIteration,
        SnapshotIteration,
        ((("list()",),), (("touch", "a"),)),
    ),
    Specimen(
        "iterator that skips",
        "when a key is removed, the one after it is not yielded",
        IndexIteration,
        SnapshotIteration,
        ((("list()",),), (("remove", "a"),)),
    ),
)
