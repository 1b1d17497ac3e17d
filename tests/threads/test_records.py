"""Records of one `SharedKeys` from many threads: names are published once, values never cross."""

from __future__ import annotations

import sysconfig
import threading
from typing import Any

import pytest

from tests.support import numbered, run_threads


def test_names_are_published_once(ct: Any) -> None:
    for _ in range(10):
        shared = ct.SharedKeys()
        names = [f"n{n}" for n in range(25)]

        def fill(number: int, shared: Any = shared, names: Any = names) -> Any:
            record = ct.SplitDict(shared)
            for name in names[number:] + names[:number]:
                record[name] = (number, name)
            return record

        records = run_threads(*numbered(fill, 4))
        assert sorted(shared.names) == sorted(names)
        for number, record in enumerate(records):
            assert record == {name: (number, name) for name in names}
            assert list(record) == names[number:] + names[:number]
            assert ct.inspect_table(record).kind == "split"


def test_a_race_for_the_last_name(ct: Any) -> None:
    for _ in range(20):
        shared = ct.SharedKeys(f"n{n}" for n in range(28))

        def fill(number: int, shared: Any = shared) -> Any:
            record = ct.SplitDict(shared, n0=number)
            for extra in range(2):
                record[f"extra{number}.{extra}"] = (number, extra)
            return record

        records = run_threads(*numbered(fill, 4))
        assert len(shared) == 30
        for number, record in enumerate(records):
            assert record == {
                "n0": number,
                f"extra{number}.0": (number, 0),
                f"extra{number}.1": (number, 1),
            }


def test_one_record_from_many_threads(ct: Any) -> None:
    record = ct.SplitDict(ct.SharedKeys("abcdefgh"))
    run_threads(lambda: [record.increment(name) for _ in range(60) for name in "abcdefgh"], count=4)
    assert record == dict.fromkeys("abcdefgh", 240)
    assert ct.inspect_table(record).kind == "split"


def test_conversion_beside_readers_and_writers(ct: Any) -> None:
    for _ in range(25):
        shared = ct.SharedKeys(["a", "b", "c"])
        record = ct.SplitDict(shared, a="value a", b=0, c="value c")

        def read(record: Any = record) -> None:
            for _ in range(80):
                assert record["a"] == "value a"
                assert record.get("b") is not None
                assert record.get("c") in (None, "value c")
                assert record.get(5) in (None, "five")

        def write(record: Any = record) -> None:
            for _ in range(40):
                record.increment("b")

        def convert(record: Any = record) -> None:
            del record["c"]
            record[5] = "five"

        run_threads(read, write, write, convert)
        assert record == {"a": "value a", "b": 80, 5: "five"}
        assert ct.inspect_table(record).kind != "split"


def test_a_new_key_is_never_visible_without_its_value(ct: Any) -> None:
    shared = ct.SharedKeys()
    records: list[Any] = []
    stop = threading.Event()
    errors: list[Any] = []

    def read() -> None:
        while not stop.is_set():
            for record in list(records[-3:]):
                for name, value in record.items():
                    if value != name:
                        errors.append((name, value))
                for name in shared.names:
                    if record.get(name, name) != name:
                        errors.append(name)

    readers = [threading.Thread(target=read, daemon=True) for _ in range(2)]
    for reader in readers:
        reader.start()

    def write() -> None:
        for _ in range(30):
            record = ct.SplitDict(shared)
            records.append(record)
            for n in range(20):
                record[f"n{n}"] = f"n{n}"

    run_threads(write, write)
    stop.set()
    for reader in readers:
        reader.join(60)
    assert not errors


def test_reading_names_beside_appends(ct: Any) -> None:
    shared = ct.SharedKeys()
    record = ct.SplitDict(shared)

    def append() -> None:
        for n in range(30):
            record[f"n{n}"] = n

    def read() -> None:
        for _ in range(100):
            names = shared.names
            assert list(names) == [f"n{n}" for n in range(len(names))]
            assert all(name in shared for name in names)

    run_threads(append, read, read)


def test_a_name_that_came_while_waiting_is_not_published_again(columns: dict[str, Any]) -> None:
    """The appender of a name looks again under the lock of the shared keys."""
    ct = columns["python"]
    shared = ct.SharedKeys(["a"])
    record = ct.SplitDict(shared)
    started = threading.Event()

    def insert() -> None:
        started.set()
        record["new"] = 1

    with shared._lock():  # the mutex that guards appends in the Python implementation
        thread = threading.Thread(target=insert, daemon=True)
        thread.start()
        started.wait(30)
        thread.join(0.05)
        shared._index_of("new", append=True)
    thread.join(30)
    assert shared.names == ("a", "new")
    assert record == {"new": 1}


@pytest.mark.parametrize("form", ["compact", "full", "combined"])
@pytest.mark.parametrize("operation", ["get", "__contains__", "__len__", "__getitem__", "__iter__"])
def test_the_first_look_of_another_thread_is_noted(ct: Any, form: str, operation: str) -> None:
    row = ct.SplitDict(ct.SharedKeys(), x=1, y=2)
    if form != "compact":
        row.snapshot()
    if form == "combined":
        row[3] = 3
    arguments = () if operation in ("__len__", "__iter__") else ("x",)
    assert not ct.inspect_table(row).shared
    run_threads(lambda: getattr(row, operation)(*arguments))
    # With the GIL the C core need not know.
    assert ct.inspect_table(row).shared or not sysconfig.get_config_var("Py_GIL_DISABLED")
