"""The three segments of W-TinyLFU, with a window of a given size.

    new entry -> window (LRU) -> candidate for main -> probation <-> protected
                                    | asked for less often than the oldest on probation
                                    v
                                  evicted

An entry that leaves the window competes with the oldest entry on probation: the one that was asked
for more often lately stays, the oldest unless it is by more than one count. Main is a segmented LRU: an
entry on probation that is asked for becomes protected, and what is then too much there goes back on
probation. (Einziger, Friedman and Manes, "TinyLFU: A Highly Efficient Cache Admission Policy", ACM
Transactions on Storage 13(4), 2017.)

Who chooses keys that share the counters of others could keep everything new out. So a candidate that is
warm, but not more so than the victim, is admitted by chance now and then. And a victim that nobody asks for
any more, but whose counters others keep warm, would shield all that stand behind it: one that has won steps
back now and then.
"""

from __future__ import annotations

from typing import Any

from .chain import Chain
from .sketch import Sketch, spread

__all__ = ["Segments"]

WINDOW, PROBATION, PROTECTED = 1, 2, 3  # regions
PROTECTED_SHARE = 0.8  # of main
STEADY = 1  # ahead by one count is no difference: so is who was just asked for, or just not halved
WARM = 5  # a candidate that was counted more often may be admitted by chance,
CHANCE = 128  # once in so many times
STEP_BACK = 1024  # once in so many times, who has won becomes the newest on probation

_WORD = (1 << 64) - 1


class Segments:
    """Entries in three chains. The sketch is somebody else's; here it is only asked.

    Parameters
    ----------
    maxsize: what the weights of the entries may add up to.
    share: what part of that the window may have: 0 (one entry) to 1 (then this is an LRU).
    """

    __slots__ = (
        "_chains",
        "_draw",
        "_protected_most",
        "_seed",
        "_sketch",
        "_window_most",
        "maxsize",
        "share",
    )

    def __init__(self, maxsize: int, share: float, sketch: Sketch, seed: int) -> None:
        self.maxsize = maxsize
        self._sketch = sketch
        self._seed = seed
        self._draw = spread(1, seed) | 1
        self._chains = (Chain(0), Chain(WINDOW), Chain(PROBATION), Chain(PROTECTED))
        self._divide(share)

    @property
    def weight(self) -> int:
        """The weights of all entries together."""
        _, window, probation, protected = self._chains
        return window.weight + probation.weight + protected.weight

    def _divide(self, share: float) -> None:
        self.share = share
        self._window_most = max(1, int(self.maxsize * share))
        self._protected_most = int((self.maxsize - self._window_most) * PROTECTED_SHARE)

    def resize(self, share: float) -> None:
        """Give the window another share; entries move when the next one is added."""
        self._divide(share)
        self._shrink_protected()
        self._fill_window()

    def keep(self, share: float) -> None:
        """Protect all but the newest, which a window of this share keeps, until the next `resize`."""
        _, window, probation, protected = self._chains
        self._divide(share)
        self._protected_most = max(0, self.maxsize - self._window_most)
        while (entry := probation.oldest()) is not None:
            probation.remove(entry)
            protected.add(entry)
        while window.weight > self._window_most:
            entry = window.oldest()
            window.remove(entry)
            protected.add(entry)

    def added(self, entry: Any) -> None:
        self._chains[WINDOW].add(entry)

    def accessed(self, entry: Any) -> None:
        region = entry.region
        if region == PROBATION:
            self._chains[PROBATION].remove(entry)
            self._chains[PROTECTED].add(entry)
            self._shrink_protected()
        else:
            self._chains[region].refresh(entry)

    def replaced(self, old: Any, new: Any) -> None:
        self._chains[old.region].replace(old, new)
        self.accessed(new)
        self._shrink_protected()

    def removed(self, entry: Any) -> None:
        self._chains[entry.region].remove(entry)

    def oldest_first(self) -> list[Any]:
        """All entries: those that were protected before those on probation before the window's."""
        order = (PROTECTED, PROBATION, WINDOW)
        return [entry for region in order for entry in self._chains[region]]

    def victims(self) -> list[Any]:
        """Take out entries until the weights fit."""
        found: list[Any] = []
        candidates = self._leave_window()
        while self.weight > self.maxsize:
            entry = self._loser(candidates)
            self.removed(entry)
            found.append(entry)
        return found

    def _leave_window(self) -> list[Any]:
        """What the window has too much goes on probation; the last to be tried comes first."""
        _, window, probation, _ = self._chains
        candidates = []
        while window.weight > self._window_most:
            entry = window.oldest()
            window.remove(entry)
            probation.add(entry)
            candidates.append(entry)
        candidates.reverse()
        return candidates

    def _loser(self, candidates: list[Any]) -> Any:
        """Who goes: the next candidate, or the oldest entry of main (or else of the window)."""
        _, window, probation, protected = self._chains
        victim = probation.oldest() or protected.oldest() or window.oldest()
        candidate = candidates.pop() if candidates else None
        if candidate is None or candidate.weight > self.maxsize:
            return candidate or victim
        if candidate is victim:
            return candidate
        if self._admits(candidate, victim):
            if victim in candidates:  # a large candidate made a smaller one the oldest
                candidates.remove(victim)
            return victim
        if not candidates and victim.region == PROBATION and self._random() % STEP_BACK == 0:
            self._chains[PROBATION].refresh(victim)  # what stands behind it is tried next
        return candidate

    def _admits(self, candidate: Any, victim: Any) -> bool:
        warmth = self._sketch.frequency(spread(candidate.hash, self._seed))
        other = self._sketch.frequency(spread(victim.hash, self._seed))
        if warmth > other + STEADY:
            return True
        return warmth > WARM and self._random() % CHANCE == 0

    def _random(self) -> int:
        """The next of 64 pseudo-random bits (Marsaglia, "Xorshift RNGs", 2003)."""
        draw = self._draw
        draw ^= (draw << 13) & _WORD
        draw ^= draw >> 7
        draw ^= (draw << 17) & _WORD
        self._draw = draw
        return draw

    def _shrink_protected(self) -> None:
        _, _, probation, protected = self._chains
        while protected.weight > self._protected_most:
            entry = protected.oldest()
            protected.remove(entry)
            probation.add(entry)

    def _fill_window(self) -> None:
        """After the window has grown: main gives it its oldest entries, so that none is lost."""
        _, window, probation, protected = self._chains
        while True:
            chain = probation if probation.oldest() is not None else protected
            entry = chain.oldest()
            if entry is None or window.weight + entry.weight > self._window_most:
                return
            chain.remove(entry)
            window.add(entry)
