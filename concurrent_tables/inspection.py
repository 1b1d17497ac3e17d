"""`inspect_table`: the layout of a table made visible, and a walk over its invariants.

Works on a raw `Layout` that each implementation exports, so that the checker is independent of the
code that it checks. The drawing follows the classic explanations of `dict`: the sparse index on
the left, the dense entries in insertion order on the right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["InvariantError", "Layout", "TableInfo", "inspect_table"]

EMPTY = -1
DUMMY = -2
_MASK = (1 << 64) - 1
_PERTURB_SHIFT = 5
_LINEAR_PROBES = 9
_DRAWN = 16  # rows of a drawing; the rest is counted


class InvariantError(AssertionError):
    """A table broke one of its invariants; the message lists all of them that fail."""


@dataclass(frozen=True)
class Layout:
    """One table's block at one moment, in plain columns.

    `index` is empty for sets and hash tables. An entry `i` is live when `values[i] is not null`
    (sets: when `keys[i]` is neither `null` nor `dead`). `order` lists entry numbers oldest first.
    """

    kind: str
    log2_size: int
    index_width: int
    index: Sequence[int]
    hashes: Sequence[int] | None
    keys: Sequence[Any]
    values: Sequence[Any]
    order: Sequence[int]
    used: int
    filled: int
    capacity: int
    nbytes: int
    null: Any
    dead: Any
    buckets: Sequence[Sequence[tuple[int, Any, Any]]] = ()
    version: int = 0
    keys_version: int = 0
    at_rest: bool = True
    watchers: int = 0
    shared: bool = True
    parts: tuple[Layout, ...] = field(default=())
    live_range: tuple[int, int] | None = None  # every live entry is in it; `popitem` starts there
    problems: Sequence[str] = ()  # what only the implementation itself can see


class TableInfo:
    """What `inspect_table` returns: one moment of a table.

    Attributes: `kind` ("general", "unicode", "split", "set", "hashtable" or "sharded");
    `log2_size` of the index (hash tables: of the buckets; sharded: of the number of shards);
    `index_width` in bytes of one index slot (0 without an index); `entries`, live ones; `dummies`,
    deleted slots; `usable`, entry slots left before the next resize; `probe_lengths`, a dict from
    the number of slots a lookup visits to the number of entries that need it; `nbytes` of the
    table's arrays; `version`; `watchers`; `shared`, whether a second thread has touched the table;
    `shards`, the parts of a sharded table.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.kind = layout.kind
        self.log2_size = layout.log2_size
        self.index_width = layout.index_width
        self.shards = tuple([TableInfo(part) for part in layout.parts])
        self.entries = layout.used
        self.nbytes = layout.nbytes
        self.version = layout.version
        self.watchers = layout.watchers
        self.shared = layout.shared

    @property
    def usable(self) -> int:
        """Entry slots left before the next resize."""
        if self.shards:
            return sum(part.usable for part in self.shards)
        return max(0, self._layout.capacity - self._layout.filled)

    @property
    def dummies(self) -> int:
        """Slots of deleted keys."""
        layout = self._layout
        if self.shards:
            return sum(part.dummies for part in self.shards)
        if layout.kind == "set":
            return sum(key is layout.dead for key in layout.keys)
        if layout.kind == "split":
            return 0
        return sum(ix == DUMMY for ix in layout.index)

    @property
    def probe_lengths(self) -> dict[int, int]:
        """Slots visited by a successful lookup -> number of entries."""
        if self.shards:
            total: Counter[int] = Counter()
            for part in self.shards:
                total.update(part.probe_lengths)
            return dict(sorted(total.items()))
        return dict(sorted(Counter(length for _, length in _placed(self._layout)).items()))

    def check(self) -> TableInfo:
        """Walk the whole structure; InvariantError lists everything that is wrong.

        The table is checked as it was when `inspect_table` was called.
        """
        problems = list(_problems(self._layout))
        for number, part in enumerate(self.shards):
            problems += [f"shard {number}: {problem}" for problem in _problems(part._layout)]
        if problems:
            shown = "\n  ".join(problems[:20])
            raise InvariantError(f"{len(problems)} invariants broken ({self.kind}):\n  {shown}")
        return self

    def __repr__(self) -> str:
        return (
            f"<TableInfo {self.kind} 2**{self.log2_size}: {self.entries} entries, "
            f"{self.usable} usable, {self.nbytes} bytes, version {self.version}>"
        )

    def __str__(self) -> str:
        return "\n".join(_drawing(self))


