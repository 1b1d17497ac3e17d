"""Watching builtin dicts, the hard parts: dying dicts, pending exceptions, ids, addresses, the end."""

from __future__ import annotations

import collections
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

import concurrent_tables
from concurrent_tables import EventKind
from tests.support import Boom, run_child, run_threads

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="the interpreter has no dict watchers before 3.12"
)
watch = concurrent_tables.watch


@pytest.fixture(autouse=True)
def registry() -> Iterator[Any]:
    """The registry, which every test must leave empty and without an interpreter id."""
    from concurrent_tables._builtin_watch import _registry

    yield _registry
    assert _registry.watches == {}
    assert _registry.watcher_id is None


def watched(callback: Any) -> dict[str, int]:
    table = {"a": 1}
    watch(table, callback)
    return table


def test_ctypes_is_imported_late_and_leaves_the_gil_as_it_is() -> None:
    done = run_child(
        "import sys, concurrent_tables as c\n"
        "state = getattr(sys, '_is_gil_enabled', lambda: None)\n"
        "assert 'ctypes' not in sys.modules\n"
        "before = state()\n"
        "c.watch({}, print)\n"
        "assert 'ctypes' in sys.modules\n"
        "assert state() == before\n"
    )
    assert done.returncode == 0, done.stderr


def test_a_dict_that_dies_while_an_exception_is_pending() -> None:
    kinds: list[EventKind] = []
    for _ in range(20):
        with pytest.raises(ZeroDivisionError) as caught:
            [watched(lambda event: kinds.append(event.kind)), 1 / 0]
        assert caught.value.__context__ is None
        assert len(traceback.extract_tb(caught.value.__traceback__)) == 1
    assert kinds == [EventKind.DEALLOCATED] * 20


def test_a_raising_callback_while_an_exception_is_pending(unraisable: list[Any]) -> None:
    def fail(event: Any) -> None:
        raise Boom

    with pytest.raises(ZeroDivisionError):
        [watched(fail), 1 / 0]
    assert [type(entry.exc_value) for entry in unraisable] == [Boom]


