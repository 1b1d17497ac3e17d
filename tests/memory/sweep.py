"""Operations run again and again, each time with another allocation failing.

`sweep` calls one operation on fresh tables: with no allocation failing, then with only the n-th
failing and with many from the n-th on failing, for n = 0, 1, 2, ... until a run of n's changes
nothing any more. What has to hold after each failure is written in `_judge`.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import Named, Trackable, new

try:
    import _testcapi
except ImportError:  # an interpreter built without its own tests
    _testcapi = None  # type: ignore[assignment]

CAN_FAIL = hasattr(_testcapi, "set_nomemory")
QUIET = 12  # so many n's in a row without an error: the operation has its memory
LIMIT = 600  # no operation here makes so many allocations
# How many allocations fail in a row; not all, since an exception handler of CPython beyond the
# 256th instruction tries until it has memory. CPython 3.11 gives up ("Cannot recover from
# MemoryErrors while normalizing exceptions") when it cannot even make the traceback.
LENGTHS = (1, 100_000) if sys.version_info >= (3, 12) else (1, 5)
OUT = "out of memory"
GIVE_UP_SECONDS = 10.0

Operation = Callable[[Any, "World"], Any]


class Key(Named):
    """Equal by name, all in one probe chain: comparing runs Python code."""

    __slots__ = ()


class World:
    """One table in a known state, and the keys and values for an operation on it.

    `old` are equal to keys of the table and `fresh` to none; `value` is new to it. Everything that
    can be weakly referenced is, so that `alive` tells what an operation leaked.
    """

    def __init__(self, ct: Any, name: str, kind: str, state: str) -> None:
        self.ct = ct
        self.kind = kind
        self.is_set = name.endswith("Set")
        self._alive: list[weakref.ref[Any]] = []
        self.values = [self._tracked(Trackable(number)) for number in range(12)]
        self.old = [self._key(number) for number in range(5)]
        self.fresh = [self._key(number) for number in range(50, 80)]
        self.told: Any = None
        self.heard: list[Any] = []
        self.table = self._make(name)
        self._prepare(self.values[9])
        self.alive_before = len(self._alive)
        if state == "shared":
            thread = threading.Thread(target=lambda: len(self.table) + (self.old[0] in self.table))
            thread.start()
            wait_for_end(thread)
        elif state == "watched" and hasattr(self.table, "subscribe"):
            self.told = self.table.subscribe(64)
            self.table.watch(self.heard.append)

    def _tracked(self, made: Any) -> Any:
        self._alive.append(weakref.ref(made))
        return made

    def _key(self, number: int) -> Any:
        if self.kind == "str":
            return f"name {number}"
        return self._tracked(Key(number)) if number % 2 else number

    def _make(self, name: str) -> Any:
        keys = [self._key(number) for number in range(5)]
        if name.endswith("Set"):
            return new(self.ct, name, keys)
        if name == "HashTable":
            table = self.ct.HashTable(hash, lambda a, b: a == b)
            for key, value in zip(keys, self.values, strict=False):
                table.set(key, value)
            return table
        more = {"shards": 2} if name == "ShardedDict" else {}
        return new(self.ct, name, zip(keys, self.values, strict=False), **more)

    def _prepare(self, value: Any) -> None:
        """Make what operations need beforehand, so that less of the interpreter's own fails."""
        self.mapping = {self.fresh[0]: self.values[8], self.old[1]: value, self.fresh[1]: 1}
        self.pairs = iter([*self.mapping.items()])  # list(list) of CPython 3.11 leaks: not that
        self.many = dict.fromkeys(self.fresh, self.values[8])
        self.some = [self.old[0], self.fresh[2], self.old[3]]
        self.held = self.ct.exclusive(self.table) if hasattr(self.table, "version") else None
        missing = self.ct.MISSING
        self.to_value: Callable[..., Any] = lambda *old: value
        self.to_missing: Callable[..., Any] = lambda *old: missing
        self.to_none: Callable[..., Any] = lambda *old: None

    def contents(self) -> list[Any]:
        """What is in the table, comparable with that of another world."""
        table = self.table
        if type(table).__name__ == "HashTable":
            found: list[Any] = []
            table.foreach(lambda key, value: found.append((str(key), self._name(value))))
            return sorted(found)
        if hasattr(table, "items"):
            pairs = [(str(key), self._name(value)) for key, value in table.items()]
            return sorted(pairs) if type(table).__name__ == "ShardedDict" else pairs
        return sorted(map(str, table))

    @staticmethod
    def _name(value: Any) -> str:
        return str(value.name) if isinstance(value, Trackable) else str(value)

    def nudge(self) -> None:
        """One more change, with memory."""
        if self.is_set:
            self.table.add("nudge")
        elif type(self.table).__name__ == "HashTable":
            self.table.set("nudge", 1)
        else:
            self.table["nudge"] = 1

    def left_alive(self) -> int:
        """How much of what this world made is alive; call it after dropping table and keys."""
        return sum(made() is not None for made in self._alive)

    def drop(self) -> None:
        alive = self._alive
        self.__dict__.clear()
        self._alive = alive


