"""Cold keys that everybody wants at once: one loader each, whether threads or event loops ask.

The first run of the loader of every third key fails. Its error must reach those who waited for that run, and
nobody who asks when somebody has it already.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

from ..arena import Arena, Worker
from ..keys import make_key
from ..targets import Kind
from .base import workload
from .caching_base import Cached, Value

__all__: list[str] = []


class _Failure(Exception):
    """Of run number `run` of a loader."""

    def __init__(self, run: int) -> None:
        super().__init__(run)
        self.run = run


class _Cold:
    """One key, and what happened to it."""

    __slots__ = ("failed", "fails", "inside", "key", "runs")

    def __init__(self, key: Any, *, fails: bool) -> None:
        self.key = key
        self.fails = fails
        self.runs = itertools.count()
        self.inside: list[None] = []  # an item for each loader that runs
        self.failed = -1  # the latest run whose error somebody has


@workload(
    "cache-herd",
    "threads and event loops want the same cold keys: one loader each, errors to its callers only",
    [Kind.DICT],
    needs=["get_many"],
    native_only=True,
)
class HerdOnCache(Cached):
    quota = 60

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.events: list[Any] = []
        self.watch = self.cache.watch(self.events.append)
        self.cold = [
            _Cold(make_key(arena.style, 1, number), fails=number % 3 == 0)
            for number in range(self.quota)
        ]
        self.next = [0] * self.threads

    def step(self, worker: Worker) -> None:
        number = self.next[worker.index]
        self.next[worker.index] = number + 1
        cold = self.cold[number]
        if worker.index % 2:
            worker.note("aget_or_load", cold.key)
            asyncio.run(self._several(worker, cold))
        else:
            worker.note("get_or_load", cold.key)
            self._ask(worker, cold)

    def _ask(self, worker: Worker, cold: _Cold) -> None:
        while True:
            failed = cold.failed
            self.looks_up(worker)
            try:
                value = self.cache.get_or_load(cold.key, lambda _: self._load(worker, cold))
            except _Failure as failure:
                self._caught(worker, cold, failure, failed)
            else:
                self._is_there(worker, cold, value)
                return

    async def _several(self, worker: Worker, cold: _Cold) -> None:
        await asyncio.gather(*[self._aask(worker, cold) for _ in range(3)])

    async def _aask(self, worker: Worker, cold: _Cold) -> None:
        async def load(_: Any) -> Any:
            return self._load(worker, cold)

        while True:
            failed = cold.failed
            self.looks_up(worker)
            try:
                value = await self.cache.aget_or_load(cold.key, load)
            except _Failure as failure:
                self._caught(worker, cold, failure, failed)
            else:
                self._is_there(worker, cold, value)
                return

    def _caught(self, worker: Worker, cold: _Cold, failure: _Failure, failed: int) -> None:
        """`failed` is of before the call."""
        if failure.run <= failed:
            worker.fail("error", f"{cold.key!r} raised again what run {failure.run} had raised")
        cold.failed = max(cold.failed, failure.run)

    def _is_there(self, worker: Worker, cold: _Cold, value: Any) -> None:
        self.looks_up(worker)
        if self.cache.get(cold.key) is not value:
            worker.fail("lost", f"{cold.key!r} gave {value!r}, and then something else")

    def _load(self, worker: Worker, cold: _Cold) -> Value:
        next(self.loads)
        run = next(cold.runs)
        cold.inside.append(None)
        if len(cold.inside) > 1:
            worker.fail("flight", f"{len(cold.inside)} loaders of {cold.key!r} run at once")
        time.sleep(0)
        cold.inside.pop()
        if cold.fails and run == 0:
            raise _Failure(run)
        return Value(run)

    def at_rest(self) -> None:
        asked = self.cold[: max(self.next)]
        runs = {cold.key: next(cold.runs) for cold in asked}
        wrong = [cold.key for cold in asked if runs[cold.key] != 1 + cold.fails]
        self.arena.expect(not wrong, "flights", lambda: f"loaded again: {wrong[:3]!r}")
        told = [event.kind.name for event in self.events]
        self.arena.expect(
            told == ["ADDED"] * len(asked),
            "events",
            f"{len(told)} events for {len(asked)} keys: {set(told)}",
        )
        self.watch.cancel()
        super().at_rest()
