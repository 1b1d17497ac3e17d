"""Keys blocks: the index and the entries of a combined table.

After CPython's compact dict (Objects/dictobject.c): a sparse *index* of 1, 2, 4 or 8 byte slots
over dense *entries* in insertion order.

      index (2**log2_size slots)              entries (2/3 of the size, filled from the left)
      +----+----+----+----+----+----+-        +------+-----+-------+
      | -1 |  1 | -2 | -1 |  0 | -1 |         | hash | key | value |  0
      +----+----+----+----+----+----+-        | hash | key | value |  1
      EMPTY   ix  DUMMY                       |  ...               |

A lookup starts at `hash & mask` and goes on with `i = (5*i + perturb + 1) & mask` where `perturb`
is the hash, shifted right by 5 at every step; it ends at an EMPTY slot.

What may change, and what never does:

- size, mask and kind are fixed when the block is made (I1); to change them, make another block.
- an index slot goes EMPTY -> ix -> DUMMY, each step once (I2); a DUMMY is never filled again.
- an entry's hash and key are written once, before its index slot is published (I2, I3); an
  entry slot is never used again in this block, not after `popitem` either, so a reader that
  holds an entry number can never be handed another key's value.
- value is NULL exactly when the entry is absent (I4).

So a miss is linearizable: the slots before the EMPTY one were all taken and not the key's when the
reader passed them, and a key that is deleted and put back moves to a later slot of the probe
sequence. A hit linearizes at the load of the value.

A *unicode* block holds only exact `str` keys and no hashes (a str caches its own); the first key
of another type makes the table move to a *general* block.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from math import isqrt
from typing import Any

from ..errors import TableMutationError
from ..events import Record
from . import debug
from .reclaim import IDLE, domain
from .table import NULL, Table

__all__ = [
    "COMPARE",
    "DEAD",
    "DUMMY",
    "EMPTY",
    "MIN_LOG2_SIZE",
    "MISS",
    "SAFE_TYPES",
    "DictKeys",
    "RestartLimit",
    "find",
    "settled",
    "usable_fraction",
]

EMPTY = -1
DUMMY = -2
MISS = -1  # no entry
COMPARE = -2  # the caller must compare keys with user code, then go on
MIN_LOG2_SIZE = 3
PERTURB_SHIFT = 5
HASH_MASK = (1 << 64) - 1
GROWTH = 3  # a full block is replaced by one for used * 3
CROWDED = 64  # slots that an insertion may pass; more in a table of more than 64 * 64 entries

# Exact types whose `==` among each other runs no user code (and never changes a table).
SAFE_TYPES = frozenset({str, int, bytes, float, bool, complex, type(None)})

# A comparison that changes the table again and again would make a lookup endless.
MAX_OWN_RESTARTS = 1000


class _Dead:
    """What replaces the key of a deleted entry; equal to nothing, never shown to users."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<DEAD>"


DEAD: Any = _Dead()


def usable_fraction(size: int) -> int:
    """How many entries an index of `size` slots may hold: two thirds."""
    return (size << 1) // 3


def log2_size_for(entries: int) -> int:
    """The smallest allowed log2 size of an index with at least `entries` slots."""
    return max(MIN_LOG2_SIZE, (max(entries, 1) - 1).bit_length())