def inspect_table(table: Any, /) -> TableInfo:
    """The layout of any table of this package at one moment; see `TableInfo`.

    Errors: TypeError for anything else. Thread-safety: atomic. Cost: a copy of the arrays.

    >>> from concurrent_tables import ConcurrentDict, inspect_table
    >>> info = inspect_table(ConcurrentDict(timmy="red", barry="green"))
    >>> info.kind, info.index_width, info.entries, info.usable
    ('unicode', 1, 2, 3)
    """
    layout = getattr(type(table), "_layout", None)
    if layout is None:
        raise TypeError(
            f"inspect_table() takes a table of concurrent_tables, not {type(table).__name__}"
        )
    return TableInfo(layout(table))


# -- probing, independent of the implementations -------------------------------------------------


def _probe_dict(h: int, mask: int) -> Iterator[int]:
    i, perturb = h & mask, h & _MASK
    while True:
        yield i
        perturb >>= _PERTURB_SHIFT
        i = (5 * i + perturb + 1) & mask


def _probe_set(h: int, mask: int) -> Iterator[int]:
    i, perturb = h & mask, h & _MASK
    while True:
        yield i
        if i + _LINEAR_PROBES <= mask:
            yield from range(i + 1, i + _LINEAR_PROBES + 1)
        perturb >>= _PERTURB_SHIFT
        i = (5 * i + perturb + 1) & mask


def _hash_of(layout: Layout, ix: int) -> int:
    return hash(layout.keys[ix]) if layout.hashes is None else layout.hashes[ix]


def _live(layout: Layout) -> list[int]:
    if layout.kind == "set":
        return [
            i for i, k in enumerate(layout.keys) if k is not layout.null and k is not layout.dead
        ]
    return [ix for ix in layout.order if layout.values[ix] is not layout.null]


def _placed(layout: Layout) -> Iterator[tuple[int, int]]:
    """(entry, slots visited to find it); 0 visits when it cannot be reached."""
    if layout.kind == "hashtable":
        for chain in layout.buckets:
            yield from ((0, place + 1) for place in range(len(chain)))
        return
    mask = (1 << layout.log2_size) - 1
    limit = 70 + 16 * (mask + 1)
    for ix in _live(layout):
        yield ix, _visits(layout, ix, mask, limit)


def _visits(layout: Layout, ix: int, mask: int, limit: int) -> int:
    h = _hash_of(layout, ix)
    probe = _probe_set(h, mask) if layout.kind == "set" else _probe_dict(h, mask)
    for visits, slot in enumerate(probe, 1):
        if layout.kind == "set":
            if slot == ix:
                return visits
            empty = layout.keys[slot] is layout.null
        else:
            if layout.index[slot] == ix:
                return visits
            empty = layout.index[slot] == EMPTY
        if empty or visits > limit:
            return 0
    return 0


# -- invariants ----------------------------------------------------------------------------------


def _problems(layout: Layout) -> Iterator[str]:
    yield from layout.problems
    if not layout.at_rest:
        yield "a commit is half done (started != version)"
    if layout.kind == "sharded":
        return
    if layout.kind == "hashtable":
        yield from _hashtable_problems(layout)
        return
    live = _live(layout)
    if len(live) != layout.used:
        yield f"I4: used is {layout.used}, but {len(live)} entries have a value"
    if layout.filled > layout.capacity:
        yield f"{layout.filled} entry slots used of {layout.capacity}"
    for ix, visits in _placed(layout):
        if visits == 0:
            yield f"I3: entry {ix} ({layout.keys[ix]!r}) is not reachable from its hash"
    if layout.kind != "set":
        yield from _index_problems(layout, set(live))
    yield from _key_problems(layout, live)


