"""Set blocks: one open-addressed array of keys and hashes, and the order of the insertions.

After CPython's Objects/setobject.c, without a separate index:

      keys    (2**log2_size slots)              order (which slots were filled, oldest first)
      +------+------+------+------+------+-     +---+---+---+---+-
      | NULL |  k1  | DEAD |  k0  | NULL |      | 3 | 1 | 2 |   |
      +------+------+------+------+------+-     +---+---+---+---+-
      hashes (one for each slot)                  0   1   2   fill

A lookup starts at `hash & mask`, looks at up to 9 slots after it when all of them are inside the
array, then goes on with `i = (5*i + perturb + 1) & mask` where `perturb` is the hash, shifted right
by 5 at every such jump; it ends at a NULL slot. A block is replaced when 3/5 of it is filled.

What may change, and what never does:

- size and mask are fixed when the block is made (I1); to change them, make another block.
- a slot goes NULL -> key -> DEAD, each step once, and its hash is written once, before the key
  (I2, I3). CPython fills dummies again; a reader of ours that holds a slot number must never be
  handed another key.
- `order[n]` is the slot of the n-th insertion, written before `fill` is raised, which in turn
  happens before the key is stored. So the insertions since a moment are a range of `order`, and so
  are the keys of that moment: what a miss must be checked against, what an iterator may yield (a
  key that is removed and put back has a later place, so it is not yielded twice), and where `pop`
  looks next (nothing is ever inserted below `bottom`).

So a miss is linearizable: while a slot is NULL nothing lies behind it in the probe sequence, and
the slots before it were taken, for good, when the reader passed them. A hit linearizes at the load
of the key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import isqrt
from typing import TYPE_CHECKING, Any

from ..errors import TableMutationError
from ..events import Record
from . import debug
from .keys import (
    COMPARE,
    CROWDED,
    DEAD,
    HASH_MASK,
    MAX_OWN_RESTARTS,
    MIN_LOG2_SIZE,
    MISS,
    PERTURB_SHIFT,
    SAFE_TYPES,
    settled,
)
from .reclaim import IDLE, domain
from .table import NULL, Table

if TYPE_CHECKING:
    from ..inspection import Layout

__all__ = ["LINEAR_PROBES", "Comparisons", "SetKeys", "find_member", "reject_endless"]

LINEAR_PROBES = 9
GROWTH = 4  # a full block is replaced by one for used * 4,
LARGE_GROWTH = 2  # or used * 2
LARGE = 50_000  # above this many elements


def log2_size_above(count: int) -> int:
    """The smallest allowed log2 of a size greater than `count`."""
    return max(MIN_LOG2_SIZE, count.bit_length())


def fill_limit(mask: int) -> int:
    """How many slots may be filled: the next insertion is refused once fill * 5 >= mask * 3."""
    return (3 * mask - 1) // 5 + 1


class SetKeys:
    """One set block. Its arrays are preallocated lists, so that no store ever allocates."""

    __slots__ = (
        "bottom",
        "fill",
        "hashes",
        "held",
        "keys",
        "log2_size",
        "mask",
        "order",
        "used",
    )

    kind = "set"

    def __init__(self, log2_size: int = MIN_LOG2_SIZE) -> None:
        size = 1 << log2_size
        self.log2_size = log2_size
        self.mask = size - 1
        self.hashes = [0] * size
        self.keys: list[Any] = [NULL] * size
        self.order = [0] * fill_limit(self.mask)
        self.fill = 0  # slots used up, live or not
        self.used = 0  # live elements
        self.bottom = 0  # every insertion before this one is dead: keeps `pop` linear
        self.held = False  # an iterator may look at this block after its grace period

    @classmethod
    def of(cls, items: Iterable[tuple[Any, int]], count: int) -> SetKeys:
        """A block of (key, hash) pairs known to be distinct, at most `count` of them."""
        block = cls(log2_size_above(count * LARGE_GROWTH))
        for key, h in items:
            block.append(key, h)
        return block

    @property
    def usable(self) -> int:
        """Insertions left."""
        return len(self.order) - self.fill

    @property
    def nbytes(self) -> int:
        """Size of the arrays in bytes (8 for each reference, hash or slot number)."""
        return 8 * (2 * len(self.keys) + len(self.order))

    @property
    def crowded(self) -> bool:
        """Whether more than a quarter of the slots are dummies."""
        return self.fill - self.used > self.mask // 4

    # -- probing ---------------------------------------------------------------------------------

    def probe_slots(self, h: int) -> Iterator[int]:
        """The probe sequence of hash `h`, without end."""
        mask, perturb = self.mask, h & HASH_MASK
        i = perturb & mask
        while True:
            yield i
            if i + LINEAR_PROBES <= mask:
                yield from range(i + 1, i + LINEAR_PROBES + 1)
            perturb >>= PERTURB_SHIFT
            i = (5 * i + perturb + 1) & mask

    def probe(self, key: Any, h: int, slots: Iterator[int]) -> tuple[int, int, Any]:
        """Walk on along `slots`, the probe sequence of `h`; (status, slot, the key there).

        The status is the slot of the key, or MISS; or COMPARE when the caller must compare the
        two keys by user code and, unless they are equal, call again. Runs no user code.
        """
        keys, hashes = self.keys, self.hashes
        safe = type(key) in SAFE_TYPES
        for slot in slots:
            candidate = keys[slot]
            if candidate is NULL:
                return MISS, slot, NULL
            if candidate is DEAD or hashes[slot] != h:
                continue
            if candidate is key:
                return slot, slot, candidate
            if not (safe and type(candidate) in SAFE_TYPES):
                return COMPARE, slot, candidate
            if candidate == key:
                return slot, slot, candidate
        raise AssertionError("a probe sequence has no end")

    def locate(self, key: Any, h: int) -> int:
        """The slot of `key` or MISS, for a block that cannot change; runs user comparisons."""
        return self.seek(key, h)[0]

    def seek(self, key: Any, h: int) -> tuple[int, int]:
        """What `locate` says, and the slot where the search ended: NULL when it is a MISS."""
        slots = self.probe_slots(h)
        while True:
            status, slot, candidate = self.probe(key, h, slots)
            if status != COMPARE:
                return status, slot
            if candidate == key:
                return slot, slot

    def identical(self, key: Any, h: int) -> bool:
        """Whether this very object is an element. Runs no user code."""
        keys = self.keys
        for slot in self.probe_slots(h):
            if keys[slot] is key:
                return True
            if keys[slot] is NULL:
                return False
        raise AssertionError("a probe sequence has no end")

    def empty_slot(self, h: int) -> int:
        """The first NULL slot of the probe sequence of `h`."""
        keys = self.keys
        return next(slot for slot in self.probe_slots(h) if keys[slot] is NULL)

    def crowded_at(self, h: int) -> bool:
        """Whether an insertion of hash `h` would pass too many slots; see `DictKeys.crowded_at`."""
        if self.fill - self.used < CROWDED:
            return False
        limit = max(CROWDED, isqrt(self.used))
        slots = zip(range(limit + 1), self.probe_slots(h), strict=False)
        return all(self.keys[slot] is not NULL for _, slot in slots)

    def hash_added(self, h: int, since: int) -> bool:
        """Whether an element inserted since `fill` was `since` has hash `h`."""
        return any(
            self.hashes[slot] == h and self.keys[slot] is not DEAD
            for slot in self.order[since : self.fill]
        )

    # -- reading a block that does not change meanwhile ------------------------------------------

    def live(self) -> Iterator[tuple[int, Any, int]]:
        """(slot, key, hash) of the elements, oldest first."""
        for position in range(self.bottom, self.fill):
            slot = self.order[position]
            key = self.keys[slot]
            if key is not DEAD:
                yield slot, key, self.hashes[slot]

    def items(self) -> Iterator[tuple[Any, int]]:
        """(key, hash) of the elements, oldest first."""
        for _, key, h in self.live():
            yield key, h

    def contains_all(self, other: SetKeys) -> bool:
        """Whether every element of `other` is here; runs user comparisons."""
        return other.used <= self.used and all(self.locate(*item) != MISS for item in other.items())

    # -- changes of a block that is not published yet --------------------------------------------

    def append(self, key: Any, h: int) -> None:
        """Add an element that is not here yet."""
        self.place(key, h, self.empty_slot(h))

    def place(self, key: Any, h: int, slot: int) -> None:
        """Add an element in the slot where the search for it ended."""
        self.hashes[slot] = h
        self.order[self.fill] = slot
        self.keys[slot] = key
        self.fill += 1
        self.used += 1

    def remove(self, slot: int) -> None:
        """Remove the element in `slot`."""
        self.keys[slot] = DEAD
        self.used -= 1

    def extended(self, items: Iterable[tuple[Any, int]]) -> SetKeys:
        """This block, or a roomier one, with those of `items` that it lacks."""
        block = self
        for key, h in items:
            status, slot = block.seek(key, h)
            if status == MISS:
                if not block.usable:
                    block = block.roomier()
                    slot = block.empty_slot(h)
                block.place(key, h, slot)
        return block

    def compacted(self) -> SetKeys:
        """This block, or one without dummies when it is crowded with them."""
        return self.rebuilt(self.used * LARGE_GROWTH) if self.crowded else self

    # -- copies ----------------------------------------------------------------------------------

    def rebuilt(self, minimum: int) -> SetKeys:
        """A copy without dummies, of more than `minimum` slots."""
        block = SetKeys(log2_size_above(minimum))
        for key, h in self.items():
            block.append(key, h)
        return block

    def roomier(self) -> SetKeys:
        """The block that replaces this one when it is full."""
        return self.rebuilt(self.used * (LARGE_GROWTH if self.used > LARGE else GROWTH))

    def clone(self) -> SetKeys:
        """A copy with the same slot numbers, to be changed and then published as a whole."""
        block = SetKeys.__new__(SetKeys)
        block.log2_size, block.mask = self.log2_size, self.mask
        block.hashes, block.keys, block.order = self.hashes[:], self.keys[:], self.order[:]
        block.fill, block.used, block.bottom = self.fill, self.used, self.bottom
        block.held = False
        return block

    def frozen_copy(self) -> SetKeys:
        """A copy for a FrozenSet."""
        return self.rebuilt(self.used * LARGE_GROWTH) if self.crowded else self.clone()

    def changed(self, removals: Iterable[int], additions: list[tuple[Any, int]]) -> SetKeys:
        """A copy without the elements in the slots `removals`, with `additions`: absent keys."""
        block, more = self.clone(), len(additions)
        for slot in removals:
            block.remove(slot)
        if block.usable < more or block.crowded:
            block = block.rebuilt((block.used + more) * LARGE_GROWTH)
        for key, h in additions:
            block.append(key, h)
        return block

    # -- changes by the table's writer, inside its section ---------------------------------------

    def first_live(self) -> int:
        """The slot of the oldest element, or MISS; moves `bottom` up to it."""
        order, keys, position = self.order, self.keys, self.bottom
        while position < self.fill and keys[order[position]] is DEAD:
            position += 1
        self.bottom = position
        return order[position] if position < self.fill else MISS

    def commit_insert(
        self, table: Table, version: int, key: Any, h: int, event: Record | None
    ) -> bool:
        """Add an element; False when the plan (version, block) no longer holds."""
        slot = self.empty_slot(h)
        keys, hashes, order, watch = self.keys, self.hashes, self.order, table._watch
        # Straight-line from here to the end: nothing else can run in this thread.
        if table._version != version or table._block is not self:
            return False
        if watch is not None and (event is None or event[4] != watch.version + 1):
            return False  # watched since, or an event of another shard came first
        table._started = version + 1
        position = self.fill
        hashes[slot] = h
        order[position] = slot
        self.fill = position + 1  # before the key: an iterator made from now on may meet it
        self.used += 1
        keys[slot] = key  # I3: the slot is complete; this publishes it
        table._keys_version += 1
        table._version = version + 1
        if event is not None and watch is not None:
            watch.version = event[4]
            watch.log.append(event)
        return True

    def commit_delete(self, table: Table, version: int, slot: int, event: Record | None) -> bool:
        """Remove a live element; False when the plan no longer holds."""
        keys, watch = self.keys, table._watch
        if table._version != version or table._block is not self:
            return False
        if watch is not None and (event is None or event[4] != watch.version + 1):
            return False  # watched since, or an event of another shard came first
        table._started = version + 1
        keys[slot] = DEAD  # the reference goes to `Pending`
        self.used -= 1
        table._keys_version += 1
        table._version = version + 1
        if event is not None and watch is not None:
            watch.version = event[4]
            watch.log.append(event)
        return True

    def layout(self, make: type[Layout]) -> Layout:
        """What `inspect_table` walks, for a block that does not change meanwhile."""
        return make(
            kind=self.kind,
            log2_size=self.log2_size,
            index_width=0,
            index=(),
            hashes=self.hashes[:],
            keys=self.keys[:],
            values=(),
            order=self.order[: self.fill],
            used=self.used,
            filled=self.fill,
            capacity=len(self.order),
            nbytes=self.nbytes,
            null=NULL,
            dead=DEAD,
        )

    def release(self) -> None:
        """The grace period is over: in debug mode, make any further use an error."""
        if debug.ENABLED and not self.held:
            self.hashes = self.keys = self.order = debug.POISON


class Comparisons:
    """Answers of user comparisons: asked outside the section, used inside it (I6).

    A change of many elements is decided inside one section, where no user code may run. A
    comparison that it needs and does not know is noted; the change then leaves the section, asks,
    and decides again. Answers stay, so every round gets further, whatever other threads write.
    """

    __slots__ = ("answers", "asked")

    def __init__(self) -> None:
        # By the ids of both keys, which the value keeps alive.
        self.answers: dict[tuple[int, int], tuple[Any, Any, bool]] = {}
        self.asked: list[tuple[Any, Any]] = []

    def locate(self, block: SetKeys, key: Any, h: int) -> int:
        """The slot of `key` or MISS, as far as the answers go. Runs no user code."""
        slots = block.probe_slots(h)
        while True:
            status, slot, candidate = block.probe(key, h, slots)
            if status != COMPARE:
                return status
            answer = self.answers.get((id(candidate), id(key)))
            if answer is None:
                self.asked.append((candidate, key))
            elif answer[2]:
                return slot

    def ask(self) -> None:
        """Run the comparisons that were missing; none of a key after its first equal one."""
        asked, self.asked = self.asked, []
        settled = set()
        for candidate, key in asked:
            if id(key) not in settled:
                equal = bool(candidate == key)
                self.answers[id(candidate), id(key)] = candidate, key, equal
                if equal:
                    settled.add(id(key))


def find_member(table: Table, key: Any, h: int) -> tuple[Any, int, int, Any]:
    """Look `key` up without a lock; (block, slot or MISS, insertions seen for sure, the element).

    User comparisons run unpinned, holding references to the block and the element; afterwards the
    lookup goes on only if the table still has the same block and the slot the same key (I6).
    """
    own_restarts = 0
    record = domain.pin()
    try:
        while True:
            block: SetKeys = table._block
            seen = settled(table, block.fill)
            slots = block.probe_slots(h)
            while True:
                status, slot, candidate = block.probe(key, h, slots)
                if status != COMPARE:
                    return block, status, seen, candidate
                writes = record.writes
                domain.unpin(record)
                try:
                    equal = bool(candidate == key)
                finally:
                    record.depth += 1
                    if record.sequence == IDLE:
                        record.sequence = domain.sequence
                if table._block is not block or block.keys[slot] is not candidate:
                    break
                if equal:
                    return block, slot, seen, candidate
            if record.writes != writes:
                own_restarts += 1
                reject_endless(table, key, own_restarts)
    finally:
        # In straight-line code: an exception that a signal handler raises cannot leave the pin.
        record.depth -= 1
        if record.depth == 0:
            record.sequence = IDLE


def reject_endless(table: Table, key: Any, own_restarts: int) -> None:
    """Raise TableMutationError once comparisons have changed the table under us too often."""
    if own_restarts > MAX_OWN_RESTARTS:
        raise TableMutationError(
            f"{type(table).__name__}: looking up {type(key).__name__} element cannot end, "
            "because its __eq__ changes the table at every comparison; "
            "make __eq__ free of side effects"
        )