def log2_size_holding(entries: int) -> int:
    """The smallest log2 size of an index of which two thirds hold `entries`."""
    return log2_size_for((entries * 3 + 1) // 2)


def index_typecode(log2_size: int) -> str:
    """int8, int16, int32 or int64 slots, as narrow as the entry numbers allow."""
    if log2_size < 8:
        return "b"
    if log2_size < 16:
        return "h"
    return "i" if log2_size < 32 else "q"


class DictKeys:
    """One keys block. Its arrays are preallocated lists, so that no store ever allocates."""

    deletes = True  # entries can be removed in place

    __slots__ = (
        "bottom",
        "hashes",
        "held",
        "index",
        "keys",
        "log2_size",
        "mask",
        "nentries",
        "top",
        "unicode",
        "used",
        "values",
    )

    def __init__(self, log2_size: int, unicode: bool) -> None:
        size = 1 << log2_size
        capacity = usable_fraction(size)
        self.log2_size = log2_size
        self.mask = size - 1
        self.unicode = unicode
        self.index = array(index_typecode(log2_size), [EMPTY]) * size
        self.hashes: list[int] | None = None if unicode else [0] * capacity
        self.keys: list[Any] = [NULL] * capacity
        self.values: list[Any] = [NULL] * capacity
        self.nentries = 0  # entry slots used up, live or not
        self.used = 0  # live entries
        self.bottom = 0  # every entry below is dead: keeps first-in-first-out use linear
        self.top = 0  # every entry from here on is dead: keeps `popitem` linear
        self.held = False  # an iterator may look at this block after its grace period

    @property
    def kind(self) -> str:
        """ "unicode" or "general"."""
        return "unicode" if self.unicode else "general"

    @property
    def usable(self) -> int:
        """Entry slots left."""
        return len(self.keys) - self.nentries

    @property
    def nbytes(self) -> int:
        """Size of the arrays in bytes (8 for each reference or hash)."""
        columns = 2 if self.hashes is None else 3
        return self.index.itemsize * len(self.index) + 8 * columns * len(self.keys)

    def entry_hash(self, ix: int) -> int:
        """The hash of a live entry."""
        hashes = self.hashes
        return hash(self.keys[ix]) if hashes is None else hashes[ix]

    # -- probing ---------------------------------------------------------------------------------

    def probe(self, key: Any, h: int, i: int, perturb: int) -> tuple[int, int, int, int]:
        """Walk the probe sequence from slot `i`.

        Returns (status, ix, i, perturb): the entry number or MISS as status; or COMPARE with the
        entry to compare by user code in `ix` and the slot to go on from. Runs no user code.
        """
        index, keys, hashes, mask = self.index, self.keys, self.hashes, self.mask
        safe = type(key) in SAFE_TYPES
        while True:
            ix = index[i]
            if ix >= 0:
                candidate = keys[ix]
                if candidate is key:
                    return ix, ix, i, perturb
                # Another key with the same hash? A dead entry is neither.
                if candidate is not DEAD and h == (
                    hash(candidate) if hashes is None else hashes[ix]
                ):
                    if safe and type(candidate) in SAFE_TYPES:
                        if candidate == key:
                            return ix, ix, i, perturb
                    else:
                        after = perturb >> PERTURB_SHIFT
                        return COMPARE, ix, (5 * i + after + 1) & mask, after
            elif ix == EMPTY:
                return MISS, MISS, i, perturb
            perturb >>= PERTURB_SHIFT
            i = (5 * i + perturb + 1) & mask

    def locate(self, key: Any, h: int) -> int:
        """The entry of `key` or MISS, for a block that cannot change; runs user comparisons."""
        i, perturb = h & self.mask, h & HASH_MASK
        while True:
            status, ix, i, perturb = self.probe(key, h, i, perturb)
            if status != COMPARE:
                return status
            if self.keys[ix] == key:
                return ix

    def hash_appended(self, h: int, since: int) -> bool:
        """Whether an entry from number `since` on has hash `h` (or may have)."""
        return any(
            self.keys[ix] is not DEAD and self.entry_hash(ix) == h
            for ix in range(since, self.nentries)
        )

    def slot_of(self, ix: int, h: int) -> int:
        """The index slot that points to the live entry `ix`."""
        i, perturb = h & self.mask, h & HASH_MASK
        while self.index[i] != ix:
            perturb >>= PERTURB_SHIFT
            i = (5 * i + perturb + 1) & self.mask
        return i

    def empty_slot(self, h: int) -> int:
        """The first EMPTY slot of the probe sequence of `h`."""
        i, perturb = h & self.mask, h & HASH_MASK
        while self.index[i] != EMPTY:
            perturb >>= PERTURB_SHIFT
            i = (5 * i + perturb + 1) & self.mask
        return i

    # -- changes by the table's writer, inside its section ---------------------------------------

    def accepts(self, key: Any) -> bool:
        """Whether `key` can be added to this block as it is."""
        return self.nentries < len(self.keys) and (not self.unicode or type(key) is str)

    def crowded_at(self, h: int) -> bool:
        """Whether an insertion of hash `h` would pass too many slots of deleted keys.

        Slots are never used again (I2), so a key that comes and goes would make its own probe
        sequence longer each time; compacting the block then is cheaper than walking on.
        """
        dead = self.nentries - self.used
        if dead < CROWDED:
            return False
        limit, visits = max(CROWDED, isqrt(self.used)), 0
        i, perturb = h & self.mask, h & HASH_MASK
        while self.index[i] != EMPTY:
            visits += 1
            if visits > limit:
                return True
            perturb >>= PERTURB_SHIFT
            i = (5 * i + perturb + 1) & self.mask
        return False

    def roomier(self, key: Any) -> DictKeys:
        """The block that replaces this one when it does not accept `key`: compacted, resized."""
        unicode = self.unicode and type(key) is str
        return self.rebuilt(log2_size_for(self.used * GROWTH), unicode)

    def rebuilt(self, log2_size: int, unicode: bool) -> DictKeys:
        """A compact copy: the live entries in order, without dummies."""
        if usable_fraction(1 << log2_size) <= self.used:  # a slot for the new key, always
            log2_size += 1
        block = DictKeys(log2_size, unicode)
        hashes = self.hashes
        for ix in range(self.bottom, self.nentries):
            value = self.values[ix]
            if value is not NULL:
                key = self.keys[ix]
                block.append(key, hash(key) if hashes is None else hashes[ix], value)
        return block

    def clone(self) -> DictKeys:
        """A copy with the same entry numbers, to be changed and then published as a whole."""
        block = DictKeys.__new__(DictKeys)
        block.log2_size, block.mask, block.unicode = self.log2_size, self.mask, self.unicode
        block.index = self.index[:]
        block.hashes = None if self.hashes is None else self.hashes[:]
        block.keys, block.values = self.keys[:], self.values[:]
        block.nentries, block.used = self.nentries, self.used
        block.bottom, block.top = self.bottom, self.top
        block.held = False
        return block

    def append(self, key: Any, h: int, value: Any) -> int:
        """Add an entry to a block that is not published yet."""
        ix = self.nentries
        if self.hashes is not None:
            self.hashes[ix] = h
        self.keys[ix] = key
        self.values[ix] = value
        self.index[self.empty_slot(h)] = ix
        self.nentries = self.top = ix + 1
        self.used += 1
        return ix

    def remove(self, ix: int) -> None:
        """Remove an entry of a block that is not published yet."""
        self.index[self.slot_of(ix, self.entry_hash(ix))] = DUMMY
        self.values[ix] = NULL
        self.keys[ix] = DEAD
        self.used -= 1

    def commit_insert(
        self, table: Table, version: int, key: Any, h: int, value: Any, event: Record | None
    ) -> bool:
        """Add an entry; False when the plan (version, block) no longer holds."""
        slot = self.empty_slot(h)
        index, keys, values, hashes, watch = (
            self.index,
            self.keys,
            self.values,
            self.hashes,
            table._watch,
        )
        # Straight-line from here to the end: nothing else can run in this thread.
        if table._version != version or table._block is not self:
            return False
        if watch is not None and (event is None or event[4] != watch.version + 1):
            return False  # watched since, or an event of another shard came first
        table._started = version + 1
        ix = self.nentries
        if hashes is not None:
            hashes[ix] = h
        keys[ix] = key
        values[ix] = value
        self.nentries = self.top = ix + 1
        self.used += 1
        index[slot] = ix  # I3: the entry is complete; this publishes it
        table._keys_version += 1
        table._version = version + 1
        if event is not None and watch is not None:
            watch.version = event[4]
            watch.log.append(event)
        return True

    def commit_overwrite(
        self, table: Table, version: int, ix: int, value: Any, event: Record | None
    ) -> bool:
        """Replace a live entry's value; False when the plan no longer holds."""
        values, watch = self.values, table._watch
        if table._version != version or table._block is not self:
            return False
        if watch is not None and (event is None or event[4] != watch.version + 1):
            return False  # watched since, or an event of another shard came first
        table._started = version + 1
        values[ix] = value
        table._version = version + 1
        if event is not None and watch is not None:
            watch.version = event[4]
            watch.log.append(event)
        return True

    def commit_delete(
        self, table: Table, version: int, ix: int, event: Record | None, *, youngest: bool = False
    ) -> bool:
        """Remove a live entry; False when the plan no longer holds.

        `youngest`: no live entry lies above `ix`.
        """
        slot = self.slot_of(ix, self.entry_hash(ix))
        index, keys, values, watch = self.index, self.keys, self.values, table._watch
        if table._version != version or table._block is not self:
            return False
        if watch is not None and (event is None or event[4] != watch.version + 1):
            return False  # watched since, or an event of another shard came first
        table._started = version + 1
        values[ix] = NULL
        index[slot] = DUMMY
        keys[ix] = DEAD  # readers that hold `ix` find no key; the reference goes to `Pending`
        self.used -= 1
        if ix == self.bottom:
            self.bottom = ix + 1
        if youngest or ix == self.top - 1:
            self.top = ix
        table._keys_version += 1
        table._version = version + 1
        if event is not None and watch is not None:
            watch.version = event[4]
            watch.log.append(event)
        return True

    # -- whole-block copies ----------------------------------------------------------------------

    def frozen_copy(self) -> DictKeys:
        """A copy for a FrozenDict: a clone, compacted when most of it would be dead."""
        if self.used * 2 < self.nentries:
            return self.rebuilt(log2_size_holding(self.used), self.unicode)
        return self.clone()

    def batch_clone(self, deletes: bool) -> DictKeys:
        """A block to change and publish; `identical` finds an entry of this one in it."""
        return self.clone()

    def roomier_for(self, key: Any, more: int) -> DictKeys:
        """A block with the same contents and room for `more` keys like `key`."""
        wanted = max(self.used * GROWTH // 2, self.used + more)
        return self.rebuilt(log2_size_holding(wanted), self.unicode and type(key) is str)

    # -- iteration -------------------------------------------------------------------------------

    def identical(self, key: Any, h: int) -> int:
        """The entry whose key is this very object, or MISS. Runs no user code."""
        i, perturb = h & self.mask, h & HASH_MASK
        while True:
            ix = self.index[i]
            if ix >= 0 and self.keys[ix] is key:
                return ix
            if ix == EMPTY:
                return MISS
            perturb >>= PERTURB_SHIFT
            i = (5 * i + perturb + 1) & self.mask

    def order(self) -> Sequence[int]:
        """Entry numbers in insertion order, up to what is there now."""
        return range(self.bottom, self.nentries)

    def last_live(self) -> int:
        """The youngest live entry, or MISS."""
        for ix in range(self.top - 1, self.bottom - 1, -1):
            if self.values[ix] is not NULL:
                return ix
        return MISS

    def items(self) -> Iterator[tuple[Any, int, Any]]:
        """(key, hash, value) of the live entries, for a block that does not change meanwhile."""
        hashes = self.hashes
        for ix in self.order():
            value = self.values[ix]
            if value is not NULL:
                key = self.keys[ix]
                yield key, hash(key) if hashes is None else hashes[ix], value

    def release(self) -> None:
        """The grace period is over: in debug mode, make any further use an error."""
        if debug.ENABLED and not self.held:
            self.index = self.hashes = self.keys = self.values = debug.POISON


def build(items: Iterable[tuple[Any, int, Any]], count: int, unicode: bool) -> DictKeys:
    """A block of `count` entries (key, hash, value) with keys known to be distinct."""
    block = DictKeys(log2_size_holding(count), unicode)
    for key, h, value in items:
        block.append(key, h, value)
    return block


class RestartLimit:
    """Bounds the restarts that a thread's own user code causes; those of others are progress.

    An optimistic operation calls `start` before user code runs and `restart` when it must begin
    again: TableMutationError once this thread itself wrote before 1,000 restarts.
    """

    __slots__ = ("_count", "_record", "_table", "_what", "_writes")

    def __init__(self, table: Any, what: str) -> None:
        self._table = table
        self._what = what
        self._record = domain.record()
        self._count = 0
        self._writes = self._record.writes

    def start(self) -> None:
        """User code may run from here on."""
        self._writes = self._record.writes

    def restart(self) -> None:
        """What user code did, or another thread, makes the operation begin again."""
        if self._record.writes == self._writes:
            return
        self._count += 1
        if self._count > MAX_OWN_RESTARTS:
            raise TableMutationError(
                f"{type(self._table).__name__}: {self._what} cannot end, because it changes the "
                "table every time it runs; make it free of such side effects"
            )


def settled(table: Table, count: int) -> int:
    """How many of the first `count` entries, loaded before, a lookup from now on surely sees.

    A commit raises the count before it publishes its entry. While one is half done, its entry
    must not count as seen: the lookup may miss it, and a writer that then trusted the miss would
    insert the key twice. A commit that ends before `_version` is loaded has published it.
    """
    return count if table._started == table._version else max(0, count - 1)


def find(table: Table, key: Any, h: int) -> tuple[Any, int, int, Any]:
    """Look `key` up without a lock; (block, ix or MISS, entries seen for sure, value or NULL).

    User comparisons run unpinned, holding references to the block and the key; afterwards the
    lookup goes on only if the table still has the same block and the entry the same key (I6).
    """
    limit: RestartLimit | None = None
    record = domain.pin()
    try:
        while True:
            block = table._block
            seen = settled(table, block.nentries)
            i, perturb = h & block.mask, h & HASH_MASK
            while True:
                status, ix, i, perturb = block.probe(key, h, i, perturb)
                if status != COMPARE:
                    break
                candidate = block.keys[ix]
                if limit is None:
                    limit = RestartLimit(table, f"__eq__ of a {type(key).__name__} key")
                limit.start()
                domain.unpin(record)
                try:
                    equal = candidate is not DEAD and bool(candidate == key)
                finally:
                    record.depth += 1
                    if record.sequence == IDLE:
                        record.sequence = domain.sequence
                if table._block is not block or block.keys[ix] is not candidate:
                    status = COMPARE
                    break
                if equal:
                    status = ix
                    break
            if status == MISS:
                return block, MISS, seen, NULL
            if status != COMPARE:
                value = block.values[ix]
                if value is not NULL:
                    return block, ix, seen, value
            elif limit is not None:
                limit.restart()
    finally:
        # In straight-line code: an exception that a signal handler raises cannot leave the pin.
        record.depth -= 1
        if record.depth == 0:
            record.sequence = IDLE
