"""Watchers: every committed change is told exactly once, in order, with the right versions.

The events of all callbacks, sorted by version, must replay the whole life of the table: each
`old` is what the event before left, and the end is the table itself. A subscription must give the
same events in that order, and name in LOST what it leaves out.
"""

from __future__ import annotations

import threading
from typing import Any

from ..arena import Arena, Worker
from ..cells import ABSENT
from ..keys import make_key
from ..layout import check_layout
from ..targets import Kind
from .base import Round, workload

__all__: list[str] = []

_SMALL, _LARGE = 8, 1_000_000


class _Watched(Round):
    """A watched table, its callbacks' events per thread, and two subscriptions."""

    quota = 100
    _keys = 8

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.table = arena.make()
        self.missing = self.package.MISSING
        self.keys = [make_key(arena.style, 0, number) for number in range(self._keys)]
        self.events: list[list[Any]] = [[] for _ in range(self.threads)]
        self.some: list[list[Any]] = [[] for _ in range(self.threads)]
        self.small: list[Any] = []
        self.written = [0] * self.threads
        self._thread = threading.local()
        self.watches = [
            self.table.watch(self._on_event),
            self.table.watch(self._on_some, keys=self.keys[:2]),
        ]
        self.narrow = self.table.subscribe(_SMALL)
        self.wide = self.table.subscribe(_LARGE)

    def begin(self, worker: Worker) -> None:
        self._thread.index = worker.index

    def _on_event(self, event: Any) -> None:
        # Without an index it is a thread that wrote nothing: the check at rest misses the event.
        if event.kind.name != "DEALLOCATED":  # comes in the thread that collects the garbage
            self.events[self._thread.index].append(event)

    def _on_some(self, event: Any) -> None:
        if event.kind.name != "DEALLOCATED":
            self.some[self._thread.index].append(event)

    def change(self, worker: Worker) -> list[tuple[str, Any, Any, Any]]:
        """One mutation; the events it must cause as (kind, key, old or ANY, new)."""
        raise NotImplementedError

    def step(self, worker: Worker) -> None:
        if worker.index == 0:
            self._drain(3)
        own = self.events[worker.index]
        count, version = len(own), own[-1].version if own else -1
        expected = self.change(worker)
        came = own[count:]
        if len(came) != len(expected):
            worker.fail(
                "events",
                f"{len(came)} events when the call returned, not {expected}: {_texts(came)}",
            )
        for event, (kind, key, old, new) in zip(came, expected, strict=True):
            told = (event.kind.name, event.key, event.new)
            if told != (kind, key, new) or (old is not ANY and event.old != old):
                worker.fail("events", f"event {_texts([event])}, expected {(kind, key, old, new)}")
            if event.version <= version:
                worker.fail("versions", f"version {event.version} after {version} in one thread")
            version = event.version
        if self.table.version < version:
            worker.fail(
                "versions", f"table.version is {self.table.version} after an event with {version}"
            )

    def _drain(self, most: int) -> None:
        """Take up to `most` events of the narrow subscription; one thread only."""
        for _ in range(most):
            if not len(self.narrow):
                return
            self.small.append(self.narrow.get(timeout=0))

    # -- at rest ---------------------------------------------------------------------------------

    def at_rest(self) -> None:
        events = sorted((e for own in self.events for e in own), key=lambda event: event.version)
        versions = [event.version for event in events]
        self.arena.expect(
            len(set(versions)) == len(versions), "versions", "two events have the same version"
        )
        self._drain(_LARGE)
        self._check_subscription("wide", self._rest_of(self.wide), events)
        self._check_subscription("narrow", self.small, events)
        self._check_filter(events)
        self._replay(events)
        for watch in self.watches:
            watch.cancel()
        self.narrow.close()
        self.wide.close()
        check_layout(self.arena, self.table)

    def _rest_of(self, subscription: Any) -> list[Any]:
        return [subscription.get(timeout=0) for _ in range(len(subscription))]

    def _check_filter(self, events: list[Any]) -> None:
        some = sorted((e for own in self.some for e in own), key=lambda event: event.version)
        wanted = [e for e in events if _is_whole(e) or e.key in self.keys[:2]]
        self.arena.expect(
            [_facts(e) for e in some] == [_facts(e) for e in wanted],
            "events",
            f"a watch of two keys got {len(some)} events, not the {len(wanted)} of these keys",
        )

    def _check_subscription(self, name: str, got: list[Any], events: list[Any]) -> None:
        """Strict order; every event of the callbacks is there, or in a LOST range."""
        told = {event.version: _facts(event) for event in events}
        covered: set[int] = set()
        last = -1
        for event in got:
            lost = event.kind.name == "LOST"
            first, final = (event.old, event.new) if lost else (event.version, event.version)
            if first <= last:
                self.arena.fail(
                    "subscription", f"{name}: version {first} after {last}: {_texts([event])}"
                )
                return
            if lost:
                inside = {version for version in told if first <= version <= final}
                self.arena.expect(
                    bool(inside), "subscription", f"{name}: LOST {first}..{final} lost nothing"
                )
                covered |= inside
            else:
                self.arena.expect(
                    told.get(first) == _facts(event),
                    "subscription",
                    f"{name}: {_texts([event])}, but callbacks saw {told.get(first)}",
                )
                covered.add(first)
            last = final
        missing = sorted(set(told) - covered)
        self.arena.expect(
            not missing,
            "subscription",
            f"{name}: no event and no LOST for versions {missing[:5]} ({len(missing)} in all)",
        )
        if name == "wide":
            self.arena.expect(
                len(got) == len(events), "subscription", f"wide: {len(got)} of {len(events)} events"
            )

    def _replay(self, events: list[Any]) -> None:
        raise NotImplementedError


