"""Millions of random operations against the models: `python -m tests.cache.campaign --ops 10000000`.

Threads share a cache. In some rounds each of them compares keys of its own with an exact model after every
operation, and all meet at keys that everybody loads and invalidates; in the others all keys are shared
and the cache is bounded, so that entries leave at any moment. At the end of every round the counts must
add up. One line tells how many operations were done; the exit status is 1 when something was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import random
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from concurrent_tables._select import load
from concurrent_tables.cache import clock
from concurrent_tables.cache.cache import make_cache_type
from concurrent_tables.cache.parts import parts
from tests.cache.models import TTL_SECONDS, Exact, Shared

__all__ = ["compare_books", "main"]

SHARED_KEYS = range(8)
OWN_KEYS = 8
GIVE_UP_SECONDS = 60.0
HANG_SECONDS = 600.0  # part of a round takes seconds
ROUNDS: tuple[dict[str, Any], ...] = (
    {"exact": True},
    {"maxsize": 5},
    {"exact": True, "maxsize": 10_000, "policy": "lru"},
    {"maxsize": 5, "policy": "lru", "ttl": 0.02},
)


class Timer:
    """Moves between the parts of a round only, where no thread is in the cache."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Wrong(Exception):
    """What a thread of a round found."""


def compare_books(cache: Any, left: Iterator[int]) -> None:
    """At rest: what came, what left (the listener counted `left`), and what is there."""
    cache.expire()
    stats = cache.stats()
    assert stats.insertions - stats.removals == stats.size == len(cache)
    assert stats.removals == next(left)
    assert len(cache._flights) == 0
    if cache.maxsize is not None:
        assert len(cache) <= cache.maxsize and stats.weight == stats.size


def in_threads(bodies: Sequence[Any]) -> None:
    """Run them at once; Wrong with the first error."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(bodies))

    def run(body: Any) -> None:
        try:
            barrier.wait()
            body()
        except BaseException as error:  # told to the main thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(body,), daemon=True) for body in bodies]
    for thread in threads:
        thread.start()
    end = time.monotonic() + HANG_SECONDS
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    if not errors and any(thread.is_alive() for thread in threads):
        raise Wrong(f"a thread has not come to its end in {HANG_SECONDS:g} s")
    if errors:
        raise Wrong(f"{type(errors[0]).__name__}: {errors[0]}") from errors[0]


class Round:
    """A fresh cache and what its threads do."""

    def __init__(
        self, ct: Any, seed: str, threads: int, *, exact: bool = False, **options: Any
    ) -> None:
        self.draws = [random.Random(f"{seed}/{number}") for number in range(threads)]
        self.left = itertools.count()
        self.timer = Timer()
        options = {"ttl": TTL_SECONDS, **options}
        self.expires = options["ttl"] < TTL_SECONDS  # while the round lasts
        if exact:
            options["timer"] = self.timer
        make = make_cache_type(parts(ct.IMPLEMENTATION), None)
        self.cache = make(on_remove=lambda *_: next(self.left), **options)
        self.shared = Shared(ct, self.cache, SHARED_KEYS, whole=not exact)
        self.exact = [
            Exact(
                self.cache,
                self.timer,
                draw,
                [(number, key) for key in range(OWN_KEYS)],
                [(number, tag) for tag in "xy"],
                alone=False,
            )
            for number, draw in enumerate(self.draws if exact else ())
        ]

    def run(self, operations: int) -> None:
        """So many operations of each thread, in four parts."""
        for part in range(4):
            steps = operations // 4 + (part < operations % 4)
            in_threads([lambda n=n: self._work(n, steps) for n in range(len(self.draws))])
            self.timer.now += self.draws[0].choice([0.5, 3, 11])
            if self.exact:
                self.cache._tick()
            for each in self.exact:
                each.compare()
        self.shared.following.cancel()
        if not self.exact:  # nothing expires while it is counted
            self.cache.clear()
            if self.expires:
                self._wait_for_clock()
        compare_books(self.cache, self.left)
        self.cache.clear()

    def _wait_for_clock(self) -> None:
        """It may have taken an entry out that it has not told the listener of yet."""
        end = time.monotonic() + GIVE_UP_SECONDS
        while not clock.idle():
            gc.collect()  # the caches of rounds before may still have ends to come
            if time.monotonic() > end:
                raise Wrong("the clock has not ended, though nothing is left that could expire")
            time.sleep(0.001)

    def _work(self, number: int, steps: int) -> None:
        draw = self.draws[number]
        loop = asyncio.new_event_loop()
        try:
            for _ in range(steps):
                if self.exact and draw.random() < 0.6:
                    self.exact[number].step()
                else:
                    self.shared.step(draw, loop)
        finally:
            loop.close()


def campaign(ct: Any, options: argparse.Namespace) -> bool:
    """All operations on one implementation; whether nothing was wrong."""
    started, done, verdict = time.perf_counter(), 0, "no violation"
    told = started
    for number in itertools.count():
        if done >= options.ops:
            break
        each = -(-min(options.round, options.ops - done) // options.threads)
        setting = ROUNDS[number % len(ROUNDS)]
        try:
            Round(ct, f"{options.seed}/{number}", options.threads, **setting).run(each)
        except (Wrong, AssertionError) as error:
            verdict = f"VIOLATION in round {number} {setting}: {error}"
            break
        done += each * options.threads
        if time.perf_counter() - told > 30.0:
            told = time.perf_counter()
            print(f"{ct.IMPLEMENTATION}: {done:,} operations so far", flush=True)
    seconds = time.perf_counter() - started
    print(
        f"{ct.IMPLEMENTATION}: {done:,} operations by {options.threads} threads in {seconds:.1f} s "
        f"({done / seconds:,.0f} a second), seed {options.seed}: {verdict}",
        flush=True,
    )
    return verdict == "no violation"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.cache.campaign", description=__doc__)
    parser.add_argument("--ops", type=int, default=1_000_000, help="of each implementation")
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--round", type=int, default=20_000, help="operations with one cache")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--implementation", nargs="+", choices=("c", "python"), default=["c", "python"]
    )
    options = parser.parse_args(arguments)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # with the GIL: switch often enough to meet inside an operation
    try:
        return int(not all([campaign(load(name), options) for name in options.implementation]))
    finally:
        sys.setswitchinterval(interval)


if __name__ == "__main__":
    sys.exit(main())
