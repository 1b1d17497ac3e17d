"""The hit path of both implementations: validity, counts, access records."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from math import inf
from typing import Any

import pytest

from concurrent_tables.cache.parts import parts
from tests.conftest import COLUMNS

RECORDS = 64


@pytest.fixture(params=sorted(COLUMNS, reverse=True))
def lib(request: pytest.FixtureRequest) -> Any:
    return parts(request.param)


def entry(lib: Any, key: Any, value: Any = "value", **given: Any) -> Any:
    defaults = {
        "epoch": 0, "cells": None, "deadline": inf, "idle": inf,
        "now": 0.0, "refresh_at": inf, "weight": 1,
    }  # fmt: skip
    return lib.Entry(key, value, *(defaults | given).values())


def make_path(lib: Any, *, timer: Any = time.monotonic, records: bool = True) -> Any:
    class Path(lib.HitPath):  # type: ignore[misc]
        stale: list[Any]
        full = 0

        def _on_stale(self, entry: Any) -> None:
            self.stale.append(entry)

        def _on_full(self) -> None:
            self.full += 1

    path = Path(make_table(lib), timer, records)
    path.stale = []
    return path


def make_table(lib: Any) -> Any:
    """Where the table keeps a policy, it books the accesses itself, and nobody can look at them."""
    return lib.Table(policy="lru", maxsize=1000) if lib.native else lib.Table()


def put(path: Any, key: Any, one: Any) -> Any:
    path._table.swap(key, one)
    return one


def same(one: Any, other: Any) -> bool:
    """Two looks at the same entry; in C they are two objects."""
    return (one.key, one.value, one.epoch) == (other.key, other.value, other.epoch)


def test_hits_and_misses(lib: Any) -> None:
    path = make_path(lib)
    found = put(path, "a", entry(lib, "a", None))
    assert path.get("a", 1) is None
    assert path.get("b") is None
    assert path.get("b", 1) == path.get("b", default=2) - 1 == 1
    assert same(path._find("a"), found)
    assert path._find("b") is None
    assert path._counts() == (2, 4)
    assert "a" in path and "b" not in path
    assert (path.peek("a", 1), path.peek("b", 1)) == (None, 1)
    assert same(path._peek_entry("a"), found) and path._peek_entry("b") is None
    assert path._counts() == (2, 4)
    assert lib.native or path._drain() == [found, found]
    with pytest.raises(TypeError, match="unhashable"):
        path.get([])


def test_entries_that_are_not_in_this_table(lib: Any) -> None:
    table, other = make_table(lib), make_table(lib)
    assert not table.compare_and_set("key", entry(lib, "key"), entry(lib, "key"))
    table.swap("key", entry(lib, "key", "mine"))
    foreign = entry(lib, "key")
    other.swap("key", foreign)
    assert not table.compare_and_set("key", foreign, entry(lib, "key"))
    assert not table.compare_and_delete("key", foreign)
    assert table.get("key").value == "mine"


def test_entries_keep_what_they_are_given(lib: Any) -> None:
    cell = lib.Cell()
    one = entry(lib, "k", 1, epoch=3, cells=(cell,), deadline=4.0, idle=5.0, now=6.0, weight=7)
    assert (one.key, one.value, one.epoch, one.cells) == ("k", 1, 3, (cell,))
    assert (one.deadline, one.idle, one.touched, one.refresh_at) == (4.0, 5.0, 6.0, inf)
    assert (one.weight, one.hash) == (7, hash("k"))
    if not lib.native:
        assert one.state == one.region == 0
        assert one.previous is one.next is one.bucket is one.earlier is one.later is None
    one.cells, one.deadline, one.touched, one.refresh_at = None, -inf, 8.0, 9.0
    assert (one.cells, one.deadline, one.touched, one.refresh_at) == (None, -inf, 8.0, 9.0)
    plain = entry(lib, "k")
    assert (plain.cells, plain.idle, plain.refresh_at, plain.weight) == (None, inf, inf, 1)
    assert one != entry(lib, "k", 1)
    with pytest.raises(TypeError):
        entry(lib, [])


def test_what_falls_is_stale(lib: Any) -> None:
    now = [100.0]
    path = make_path(lib, timer=lambda: now[0])
    tag, other = lib.Cell(), lib.Cell(3)
    entries = {
        "plain": entry(lib, "plain", epoch=5),
        "tagged": entry(lib, "tagged", epoch=5, cells=(other, tag)),
        "timed": entry(lib, "timed", epoch=5, deadline=110.0),
        "idle": entry(lib, "idle", epoch=5, idle=6.0, now=100.0),
    }
    for key, one in entries.items():
        put(path, key, one)

    def valid() -> set[str]:
        seen = {key for key in entries if key in path}
        assert seen == {key for key, one in entries.items() if path._valid(one)}
        return seen

    assert valid() == {"plain", "tagged", "timed", "idle"}
    now[0] = 105.0
    assert path.get("idle") == "value"  # a touch
    now[0] = 109.0
    assert valid() == {"plain", "tagged", "timed", "idle"}
    now[0] = 110.0
    assert valid() == {"plain", "tagged", "idle"}
    now[0] = 111.0
    assert valid() == {"plain", "tagged"}  # looks do not touch
    tag.fallen = 5
    assert valid() == {"plain", "tagged"}
    tag.fallen = 6
    assert valid() == {"plain"}
    entries["tagged"].cells = (other,)
    assert valid() == {"plain", "tagged"}
    path._cleared = 5
    assert valid() == {"plain", "tagged"}
    path._cleared = 6
    assert valid() == set() and path.stale == []
    assert path.get("plain", "gone") == "gone"
    assert [one.key for one in path.stale] == ["plain"]
    assert path._counts() == (1, 1)


def test_the_real_clock(lib: Any) -> None:
    path = make_path(lib)
    now = time.monotonic()
    put(path, "late", entry(lib, "late", deadline=now + 3600))
    put(path, "over", entry(lib, "over", deadline=now))
    put(path, "idle", entry(lib, "idle", idle=3600.0, now=now))
    assert [key in path for key in ("late", "over", "idle")] == [True, False, True]
    assert path.get("idle") == "value"
    assert now <= path._table.get("idle").touched <= time.monotonic()


def test_errors_of_the_timer_and_of_the_callbacks_come_out(lib: Any) -> None:
    class Broken(lib.HitPath):  # type: ignore[misc]
        def _on_stale(self, entry: Any) -> None:
            raise ZeroDivisionError

        def _on_full(self) -> None:
            raise ZeroDivisionError

    path = Broken(make_table(lib), lambda: 1 // 0, True)
    path._cleared = 1
    put(path, "timed", entry(lib, "timed", epoch=1, deadline=1.0))
    put(path, "old", entry(lib, "old"))
    put(path, "good", entry(lib, "good", epoch=1))
    for key in ("timed", "old"):
        with pytest.raises(ZeroDivisionError):
            path.get(key)
    if not lib.native:
        with pytest.raises(ZeroDivisionError):
            for _ in range(RECORDS):
                path.get("good")


def test_keys_that_compare_in_python(lib: Any) -> None:
    class Key:
        def __init__(self, name: str) -> None:
            self.name = name

        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Key) and self.name == other.name

    path = make_path(lib)
    for name in "abc":
        put(path, Key(name), entry(lib, Key(name), name))
    assert [path.get(Key(name)) for name in "abcd"] == ["a", "b", "c", None]
    assert path._counts() == (3, 1)


def test_records_are_lossy_and_never_block() -> None:
    lib = parts("python")
    path = make_path(lib)
    entries = [entry(lib, number) for number in range(100)]
    for one in entries:
        put(path, one.key, one)
    for one in entries:
        assert path.get(one.key) == "value"
    assert path.full >= 1
    assert path._drain() == entries[:RECORDS]
    assert path._drain() == []
    assert path._counts() == (100, 0)
    silent = make_path(lib, records=False)
    put(silent, "a", entries[0])
    assert silent.get("a") == "value" and silent._drain() == []


def test_misses_make_hits_be_recorded_again(cache_type: Any) -> None:
    """Where nothing is missed, fewer and fewer hits are recorded."""
    cache = cache_type(2, policy="lru")
    cache.set("a", 1)
    cache.set("b", 1)
    for _ in range(40 * RECORDS):
        cache.get("a")
        cache.get("b")
    cache.get("missing")
    cache.get("a")
    cache.set("c", 1)
    assert "a" in cache and "b" not in cache


def test_counts_of_several_threads_are_exact_at_rest(lib: Any) -> None:
    path = make_path(lib)
    for number in range(10):
        put(path, number, entry(lib, number))
    barrier = threading.Barrier(4)

    def read() -> None:
        barrier.wait()
        for number in range(3000):
            path.get(number % 12)
            if number % 500 == 0:
                put(path, number % 10, entry(lib, number % 10))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path._counts() == (10_000, 2000)


def test_cells_that_are_replaced_while_others_read(lib: Any) -> None:
    path = make_path(lib)
    tag = lib.Cell()
    barrier = threading.Barrier(2)
    done = threading.Event()
    wrong: list[Any] = []

    def read() -> None:
        barrier.wait()
        while not done.is_set():
            if path.get("a", "value") != "value":
                wrong.append(1)

    thread = threading.Thread(target=read)
    thread.start()
    barrier.wait()
    for _ in range(2000):
        one = entry(lib, "a", cells=(lib.Cell(), tag))
        put(path, "a", one)
        one.cells = one.cells[1:]
        one.cells = None
    done.set()
    thread.join()
    assert not wrong and path.stale == []


def test_nothing_is_left_of_a_path(lib: Any) -> None:
    class Value:
        pass

    path = make_path(lib)
    value = Value()
    value.path = path  # type: ignore[attr-defined]
    gone = weakref.ref(value)
    first, second = entry(lib, 1, value), entry(lib, 2)
    if not lib.native:
        first.next, second.next = second, first  # as a policy links them
        first.previous, second.previous = second, first
    put(path, 1, first)
    assert path.get(1) is value
    del value, path, first, second
    gc.collect()
    assert gone() is None


def test_misuse(lib: Any) -> None:
    bare = lib.HitPath.__new__(lib.HitPath)
    with pytest.raises((RuntimeError, AttributeError)):
        bare.get(1)
    path = make_path(lib)
    for call in (path.get, path.peek):
        with pytest.raises(TypeError):
            call()
        with pytest.raises(TypeError):
            call(1, 2, 3)
        with pytest.raises(TypeError):
            call(1, other=2)
