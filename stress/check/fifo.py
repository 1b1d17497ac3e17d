"""A FIFO queue whose items are all different, decided in O(n log n).

The four rules of T. Henzinger, A. Sezgin and V. Vafeiadis, "Aspect-oriented linearizability proofs"
(CONCUR 2013); A. Bouajjani, M. Emmi, C. Enea and J. Hamza, "On reducing linearizability to state
reachability" (ICALP 2015), show that they are complete. A queue is wrong exactly if

- an item was taken that nobody had put before (fresh),
- an item was taken twice (repeat),
- of two items put one after the other, the second was taken before the first, or the first never was
  while the second was (order),
- it was called empty while at every moment some item was surely inside (witness).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .history import FOREVER, Operation, Raised
from .models.sequences import Queue

__all__ = ["fifo_conflict"]


@dataclass(slots=True)
class _Item:
    put: Operation
    taken: Operation | None = None

    @property
    def put_by(self) -> int:
        return FOREVER if self.put.unknown else self.put.response

    @property
    def taken_from(self) -> int:
        return FOREVER if self.taken is None else self.taken.invoke


def fifo_conflict(operations: Iterable[Operation]) -> str | bool | None:
    """A text that says what is wrong, False for linearizable, None if the check does not apply."""
    puts: dict[Any, _Item] = {}
    takes: list[Operation] = []
    for op in operations:
        if op.method in Queue.puts and op.args[0] not in puts:
            puts[op.args[0]] = _Item(op)
        elif op.method in Queue.takes and not op.unknown:
            takes.append(op)
        else:
            return None
    for op in takes:
        wrong = None if isinstance(op.result, Raised) else _match(puts, op)
        if wrong:
            return wrong
    items = [item for item in puts.values() if item.taken or not item.put.unknown]
    empties = [op for op in takes if isinstance(op.result, Raised)]
    return _order(items) or _witness(items, empties) or False


def _match(puts: dict[Any, _Item], op: Operation) -> str | None:
    item = puts.get(op.result)
    if item is None or op.response < item.put.invoke:
        return f"item from nowhere: {op} before anybody put it"
    if item.taken is not None:
        return f"item taken twice: {item.taken}; {op}"
    item.taken = op
    return None


def _order(items: list[_Item]) -> str | None:
    """For each taken item: of those surely put before it, the one that was taken last."""
    earlier = sorted(items, key=lambda item: item.put_by)
    limits = [item.put_by for item in earlier]
    latest: list[_Item] = []
    for item in earlier:
        later = not latest or item.taken_from > latest[-1].taken_from
        latest.append(item if later else latest[-1])
    for item in items:
        place = bisect_left(limits, item.put.invoke)
        if item.taken is None or not place:
            continue
        first = latest[place - 1]
        if first.taken_from > item.taken.response:
            return f"out of order: {first.put} came before {item.put}, but {item.taken} overtook it"
    return None


def _witness(items: list[_Item], empties: list[Operation]) -> str | None:
    """Moments at which some item was surely inside, merged; no emptiness may lie within one."""
    inside = sorted((i.put_by, i.taken_from) for i in items if i.put_by < i.taken_from)
    merged: list[list[int]] = []
    for begin, end in inside:
        if merged and begin < merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([begin, end])
    begins = [begin for begin, _ in merged]
    for op in empties:
        place = bisect_left(begins, op.invoke)
        if place and op.response < merged[place - 1][1]:
            return f"not empty: {op}, while an item was inside all the time"
    return None
