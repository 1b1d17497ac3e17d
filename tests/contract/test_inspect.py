"""`inspect_table`: the layout made visible, at every index width."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import MUTABLE_TABLES, Named, new

WIDTHS = [(0, 1), (10, 1), (1_000, 2), (70_000, 4)]


@pytest.mark.parametrize(("count", "width"), WIDTHS)
def test_index_width(ct: Any, count: int, width: int) -> None:
    table = ct.ConcurrentDict((number, number) for number in range(count))
    info = ct.inspect_table(table)
    assert info.index_width == width
    assert info.entries == count
    assert 2**info.log2_size * 2 // 3 >= count
    info.check()


@pytest.mark.parametrize(("count", "width"), WIDTHS[1:])
def test_all_but_one_deleted(ct: Any, count: int, width: int) -> None:
    table = ct.ConcurrentDict((number, number) for number in range(count))
    assert ct.inspect_table(table).index_width == width
    for number in range(count - 1):
        del table[number]
    assert list(table.items()) == [(count - 1, count - 1)]
    ct.inspect_table(table).check()
    assert table.get(0) is None
    table["again"] = 1
    assert len(table) == 2
    ct.inspect_table(table).check()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_three_million_entries(ct: Any) -> None:
    table = ct.ConcurrentDict(dict.fromkeys(range(3_000_000), "value"))
    info = ct.inspect_table(table)
    assert info.index_width == 4
    assert info.entries == len(table) == 3_000_000
    assert table[2_999_999] == "value"
    del info
    table.pop_many(range(2_999_999))
    assert list(table.items()) == [(2_999_999, "value")]
    table.clear()  # a small table for the oracle that follows


def test_index_width_of_sets(ct: Any) -> None:
    table = ct.ConcurrentSet(range(1000))
    info = ct.inspect_table(table)
    assert info.kind == "set"
    assert info.entries == 1000
    assert 2**info.log2_size > 1000


def test_kinds(ct: Any) -> None:
    def kind(table: Any) -> str:
        return str(ct.inspect_table(table).kind)

    assert kind(ct.ConcurrentDict(a=1)) == "unicode"
    assert kind(ct.ConcurrentDict({1: 1})) == "general"
    assert kind(ct.FrozenDict(a=1)) == "unicode"
    assert kind(ct.FrozenDict({None: 1})) == "general"
    assert kind(ct.SplitDict(ct.SharedKeys(), a=1)) == "split"
    assert kind(ct.ConcurrentSet("a")) == "set"
    assert kind(ct.FrozenSet("a")) == "set"


def test_unicode_becomes_general(ct: Any) -> None:
    table = ct.ConcurrentDict({str(number): number for number in range(100)})
    assert ct.inspect_table(table).kind == "unicode"
    table[5] = 5
    assert ct.inspect_table(table).kind == "general"
    assert len(table) == 101
    assert all(table[str(number)] == number for number in range(100))
    ct.inspect_table(table).check()


@pytest.mark.parametrize("name", MUTABLE_TABLES)
def test_attributes(ct: Any, name: str) -> None:
    contents = [("a", 1), ("b", 2), ("c", 3)]
    table = new(ct, name, contents if name != "ConcurrentSet" else ["a", "b", "c"])
    info = ct.inspect_table(table)
    assert info.entries == 3
    assert info.dummies == 0
    assert info.usable >= 0
    assert info.nbytes > 0
    assert info.version == table.version
    assert not info.watchers
    assert info.index_width in ((0,) if name == "ConcurrentSet" else (1, 2, 4, 8))
    assert sum(info.probe_lengths.values()) == 3
    assert info.shared in (True, False)
    info.check()


def test_dummies_after_deletion(ct: Any) -> None:
    table = ct.ConcurrentDict({number: number for number in range(5)})
    del table[0]
    del table[1]
    info = ct.inspect_table(table)
    assert info.entries == 3
    assert info.dummies == 2
    info.check()


def test_probe_lengths_of_colliding_keys(ct: Any) -> None:
    table = ct.ConcurrentDict({Named(number): number for number in range(5)})
    lengths = ct.inspect_table(table).probe_lengths
    assert sum(lengths.values()) == 5
    assert len(lengths) == 5  # one hash: each key is one probe further
    assert ct.inspect_table(ct.ConcurrentDict({1: 1, 2: 2})).probe_lengths.keys() <= {0, 1}


def test_watchers_are_counted(ct: Any) -> None:
    table = ct.ConcurrentDict()
    with table.watch(lambda event: None), table.watch(lambda event: None):
        assert ct.inspect_table(table).watchers == 2
    assert ct.inspect_table(table).watchers == 0


@pytest.mark.parametrize("name", [*MUTABLE_TABLES, "FrozenDict", "FrozenSet"])
def test_drawing(ct: Any, name: str) -> None:
    small = new(ct, name, [("spam", 1), ("eggs", 2)])
    drawing = str(ct.inspect_table(small))
    assert ("spam" in drawing) or name == "ShardedDict"  # that one shows its shards
    assert ct.inspect_table(small).kind in drawing
    large = new(ct, name, [(f"k{number}", number) for number in range(5000)])
    assert len(str(ct.inspect_table(large))) < 20_000


def test_hash_table_can_be_inspected_or_says_no(ct: Any) -> None:
    table = ct.HashTable()
    table.set("a", 1)
    try:
        info = ct.inspect_table(table)
    except TypeError as error:
        assert "HashTable" in str(error)
    else:
        assert info.entries == 1


@pytest.mark.parametrize("thing", [5, {}, set(), None, "table"])
def test_other_objects_are_refused(ct: Any, thing: Any) -> None:
    with pytest.raises(TypeError):
        ct.inspect_table(thing)


@pytest.mark.parametrize("name", MUTABLE_TABLES)
def test_shared_is_told_after_a_second_thread(ct: Any, name: str) -> None:
    import threading

    contents = [("a", 1)] if name != "ConcurrentSet" else ["a"]
    table = new(ct, name, contents)
    assert ct.inspect_table(table).shared is False
    thread = threading.Thread(target=lambda: "a" in table)
    thread.start()
    thread.join()
    thread = threading.Thread(target=table.clear)
    thread.start()
    thread.join()
    assert ct.inspect_table(table).shared is True


def test_delete_insert_churn_keeps_the_table_small(ct: Any) -> None:
    table = ct.ConcurrentDict({number: number for number in range(100)})
    for number in range(20_000):
        table[number + 100] = number
        del table[number]
    info = ct.inspect_table(table)
    assert info.entries == 100
    assert info.log2_size <= 10
    info.check()


def test_popitem_loop_keeps_the_table_small(ct: Any) -> None:
    table = ct.ConcurrentDict({number: number for number in range(10)})
    for number in range(20_000):
        table["hot"] = number
        assert table.popitem() == ("hot", number)
    assert ct.inspect_table(table).log2_size <= 8
    ct.inspect_table(table).check()
