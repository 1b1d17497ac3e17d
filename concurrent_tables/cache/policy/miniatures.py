"""How large the window should be: what miniature caches with windows of several sizes say.

A large window is good where what is new comes back soon, a small one where it does not. Hill climbing,
the usual way to find the size, takes many samples of requests for it, each several times as long as the
cache is large; what it loses meanwhile is much when requests change in kind. Here several miniatures
see the requests for a random part of the keys, each a cache of some hundred entries without values and
with a window of its own; the window of the cache gets the share of the one that hits most. They are
always warm, so a change of the requests shows at once. (Waldspurger, Saemundsson, Ahmad and Park,
"Cache Modeling and Optimization using Miniature Simulations", USENIX ATC 2017; Einziger, Eytan, Friedman
and Manes, "Adaptive Software Cache Management", Middleware 2018, compare both ways.)

The widest window makes an LRU of its miniature: where an LRU would do better, the cache becomes one. So it
does where none of the others is clearly ahead: what the samples leave to chance then costs nothing, and a
cache that went from one share to another and back would lose hits each time.
"""

from __future__ import annotations

from typing import Any

from .segments import Segments
from .sketch import Sketch, spread

__all__ = ["FIRST_SHARE", "Miniatures"]

SHARES = (0.0, 0.02, 0.06, 0.15, 0.35, 0.65, 1.0)  # of the windows
FIRST_SHARE = 0.0
ENTRIES = 512  # of a miniature, unless the cache is smaller
MEMORY = 0.97  # what is left of the hits of one sample of requests in the next
AHEAD = 1.03  # times as many hits as those of the LRU are clearly more

_ALL = 1 << 64


class _Node:
    """A key in a miniature."""

    __slots__ = ("hash", "next", "previous", "region", "weight")

    def __init__(self, hash_: int, weight: int) -> None:
        self.hash = hash_
        self.weight = weight
        self.region = 0
        self.previous: Any = None
        self.next: Any = None


class _Miniature:
    """A cache of hashes with a window of fixed share."""

    __slots__ = ("hits", "nodes", "segments")

    def __init__(self, segments: Segments) -> None:
        self.segments = segments
        self.nodes: dict[int, _Node] = {}
        self.hits = 0.0

    def asked(self, hash_: int, weight: int) -> None:
        node = self.nodes.get(hash_)
        if node is not None:
            self.hits += 1.0
            self.segments.accessed(node)
            return
        self.nodes[hash_] = node = _Node(hash_, weight)
        self.segments.added(node)
        for victim in self.segments.victims():
            del self.nodes[victim.hash]


class Miniatures:
    """Miniatures of a cache of so much weight, which so many entries fill."""

    __slots__ = ("_asked", "_limit", "_minis", "_most", "_sample", "_seed", "entries")

    def __init__(self, maxsize: int, entries: int, sketch: Sketch, seed: int) -> None:
        self.entries = entries
        self._seed = spread(2, seed)
        part = min(1.0, ENTRIES / entries)
        self._limit = int(part * _ALL)
        size = max(1, int(maxsize * part))
        self._minis = [_Miniature(Segments(size, share, sketch, seed)) for share in SHARES]
        self._most = min(ENTRIES, entries)
        self._sample = max(1, self._most // 8)  # the first advice comes soon, if on thin evidence
        self._asked = 0

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
        self._sample = min(2 * self._sample, self._most)
        best = most = -1.0
        lru = 0.0
        for mini in self._minis:
            ahead = mini.hits > most
            if ahead or (mini.hits == most and mini.segments.share == share):
                best, most = mini.segments.share, mini.hits
            lru = mini.hits  # in the end that of the widest window
            mini.hits *= MEMORY
        return best if most >= lru * AHEAD else SHARES[-1]
