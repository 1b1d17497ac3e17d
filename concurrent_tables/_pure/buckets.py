"""The block of a `HashTable`: an array of chains.

      array (2**log2_size slots)
      +----+     ((hash, key, value), (hash, key, value))     a chain: an immutable tuple
      |  0 | --> that is replaced as a whole
      |  1 | --> ()
      | .. |

What may change, and what never does:

- the size is fixed when the block is made (I1); to change it, make another block.
- a chain never changes, so a reader loads one and walks it without a lock: what it finds was in the
  table at the moment of the load.
- a slot goes from one chain to the next; a chain that holds entries never comes back as the same
  object while somebody has a reference to it, so "same chain" means "nothing happened here".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..events import Record
from . import debug
from .table import NULL, Table

if TYPE_CHECKING:
    from ..inspection import Layout

__all__ = ["MIN_LOG2_SIZE", "Buckets", "Chain", "Entry"]

MIN_LOG2_SIZE = 4  # 16 buckets


class Entry(NamedTuple):
    """A stored pair; never changes."""

    hash: int
    key: Any
    value: Any


Chain = tuple[Entry, ...]


class Buckets:
    """One array of chains. A slot's chain may be replaced; the size never changes (I1)."""

    kind = "hashtable"

    __slots__ = ("array", "destroyed", "grown", "log2_size", "mask", "shrunk", "used")

    def __init__(self, log2_size: int, before: Buckets | None = None) -> None:
        self.log2_size = log2_size
        self.mask = (1 << log2_size) - 1
        self.array: list[Chain] = [()] * (1 << log2_size)
        self.used = 0  # entries
        self.destroyed = False
        # How often the table doubled and halved: handed on from block to block.
        self.grown: int = 0 if before is None else before.grown
        self.shrunk: int = 0 if before is None else before.shrunk

    @property
    def nbytes(self) -> int:
        """Size in bytes: 8 for each slot, 8 + 24 for each entry of a chain."""
        return 8 * (self.mask + 1) + 32 * self.used

    def entries(self) -> list[Entry]:
        """All entries, for a block that does not change meanwhile."""
        return [entry for chain in self.array for entry in chain]

    def release(self) -> None:
        """The grace period is over: in debug mode, make any further use an error."""
        if debug.ENABLED:
            self.array = debug.POISON

    def layout(self, make: type[Layout]) -> Layout:
        """What `inspect_table` walks, for a block that does not change meanwhile."""
        return make(
            kind=self.kind,
            log2_size=self.log2_size,
            index_width=0,
            index=(),
            hashes=None,
            keys=(),
            values=(),
            order=(),
            used=self.used,
            filled=self.used,
            capacity=self.used,
            nbytes=self.nbytes,
            null=NULL,
            dead=NULL,
            buckets=self.array[:],
        )

    # -- changes by the table's writer, inside its section ---------------------------------------

    def resized(self, log2_size: int, slot: int, chain: Chain) -> Buckets:
        """A block of another size with these entries, but `chain` in place of that of `slot`."""
        block = Buckets(log2_size, self)
        if log2_size > self.log2_size:
            block.grown += 1
        else:
            block.shrunk += 1
        array, mask = block.array, block.mask
        for number, present in enumerate(self.array):
            for entry in chain if number == slot else present:
                array[entry.hash & mask] += (entry,)
                block.used += 1
        return block

    def commit_chain(
        self, table: Table, version: int, slot: int, chain: Chain, more: int, event: Record | None
    ) -> bool:
        """Publish another chain, with `more` entries; False when the plan no longer holds."""
        array, watch = self.array, table._watch
        rekey = 1 if more else 0
        # Straight-line from here to the end: nothing else can run in this thread.
        if table._version != version or table._block is not self:
            return False
        if watch is not None and (event is None or event[4] != watch.version + 1):
            return False  # watched since, or an event of another shard came first
        table._started = version + 1
        array[slot] = chain  # I3: the chain is complete; this publishes it
        self.used += more
        table._keys_version += rekey
        table._version = version + 1
        if event is not None and watch is not None:
            watch.version = event[4]
            watch.log.append(event)
        return True

    def commit_block(
        self, table: Table, version: int, new: Buckets, bump: int, event: Record | None
    ) -> bool:
        """Publish another block; `bump` is 0 for the same (absence of) entries, else 1."""
        watch = table._watch
        if table._version != version or table._block is not self:
            return False
        if bump and watch is not None and (event is None or event[4] != watch.version + 1):
            return False  # watched since, or an event of another shard came first
        table._started = version + bump
        table._block = new
        table._keys_version += bump
        table._version = version + bump
        if event is not None and watch is not None:
            watch.version = event[4]
            watch.log.append(event)
        return True
