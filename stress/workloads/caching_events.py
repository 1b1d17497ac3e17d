"""What left a cache and why: watchers, the removal listener and the counts tell one story.

A watcher hears of every entry that comes and goes, the listener of every one that left, with a cause. At rest
their stories are compared value by value: each that came has left once or is there, the events of a key
form a chain, and the cause is one that some call of the workload could bring about while the value was in.
"""

from __future__ import annotations

import itertools
import time
from typing import Any, NamedTuple

from ..arena import Arena, Worker
from ..targets import Kind
from .base import workload
from .caching_base import Cached, Value, cache_type, wait_for_clock

__all__: list[str] = []

_TTL_SECONDS = 0.002
_ADDED, _MODIFIED, _DELETED = "ADDED", "MODIFIED", "DELETED"


class _Call(NamedTuple):
    """Something that may take values out: from when to when, which keys (None: any), for what cause."""

    began: int
    ended: int
    key: Any
    cause: str
    made: Value | None  # what it may itself have put in: that came after all that it took out


class _Told(NamedTuple):
    """What the listener heard."""

    at: int
    key: Any
    value: Value
    cause: str


@workload(
    "cache-events",
    "every entry that leaves is told once, with its cause; watchers, listener and counts agree",
    [Kind.DICT],
    needs=["get_many"],
    native_only=True,
)
class ToldByCache(Cached):
    def __init__(self, arena: Arena) -> None:
        self.bounded, self.expires = [(None, None), (3, None), (None, _TTL_SECONDS)][
            (arena.number + arena.number // 3) % 3  # `number % 3` chooses the keys
        ]
        self.moments = itertools.count()
        self.told: list[_Told] = []
        self.events: list[Any] = []
        super().__init__(arena)
        self.watch = self.cache.watch(self.events.append)
        self.calls: list[list[_Call]] = [[] for _ in range(self.threads)]
        self.popped: list[list[Any]] = [[] for _ in range(self.threads)]
        self.invalidated = [0] * self.threads  # by what calls returned: there are others

    def make_cache(self) -> Any:
        return cache_type(self.package)(self.bounded, ttl=self.expires, on_remove=self.gone)

    def gone(self, key: Any, value: Any, cause: str) -> None:
        self.told.append(_Told(next(self.moments), key, value, str(cause)))
        super().gone(key, value, "")
        if cause == "expired" and time.monotonic() < value.made + _TTL_SECONDS:
            self.early.append(f"{key!r} {time.monotonic() - value.made:.4f} s after it was made")

    def step(self, worker: Worker) -> None:
        number = worker.rng.randrange(len(self.keys))
        key, way = self.keys[number], worker.rng.randrange(12)
        began = next(self.moments)
        if way < 4:
            worker.note("set", key)
            made = self._made(number)
            self.cache.set(key, made, tags=[number % 2])
            self._called(worker, began, key, "replaced", made)
        elif way < 7:
            worker.note("get_or_load", key)
            self.looks_up(worker)
            found = self.cache.get_or_load(key, lambda _: self._load(number), tags=[number % 2])
            self._is_of(worker, key, number, found)
            self._called(worker, began, key, "replaced", found)
        else:
            self._take_out(worker, key, number, way, began)

    def _load(self, number: int) -> Value:
        next(self.loads)
        value = self._made(number)
        value.loaded = True
        return value

    def _made(self, number: int) -> Value:
        value = Value(number)
        value.born = next(self.moments)
        return value

    def _take_out(self, worker: Worker, key: Any, number: int, way: int, began: int) -> None:
        cache, index = self.cache, worker.index
        if way == 7:
            worker.note("pop", key)
            value = cache.pop(key, None)
            if value is not None:
                self._is_of(worker, key, number, value)
                self.popped[index].append(value)
            self._called(worker, began, key, "explicit")
        elif way == 8:
            worker.note("invalidate", key)
            self.invalidated[index] += cache.invalidate(key)
            self._called(worker, began, key, "invalidated")
        elif way == 9:
            worker.note("invalidate_where", key)
            self.invalidated[index] += cache.invalidate_where(lambda found, _: found == key)
            self._called(worker, began, key, "invalidated")
            self._called(worker, began, None, "all loads")  # it keeps none that is in flight
        elif way == 10:
            worker.note("invalidate_tag", number % 2)
            cache.invalidate_tag(number % 2)
            for other in range(number % 2, len(self.keys), 2):
                self._called(worker, began, self.keys[other], "invalidated")
        else:
            worker.note("clear", key)
            cache.clear()
            self._called(worker, began, None, "explicit")

    def _called(
        self, worker: Worker, began: int, key: Any, cause: str, made: Value | None = None
    ) -> None:
        self.calls[worker.index].append(_Call(began, next(self.moments), key, cause, made))

    def _is_of(self, worker: Worker, key: Any, number: int, value: Any) -> None:
        if not isinstance(value, Value) or value.number != number:
            worker.fail("mixed", f"{key!r} gave {value!r}")

    # -- at rest ----------------------------------------------------------------------------------

    def at_rest(self) -> None:
        self.cache.expire()
        if self.expires is not None:
            wait_for_clock(self.arena)
        self.watch.cancel()
        came = self._chains()
        self._each_once(came)
        self._causes()
        self._counts()
        self.compare_books()
        self.cache.clear()

    def _chains(self) -> dict[int, Value]:
        """The values that came, by id, from the events of each key in the order of their versions."""
        fail = self.arena.fail
        came: dict[int, Value] = {}
        standing: dict[Any, Any] = {}
        for event in sorted(self.events, key=lambda event: event.version):
            kind, key = event.kind.name, event.key
            before = standing.pop(key, None)
            if (kind == _ADDED) != (before is None) or (kind != _ADDED and event.old is not before):
                fail("events", f"{kind} of {key!r} after {before!r} was there")
            if kind in (_ADDED, _MODIFIED):
                if id(event.new) in came:
                    fail("events", f"{event.new!r} of {key!r} came twice")
                standing[key] = came[id(event.new)] = event.new
        there = dict(self.cache.items())
        if {key: id(value) for key, value in standing.items()} != {
            key: id(value) for key, value in there.items()
        }:
            fail("events", f"{len(standing)} have not left, {len(there)} are there")
        return came

    def _each_once(self, came: dict[int, Value]) -> None:
        expect = self.arena.expect
        told = [id(one.value) for one in self.told]
        expect(len(set(told)) == len(told), "told", "a value is told to have left twice")
        strange = [one for one in self.told if id(one.value) not in came]
        expect(not strange, "told", f"told of what never was in: {strange[:3]}")
        there = {id(value) for _, value in self.cache.items()}
        missing = came.keys() - set(told) - there
        expect(not missing, "told", f"{len(missing)} left, and the listener was not told")
        both = there & set(told)
        expect(not both, "told", f"{len(both)} were told to have left, and are there")

    def _causes(self) -> None:
        """A call that brings the cause about was made between birth and end of the value.

        It may have ended long before: what fell with a tag leaves when it is met.
        """
        calls: dict[tuple[Any, str], list[_Call]] = {}
        for call in itertools.chain(*self.calls):
            calls.setdefault((call.key, call.cause), []).append(call)
        for one in self.told:
            if one.cause == "size":
                fine = self.bounded is not None
            elif one.cause == "expired":
                fine = self.expires is not None
            else:
                fine = any(
                    call.began < one.at
                    and one.value.born < call.ended
                    and call.made is not one.value
                    for place in self._places(one)
                    for call in calls.get(place, ())
                )
            if not fine:
                self.arena.fail("cause", f"{one.value!r} of {one.key!r} was not {one.cause}")
                return

    def _places(self, one: _Told) -> list[tuple[Any, str]]:
        """Keys and causes of the calls that may have brought this about; see `RemovalCause`."""
        places = [(one.key, one.cause), (None, one.cause)]
        if one.cause == "invalidated":
            places.append((None, "explicit"))  # met while `clear` was on its way
            if one.value.loaded:  # and overtaken by a write
                places += [(one.key, "explicit"), (one.key, "replaced"), (None, "all loads")]
        return places

    def _counts(self) -> None:
        expect, stats = self.arena.expect, self.cache.stats()
        heard: dict[str, int] = {}
        for one in self.told:
            heard[one.cause] = heard.get(one.cause, 0) + 1
        counted = {
            "explicit": stats.explicit,
            "replaced": stats.replaced,
            "size": stats.evicted,
            "expired": stats.expired,
            "invalidated": stats.invalidated,
        }
        counted = {cause: count for cause, count in counted.items() if count}
        expect(heard == counted, "counts", f"the listener heard {heard}, counted are {counted}")
        explicit = {id(one.value) for one in self.told if one.cause == "explicit"}
        popped = [value for values in self.popped for value in values]
        expect(
            all(id(value) in explicit for value in popped),
            "cause",
            "what pop returned was not told as explicit",
        )
        invalidated, told = sum(self.invalidated), heard.get("invalidated", 0)
        expect(invalidated <= told, "counts", f"calls invalidated {invalidated}, {told} are told")
