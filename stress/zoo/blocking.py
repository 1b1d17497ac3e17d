"""Queues, notifications and locks: items that vanish, and threads that wait for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from .specimen import NO_CALL, Specimen

__all__ = ["SPECIMENS"]


class Accounts:
    """Takes two locks in the order of its arguments."""

    def __init__(self) -> None:
        self._balance = {"left": 10, "right": 10}
        self._locks = {"left": threading.Lock(), "right": threading.Lock()}

    def items(self) -> list[tuple[str, int]]:
        return list(self._balance.items())

    def transfer(self, source: str, target: str, amount: int) -> None:
        first, second = self._order(source, target)
        with self._locks[first], self._locks[second]:
            self._balance[source] -= amount
            self._balance[target] += amount

    def _order(self, source: str, target: str) -> tuple[str, str]:
        return source, target


class OrderedAccounts(Accounts):
    def _order(self, source: str, target: str) -> tuple[str, str]:
        return min(source, target), max(source, target)


class DeafMailbox:
    """Looks before it takes the lock: a message between the two is not heard."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._messages: list[Any] = []

    def put(self, message: Any) -> None:
        with self._changed:
            self._messages.append(message)
            self._changed.notify()

    def get(self) -> Any:
        if not self._messages:
            with self._changed:
                self._changed.wait()
        return self._messages.pop()


class Mailbox(DeafMailbox):
    def get(self) -> Any:
        with self._changed:
            while not self._messages:
                self._changed.wait()
            return self._messages.pop()


class WrongWaiter:
    """Wakes one waiter, which may be one that waits for something else."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._flags: set[str] = set()

    def wait_for(self, flag: str) -> None:
        with self._changed:
            while flag not in self._flags:
                self._changed.wait()

    def raise_flag(self, flag: str) -> None:
        with self._changed:
            self._flags.add(flag)
            self._changed.notify()


class EveryWaiter(WrongWaiter):
    def raise_flag(self, flag: str) -> None:
        with self._changed:
            self._flags.add(flag)
            self._changed.notify_all()


class LeakyQueue:
    """Puts at a position that it has read before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[int, Any] = {}
        self._head = self._tail = 0

    def __len__(self) -> int:
        return self._tail - self._head

    def put(self, item: Any) -> None:
        tail = self._tail
        self._slots[tail] = item
        self._tail = tail + 1

    def __iter__(self) -> Iterator[Any]:
        return iter([self._slots[at] for at in range(self._head, self._tail)])

    def get(self) -> Any:
        head = self._head
        if head == self._tail:
            return None
        self._head = head + 1
        return self._slots[head]


class LockedQueue(LeakyQueue):
    def put(self, item: Any) -> None:
        with self._lock:
            super().put(item)

    def get(self) -> Any:
        with self._lock:
            return super().get()


SPECIMENS = (
    Specimen(
        "lock order deadlock",
        "each thread holds one lock and waits for the other's",
        Accounts,
        OrderedAccounts,
        ((("transfer", "left", "right", 1),), (("transfer", "right", "left", 2),)),
        kind="deadlock",
        atomic_with_gil=NO_CALL,
    ),
    Specimen(
        "missed notification",
        "the message comes between looking and waiting",
        DeafMailbox,
        Mailbox,
        ((("get",),), (("put", "hello"),)),
        kind="deadlock",
    ),
    Specimen(
        "notification of the wrong waiter",
        "notify wakes a thread that waits for something else",
        WrongWaiter,
        EveryWaiter,
        ((("wait_for", "x"),), (("wait_for", "y"),), (("raise_flag", "y"), ("raise_flag", "x"))),
        kind="deadlock",
    ),
    Specimen(
        "queue that loses an item",
        "two items are put into one place",
        LeakyQueue,
        LockedQueue,
        ((("put", 1),), (("put", 2),)),
        atomic_with_gil=NO_CALL,
    ),
    Specimen(
        "item taken twice",
        "two threads read the same head",
        LeakyQueue,
        LockedQueue,
        ((("put", 1), ("get",)), (("get",),)),
        atomic_with_gil=NO_CALL,
    ),
)
