"""Who goes on at a point: search strategies.

`RandomWalk`: anybody, at every point. `Pct`: the scheduler of S. Burckhardt, P. Kothari, M.
Musuvathi and S. Nagarakatte ("A randomized scheduler with probabilistic guarantees of finding bugs",
ASPLOS 2010): random priorities, and `depth - 1` random points at which the running thread's becomes
the lowest; a bug that needs `depth` ordered events is found with a chance of at least 1 in
n * k ** (depth - 1) for n threads and k points. `Bounded`: iterative context bounding after M.
Musuvathi and S. Qadeer ("Iterative context bounding for systematic testing of multithreaded
programs", PLDI 2007): every schedule without a preemption, then every one with one, with two... A
preemption is a switch away from a thread that could have gone on. `Given` repeats choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from .errors import SerialError

__all__ = ["STRATEGIES", "Bounded", "Given", "Pct", "RandomWalk", "Strategy", "strategy_named"]


class Strategy:
    """Chooses; `begin` before each run, `again` after it: whether there is another one to do."""

    def begin(self, threads: int) -> None:
        """A run with so many threads begins."""

    def choose(self, current: int, able: Sequence[int]) -> int:
        """One of `able` (two or more); `current` asked, and may not be among them."""
        raise NotImplementedError

    def again(self) -> bool:
        """Whether there is a further schedule."""
        return True

    def note(self) -> str:
        """How far the search came, in words."""
        return ""


class RandomWalk(Strategy):
    """Anybody, with equal chances, at every point."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = Random(seed)

    def choose(self, current: int, able: Sequence[int]) -> int:
        return able[int(self._rng.random() * len(able))]


class Pct(Strategy):
    """Probabilistic concurrency testing; `depth` is the number of ordered events a bug needs."""

    def __init__(self, seed: int = 0, depth: int = 3) -> None:
        self._rng = Random(seed)
        self._depth = depth
        self._longest = 1

    def begin(self, threads: int) -> None:
        order = list(range(threads))
        self._rng.shuffle(order)
        self._priority = {thread: self._depth + place for place, thread in enumerate(order)}
        longest = max(self._longest, 2)
        places = self._rng.sample(range(longest), min(self._depth - 1, longest))
        self._changes = {place: -1 - number for number, place in enumerate(sorted(places))}
        self._asked = 0

    def choose(self, current: int, able: Sequence[int]) -> int:
        lowered = self._changes.get(self._asked)
        self._asked += 1
        if lowered is not None and current in able:
            self._priority[current] = lowered
        return max(able, key=self._priority.__getitem__)

    def again(self) -> bool:
        self._longest = max(self._longest, self._asked)
        return True


class Bounded(Strategy):
    """Every schedule with 0 preemptions, then with 1... up to `bound`; each of them once.

    The seed only decides in which order those of one bound are tried. With `bound` None all
    schedules are tried, and the search ends by itself: for tiny programs.
    """

    def __init__(self, seed: int = 0, bound: int | None = None) -> None:
        self._rng = Random(seed)
        self._limit = bound
        self.bound = 0
        # To do: (the choices of a run, how many of them to repeat, the choice after these).
        self._now: list[tuple[bytearray, int, int]] = []
        self._next: list[tuple[bytearray, int, int]] = []
        self._prefix = b""

    def begin(self, threads: int) -> None:
        if threads > 255:
            raise SerialError(f"bounded search is for up to 255 threads, not {threads}")
        self._made = bytearray()

    def choose(self, current: int, able: Sequence[int]) -> int:
        made = self._made
        at = len(made)
        if at < len(self._prefix):
            chosen = self._prefix[at]
        else:
            chosen = current if current in able else able[0]
            later = self._next if current in able else self._now
            if later is self._now or self._limit is None or self.bound < self._limit:
                later.extend((made, at, other) for other in able if other != chosen)
        made.append(chosen)
        return chosen

    def again(self) -> bool:
        if not self._now:
            if not self._next:
                return False
            self._now, self._next = self._next, []
            self._rng.shuffle(self._now)
            self.bound += 1
        made, at, other = self._now.pop()
        self._prefix = bytes((*made[:at], other))
        return True

    def note(self) -> str:
        return f"up to {self.bound} preemption{'s' * (self.bound != 1)}"


class Given(Strategy):
    """The choices of an earlier run; where they are used up, the running thread goes on."""

    def __init__(self, choices: Sequence[int]) -> None:
        self._choices = choices
        self._at = 0
        self.astray = False

    def choose(self, current: int, able: Sequence[int]) -> int:
        at, self._at = self._at, self._at + 1
        if at < len(self._choices) and self._choices[at] in able:
            return self._choices[at]
        self.astray = True
        return current if current in able else able[0]

    def again(self) -> bool:
        return False


STRATEGIES = ("bounded", "exhaustive", "pct", "random")


def strategy_named(
    name: str | Strategy, seed: int, *, depth: int = 3, bound: int | None = 2
) -> Strategy:
    """A strategy by name: `bounded`, `exhaustive` (no bound), `pct`, `random`."""
    if isinstance(name, Strategy):
        return name
    if name == "bounded":
        return Bounded(seed, bound)
    if name == "exhaustive":
        return Bounded(seed, None)
    if name == "pct":
        return Pct(seed, depth)
    if name == "random":
        return RandomWalk(seed)
    raise SerialError(f"no strategy is called {name!r}; there are {', '.join(STRATEGIES)}")