def _index_problems(layout: Layout, live: set[int]) -> Iterator[str]:
    if len(layout.index) != 1 << layout.log2_size:
        yield f"I1: index of {len(layout.index)} slots, size 2**{layout.log2_size}"
    wanted = next(w for w, limit in ((1, 8), (2, 16), (4, 32), (8, 99)) if layout.log2_size < limit)
    if layout.index_width != wanted:
        yield f"index slots of {layout.index_width} bytes instead of {wanted}"
    slots = Counter(ix for ix in layout.index if ix >= 0)
    twice = [ix for ix, count in slots.items() if count > 1]
    if twice:
        yield f"I2: entries {twice[:5]} have several index slots"
    bad = [ix for ix in layout.index if ix < DUMMY or ix >= len(layout.keys)]
    if bad:
        yield f"index slots hold {bad[:5]}, out of range"
    if layout.kind == "split":
        if len(set(layout.order)) != len(layout.order):
            yield "a split record has a key twice in its order"
        return
    dead = [ix for ix in slots if ix not in live]
    if dead:
        yield f"I2: index slots of dead entries {dead[:5]} are not DUMMY"
    if layout.filled < len(slots):
        yield f"{len(slots)} index slots in use, but only {layout.filled} entries were filled"
    dummies = sum(ix == DUMMY for ix in layout.index)
    if dummies != layout.filled - len(live):
        yield f"I2: {dummies} slots are DUMMY, but {layout.filled - len(live)} entries are dead"
    if layout.live_range is not None:
        low, high = layout.live_range
        stray = sorted(ix for ix in live if not low <= ix < high)
        if stray:
            yield f"entries {stray[:5]} are live outside of {low}..{high - 1}, where popitem looks"
    tail = [
        ix for ix in range(layout.filled, layout.capacity) if layout.values[ix] is not layout.null
    ]
    if tail:
        yield f"entries {tail[:5]} beyond the filled ones have a value"


def _key_problems(layout: Layout, live: list[int]) -> Iterator[str]:
    seen: set[Any] = set()
    for ix in live:
        key = layout.keys[ix]
        if key is layout.dead or key is layout.null:
            yield f"entry {ix} has a value but no key"
            continue
        if layout.kind in ("unicode", "split") and type(key) is not str:
            yield f"entry {ix} of a {layout.kind} table has the key {key!r}"
        # Only keys whose hash and equality run no user code are compared.
        if type(key) in (str, int, bytes, float):
            if layout.hashes is not None and layout.hashes[ix] != hash(key):
                yield f"I2: entry {ix} stores another hash than that of {key!r}"
            if key in seen and key == key:
                yield f"key {key!r} has two live entries"
            seen.add(key)


def _hashtable_problems(layout: Layout) -> Iterator[str]:
    size = sum(len(chain) for chain in layout.buckets)
    if size != layout.used:
        yield f"used is {layout.used}, but the chains hold {size} entries"
    if len(layout.buckets) != 1 << layout.log2_size:
        yield f"I1: {len(layout.buckets)} buckets, size 2**{layout.log2_size}"
    for number, chain in enumerate(layout.buckets):
        for h, key, _ in chain:
            if h & (len(layout.buckets) - 1) != number:
                yield f"key {key!r} is in bucket {number}, not in that of its hash"


# -- drawing -------------------------------------------------------------------------------------


def _drawing(info: TableInfo) -> Iterator[str]:
    yield repr(info)[1:-1]
    if info.shards:
        for number, part in enumerate(info.shards[:_DRAWN]):
            yield f"  shard {number}: {part!r}"
        return
    layout = info._layout
    if layout.kind == "hashtable":
        yield from _draw_buckets(layout)
        return
    if layout.kind == "set":
        yield from _draw_entries(layout, range(len(layout.keys)), "slot")
        return
    yield "  index: " + _draw_index(layout)
    yield from _draw_entries(layout, layout.order, "entry")


def _draw_index(layout: Layout) -> str:
    names = {EMPTY: "-", DUMMY: "DUMMY"}
    shown = [names.get(ix, str(ix)) for ix in layout.index[: 2 * _DRAWN]]
    rest = len(layout.index) - len(shown)
    return "[" + " ".join(shown) + (f" ... {rest} more" if rest else "") + "]"


def _draw_entries(layout: Layout, order: Sequence[int], title: str) -> Iterator[str]:
    yield f"  {title:>6} | {'hash':>20} | key" + ("" if layout.kind == "set" else " -> value")
    for ix in order[:_DRAWN]:
        key = layout.keys[ix]
        if key is layout.null:
            yield f"  {ix:>6} | {'-':>20} |"
        elif key is layout.dead or (layout.kind != "set" and layout.values[ix] is layout.null):
            yield f"  {ix:>6} | {'-':>20} | (deleted)"
        else:
            value = "" if layout.kind == "set" else f" -> {_short(layout.values[ix])}"
            yield f"  {ix:>6} | {_hash_of(layout, ix):>20} | {_short(key)}{value}"
    if len(order) > _DRAWN:
        yield f"  ... {len(order) - _DRAWN} more"


def _draw_buckets(layout: Layout) -> Iterator[str]:
    for number, chain in enumerate(layout.buckets[:_DRAWN]):
        links = " -> ".join(f"{_short(key)}: {_short(value)}" for _, key, value in chain)
        yield f"  bucket {number:>4}: {links}"
    if len(layout.buckets) > _DRAWN:
        yield f"  ... {len(layout.buckets) - _DRAWN} more buckets"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
