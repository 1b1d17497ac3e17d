"""Hypothesis state machines: a table beside an independent model, one rule per operation.

The models are written from the specification with builtin containers, lists and counters; none of
them looks at the tables under test.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from concurrent_tables import MISSING, EventKind
from tests.support import Named, new

KEYS = st.one_of(
    st.integers(-3, 12),
    st.sampled_from(["a", "b", "c", "d", "e", "", 1.0, True, None, (1, 2), b"a"]),
    st.builds(Named, st.integers(0, 3)),
)
STR_KEYS = st.sampled_from([f"k{n}" for n in range(9)])
VALUES = st.integers(0, 5) | st.sampled_from([None, "v", (1,)])
SETTINGS = settings(max_examples=25, stateful_step_count=40, deadline=None)


class EventLog:
    """What the events of a table must be, derived from the model before and after an operation."""

    def __init__(self) -> None:
        self.expected: list[tuple[Any, ...]] = []
        self.seen: list[Any] = []

    def put(self, model: dict[Any, Any], key: Any, value: Any) -> None:
        if key in model:
            self.expected.append((EventKind.MODIFIED, key, model[key], value))
        else:
            self.expected.append((EventKind.ADDED, key, MISSING, value))
        model[key] = value

    def drop(self, model: dict[Any, Any], key: Any) -> None:
        self.expected.append((EventKind.DELETED, key, model.pop(key), MISSING))


class MappingMachine(RuleBasedStateMachine):
    """One mutable mapping: contents, order, versions, events, guards, snapshots, iterators."""

    ct: Any
    name: str
    keys: Any = KEYS

    def __init__(self) -> None:
        super().__init__()
        self.table = new(self.ct, self.name)
        self.model: dict[Any, Any] = {}
        self.log = EventLog()
        self.table.watch(self.log.seen.append)
        self.subscription = self.table.subscribe(100_000)
        self.version = self.start = self.table.version
        self.keys_version = self.table.keys_version
        self.known_keys: set[Any] = set()
        self.checked = self.logged = 0  # events compared so far
        self.guards: list[tuple[Any, tuple[Any, ...]]] = []
        self.snapshots: list[tuple[Any, dict[Any, Any]]] = []

    # -- rules -----------------------------------------------------------------------------------

    @rule(data=st.data(), value=VALUES)
    def set_item(self, data: Any, value: Any) -> None:
        key = data.draw(self.keys)
        self.table[key] = value
        self.log.put(self.model, key, value)

    @rule(data=st.data())
    def delete(self, data: Any) -> None:
        key = data.draw(self.keys)
        try:
            del self.table[key]
        except KeyError:
            assert key not in self.model
        else:
            self.log.drop(self.model, key)

    @rule(data=st.data())
    def pop(self, data: Any) -> None:
        key = data.draw(self.keys)
        assert self.table.pop(key, "default") == self.model.get(key, "default")
        if key in self.model:
            self.log.drop(self.model, key)

    @precondition(lambda self: self.model)
    @rule()
    def popitem(self) -> None:
        key, value = self.table.popitem()
        assert self.model[key] == value
        if self.name != "ShardedDict":
            assert key == list(self.model)[-1]
        self.log.drop(self.model, key)

    @rule(data=st.data(), value=VALUES)
    def setdefault(self, data: Any, value: Any) -> None:
        key = data.draw(self.keys)
        assert self.table.setdefault(key, value) == self.model.get(key, value)
        if key not in self.model:
            self.log.put(self.model, key, value)

    @rule(data=st.data())
    def update_many(self, data: Any) -> None:
        pairs = data.draw(st.lists(st.tuples(self.keys, VALUES), max_size=6))
        self.table.update_many(pairs)
        for key, value in dict(pairs).items():
            self.log.put(self.model, key, value)

    @rule(data=st.data())
    def pop_many(self, data: Any) -> None:
        keys = data.draw(st.lists(self.keys, max_size=5))
        wanted = {key: self.model[key] for key in keys if key in self.model}
        assert self.table.pop_many(keys) == wanted
        for key in wanted:
            self.log.drop(self.model, key)

    @rule(data=st.data(), value=VALUES)
    def swap(self, data: Any, value: Any) -> None:
        key = data.draw(self.keys)
        assert self.table.swap(key, value) == self.model.get(key, MISSING)
        self.log.put(self.model, key, value)

    @rule(data=st.data(), expected=VALUES | st.just(MISSING), value=VALUES)
    def compare_and_set(self, data: Any, expected: Any, value: Any) -> None:
        key = data.draw(self.keys)
        done = self.table.compare_and_set(key, expected, value)
        assert done is (self.model.get(key, MISSING) == expected)
        if done:
            self.log.put(self.model, key, value)

    @rule(data=st.data(), expected=VALUES)
    def compare_and_delete(self, data: Any, expected: Any) -> None:
        key = data.draw(self.keys)
        done = self.table.compare_and_delete(key, expected)
        assert done is (self.model.get(key, MISSING) == expected)
        if done:
            self.log.drop(self.model, key)

    @rule(data=st.data(), result=VALUES | st.just(MISSING))
    def compute(self, data: Any, result: Any) -> None:
        key = data.draw(self.keys)
        seen: list[Any] = []
        assert self.table.compute(key, lambda old: seen.append(old) or result) == result
        assert seen == [self.model.get(key, MISSING)]
        if result is not MISSING:
            self.log.put(self.model, key, result)
        elif key in self.model:
            self.log.drop(self.model, key)

    @rule(data=st.data(), number=st.integers(0, 3))
    def increment(self, data: Any, number: int) -> None:
        key = data.draw(self.keys)
        try:
            result = self.table.increment(key, number, 10)
        except TypeError:
            assert not isinstance(self.model[key], int)
        else:
            assert result == self.model.get(key, 10) + number
            self.log.put(self.model, key, result)

    @rule()
    def clear(self) -> None:
        self.table.clear()
        if self.model:
            self.log.expected.append((EventKind.CLEARED, MISSING, MISSING, MISSING))
        self.model.clear()

    @rule(data=st.data())
    def make_guard(self, data: Any) -> None:
        keys = tuple(data.draw(st.lists(self.keys, min_size=2, max_size=3)))
        self.guards.append((self.table.guard(*keys), keys))

    @rule()
    def take_snapshot(self) -> None:
        self.snapshots.append((self.table.snapshot(), dict(self.model)))

    @rule(data=st.data(), cut=st.integers(0, 4), churn=st.lists(st.integers(100, 104), max_size=4))
    def iterate_beside_changes(self, data: Any, cut: int, churn: list[int]) -> None:
        before = set(self.model)
        iterator = iter(self.table)
        seen = [key for _, key in zip(range(cut), iterator, strict=False)]
        victim = data.draw(self.keys)
        removed = set()
        if victim in self.model and victim not in seen:
            del self.table[victim]
            self.log.drop(self.model, victim)
            removed.add(victim)
        if self.keys is KEYS:
            for number in churn:
                self.table[number] = number
                self.log.put(self.model, number, number)
        seen += iterator
        assert len(seen) == len(set(seen))
        assert set(seen) == before - removed

    # -- invariants ------------------------------------------------------------------------------

    @invariant()
    def contents_agree(self) -> None:
        assert len(self.table) == len(self.model)
        if self.name == "ShardedDict":
            assert dict(self.table.items()) == self.model
        else:
            assert list(self.table.items()) == list(self.model.items())
        assert self.table == self.model
        for key, value in self.model.items():
            assert self.table[key] == value

    @invariant()
    def events_agree(self) -> None:
        seen = [(event.kind, event.key, event.old, event.new) for event in self.log.seen]
        versions = [event.version for event in self.log.seen]
        assert len(seen) == len(self.log.expected)
        if self.name == "ShardedDict":  # one batch goes shard by shard; a clear counts every shard
            remaining = self.log.expected[self.checked :]
            for event in seen[self.checked :]:
                remaining.remove(event)
            assert versions == sorted(set(versions))
            assert not versions or versions[-1] == self.table.version
        else:
            assert seen == self.log.expected
            assert versions == list(range(self.start + 1, self.start + 1 + len(versions)))
        self.checked = len(seen)

    @invariant()
    def versions_rise_exactly_with_changes(self) -> None:
        version, keys_version = self.table.version, self.table.keys_version
        if self.name == "ShardedDict":
            assert (version > self.version) is (len(self.log.expected) > self.logged)
        else:
            assert version == self.start + len(self.log.expected)
        assert (keys_version != self.keys_version) >= (set(self.model) != self.known_keys)
        assert keys_version >= self.keys_version
        fresh = self.log.expected[self.logged :]
        self.logged = len(self.log.expected)
        if all(event[0] is EventKind.MODIFIED for event in fresh):
            assert keys_version == self.keys_version
        self.version, self.keys_version = version, keys_version
        self.known_keys = set(self.model)

    @invariant()
    def guards_agree(self) -> None:
        for guard, keys in self.guards:
            assert guard() == tuple(self.model.get(key, MISSING) for key in keys)
            assert guard.valid

    @invariant()
    def snapshots_stay(self) -> None:
        for snapshot, contents in self.snapshots:
            assert snapshot == contents

    @invariant()
    def layout_is_sound(self) -> None:
        self.ct.inspect_table(self.table).check()

    def teardown(self) -> None:
        self.subscription.close()
        events = list(self.subscription)
        assert [tuple(event) for event in events] == [tuple(event) for event in self.log.seen]


class StrMappingMachine(MappingMachine):
    """The same with str keys only: unicode blocks, split records."""

    keys = STR_KEYS


class RecordsMachine(RuleBasedStateMachine):
    """Several records of one `SharedKeys`: who publishes which name, who is split or combined."""

    ct: Any
    names = st.sampled_from([f"n{n}" for n in range(40)])

    def __init__(self) -> None:
        super().__init__()
        self.shared = self.ct.SharedKeys(["n0", "n1"])
        self.published = ["n0", "n1"]
        self.records: list[Any] = []
        self.models: list[dict[Any, Any]] = []
        self.split: list[bool] = []

    @rule()
    @precondition(lambda self: len(self.records) < 4)
    def add_record(self) -> None:
        self.records.append(self.ct.SplitDict(self.shared))
        self.models.append({})
        self.split.append(True)

    @precondition(lambda self: self.records)
    @rule(data=st.data(), key=names | st.integers(0, 3), value=VALUES)
    def set_item(self, data: Any, key: Any, value: Any) -> None:
        number = data.draw(st.integers(0, len(self.records) - 1))
        self.records[number][key] = value
        self.models[number][key] = value
        if self.split[number] and key not in self.published:
            if isinstance(key, str) and len(self.published) < 30:
                self.published.append(key)
            else:
                self.split[number] = False

    @precondition(lambda self: self.records)
    @rule(data=st.data(), value=VALUES)
    def fill(self, data: Any, value: Any) -> None:
        number = data.draw(st.integers(0, len(self.records) - 1))
        for n in range(31):
            key = f"n{n}"
            self.records[number][key] = value
            self.models[number][key] = value
            if self.split[number] and key not in self.published:
                if len(self.published) < 30:
                    self.published.append(key)
                else:
                    self.split[number] = False

    @precondition(lambda self: self.records)
    @rule(data=st.data(), key=names)
    def pop(self, data: Any, key: str) -> None:
        number = data.draw(st.integers(0, len(self.records) - 1))
        model = self.models[number]
        assert self.records[number].pop(key, "default") == model.get(key, "default")
        if key in model:
            del model[key]
            self.split[number] = False

    @precondition(lambda self: self.records)
    @rule(data=st.data())
    def clear(self, data: Any) -> None:
        number = data.draw(st.integers(0, len(self.records) - 1))
        self.records[number].clear()
        if self.models[number]:  # a record that was emptied begins again in its shape
            self.split[number] = True
        self.models[number].clear()

    @precondition(lambda self: len(self.records) > 1)
    @rule(data=st.data())
    def update_from_another(self, data: Any) -> None:
        target, source = data.draw(st.permutations(range(len(self.records))))[:2]
        self.records[target].update(self.records[source])
        for key, value in self.models[source].items():
            self.models[target][key] = value
            if self.split[target] and key not in self.published:
                if isinstance(key, str) and len(self.published) < 30:
                    self.published.append(key)
                else:
                    self.split[target] = False

    @invariant()
    def records_agree(self) -> None:
        for record, model in zip(self.records, self.models, strict=True):
            assert list(record.items()) == list(model.items())
            assert len(record) == len(model)
            assert record.shared_keys is self.shared

    @invariant()
    def kinds_agree(self) -> None:
        for record, split in zip(self.records, self.split, strict=True):
            info = self.ct.inspect_table(record)
            info.check()
            if split:
                assert info.kind == "split"

    @invariant()
    def names_agree(self) -> None:
        assert list(self.shared.names) == self.published


class SetMachine(RuleBasedStateMachine):
    """One `ConcurrentSet`: contents, version, events, snapshots."""

    ct: Any

    def __init__(self) -> None:
        super().__init__()
        self.table = self.ct.ConcurrentSet()
        self.model: set[Any] = set()
        self.replay: set[Any] = set()
        self.events: list[Any] = []
        self.table.watch(self._replay)
        self.start = self.table.version
        self.last: tuple[set[Any], int, int] = (set(), self.table.version, self.table.keys_version)
        self.snapshots: list[tuple[Any, frozenset[Any]]] = []

    def _replay(self, event: Any) -> None:
        self.events.append(event.version)
        if event.kind is EventKind.ADDED:
            assert event.key not in self.replay
            self.replay.add(event.key)
        elif event.kind is EventKind.DELETED:
            self.replay.remove(event.key)
        elif event.kind is EventKind.CLEARED:
            assert self.replay
            self.replay.clear()
        elif event.kind is EventKind.CLONED:
            assert not self.replay
            self.replay |= set(event.new)

    @rule(item=KEYS)
    def add(self, item: Any) -> None:
        self.table.add(item)
        self.model.add(item)

    @rule(item=KEYS)
    def discard(self, item: Any) -> None:
        self.table.discard(item)
        self.model.discard(item)

    @rule(item=KEYS)
    def remove(self, item: Any) -> None:
        try:
            self.table.remove(item)
        except KeyError:
            assert item not in self.model
        else:
            self.model.remove(item)

    @precondition(lambda self: self.model)
    @rule()
    def pop(self) -> None:
        self.model.remove(self.table.pop())

    @rule()
    def clear(self) -> None:
        self.table.clear()
        self.model.clear()

    @rule(
        name=st.sampled_from(["update", "difference_update", "intersection_update",
                              "symmetric_difference_update"]),
        items=st.frozensets(KEYS, max_size=8),
        kind=st.sampled_from(["frozenset", "list", "ConcurrentSet", "FrozenSet"]),
    )  # fmt: skip
    def bulk(self, name: str, items: Any, kind: str) -> None:
        operand = {"frozenset": frozenset, "list": list}.get(kind) or getattr(self.ct, kind)
        getattr(self.table, name)(operand(items))
        getattr(self.model, name)(items)

    @rule(count=st.integers(0, 60))
    def grow(self, count: int) -> None:
        self.table.update(range(count))
        self.model.update(range(count))

    @rule()
    def snapshot(self) -> None:
        self.snapshots.append((self.table.snapshot(), frozenset(self.model)))

    @rule(items=st.frozensets(KEYS, max_size=6))
    def pure_operators(self, items: Any) -> None:
        assert self.table | items == self.model | items
        assert self.table & items == self.model & items
        assert self.table - items == self.model - items
        assert self.table ^ items == self.model ^ items
        assert (self.table <= items) is (self.model <= items)
        assert self.table.isdisjoint(items) is self.model.isdisjoint(items)

    @invariant()
    def contents_agree(self) -> None:
        assert self.table == self.model == self.replay
        assert len(self.table) == len(self.model)
        items = list(self.table)
        assert len(items) == len(set(items)) == len(self.model)
        assert all(item in self.table for item in self.model)

    @invariant()
    def versions_rise_exactly_with_changes(self) -> None:
        contents, version, keys_version = self.last
        changed = contents != self.model
        assert (self.table.version > version) >= changed
        assert (self.table.keys_version > keys_version) >= changed
        assert self.table.version == self.start + len(self.events)
        self.last = (set(self.model), self.table.version, self.table.keys_version)

    @invariant()
    def snapshots_stay(self) -> None:
        for snapshot, contents in self.snapshots:
            assert snapshot == contents
            assert hash(snapshot) == hash(contents)

    @invariant()
    def layout_is_sound(self) -> None:
        self.ct.inspect_table(self.table).check()


class HashTableMachine(RuleBasedStateMachine):
    """The generic table with destructors: an association list is its model."""

    ct: Any
    words = st.sampled_from(["a", "A", "b", "B", "c", "long", "LONG", *map(str, range(30))])

    def __init__(self) -> None:
        super().__init__()
        self.destroyed: list[Any] = []
        self.expected: list[Any] = []
        self.table = self.ct.HashTable(
            lambda key: len(key),  # chains are long
            lambda a, b: a.lower() == b.lower(),
            destroy_value=self.destroyed.append,
        )
        self.model: dict[str, tuple[str, Any]] = {}
        self.counter = 0

    @rule(key=words)
    def set(self, key: str) -> None:
        self.counter += 1
        self.table.set(key, self.counter)
        old = self.model.get(key.lower())
        if old is not None:
            self.expected.append(old[1])
        self.model[key.lower()] = (key, self.counter)

    @rule(key=words)
    def get(self, key: str) -> None:
        assert self.table.get(key, "default") == self.model.get(key.lower(), ("", "default"))[1]
        assert (key in self.table) is (key.lower() in self.model)

    @rule(key=words)
    def steal(self, key: str) -> None:
        assert self.table.steal(key) == self.model.pop(key.lower(), ("", None))[1]

    @rule()
    def clear(self) -> None:
        self.table.clear()
        self.expected += [value for _, value in self.model.values()]
        self.model.clear()

    @rule(stop=st.integers(1, 5))
    def foreach(self, stop: int) -> None:
        seen: list[Any] = []

        def visit(key: str, value: int) -> Any:
            seen.append((key.lower(), value))
            return "stopped" if len(seen) == stop else None

        result = self.table.foreach(visit)
        assert (result == "stopped") is (len(self.model) >= stop)
        assert len(seen) == len(set(seen)) == min(stop, len(self.model))
        assert set(seen) <= {(key, value) for key, (_, value) in self.model.items()}

    @invariant()
    def sizes_agree(self) -> None:
        assert self.table.size() == len(self.table) == len(self.model)
        stats = self.table.stats()
        assert stats["size"] == len(self.model)
        assert stats["buckets"] >= 16
        assert stats["buckets"] & (stats["buckets"] - 1) == 0
        assert len(self.model) <= stats["buckets"] * 2 / 3

    def teardown(self) -> None:
        self.ct.reclaim.flush()
        assert sorted(self.destroyed) == sorted(self.expected)
