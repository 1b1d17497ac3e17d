"""Time per operation of caches, in rounds that are interleaved over contestants and settings."""

from __future__ import annotations

import threading
import time
from bisect import bisect
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from random import Random
from typing import Any

from ..environment import pin_thread
from .cache_contestants import CacheContestant, Made

__all__ = ["WORKLOADS", "CacheCell", "measure_cell"]

WORKLOADS = {
    "hits": "get, Zipf over pre-filled keys",
    "calls": "the decorated function, Zipf over pre-filled keys",
    "loads": "get or load, Zipf over ten times as many keys as fit",
    "misses": "get, then set, of keys that are not there",
}
_VALUE = True  # immortal, so that no reference counts of values are measured
_LAP = 20_000  # operations
# Over the same keys in one lap, after one that is not measured: the laps of others leave nothing in the
# CPU's caches, and what it takes to fill them again depends on how long those were.
_PASSES = {"hits": 16, "calls": 16}
_TTL_SECONDS = 3600.0


@dataclass
class CacheCell:
    """One workload in one setting: nanoseconds per operation and thread, by contestant and round."""

    workload: str
    threads: int
    caches: str  # "one" or "each"
    ttl: bool
    size: int
    rounds: dict[str, list[float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        ttl = ", ttl" if self.ttl else ""
        return f"{self.workload}{ttl}, {self.threads} threads, {self.caches}"

    def nanoseconds(self, contestant: str) -> float:
        """The lower quartile over the rounds: what disturbs a lap from outside only makes it longer."""
        rounds = sorted(self.rounds[contestant])
        return rounds[(len(rounds) - 1) // 4]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def _loader(key: Any) -> Any:
    return _VALUE


class _Stand:
    """A contestant in one cell: its caches, and what each thread asks."""

    def __init__(self, contestant: CacheContestant, cell: CacheCell) -> None:
        ttl = _TTL_SECONDS if cell.ttl else None
        size = cell.size
        number = cell.threads if cell.caches == "each" else 1
        # Twice the room for hits: not all caches hold all that fits.
        room = 2 * size if cell.workload in _PASSES else size
        self.caches = [contestant.make(room, ttl, _loader) for _ in range(number)]
        self.cell = cell
        if cell.workload in _PASSES:
            for made in self.caches:
                for key in range(size):
                    made.set(f"key{key}", _VALUE)
                    if cell.workload == "calls" and made.call is not None:
                        made.call(f"key{key}")
        spread = 10 * size if cell.workload == "loads" else size
        self.asked = [_zipf(spread, number) for number in range(cell.threads)]
        self.fresh = 0

    def lap(self) -> float:
        """Nanoseconds per operation of the slowest thread; each has a CPU of its own if there are enough.

        Threads that wait for each other's lock are put on one CPU otherwise, where they do not meet.
        """
        barrier = threading.Barrier(self.cell.threads, timeout=60)
        times: list[float] = []
        self.fresh += 1

        passes = _PASSES.get(self.cell.workload, 1)

        def work(number: int) -> None:
            pin_thread(number)
            made = self.caches[number % len(self.caches)].own()
            keys = self.asked[number]
            if self.cell.workload == "misses":
                keys = [f"{self.fresh}-{number}-{place}" for place in range(_LAP // 4)]
            loop = _LOOPS[self.cell.workload]
            if self.cell.workload in _PASSES:
                loop(made, keys)
            barrier.wait()
            begin = time.perf_counter()
            for _ in range(passes):
                loop(made, keys)
            times.append((time.perf_counter() - begin) / (passes * len(keys)) * 1e9)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(self.cell.threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return max(times)


def _hits(made: Made, keys: list[str]) -> None:
    get = made.get
    for key in keys:
        get(key)


def _calls(made: Made, keys: list[str]) -> None:
    call = made.call
    assert call is not None
    for key in keys:
        call(key)


def _loads(made: Made, keys: list[str]) -> None:
    load = made.load
    for key in keys:
        load(key)


def _misses(made: Made, keys: list[str]) -> None:
    get, store = made.get, made.set
    for key in keys:
        if get(key) is None:
            store(key, _VALUE)


_LOOPS: dict[str, Callable[[Made, list[str]], None]] = {
    "hits": _hits,
    "calls": _calls,
    "loads": _loads,
    "misses": _misses,
}


def _zipf(spread: int, seed: int) -> list[str]:
    """Keys of one thread, its own objects: rank r with a probability in proportion to r**-0.99."""
    rng = Random(seed)
    weights = list(accumulate([1 / (rank + 1) ** 0.99 for rank in range(spread)]))
    return [f"key{bisect(weights, rng.random() * weights[-1])}" for _ in range(_LAP)]


def measure_cell(
    cell: CacheCell, contestants: list[CacheContestant], rounds: int, say: Callable[[str], None]
) -> CacheCell:
    """Fill in the rounds of a cell; the first lap of each contestant warms up and does not count."""
    stands = {}
    for one in contestants:
        if cell.workload == "misses" and one.name == "lru_cache":
            continue  # it has no set
        stand = _Stand(one, cell)
        if cell.workload == "calls" and stand.caches[0].call is None:
            continue
        stand.lap()
        stands[one.name] = stand
    names = list(stands)
    for _ in range(rounds):
        for name in names:
            cell.rounds.setdefault(name, []).append(stands[name].lap())
        # Nobody always comes after the same one, and finds the CPU's caches as that one leaves them.
        names.append(names.pop(0))
    say(cell.name)
    return cell
