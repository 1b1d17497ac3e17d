"""Records: one keys object for many, and the conversion of a record to a combined table."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import MUTABLE_MAPPINGS, new

NAMES = ("id", "name", "price")


def kind(ct: Any, record: Any) -> str:
    return str(ct.inspect_table(record).kind)


def test_shared_keys_are_a_collection_of_names(ct: Any) -> None:
    shared = ct.SharedKeys(NAMES)
    assert shared.names == NAMES
    assert len(shared) == 3
    assert list(shared) == list(NAMES)
    assert "id" in shared
    assert "zz" not in shared
    assert 5 not in shared
    assert ct.SharedKeys().names == ()
    assert ct.SharedKeys(["a", "a"]).names == ("a",)


@pytest.mark.parametrize("bad", [[5], [b"x"], [None]])
def test_shared_keys_take_str_only(ct: Any, bad: list[Any]) -> None:
    with pytest.raises(TypeError):
        ct.SharedKeys(bad)


def test_shared_keys_hold_thirty_names(ct: Any) -> None:
    assert len(ct.SharedKeys(map(str, range(30)))) == 30
    with pytest.raises(ValueError):
        ct.SharedKeys(map(str, range(31)))


def test_records_are_split(ct: Any) -> None:
    shared = ct.SharedKeys(NAMES)
    records = [ct.SplitDict(shared, id=n, name=str(n), price=n * 2) for n in range(20)]
    assert {kind(ct, record) for record in records} == {"split"}
    assert all(record.shared_keys is shared for record in records)
    assert [record["price"] for record in records] == [n * 2 for n in range(20)]


def test_a_new_name_is_appended_for_all(ct: Any) -> None:
    shared = ct.SharedKeys(NAMES)
    first, second = ct.SplitDict(shared, id=1), ct.SplitDict(shared, id=2)
    first["extra"] = 5
    assert shared.names == (*NAMES, "extra")
    assert kind(ct, first) == kind(ct, second) == "split"
    assert "extra" not in second
    assert second.get("extra") is None
    assert list(second.items()) == [("id", 2)]
    assert len(second) == 1


def test_a_partial_record_shows_only_its_own(ct: Any) -> None:
    shared = ct.SharedKeys(NAMES)
    record = ct.SplitDict(shared, price=3)
    assert record == {"price": 3}
    assert list(record) == ["price"]
    with pytest.raises(KeyError):
        record["id"]
    with pytest.raises(KeyError):
        del record["id"]
    assert kind(ct, record) == "split"


@pytest.mark.parametrize(
    "convert",
    [
        lambda record: record.__delitem__("id"),
        lambda record: record.pop("id"),
        lambda record: record.popitem(),
        lambda record: record.__setitem__(5, "not a str"),
        lambda record: record.update({(1,): 2}),
        lambda record: record.setdefault(None, 1),
        lambda record: record.compare_and_delete("id", 1),
        lambda record: record.pop_many(["id"]),
    ],
)
def test_what_makes_a_record_combined(ct: Any, convert: Any) -> None:
    shared = ct.SharedKeys(NAMES)
    record, other = (ct.SplitDict(shared, id=1, name="n") for _ in range(2))
    model = dict(record)
    convert_model = {"id": 1, "name": "n"}
    convert(record)
    assert kind(ct, record) != "split"
    assert kind(ct, other) == "split"
    assert other == model == convert_model
    assert shared.names == NAMES
    record["later"] = 1
    assert shared.names == NAMES
    assert record["later"] == 1


def test_the_31st_name_makes_a_record_combined(ct: Any) -> None:
    shared = ct.SharedKeys()
    record = ct.SplitDict(shared)
    for number in range(30):
        record[f"n{number}"] = number
    assert kind(ct, record) == "split"
    record["n30"] = 30
    assert kind(ct, record) != "split"
    assert len(shared) == 30
    assert record == {f"n{number}": number for number in range(31)}
    assert list(record) == [f"n{number}" for number in range(31)]


def test_what_leaves_a_record_split(ct: Any) -> None:
    record = ct.SplitDict(ct.SharedKeys(NAMES), id=1)
    record["id"] = 2
    record.update(name="x")
    record.clear()
    assert record == {}
    record["price"] = 1
    record.pop("absent", None)
    record.pop_many(["absent"])
    assert kind(ct, record) == "split"
    assert record == {"price": 1}


def test_failed_lookups_do_not_publish_names(ct: Any) -> None:
    shared = ct.SharedKeys(NAMES)
    record = ct.SplitDict(shared)
    record.get("zz")
    assert "zz" not in record
    record.pop("zz", None)
    assert shared.names == NAMES


def test_copies_share_the_keys(ct: Any) -> None:
    record = ct.SplitDict(ct.SharedKeys(NAMES), id=1)
    clone = record.copy()
    assert type(clone) is ct.SplitDict
    assert clone.shared_keys is record.shared_keys
    clone["name"] = "x"
    assert record == {"id": 1}
    assert clone == {"id": 1, "name": "x"}


def test_str_subclass_keys_work(ct: Any) -> None:
    class Text(str):
        pass

    record = ct.SplitDict(ct.SharedKeys(NAMES))
    record[Text("id")] = 1
    assert record["id"] == 1
    assert record[Text("id")] == 1
    assert len(record) == 1


def test_constructor_errors(ct: Any) -> None:
    with pytest.raises(TypeError):
        ct.SplitDict()
    with pytest.raises(TypeError):
        ct.SplitDict({"a": 1})
    with pytest.raises(TypeError):
        ct.SplitDict(ct.SharedKeys(), 5)


def test_constructor_takes_any_name_as_keyword(ct: Any) -> None:
    record = ct.SplitDict(ct.SharedKeys(), shared_keys=1, self=2, other=3)
    assert record == {"shared_keys": 1, "self": 2, "other": 3}


def test_bytes_per_record_are_fewer_than_combined(ct: Any) -> None:
    shared = ct.SharedKeys(f"field{n}" for n in range(10))
    model = {f"field{n}": n for n in range(10)}
    record, combined = ct.SplitDict(shared, model), ct.ConcurrentDict(model)
    assert ct.inspect_table(record).nbytes < ct.inspect_table(combined).nbytes


def test_a_batch_with_a_str_subclass_key_leaves_a_record_split(ct: Any) -> None:
    class Name(str):
        pass

    row = ct.SplitDict(ct.SharedKeys(), x=1, y=2)
    row.update_many({Name("x"): 3, "z": 4})
    assert ct.inspect_table(row).kind == "split"
    assert list(row.items()) == [("x", 3), ("y", 2), ("z", 4)]
    assert {type(key) for key in row} == {str}
    row.update_many({Name("new"): 5})
    assert ct.inspect_table(row).kind != "split" and row["new"] == 5


def test_views_leave_a_record_as_small_as_it_is(ct: Any) -> None:
    row = ct.SplitDict(ct.SharedKeys(), x=1, y=2)
    size = row.__sizeof__()
    assert [list(row.keys()), list(row.values()), list(row.items())]
    assert row.keys() & {"x"} == {"x"} and repr(row.items()) and row.values()
    assert row.__sizeof__() == size


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_pop_from_an_empty_table_does_not_ask_for_the_hash(ct: Any, name: str) -> None:
    table = new(ct, name)
    assert table.pop([], 1) == 1
    with pytest.raises(KeyError):
        table.pop([])


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_a_guard_hashes_its_keys_once(ct: Any, name: str) -> None:
    class Key(str):
        asked = 0

        def __hash__(self) -> int:
            Key.asked += 1
            return str.__hash__(self)

    table = new(ct, name, {"a": 1, "b": 2})
    guard = table.guard(Key("a"))
    asked = Key.asked
    assert [guard(), guard(), guard.valid, guard.refreshes] == [1, 1, True, 0]
    table["c"] = 3
    assert guard() == 1
    del table["a"]
    assert guard() is ct.MISSING and not guard.refreshes == 0
    assert Key.asked == asked
