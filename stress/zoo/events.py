"""Events, versions, guards and lock-free links: what one thread knows of another's change."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .specimen import NO_CALL, Specimen, dawdle

__all__ = ["SPECIMENS"]


class DeafValue:
    """Takes the list of watchers before the change: who comes between them hears nothing of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value = 1
        self._watchers: list[list[int]] = []

    def items(self) -> list[tuple[str, Any]]:
        return [("value", self._value), ("told", [list(told) for told in self._watchers])]

    def set(self, value: int) -> None:
        watchers = list(self._watchers)
        self._value = value
        for told in watchers:
            told.append(value)

    def watch(self) -> None:
        """Be told the value of this moment, and all later ones."""
        told = [self._value]
        self._watchers.append(told)


class WatchedValue(DeafValue):
    def set(self, value: int) -> None:
        with self._lock:
            super().set(value)

    def watch(self) -> None:
        with self._lock:
            super().watch()


class UnorderedEvents:
    """Takes a version under the lock, and tells of it afterwards."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version = 0
        self._events: list[int] = []

    def items(self) -> list[tuple[str, Any]]:
        return [("events", list(self._events))]

    def change(self) -> None:
        with self._lock:
            self._version += 1
            version = self._version
        self._tell(version)

    def _tell(self, version: int) -> None:
        self._events.append(version)


class OrderedEvents(UnorderedEvents):
    def change(self) -> None:
        with self._lock:
            self._version += 1
            self._tell(self._version)


class EagerFactory:
    """compute_if_absent looks, makes, and then stores under its lock."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._data: dict[Any, Any] = {}
        self._made = 0

    def items(self) -> list[tuple[Any, Any]]:
        return [*self._data.items(), ("made", self._made)]

    def compute_if_absent(self, key: Any) -> Any:
        if key in self._data:
            return self._data[key]
        value = self._make()
        with self._lock:
            return self._data.setdefault(key, value)

    def _make(self) -> str:
        with self._lock:
            self._made += 1
        return "made"


class SingleFlight(EagerFactory):
    def compute_if_absent(self, key: Any) -> Any:
        with self._lock:
            return super().compute_if_absent(key)


class _Node:
    __slots__ = ("item", "next")

    def __init__(self) -> None:
        self.item: Any = None
        self.next: _Node | None = None


class RecyclingStack:
    """compare-and-swap of the first node; nodes that were taken are used again."""

    def __init__(self) -> None:
        self._cas = threading.Lock()
        self._head: _Node | None = None
        self._changes = 0
        self._spare: list[_Node] = []
        for item in ("a", "b", "c"):
            self.push(item)

    def items(self) -> list[tuple[int, Any]]:
        found: list[tuple[int, Any]] = []
        node = self._head
        while node is not None and len(found) < 9:
            found.append((len(found), node.item))
            node = node.next
        return found

    def _swap(self, expected: _Node | None, changes: int, new: _Node | None) -> bool:
        with self._cas:
            if self._head is not expected:
                return False
            self._head = new
            self._changes += 1
            return True

    def push(self, item: Any) -> None:
        with self._cas:
            node = self._spare.pop() if self._spare else _Node()
        node.item = item
        while True:
            changes, head = self._changes, self._head
            node.next = head
            if self._swap(head, changes, node):
                return

    def pop(self) -> Any:
        while True:
            changes, head = self._changes, self._head
            if head is None:
                return None
            following = head.next
            item = head.item
            if self._swap(head, changes, dawdle(following)):
                with self._cas:
                    self._spare.append(head)
                return item


class CountedStack(RecyclingStack):
    """The swap also wants that nobody has swapped meanwhile."""

    def _swap(self, expected: _Node | None, changes: int, new: _Node | None) -> bool:
        with self._cas:
            if self._head is not expected or self._changes != changes:
                return False
            self._head = new
            self._changes += 1
            return True


class LateGuard:
    """A guard keeps the value, then notes the version: a change between them goes unnoticed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value = 1
        self._version = 1
        self._kept: Any = None
        self._valid_for = 0

    def set(self, value: int) -> None:
        with self._lock:
            self._value = value
            self._version += 1

    def guard(self) -> int:
        """The value, from the guard's own memory while that is valid."""
        if self._valid_for != self._version:
            self._kept = self._value
            self._valid_for = self._version
        return int(self._kept)


class LockedGuard(LateGuard):
    def guard(self) -> int:
        with self._lock:
            return super().guard()


class TwoMoments:
    """Compares two tables, each as it was at a moment of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = {"a": 1}
        self._right = {"a": 1}

    def set(self, value: int) -> None:
        """Both stay equal, under the lock."""
        with self._lock:
            self._left["a"] = value
            self._right["a"] = value

    def equal(self) -> bool:
        left = dict(self._left)
        right = dict(self._right)
        return left == right


class OneMoment(TwoMoments):
    def equal(self) -> bool:
        with self._lock:
            return super().equal()


class GreedyUpgrade:
    """A lock for many readers or one writer; a reader that wants to write waits for the others."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers = 0
        self._value = 0

    def items(self) -> list[tuple[str, int]]:
        return [("value", self._value)]

    def increment(self) -> None:
        self._enter()
        seen = self._value
        self._upgrade(lambda: setattr(self, "_value", seen + 1))

    def _enter(self) -> None:
        with self._changed:
            self._readers += 1

    def _upgrade(self, write: Callable[[], None]) -> None:
        with self._changed:
            while self._readers > 1:
                self._changed.wait()
            write()
            self._readers -= 1
            self._changed.notify_all()


class SingleUpgrade(GreedyUpgrade):
    """Only one reader at a time may be one that will write."""

    def _enter(self) -> None:
        with self._changed:
            while self._readers:
                self._changed.wait()
            self._readers += 1


SPECIMENS = (
    Specimen(
        "missed event",
        "a watcher that comes during a change knows neither the old moment's change nor the new one's",
        DeafValue,
        WatchedValue,
        ((("set", 2),), (("watch",),)),
    ),
    Specimen(
        "events out of order",
        "the event of the second version comes before that of the first",
        UnorderedEvents,
        OrderedEvents,
        ((("change",),), (("change",),)),
    ),
    Specimen(
        "factory run twice",
        "compute_if_absent of two threads makes two values and throws one away",
        EagerFactory,
        SingleFlight,
        ((("compute_if_absent", "k"),), (("compute_if_absent", "k"),)),
    ),
    Specimen(
        "the same node again (ABA)",
        "compare-and-swap succeeds on a node that was taken and put back meanwhile",
        RecyclingStack,
        CountedStack,
        ((("pop",),), (("pop",), ("pop",), ("push", "d"))),
    ),
    Specimen(
        "guard that misses an invalidation",
        "a value is kept under the version of the change that replaced it",
        LateGuard,
        LockedGuard,
        ((("guard",), ("guard",)), (("set", 2),)),
        kind="order",
        atomic_with_gil=NO_CALL,
    ),
    Specimen(
        "equality of two moments",
        "two tables that are always equal are seen to differ",
        TwoMoments,
        OneMoment,
        ((("equal",),), (("set", 2),)),
    ),
    Specimen(
        "readers that both want to write",
        "each waits for the other to end reading",
        GreedyUpgrade,
        SingleUpgrade,
        ((("increment",),), (("increment",),)),
        kind="deadlock",
    ),
)