@pytest.mark.parametrize("install", ["settrace", "setprofile"])
def test_a_pending_exception_under_a_debugger_or_profiler(install: str) -> None:
    done = run_child(
        "import sys, concurrent_tables as c\n"
        "def trace(frame, event, argument): return trace\n"
        "def watched():\n"
        "    table = {'a': 1}\n"
        "    c.watch(table, lambda event: None)\n"
        "    return table\n"
        "watched()\n"
        f"sys.{install}(trace)\n"
        "for _ in range(5):\n"
        "    try: [watched(), 1 / 0]\n"
        "    except ZeroDivisionError: print('caught')\n"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["caught"] * 5


def test_references_of_a_pending_exception() -> None:
    error = ValueError("kept")

    def fail() -> None:
        raise error

    def drop() -> None:
        [watched(lambda event: None), fail()]

    for _ in range(3):  # the first rounds may specialise code
        with pytest.raises(ValueError, match="kept"):
            drop()
        error.__traceback__ = None
    before = sys.getrefcount(error)
    for _ in range(10):
        with pytest.raises(ValueError, match="kept"):
            drop()
        error.__traceback__ = None
    assert sys.getrefcount(error) == before


def test_deallocated_does_not_name_the_dict_and_ends_the_watch() -> None:
    tables: list[Any] = []
    table = {"a": 1}
    kept = watch(table, lambda event: tables.append(event.table))
    assert kept.active
    del table
    assert tables == [None]
    assert not kept.active
    kept.cancel()


def test_the_registration_ends_though_deallocated_is_filtered_out(registry: Any) -> None:
    events: list[Any] = []
    table = {"a": 1}
    kept = watch(table, events.append, kinds=EventKind.ADDED)
    assert len(registry.watches) == 1
    del table
    assert events == []
    assert not kept.active


def test_an_address_that_is_used_again() -> None:
    for _ in range(200):
        events: list[str] = []
        table: dict[int, int] = {}
        watch(table, lambda event, events=events: events.append(event.kind.name))
        table[1] = 1
        del table
        assert events == ["ADDED", "DEALLOCATED"]
        table = {}  # most likely at the same address
        table[2] = 2
        assert len(events) == 2


@pytest.mark.parametrize(
    "make", [collections.OrderedDict, collections.Counter, lambda: collections.defaultdict(int)]
)
def test_subclasses(make: Any) -> None:
    table = make()
    seen: list[Any] = []
    with watch(table, lambda event: seen.append((event.kind.name, event.key, event.new))):
        table["x"] = 1
        table.update(y=2)
        table.pop("x")
        table.clear()
    assert [name for name, _, _ in seen] == ["ADDED", "ADDED", "DELETED", "CLEARED"]
    assert seen[:2] == [("ADDED", "x", 1), ("ADDED", "y", 2)]


def test_cancel_in_the_callback() -> None:
    table: dict[int, int] = {}
    events: list[Any] = []

    def once(event: Any) -> None:
        events.append(event.key)
        first.cancel()
        second.cancel()

    first = watch(table, once)
    second = watch(table, lambda event: events.append("second"))
    table[1] = 1
    table[2] = 2
    assert events == [1]


def test_callbacks_that_change_other_watched_dicts() -> None:
    tables: list[dict[str, int]] = [{} for _ in range(5)]
    order: list[int] = []

    def pass_on(number: int) -> Any:
        def callback(event: Any) -> None:
            order.append(number)
            if number + 1 < len(tables):
                tables[number + 1][event.key] = event.new

        return callback

    watches = [watch(table, pass_on(number)) for number, table in enumerate(tables)]
    tables[0]["k"] = 1
    assert order == [0, 1, 2, 3, 4]
    assert all(table == {"k": 1} for table in tables)
    for each in watches:
        each.cancel()


class _Key:
    def __init__(self, name: str) -> None:
        self.name = name
        self.fails = False

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        if self.fails:
            raise Boom
        return isinstance(other, _Key) and self.name == other.name


def test_old_values_under_keys_with_eq_of_their_own() -> None:
    table = {_Key("a"): 1}
    olds: list[Any] = []
    with watch(table, lambda event: olds.append(event.old)):
        table[_Key("a")] = 2
        del table[_Key("a")]
    assert olds == [1, 2]


def test_key_filter_that_raises(unraisable: list[Any]) -> None:
    wanted, events = _Key("a"), []
    table: dict[_Key, int] = {}
    with watch(table, events.append, keys=[wanted]):
        wanted.fails = True
        table[_Key("b")] = 1
        wanted.fails = False
    assert len(table) == 1
    assert events == []
    assert [type(entry.exc_value) for entry in unraisable] == [Boom]


def test_no_id_left(registry: Any) -> None:
    from concurrent_tables import _dict_watcher_api as api

    callback = api.callback_for(lambda *args: None)
    taken = []
    try:
        while True:
            try:
                taken.append(api.add_watcher(callback))
            except RuntimeError:
                break
        with pytest.raises(concurrent_tables.WatchError, match="id"):
            watch({}, print)
        assert registry.watches == {}
    finally:
        for each in taken:
            api.clear_watcher(each)
    table: dict[str, int] = {}
    events: list[Any] = []
    with watch(table, events.append):
        table["a"] = 1
    assert len(events) == 1


def test_threads_that_watch_change_and_drop() -> None:
    def work() -> None:
        for number in range(150):
            kinds: list[str] = []
            table: dict[int, int] = {}
            kept = watch(table, lambda event, kinds=kinds: kinds.append(event.kind.name))
            for key in range(4):
                table[key] = key
            if number % 2:
                kept.cancel()
            del table
            assert kinds == ["ADDED"] * 4 + ["DEALLOCATED"] * (not number % 2)

    run_threads(work, count=4)


def test_cancel_while_the_dict_dies_in_another_thread() -> None:
    handed: collections.deque[Any] = collections.deque()
    done = threading.Event()

    def drop() -> None:
        for _ in range(500):
            table = {"a": 1}
            handed.append(watch(table, lambda event: None))
            del table
        done.set()

    def cancel() -> None:
        while not done.is_set() or handed:
            if handed:
                handed.popleft().cancel()

    run_threads(drop, cancel)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_forked_child_goes_on_watching() -> None:
    done = run_child(
        "import os, concurrent_tables as c\n"
        "d, events = {}, []\n"
        "w = c.watch(d, events.append)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    d['a'] = 1\n"
        "    w.cancel()\n"
        "    d['b'] = 1\n"
        "    os._exit(len(events))\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1\n"


def test_shutdown_with_the_dicts_of_the_interpreter_watched() -> None:
    done = run_child(
        "import builtins, sys, concurrent_tables as c\n"
        "def seen(event): pass\n"
        "watches = [c.watch(d, seen) for d in (globals(), vars(builtins), sys.modules, vars(c))]\n"
        "print('end')\n"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "end\n"
    assert done.stderr.count("Exception") == 0
