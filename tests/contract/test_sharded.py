"""The sharded table: many combined tables that look like one."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest


@pytest.mark.parametrize("shards", [1, 2, 16, 1024])
def test_shards(ct: Any, shards: int) -> None:
    table = ct.ShardedDict({number: number for number in range(500)}, shards=shards)
    assert table.shards == shards
    assert table == {number: number for number in range(500)}
    assert len(table) == 500


def test_default_is_sixteen(ct: Any) -> None:
    assert ct.ShardedDict().shards == 16


@pytest.mark.parametrize("shards", [0, 3, -2, 2048, 12])
def test_bad_number_of_shards(ct: Any, shards: int) -> None:
    with pytest.raises(ValueError):
        ct.ShardedDict(shards=shards)


@pytest.mark.parametrize("shards", ["4", 4.0, None])
def test_bad_type_of_shards(ct: Any, shards: Any) -> None:
    with pytest.raises(TypeError):
        ct.ShardedDict(shards=shards)


def test_copy_keeps_the_number_of_shards(ct: Any) -> None:
    table = ct.ShardedDict(a=1, shards=4)
    assert table == {"a": 1}
    assert table.copy().shards == 4
    assert (table | {"b": 2}).shards == 4


def test_equal_keys_meet_in_one_shard(ct: Any) -> None:
    table = ct.ShardedDict(shards=64)
    for number in range(200):
        table[number] = number
        table[float(number)] = -number
    assert len(table) == 200
    assert table[7] == -7


def test_keys_with_equal_low_hash_bits_spread(ct: Any) -> None:
    table = ct.ShardedDict({number * 1024: number for number in range(300)}, shards=16)
    assert all(table[number * 1024] == number for number in range(300))


def test_version_is_a_sum_that_rises(ct: Any) -> None:
    table = ct.ShardedDict(shards=8)
    versions = [table.version]
    for number in range(50):
        table[number] = number
        versions.append(table.version)
    assert versions == sorted(set(versions))


def test_clear_and_popitem(ct: Any) -> None:
    table = ct.ShardedDict({number: number for number in range(100)})
    key, value = table.popitem()
    assert key == value
    assert len(table) == 99
    table.clear()
    assert len(table) == 0
    assert list(table) == []


def test_iteration_yields_each_key_once(ct: Any) -> None:
    table = ct.ShardedDict({number: number for number in range(1000)}, shards=32)
    assert sorted(table) == list(range(1000))
    assert sorted(table.values()) == list(range(1000))
    assert sorted(table.items()) == [(number, number) for number in range(1000)]


@pytest.mark.parametrize("operation", ["update_many", "pop_many", "clear"])
def test_a_batch_that_finds_no_memory_changes_no_shard(
    columns: dict[str, Any], operation: str
) -> None:
    testcapi = pytest.importorskip("_testcapi")
    if "c" not in columns:
        pytest.skip("Python objects are all over the other implementation")
    numbers = range(40)
    batch = {number: 1 for number in numbers}
    for nth in range(1, 2000):
        table = columns["c"].ShardedDict(dict.fromkeys(numbers, 0), shards=8)
        version = table.version
        arguments = {"update_many": (batch,), "pop_many": (numbers,), "clear": ()}[operation]
        method, failed = getattr(table, operation), False
        testcapi.set_nomemory(nth, nth + 1)
        try:
            method(*arguments)
        except (MemoryError, RuntimeError):  # RuntimeError: "can't allocate lock"
            failed = True
        finally:
            testcapi.remove_mem_hooks()
        if failed and table == dict.fromkeys(numbers, 0):
            assert table.version == version
            continue
        assert not failed, f"allocation {nth} failed after the first shard had changed"
        assert table == (batch if operation == "update_many" else {})
        return
    raise AssertionError("the operation never ended without a failure")


def test_a_comparison_that_changes_the_table_at_every_call_ends_the_batch(ct: Any) -> None:
    class Key:
        def __init__(self, number: int) -> None:
            self.number = number

        def __hash__(self) -> int:
            return self.number

        def __eq__(self, other: object) -> bool:
            table[self.number % 2, "written"] = None
            del table[self.number % 2, "written"]
            return isinstance(other, Key) and self.number == other.number

    table = ct.ShardedDict({Key(number): 0 for number in range(30)}, shards=2)
    with contextlib.suppress(ct.TableMutationError):
        table.update_many({Key(number): 1 for number in range(30)})
    assert len(table) == 30 and set(table.values()) <= {0, 1}


def test_the_events_of_a_batch_have_rising_versions(ct: Any) -> None:
    table = ct.ShardedDict({number: 0 for number in range(0, 40, 2)})
    seen: list[Any] = []
    keys = [number * 7 % 40 for number in range(40)]
    with table.watch(seen.append):
        table.update_many({number: 1 for number in keys})
        table.pop_many(keys[5:25])
    versions = [event.version for event in seen]
    assert versions == list(range(versions[0], versions[0] + 60))
    assert versions[-1] == table.version
    kinds = {(event.key, event.kind.name) for event in seen[:40]}
    assert kinds == {(number, "ADDED" if number % 2 else "MODIFIED") for number in keys}
    assert {(event.key, event.kind.name) for event in seen[40:]} == {
        (number, "DELETED") for number in keys[5:25]
    }
    if ct.IMPLEMENTATION == "c":  # the twin goes shard by shard
        assert [event.key for event in seen] == keys + keys[5:25]
