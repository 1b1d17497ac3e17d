"""Small promises that were once broken, one test each."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import weakref
from typing import Any

import pytest

from concurrent_tables import ConcurrentDict, ConcurrentSet, ShardedDict
from tests.support import MAPPINGS, MUTABLE_MAPPINGS, MUTABLE_TABLES, new, run_threads


class Thing:
    pass


@pytest.mark.parametrize("name", MUTABLE_TABLES)
def test_a_snapshot_does_not_keep_what_was_removed(ct: Any, name: str) -> None:
    table, thing = new(ct, name), Thing()
    alive = weakref.ref(thing)
    table.add(thing) if name == "ConcurrentSet" else table.update({"a": thing})
    assert table.snapshot() is table.snapshot()
    table.clear()
    del thing
    ct.reclaim.flush()
    gc.collect()
    assert alive() is None


class SlottedDict(ConcurrentDict[Any, Any]):
    __slots__ = ("extra",)


class SlottedSharded(ShardedDict[Any, Any]):
    __slots__ = ("extra",)


class SlottedSet(ConcurrentSet[Any]):
    __slots__ = ("extra",)


@pytest.mark.parametrize("make", [SlottedDict, SlottedSharded, SlottedSet])
@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))]
)
def test_copies_and_pickles_carry_the_slots_of_a_subclass(make: Any, duplicate: Any) -> None:
    table = make([(1, 2)])
    table.extra = ["kept"]
    twin = duplicate(table)
    assert type(twin) is make and twin == table and twin.extra == ["kept"]


class Numbered(ConcurrentDict[Any, Any]):
    def __init__(self, number: int, *args: Any) -> None:
        super().__init__(*args)
        self.number = number

    def __reduce__(self) -> Any:
        return type(self), (self.number, dict(self))


def test_copy_goes_by_the_reduce_of_a_subclass() -> None:
    twin = copy.copy(Numbered(3, {"a": 1}))
    assert twin.number == 3 and twin == {"a": 1}


def test_a_dict_subclass_is_copied_without_asking_it(ct: Any) -> None:
    class Loud(dict[str, int]):
        def __getitem__(self, key: str) -> int:
            raise AssertionError("asked")

    assert ct.ConcurrentDict(Loud(a=1)) == {"a": 1} == ct.FrozenDict(Loud(a=1))


class Nosy:
    """A key whose comparison looks at the whole table."""

    act: Any = None

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return self.number // 2

    def __eq__(self, other: object) -> bool:
        act, Nosy.act = Nosy.act, None
        if act is not None:
            act()
            Nosy.act = act
        return isinstance(other, Nosy) and self.number == other.number


def test_a_comparison_may_read_the_sharded_table_in_its_own_batch(ct: Any) -> None:
    table = ct.ShardedDict({Nosy(number): number for number in range(8)})
    batch = {Nosy(number): -number for number in range(30)}
    seen: list[int] = []

    def look() -> None:
        seen.append(len(table.snapshot()))
        table.get_many(["absent"])

    Nosy.act = look
    try:
        table.update_many(batch)
    finally:
        Nosy.act = None
    assert seen and len(table) == 30 and sum(table.values()) == -sum(range(30))


def test_exclusive_survives_being_left_by_a_stranger(ct: Any) -> None:
    table = ct.ConcurrentDict()
    hold = ct.exclusive(table)
    with pytest.raises(RuntimeError, match="without having been entered"):
        hold.__exit__(None, None, None)
    with hold:
        with pytest.raises(RuntimeError, match="another thread"):
            run_threads(lambda: hold.__exit__(None, None, None))
    run_threads(lambda: table.update(a=1), timeout=20)
    assert table == {"a": 1}


def test_a_writer_does_not_wait_for_the_comparison_of_a_filtered_key(ct: Any) -> None:
    table = ct.ConcurrentDict()
    inside, leave = threading.Event(), threading.Event()

    class Slow:
        def __hash__(self) -> int:
            return 7

        def __eq__(self, other: object) -> bool:
            inside.set()
            leave.wait(20)
            return self is other

    changes = table.subscribe(keys=[Slow()])
    writer = threading.Thread(target=lambda: table.__setitem__(7, "slow"))
    writer.start()
    try:
        assert inside.wait(20)
        run_threads(lambda: table.update(b=1), timeout=10)
    finally:
        leave.set()
        writer.join()
    table.clear()
    assert [event.kind.name for event in [changes.get(10)]] == ["CLEARED"]


def test_the_end_of_the_table_reaches_a_full_subscription(ct: Any) -> None:
    table = ct.ConcurrentDict()
    changes = table.subscribe(2)
    table.update(a=1)
    table.update(b=1)
    del table
    gc.collect()
    kinds = [(event.kind.name, event.version) for event in changes]
    assert kinds == [("ADDED", 1), ("ADDED", 2), ("DEALLOCATED", 2)]


def test_waiters_of_a_flight_go_on_when_its_key_cannot_be_compared(ct: Any) -> None:
    table = ct.ConcurrentDict()
    fail = False

    class Key:
        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            if fail:
                raise ValueError("cannot compare")
            return isinstance(other, Key)

    def factory() -> Any:
        nonlocal fail
        fail = True
        raise KeyError("no value")

    with pytest.raises((KeyError, ValueError)):
        table.compute_if_absent(Key(), factory)
    fail = False
    [value] = run_threads(lambda: table.compute_if_absent(Key(), lambda: 5), timeout=20)
    assert value == 5


class EqualToAll:
    def __hash__(self) -> int:
        return 5

    def __eq__(self, other: object) -> bool:
        return True


class EqualToItself:
    def __hash__(self) -> int:
        return 5

    def __eq__(self, other: object) -> Any:
        return NotImplemented if type(other) is EqualToAll else self is other


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
@pytest.mark.parametrize("more", [0, 30])
def test_keys_that_only_the_key_of_the_table_is_equal_to(ct: Any, name: str, more: int) -> None:
    """Two keys of a batch that are the same entry, though not equal to each other."""
    table = new(ct, name, [(number, number) for number in range(100, 100 + more)])
    table[EqualToAll()] = "value"
    one, two = EqualToItself(), EqualToItself()
    events: list[Any] = []
    table.watch(events.append)
    before, keys_before = table.version, table.keys_version
    assert table.get_many([one, two]) == {one: "value", two: "value"}
    table.update_many([(one, 1), (two, 2)])
    assert len(table) == more + 1 and table[one] == 2
    assert table.pop_many([one, two, 100]) == {one: 2} | ({100: 100} if more else {})
    left = more - 1 if more else 0
    assert len(table) == len(list(table)) == left
    assert one not in table and two not in table
    assert table.version - before == len(events) == 3 + bool(more)
    assert table.keys_version - keys_before == 1 + bool(more)
    ct.inspect_table(table).check()


@pytest.mark.parametrize("name", MAPPINGS)
def test_keywords_are_strings(ct: Any, name: str) -> None:
    odd: Any = {1: 2}
    first = [ct.SharedKeys()] if name == "SplitDict" else []
    with pytest.raises(TypeError, match="keywords must be strings"):
        getattr(ct, name)(*first, **odd)
    if name != "FrozenDict":
        table = new(ct, name)
        with pytest.raises(TypeError, match="keywords must be strings"):
            table.update([(3, 4)], **odd)
        assert 1 not in table


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
@pytest.mark.parametrize("comparisons", range(8))
def test_a_result_is_let_go_when_the_next_look_fails(ct: Any, name: str, comparisons: int) -> None:
    left = comparisons

    class Key:
        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            nonlocal left
            left -= 1
            if left < 0:
                raise ZeroDivisionError
            return isinstance(other, Key)

    alive: list[Any] = []

    def compute(old: Any) -> Any:
        nonlocal left
        thing = Thing()
        alive.append(weakref.ref(thing))
        before, left = left, 100
        table[Key()] = len(alive)  # so that what is returned cannot be stored
        left = before
        return thing

    table = new(ct, name)
    table[Key()] = "old"
    left = comparisons
    with pytest.raises(ZeroDivisionError):
        table.compute(Key(), compute)
    ct.reclaim.flush()
    gc.collect()
    assert [thing() for thing in alive] == [None] * len(alive)
