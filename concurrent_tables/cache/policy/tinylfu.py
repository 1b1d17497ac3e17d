"""The policy `"tinylfu"`: W-TinyLFU with a window that adapts. See segments.py, sketch.py, miniatures.py."""

from __future__ import annotations

from typing import Any

from .miniatures import FIRST_SHARE, KEPT_SHARE, Miniatures
from .segments import PROBATION, PROTECTED, WINDOW, Segments
from .sketch import Sketch, spread

__all__ = ["TinyLfu"]

COUNTS_PER_ENTRY = 10  # before the sketch is halved
ROOMY = 4  # times as many keys as entries can be told apart, ...
ROOMY_UP_TO = 65_536  # ... up to so many; above that half as many keys as entries
FEW_HITS = 32  # or more entries for each hit until the cache is full: keep those that came first
CROWDED = 4  # times more entries than the miniatures were made for: make others


class TinyLfu:
    """Keeps what is asked for often or was asked for lately, in a proportion that follows the hits.

    Parameters
    ----------
    maxsize: what the weights of the entries may add up to.
    seed: of what is random; the same calls with the same seed have the same victims.
    """

    def __init__(self, maxsize: int, seed: int = 0) -> None:
        self.maxsize = maxsize
        self._seed = spread(seed, 0)
        self.clear()

    @property
    def weight(self) -> int:
        """The weights of all entries together."""
        return self._segments.weight

    def clear(self) -> None:
        self._entries = 0
        self._asked_before_full = 0
        self._sketch = Sketch()
        self._segments = Segments(self.maxsize, FIRST_SHARE, self._sketch, self._seed)
        self._miniatures: Miniatures | None = None

    def added(self, entry: Any) -> None:
        self._entries += 1
        keys = min(ROOMY * self._entries, max(self._entries // 2, ROOMY_UP_TO))
        self._sketch.make_room(keys)
        self._asked(entry)
        self._segments.added(entry)

    def replaced(self, old: Any, new: Any) -> None:
        self._asked(new)
        self._segments.replaced(old, new)

    def accessed(self, entries: list[Any]) -> None:
        for entry in entries:
            self._asked(entry)
            self._segments.accessed(entry)

    def removed(self, entry: Any) -> None:
        self._entries -= 1
        self._segments.removed(entry)

    def victims(self) -> list[Any]:
        segments = self._segments
        if segments.weight > self.maxsize:
            self._adapt()
        found = segments.victims()
        self._entries -= len(found)
        return found

    def info(self) -> dict[str, Any]:
        chains = self._segments._chains
        return {
            "name": "tinylfu",
            "window_share": self._segments.share,
            "window": chains[WINDOW].weight,
            "probation": chains[PROBATION].weight,
            "protected": chains[PROTECTED].weight,
        }

    def _asked(self, entry: Any) -> None:
        sketch = self._sketch
        sketch.count(spread(entry.hash, self._seed))
        if self._miniatures is not None:  # the cache was full: begin to forget
            if sketch.counted >= COUNTS_PER_ENTRY * self._entries:
                sketch.halve()
            self._miniatures.asked(entry)
        else:
            self._asked_before_full += 1

    def _adapt(self) -> None:
        """The cache is full: see to it that there are miniatures, and follow their advice."""
        miniatures = self._miniatures
        if miniatures is None or self._entries > CROWDED * miniatures.entries:
            self._miniatures = self._make_miniatures()
            return
        share = miniatures.advice(self._segments.share)
        if share != self._segments.share:
            self._segments.resize(share)

    def _make_miniatures(self) -> Miniatures:
        made = Miniatures(self.maxsize, self._entries, self._sketch, self._seed)
        for entry in self._segments.oldest_first():
            made.asked(entry)
        if self._keeps_first():
            self._segments.keep(KEPT_SHARE)
            made.keep_first()
        return made

    def _keeps_first(self) -> bool:
        """Few hits until the cache was full: there is nothing to lose by keeping what came first."""
        if self._miniatures is not None:
            return self._miniatures.keep
        return FEW_HITS * (self._asked_before_full - self._entries) <= self._entries