def wait_for_end(thread: threading.Thread) -> None:
    """Until the system has ended it, too.

    Before 3.13, join() returns while the thread still frees its state, without the GIL: beside the
    replacement of the interpreter's allocators, which is no atomic step, that can crash.
    """
    thread.join()
    task = Path(f"/proc/self/task/{thread.native_id}")
    end = time.monotonic() + GIVE_UP_SECONDS
    while task.exists() and time.monotonic() < end:
        time.sleep(0)


def attempt(
    subject: Any, world: Any, operation: Callable[[Any, Any], Any], n: int, length: int
) -> str:
    """Run the operation with `length` allocations from n on failing: "done", OUT, or another error."""
    _testcapi.set_nomemory(n, n + length)
    try:
        operation(subject, world)
        _testcapi.remove_mem_hooks()
        return "done"
    except MemoryError:
        _testcapi.remove_mem_hooks()
        return OUT
    except Exception as error:
        _testcapi.remove_mem_hooks()
        text = f"{type(error).__name__}: {error}"
        return OUT if "can't allocate lock" in text else text  # what threading.Lock() says
    finally:
        _testcapi.remove_mem_hooks()


def go_through(one: Callable[[int, int], bool], *, quiet: int, limit: int) -> list[str]:
    """Call `one(n, length)`, which says whether that failure was noticed, until `quiet` were not.

    Returns a problem for each length with which even `limit` n's did not suffice.
    """
    problems = []
    for length in LENGTHS:
        unnoticed = 0
        for n in range(limit):
            unnoticed = 0 if one(n, length) else unnoticed + 1
            if unnoticed == quiet:
                break
        else:
            problems.append(f"still fails with allocation {limit} failing, length={length}")
    return problems


@contextmanager
def without_collections() -> Iterator[None]:
    """A collection amid failing allocations is the interpreter's own affair."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _queued(world: World) -> list[Any]:
    """The events that the world's subscription has."""
    events = []
    while len(world.told):
        events.append(world.told.get(timeout=0))
    return events


def _versions(world: World, events: list[Any]) -> set[int]:
    """The versions that these events tell of or say to be lost."""
    versions: set[int] = set()
    for event in events:
        lost = event.kind is world.ct.EventKind.LOST
        versions.update(event.lost if lost else (event.version,))
    return versions


def _replay(before: list[Any], world: World, events: list[Any]) -> list[Any]:
    """The contents that a subscriber knows of: what was there, and the events since."""
    state = dict(before) if before and isinstance(before[0], tuple) else dict.fromkeys(before)
    kinds = world.ct.EventKind
    for event in events:
        if event.kind is kinds.LOST:
            return sorted(world.contents())  # who is told so has to look
        if event.kind is kinds.CLEARED:
            state.clear()
        elif event.kind is kinds.DELETED:
            del state[str(event.key)]
        elif event.kind in (kinds.ADDED, kinds.MODIFIED):
            state[str(event.key)] = World._name(event.new)
    return sorted(state if world.is_set else state.items())


