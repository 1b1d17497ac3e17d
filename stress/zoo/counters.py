"""Numbers that get lost."""

from __future__ import annotations

import threading
from typing import Any

from .specimen import NO_CALL, Specimen

__all__ = ["SPECIMENS"]


class LossyCounter:
    """Reads, then writes."""

    def __init__(self) -> None:
        self.count = 0

    def increment(self) -> int:
        seen = self.count
        self.count = seen + 1
        return seen + 1


class LockedCounter(LossyCounter):
    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def increment(self) -> int:
        with self._lock:
            return super().increment()


class Tally:
    """`+=` on an attribute is one line, and several instructions."""

    def __init__(self) -> None:
        self.total = 0

    def add(self, amount: int) -> None:
        self.total += amount

    def items(self) -> list[tuple[str, int]]:
        return [("total", self.total)]


class LockedTally(Tally):
    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def add(self, amount: int) -> None:
        with self._lock:
            super().add(amount)


class VersionedCell:
    """The value is there before its version."""

    def __init__(self) -> None:
        self._value: Any = "old"
        self._version = 0

    def set(self, value: Any) -> None:
        self._value = value
        self._version += 1

    def get(self) -> tuple[int, Any]:
        version = self._version
        value = self._value
        return version, value


class CarefulCell(VersionedCell):
    """Odd versions mean that a change is under way; readers try again."""

    def set(self, value: Any) -> None:
        self._version += 1
        self._value = value
        self._version += 1

    def get(self) -> tuple[int, Any]:
        import time

        while True:
            version = self._version
            value = self._value
            if version % 2 == 0 and version == self._version:
                return version // 2, value
            time.sleep(0)


class HastyRegister:
    """compare_and_set that looks, then sets."""

    def __init__(self) -> None:
        self._value: Any = None

    def compare_and_set(self, expected: Any, new: Any) -> bool:
        if self._value != expected:
            return False
        self._value = new
        return True


class LockedRegister(HastyRegister):
    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()

    def compare_and_set(self, expected: Any, new: Any) -> bool:
        with self._lock:
            return super().compare_and_set(expected, new)


SPECIMENS = (
    Specimen(
        "counter without a lock",
        "two increments read the same number",
        LossyCounter,
        LockedCounter,
        ((("increment",),), (("increment",),)),
        atomic_with_gil=NO_CALL,
    ),
    Specimen(
        "in-place operator on an attribute",
        "`self.total += ...` reads, adds and writes: another thread's amount is lost",
        Tally,
        LockedTally,
        ((("add", 1),), (("add", 2),)),
        granularity="instruction",
        atomic_with_gil=NO_CALL,
    ),
    Specimen(
        "wrong order of versions",
        "a reader sees the new value under the old version",
        VersionedCell,
        CarefulCell,
        ((("set", "new"),), (("get",),)),
        atomic_with_gil=NO_CALL,
    ),
    Specimen(
        "compare_and_set in two steps",
        "two threads both win",
        HastyRegister,
        LockedRegister,
        ((("compare_and_set", None, 1),), (("compare_and_set", None, 2),)),
        atomic_with_gil=NO_CALL,
    ),
)
