"""The oracle for one key: what a read may return, given who wrote what and when.

A `Cell` holds, for every thread, the numbered writes of that thread to the key (`ABSENT` is a
deletion), and per thread a *floor*: a write of that thread that had taken effect. A writer
appends to its history before the operation and raises its floor after it; a reader takes the
floors before the operation. Then, for a table whose operations on one key are linearizable:

* A value names its key, its thread t and its number s, and was appended before the read ended.
* s is not below the floor of t: t's later write, complete before the read began, would have
  overwritten it. This is the whole truth for a key with one writer, and sound for several.
* "Absent" needs a deletion at or above the floor of its thread, or that nothing was written yet.
* "Present" (sets know no values) needs a write at or above the floor of its thread.
* A value that some read returned raises the floor as well: no later read may go back.

Floors are raised without a lock; a lost race leaves an older floor, which is still true, only
less sharp.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ABSENT", "PRESENT", "Cell", "Marker"]

Stamp = tuple[Any, int, int]  # (key, thread, number of the write)
Floors = tuple[int, ...]


class Marker:
    """A named singleton."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


ABSENT = Marker("ABSENT")
PRESENT = Marker("PRESENT")


class Cell:
    """Who wrote what to one key of one table. `thread` is an index below `threads`.

    `owner` is the only thread that writes the key, or None when all do.
    """

    __slots__ = ("floors", "histories", "key", "owner")

    def __init__(self, key: Any, threads: int, owner: int | None = None) -> None:
        self.key = key
        self.owner = owner
        self.histories: list[list[Any]] = [[] for _ in range(threads)]
        self.floors = [-1] * threads

    # -- writers ---------------------------------------------------------------------------------

    def begin_put(self, thread: int) -> Stamp:
        """Record the next write of `thread`, before it happens; the value to write."""
        stamp = (self.key, thread, len(self.histories[thread]))
        self.histories[thread].append(stamp)
        return stamp

    def begin_delete(self, thread: int) -> None:
        """Record a deletion by `thread`, before it happens."""
        self.histories[thread].append(ABSENT)

    def done(self, thread: int) -> None:
        """The latest write of `thread` is complete."""
        self.floors[thread] = len(self.histories[thread]) - 1

    def cancel(self, thread: int) -> None:
        """The write begun last by `thread` did not happen (a compare-and-set that lost)."""
        self.histories[thread].pop()

    # -- readers ---------------------------------------------------------------------------------

    def floor(self) -> Floors:
        """Take this before a read."""
        return tuple(self.floors)

    def last(self, thread: int) -> Any:
        """The latest write of `thread` (ABSENT if it deleted the key or never wrote)."""
        history = self.histories[thread]
        return history[-1] if history else ABSENT

    def started(self) -> bool:
        """Whether any write was begun."""
        return any(self.histories)

    def always_present(self, floors: Floors) -> bool:
        """Whether the key was certainly there from `floors` until now."""
        return self._judge_absent(floors) is not None

    def judge(self, floors: Floors, value: Any) -> str | None:
        """Why a read that began at `floors` may not return `value`; None if it may."""
        if value is ABSENT:
            return self._judge_absent(floors)
        if value is PRESENT:
            return self._judge_present(floors)
        if not (isinstance(value, tuple) and len(value) == 3):
            return f"key {self.key!r} has the value {value!r}, which no thread wrote"
        key, thread, number = value
        if key is not self.key and key != self.key:
            return f"key {self.key!r} has a value that was written for key {key!r}: {value!r}"
        history = self.histories[thread]
        if number >= len(history) or history[number] != value:
            return f"key {self.key!r} has the value {value!r}, which no thread wrote"
        if number < floors[thread]:
            return (
                f"key {self.key!r} has the stale value number {number} of thread {thread}, "
                f"which was overwritten by its number {floors[thread]} before the read began"
            )
        if number > self.floors[thread]:
            self.floors[thread] = number
        return None

    def settle(self) -> Floors:
        """At rest: every write is complete; the exact floors."""
        self.floors = [len(history) - 1 for history in self.histories]
        return self.floor()

    def _judge_absent(self, floors: Floors) -> str | None:
        if max(floors) < 0:
            return None
        for history, floor in zip(self.histories, floors, strict=True):
            if any(write is ABSENT for write in history[max(floor, 0) :]):
                return None
        return (
            f"key {self.key!r} is absent, although it was written before the read began "
            "and nobody deleted it since"
        )

    def _judge_present(self, floors: Floors) -> str | None:
        for history, floor in zip(self.histories, floors, strict=True):
            if any(write is not ABSENT for write in history[max(floor, 0) :]):
                return None
        return f"key {self.key!r} is present, although every thread's latest operation removed it"