class _Any:
    def __repr__(self) -> str:
        return "ANY"


ANY = _Any()


def _facts(event: Any) -> tuple[Any, ...]:
    return (event.kind, event.key, event.old, event.new, event.version)


def _is_whole(event: Any) -> bool:
    return event.kind.name in ("CLEARED", "CLONED")


def _texts(events: list[Any]) -> str:
    return "; ".join(f"{e.kind.name} {e.key!r} {e.old!r} -> {e.new!r} @{e.version}" for e in events)


@workload(
    "watchers",
    "callbacks and subscriptions of a dict: every change once, in order, with its old value",
    [Kind.DICT],
    native_only=True,
)
class WatchedDict(_Watched):
    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        # A key of each thread that nobody else writes: its events are known exactly. One key
        # stays for good, so that the table is never empty, and `update` never a clone.
        self.own = [make_key(arena.style, 1, thread) for thread in range(self.threads)]
        self._thread.index = 0
        self.table[make_key(arena.style, 2, 0)] = "stays"

    def change(self, worker: Worker) -> list[tuple[str, Any, Any, Any]]:
        table, rng, way = self.table, worker.rng, worker.rng.random()
        if way < 0.3:
            return self._change_own(worker)
        key = rng.choice(self.keys)
        value = self._value(worker)
        if way < 0.6:
            worker.note("swap", key, value)
            old = table.swap(key, value)
            return [("ADDED" if old is self.missing else "MODIFIED", key, old, value)]
        if way < 0.8:
            worker.note("pop", key)
            old = table.pop(key, self.missing)
            return [] if old is self.missing else [("DELETED", key, old, self.missing)]
        if way < 0.9:
            worker.note("compare_and_set", key, value)
            done = table.compare_and_set(key, self.missing, value)
            return [("ADDED", key, self.missing, value)] if done else []
        return self._pop_many(worker)

    def _value(self, worker: Worker) -> tuple[int, int]:
        number = self.written[worker.index] = self.written[worker.index] + 1
        return (worker.index, number)

    def _change_own(self, worker: Worker) -> list[tuple[str, Any, Any, Any]]:
        key, table = self.own[worker.index], self.table
        old, value = table.get(key, self.missing), self._value(worker)
        if old is not self.missing and worker.rng.random() < 0.3:
            worker.note("del", key)
            del table[key]
            return [("DELETED", key, old, self.missing)]
        way = worker.rng.randrange(3)
        worker.note(("put", "update", "compute")[way], key, value)
        if way == 0:
            table[key] = value
        elif way == 1:
            table.update({key: value})
        else:
            table.compute(key, lambda current: value)
        return [("ADDED" if old is self.missing else "MODIFIED", key, old, value)]

    def _pop_many(self, worker: Worker) -> list[tuple[str, Any, Any, Any]]:
        keys = worker.rng.sample(self.keys, 2)
        worker.note("pop_many", keys[0], keys[1])
        removed = self.table.pop_many(keys)
        return [("DELETED", key, removed[key], self.missing) for key in keys if key in removed]

    def _replay(self, events: list[Any]) -> None:
        state: dict[Any, Any] = {}
        for event in events:
            kind, key = event.kind.name, event.key
            legal = {
                "ADDED": key not in state,
                "MODIFIED": key in state and state[key] == event.old,
                "DELETED": key in state and state[key] == event.old,
            }.get(kind, False)
            if not legal:
                self.arena.fail(
                    "replay",
                    f"{_texts([event])}, but the events before leave {state.get(key, ABSENT)!r} there",
                )
                return
            if kind == "DELETED":
                del state[key]
            else:
                state[key] = event.new
        self.arena.expect(
            state == dict(self.table.items()),
            "replay",
            f"the events replay to {state}, but the table is {dict(self.table.items())}",
        )


@workload(
    "set-watchers",
    "callbacks and subscriptions of a set: every change once, in order",
    [Kind.SET],
    native_only=True,
)
class WatchedSet(_Watched):
    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.own = [make_key(arena.style, 1, thread) for thread in range(self.threads)]
        self._thread.index = 0
        self.table.add(make_key(arena.style, 2, 0))

    def change(self, worker: Worker) -> list[tuple[str, Any, Any, Any]]:
        table, rng = self.table, worker.rng
        if rng.random() < 0.5:
            item = self.own[worker.index]
            there = item in table
            worker.note("^=", item)
            table ^= {item}
            return [("DELETED" if there else "ADDED", item, self.missing, self.missing)]
        item = rng.choice(self.keys)
        if rng.random() < 0.5:
            worker.note("remove", item)
            try:
                table.remove(item)
            except KeyError:
                return []
            return [("DELETED", item, self.missing, self.missing)]
        worker.note("add", item)
        before = len(self.events[worker.index])
        table.add(item)
        # `add` does not tell whether the item was there: the replay at rest judges that.
        came = len(self.events[worker.index]) - before
        return [("ADDED", item, self.missing, self.missing)] * min(came, 1)

    def _replay(self, events: list[Any]) -> None:
        state: set[Any] = set()
        for event in events:
            adding = event.kind.name == "ADDED"
            if event.kind.name not in ("ADDED", "DELETED") or (event.key in state) == adding:
                self.arena.fail("replay", f"{_texts([event])} does not fit the events before it")
                return
            (state.add if adding else state.remove)(event.key)
        self.arena.expect(
            state == set(self.table),
            "replay",
            f"the events replay to {state}, but the set is {set(self.table)}",
        )
