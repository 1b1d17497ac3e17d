"""The search for an order that explains a history, in Python.

A history is linearizable if its operations can be put in one order that (1) the sequential model
allows and (2) keeps every "came before" of the tickets (M. Herlihy and J. Wing, TOPLAS 1990). The
search tries orders (J. Wing and C. Gong, "Testing and verifying concurrent objects", JPDC 1993):

- All calls and returns stand in one list by ticket. An operation whose call stands before the first
  return in the list may come next. Linearizing it lifts both its entries out of the list.
- Nothing fits: the last one is undone, its entries go back, and the next candidate is tried. A deep
  history needs no deep stack, since the path is a list.
- Two orders of the same operations that lead to the same state have the same future. So every
  configuration (set of linearized operations, state) is entered once (G. Lowe, "Testing for
  linearizability", CCPE 2017). Where only one operation can come next there is nothing to remember.
- A read, which changes no state at all, is linearized where it fits, at once and for good: whatever
  order has it later has one like it with the read here. So only writes are choices.
- An operation without a response may take effect at any time or never. It is tried after the others,
  never where it changes nothing, and of several that do the same only the one called first. A
  configuration that was reached before with a subset of them used is not entered again: whoever
  has more options left can do all that the other can.

The compiled search (csrc/search.c) does the same steps; a test compares them. This one serves where
it was not built.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field

from .history import FOREVER

__all__ = ["Code", "Found", "search"]

STEPS_BETWEEN_CLOCKS = 256
CHOSEN, FORCED = -1, -2
Transition = Callable[[int, int], int]


class Code(enum.IntEnum):
    """How a search ended; the numbers are those of csrc/search.h."""

    OK = 0
    ILLEGAL = 1
    DEADLINE = 2
    MEMORY = 3
    STEPS = 4


@dataclass(slots=True)
class Found:
    """The result of one search.

    `path`: operations in a possible order: all of them if ok, else the longest prefix that exists.
    `blocked`: the operation that had to come next there, -1 if there is none.
    """

    code: Code
    path: list[int] = field(default_factory=list)
    blocked: int = -1
    steps: int = 0


def search(
    calls: Sequence[int],
    returns: Sequence[int],
    kinds: Sequence[int],
    reads: Container[int],
    transition: Transition,
    initial: int,
    deadline: float,
    memory: int,
    max_steps: int,
) -> Found:
    """Search one part.

    Parameters:
        calls, returns: the tickets of each operation; `FOREVER` for no response.
        kinds: a number for each operation; the same number for the same call and answer.
        reads: the kinds that change no state, whatever it is.
        transition: (state number, kind) -> next state number, or a negative number: refused.
        deadline: `time.monotonic()` seconds.
        memory: bytes that the memo may take, estimated.
        max_steps: transitions to try at most.
    """
    return _Search(calls, returns, kinds, reads, transition, initial).run(
        deadline, memory, max_steps
    )


class _Search:
    def __init__(
        self,
        calls: Sequence[int],
        returns: Sequence[int],
        kinds: Sequence[int],
        reads: Container[int],
        transition: Transition,
        initial: int,
    ) -> None:
        self.n = n = len(calls)
        self.calls, self.returns, self.kinds = calls, returns, kinds
        self.reads = reads
        self.transition = transition
        self.state = initial
        finite = [op for op in range(n) if returns[op] != FOREVER]
        self.remaining = len(finite)
        self.open = sorted((op for op in range(n) if returns[op] == FOREVER), key=calls.__getitem__)
        self._find_same()
        self._build_list(finite)
        self.done = 0  # bit set of the linearized operations that have a response
        self.open_used = 0  # bit set over self.open
        self.path: list[tuple[int, int, int]] = []  # (operation, state before, see _go_back)
        self.seen: dict[tuple[int, int], list[int]] = {}
        self.best: list[int] = []  # the longest path: of operations with a response
        self.best_remaining = self.remaining
        self.blocked = -1
        self.steps = 0

    def _find_same(self) -> None:
        latest: dict[int, int] = {}
        self.same: list[int] = []  # the one before among the open ones that does the same, or -1
        for place, op in enumerate(self.open):
            self.same.append(latest.get(self.kinds[op], -1))
            latest[self.kinds[op]] = place

    def _build_list(self, finite: list[int]) -> None:
        """Entry `op` is a call, `n + op` its return, `2n` the head; equal tickets overlap."""
        n = self.n
        entries = [(self.calls[op], 0, op) for op in finite]
        entries += [(self.returns[op], 1, n + op) for op in finite]
        entries.sort()
        self.next = [0] * (2 * n + 1)
        self.prev = [0] * (2 * n + 1)
        last = 2 * n
        for _, _, node in entries:
            self.next[last] = node
            self.prev[node] = last
            last = node
        self.next[last] = 2 * n
        self.prev[2 * n] = last

    def run(self, deadline: float, memory: int, max_steps: int) -> Found:
        look = STEPS_BETWEEN_CLOCKS
        bytes_an_entry = 250 + self.n // 8
        cursor = self._arrive()
        while self.remaining:
            if self.steps >= look:
                look = self.steps + STEPS_BETWEEN_CLOCKS
                if self.steps >= max_steps:
                    return self._end(Code.STEPS)
                if len(self.seen) * bytes_an_entry > memory:
                    return self._end(Code.MEMORY)
                if time.monotonic() >= deadline:
                    return self._end(Code.DEADLINE)
            if cursor is not None and self._try(cursor):
                cursor = self._arrive()
                continue
            self._keep_best()
            cursor = self._go_back()
            if cursor is None:
                return self._end(Code.ILLEGAL)
        return Found(Code.OK, [op for op, _, _ in self.path], -1, self.steps)

    def _end(self, code: Code) -> Found:
        return Found(code, self.best, self.blocked, self.steps)

    def _first_return(self) -> int:
        """The operation whose return is the first in the list."""
        n, node = self.n, self.next[2 * self.n]
        while node < n:
            node = self.next[node]
        return node - n

    def _arrive(self) -> int | None:
        """The first candidate of a choice, or None where there is none left to make."""
        n = self.n
        while self.remaining:
            node = self.next[2 * n]
            if self._is_only(node):
                self.steps += 1
                after = self.transition(self.state, self.kinds[node])
                if after < 0:
                    return None
                self._linearize(node, after, FORCED)
                continue
            self._take_reads()
            node = self.next[2 * n]
            if self.remaining and not self._is_only(node):
                return node if self._is_new() else None
        return None

    def _is_only(self, node: int) -> bool:
        """Whether nothing but this one can come next."""
        return self.next[node] == node + self.n and not (
            self.open and self.calls[self.open[0]] <= self.returns[node]
        )

    def _take_reads(self) -> None:
        n, state, step = self.n, self.state, self.transition
        node = self.next[2 * n]
        while node < n:
            following = self.next[node]
            if self.kinds[node] in self.reads:
                self.steps += 1
                if step(state, self.kinds[node]) >= 0:
                    if following == node + n:
                        following = self.next[following]
                    self._linearize(node, state, FORCED)
            node = following

    def _is_new(self) -> bool:
        before = self.seen.setdefault((self.done, self.state), [])
        if any(not used & ~self.open_used for used in before):
            return False
        before.append(self.open_used)
        return True

    def _try(self, node: int) -> bool:
        """Linearize the first candidate from `node` on that the model allows."""
        n, state, step = self.n, self.state, self.transition
        while node < n:
            if self.kinds[node] not in self.reads:  # a read did not fit when the search came here
                self.steps += 1
                after = step(state, self.kinds[node])
                if after >= 0:
                    self._linearize(node, after, CHOSEN)
                    return True
            node = self.next[node]
        return bool(self.open) and self._try_open(max(0, node - 2 * n - 1))

    def _try_open(self, place: int) -> bool:
        limit = self.returns[self._first_return()]
        for k in range(place, len(self.open)):
            op = self.open[k]
            if self.calls[op] > limit:
                return False
            same = self.same[k]
            if self.open_used >> k & 1 or (same >= 0 and not self.open_used >> same & 1):
                continue
            self.steps += 1
            after = self.transition(self.state, self.kinds[op])
            if after >= 0 and after != self.state:
                self.open_used |= 1 << k
                self.path.append((op, self.state, k))
                self.state = after
                return True
        return False

    def _linearize(self, op: int, after: int, how: int) -> None:
        following, before = self.next, self.prev
        for node in (op, op + self.n):
            following[before[node]] = following[node]
            before[following[node]] = before[node]
        self.done |= 1 << op
        self.remaining -= 1
        self.path.append((op, self.state, how))
        self.state = after

    def _go_back(self) -> int | None:
        """Undo up to and with the last choice; where its next sibling is to be looked for.

        The third item of a path's entry is CHOSEN, FORCED, or the place in `open` (a choice too).
        """
        while self.path:
            op, self.state, how = self.path.pop()
            self.steps += 1
            if how >= 0:
                self.open_used &= ~(1 << how)
                return 2 * self.n + 1 + how + 1
            for node in (op + self.n, op):
                self.next[self.prev[node]] = node
                self.prev[self.next[node]] = node
            self.done &= ~(1 << op)
            self.remaining += 1
            if how == CHOSEN:
                return self.next[op]
        return None

    def _keep_best(self) -> None:
        if self.blocked < 0 or self.remaining < self.best_remaining:
            self.best_remaining = self.remaining
            self.best = [op for op, _, _ in self.path]
            self.blocked = self._first_return()
