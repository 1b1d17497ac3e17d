"""How large the window should be: what miniature caches with windows of several sizes say.

A large window is good where what is new comes back soon, a small one where it does not. Hill climbing,
the usual way to find the size, takes many samples of requests for it, each several times as long as the
cache is large; what it loses meanwhile is much when requests change in kind. Here several miniatures
see the requests for a random part of the keys, each a cache of some hundred entries without values and
with a window of its own; the window of the cache gets the share of the one that hits most. They are
always warm, so a change of the requests shows at once. (Waldspurger, Saemundsson, Ahmad and Park,
"Cache Modeling and Optimization using Miniature Simulations", USENIX ATC 2017; Einziger, Eytan, Friedman
and Manes, "Adaptive Software Cache Management", Middleware 2018, compare both ways.)

The widest window makes an LRU of its miniature. A cache begins as an LRU, too, and is one again where no
other share is clearly ahead: it shall not do worse than one. To go elsewhere and come back costs up to as
many hits as there are entries, since by then the LRU would hold others; a short run of requests that one
share likes must not do it. So each miniature keeps a *lead*: its hits beyond those of the LRU, and beyond
what AHEAD asks for. The cache leaves the LRU for shares whose lead has come over a hurdle, a part of the
miniature's entries, and returns when no lead is left. A lead never falls below minus those entries: what
goes to and fro, now in favour of one and now of the other, like keys that are asked for upwards and
downwards in turn, decides nothing.

When there were hardly any hits until the cache was full, nothing shows yet what is good: in a loop, those
that came first will be asked for first, and the LRU would have lost them all; going to and fro it makes
no difference. Then the cache keeps what came first, all but the last part, until a miniature shows a better
share, or the LRU's one has more hits than the one that does likewise by more than its entries; by much less
will do where it hits the same entries again and again, which to and fro does not.
"""

from __future__ import annotations

from typing import Any

from .segments import Segments
from .sketch import Sketch, spread

__all__ = ["FIRST_SHARE", "KEPT_SHARE", "Miniatures"]

SHARES = (0.0, 0.02, 0.06, 0.15, 0.35, 0.65, 1.0)  # of the windows
LRU = 6  # which of them makes an LRU
KEPT = 3  # which of them the window has while the cache keeps what came first
FIRST_SHARE = SHARES[LRU]
KEPT_SHARE = SHARES[KEPT]
ENTRIES = 512  # of a miniature, unless the cache is smaller
SAMPLES = 8  # to a number of requests as large as that
MEMORY = 0.996  # what is left of the hits of one sample of requests in the next
AHEAD = 1.03  # times as many hits as those of the LRU are clearly more
HURDLE = 0.125  # what lead it takes to leave the LRU, in entries of a miniature
LESS_SURE = 1.2  # times that where the miniatures see half of the keys, and again at a quarter, ...
PATIENCE = 1.25  # how far behind the LRU what came first is still kept, in entries of a miniature

_ALL = 1 << 64


class _Node:
    """A key in a miniature."""

    __slots__ = ("hash", "hit", "next", "previous", "region", "weight")

    def __init__(self, hash_: int, weight: int) -> None:
        self.hash = hash_
        self.hit = False
        self.weight = weight
        self.region = 0
        self.previous: Any = None
        self.next: Any = None


class _Miniature:
    """A cache of hashes with a window of fixed share."""

    __slots__ = ("hits", "lead", "memory", "nodes", "repeats", "segments")

    def __init__(self, segments: Segments) -> None:
        self.segments = segments
        self.nodes: dict[int, _Node] = {}
        self.hits = 0.0  # in this sample
        self.repeats = 0.0  # hits of what was hit before
        self.memory = 0.0  # of those before
        self.lead = 0.0  # of hits

    def asked(self, hash_: int, weight: int) -> None:
        node = self.nodes.get(hash_)
        if node is not None:
            self.hits += 1.0
            self.repeats += node.hit
            node.hit = True
            self.segments.accessed(node)
            return
        self.nodes[hash_] = node = _Node(hash_, weight)
        self.segments.added(node)
        for victim in self.segments.victims():
            del self.nodes[victim.hash]


class Miniatures:
    """Miniatures of a cache of so much weight, which so many entries fill."""

    __slots__ = (
        "_asked",
        "_behind",
        "_hurdle",
        "_limit",
        "_minis",
        "_missed",
        "_most",
        "_sample",
        "_seed",
        "entries",
        "keep",
    )

    def __init__(self, maxsize: int, entries: int, sketch: Sketch, seed: int) -> None:
        self.entries = entries
        self._seed = spread(2, seed)
        part = min(1.0, ENTRIES / entries)
        self._limit = int(part * _ALL)
        size = max(1, int(maxsize * part))
        self._minis = [_Miniature(Segments(size, share, sketch, seed)) for share in SHARES]
        self._most = min(ENTRIES, entries)
        self._sample = max(1, self._most // SAMPLES)
        self._asked = 0
        self._hurdle = HURDLE * self._most
        seen = 2 * self._most
        while seen <= entries:
            self._hurdle *= LESS_SURE
            seen *= 2
        self._behind = 0.0
        self._missed = 0.0
        self.keep = False

    def keep_first(self) -> None:
        """The cache keeps what came first, with a window of KEPT_SHARE."""
        self.keep = True
        self._minis[KEPT].segments.keep(KEPT_SHARE)

    def asked(self, entry: Any) -> None:
        """An entry was added or accessed."""
        if spread(entry.hash, self._seed) < self._limit:
            self._asked += 1
            for mini in self._minis:
                mini.asked(entry.hash, entry.weight)

    def advice(self, share: float) -> float:
        """Which share the window should have, which has this one now."""
        if self._asked < self._sample:
            return share
        self._asked = 0
        self._count_hits()
        hurdle = self._hurdle if share == FIRST_SHARE or self.keep else 0.0
        best, most = LRU, -1.0
        for number, mini in enumerate(self._minis[:LRU]):
            more = mini.memory > most or (mini.memory == most and SHARES[number] == share)
            if mini.lead >= hurdle and more:
                best, most = number, mini.memory
        if self.keep:
            near = self._behind < PATIENCE * self._most and self._missed < HURDLE * self._most
            if best == LRU and near:
                return share
            self.keep = False
            self._minis[KEPT].segments.resize(KEPT_SHARE)
        return SHARES[best]

    def _count_hits(self) -> None:
        lru, kept = self._minis[LRU].hits, self._minis[KEPT].hits
        self._behind = max(0.0, self._behind + lru - kept)
        self._missed = max(0.0, self._missed + self._minis[LRU].repeats - kept)
        for mini in self._minis:
            lead = max(-float(self._most), mini.lead + mini.hits - lru * AHEAD)
            mini.lead = min(lead, 2.0 * self._hurdle)
            mini.memory = mini.memory * MEMORY + mini.hits
            mini.hits = mini.repeats = 0.0