def differ(one: list[Any], other: list[Any]) -> str:
    """How two lists of contents differ."""
    return f"-{sorted(set(other) - set(one))} +{sorted(set(one) - set(other))}"


class Sweep:
    """The failures of one operation; `problems` says what went wrong."""

    def __init__(
        self, make: Callable[[], World], operation: Operation, *, partial: bool, leaks: bool
    ) -> None:
        self.make = make
        self.operation = operation
        self.partial = partial
        self.leaks = leaks
        self.problems: list[str] = []
        self.failures = 0
        self.worlds: list[World] = []
        self.attempts: list[str] = []

    def run(self) -> list[str]:
        """Go through all n's; what was wrong, in words."""
        with without_collections():
            self._run()
        return self.problems

    def _run(self) -> None:
        for _ in range(2):  # the first time also imports and caches
            world = self.make()
            self.before = world.contents()
            self.operation(world.table, world)
            self.after = world.contents()
            self.worlds.append(world)
            self.attempts.append("undisturbed")
        self.reclaim = world.ct.reclaim
        self.problems += go_through(self._one, quiet=QUIET, limit=LIMIT)
        self._leaks()

    def _one(self, n: int, length: int) -> bool:
        """One attempt with `length` allocations from n on failing; whether the operation said so."""
        world = self.make()
        version = getattr(world.table, "version", 0)
        ended = attempt(world.table, world, self.operation, n, length)
        self.worlds.append(world)
        self.attempts.append(f"n={n} length={length} ({ended})")
        try:
            self._judge(world, version, ended)
        except Exception as error:
            self.problems.append(f"n={n} length={length} ({ended}): {error!r}")
        self.failures += ended != "done"
        return ended != "done"

    def _judge(self, world: World, version: int, ended: str) -> None:
        if ended not in ("done", OUT):
            raise AssertionError("another error than MemoryError")
        now = world.contents()
        if ended == "done":
            assert now == self.after, f"{differ(self.after, now)}: not as it should be after"
        elif self.partial:
            assert set(self.before) & set(self.after) <= set(now) <= set(self.before + self.after)
        else:
            assert now == self.before, f"{differ(self.before, now)}: not as before"
            if self.before != self.after:
                assert getattr(world.table, "version", 0) == version, "the version has changed"
        if world.told is not None:
            self._judge_events(world, version)
        if hasattr(world.table, "_layout"):
            world.ct.inspect_table(world.table).check()

    def _judge_events(self, world: World, version: int) -> None:
        """Every change is told, late if need be, and by a LOST event at worst."""
        world.nudge()  # what could not be told then is told with the next change
        events = _queued(world)
        assert [event.version for event in events] == sorted({event.version for event in events})
        known, now = _replay(self.before, world, events), sorted(world.contents())
        assert known == now, f"events tell {differ(known, now)}"
        queued, heard = _versions(world, events), _versions(world, world.heard)
        assert queued <= heard, f"callbacks have not heard of {sorted(queued - heard)}"
        extra = heard - {*range(version + 1, world.table.version + 1)}
        assert not extra, f"callbacks heard of {extra}, from {version} on"

    def _leaks(self) -> None:
        for world in self.worlds:
            world.drop()
        for _ in range(2):  # tables that the collector frees may retire more
            gc.collect()
            self.reclaim.flush()
        left = [world.left_alive() for world in self.worlds]
        if any(left) and self.leaks:
            where = [text for text, count in zip(self.attempts, left, strict=True) if count]
            self.problems.append(f"{sum(left)} objects leaked: {', '.join(where[:10])}")
