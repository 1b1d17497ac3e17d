"""Watchers: kinds, filters, order, errors, re-entrance, and what a callback may rely on."""

from __future__ import annotations

import gc
import itertools
from typing import Any

import pytest

from concurrent_tables import MISSING, Event, EventKind
from tests.support import MUTABLE_MAPPINGS, MUTABLE_TABLES, Boom, Named, new

ADDED, MODIFIED, DELETED = EventKind.ADDED, EventKind.MODIFIED, EventKind.DELETED
CLEARED, CLONED, DEALLOCATED = EventKind.CLEARED, EventKind.CLONED, EventKind.DEALLOCATED


def brief(events: list[Event]) -> list[tuple[Any, ...]]:
    return [(event.kind, event.key, event.old, event.new) for event in events]


@pytest.fixture(params=MUTABLE_MAPPINGS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_events_of_single_changes(ct: Any, name: str) -> None:
    table = new(ct, name)
    events: list[Event] = []
    table.watch(events.append)
    table["a"] = 1
    table["a"] = 2
    table["a"] = 2
    del table["a"]
    table.setdefault("b", 3)
    table.setdefault("b", 4)
    assert table.pop("b") == 3
    table.pop("zz", None)
    assert brief(events) == [
        (ADDED, "a", MISSING, 1),
        (MODIFIED, "a", 1, 2),
        (MODIFIED, "a", 2, 2),
        (DELETED, "a", 2, MISSING),
        (ADDED, "b", MISSING, 3),
        (DELETED, "b", 3, MISSING),
    ]
    assert all(event.table is table for event in events)
    assert all(isinstance(event, Event) for event in events)


OPERATIONS = [
    (lambda t: t.popitem(), [(DELETED, "k", 1, MISSING)]),
    (lambda t: t.swap("k", 2), [(MODIFIED, "k", 1, 2)]),
    (lambda t: t.swap("n", 2), [(ADDED, "n", MISSING, 2)]),
    (lambda t: t.compare_and_set("k", 1, 2), [(MODIFIED, "k", 1, 2)]),
    (lambda t: t.compare_and_set("n", MISSING, 2), [(ADDED, "n", MISSING, 2)]),
    (lambda t: t.compare_and_set("k", 9, 2), []),
    (lambda t: t.compare_and_delete("k", 1), [(DELETED, "k", 1, MISSING)]),
    (lambda t: t.compare_and_delete("k", 9), []),
    (lambda t: t.compute("k", lambda old: old + 1), [(MODIFIED, "k", 1, 2)]),
    (lambda t: t.compute("k", lambda old: MISSING), [(DELETED, "k", 1, MISSING)]),
    (lambda t: t.compute("n", lambda old: 2), [(ADDED, "n", MISSING, 2)]),
    (lambda t: t.compute("n", lambda old: MISSING), []),
    (lambda t: t.compute_if_absent("n", lambda: 2), [(ADDED, "n", MISSING, 2)]),
    (lambda t: t.compute_if_absent("k", lambda: 2), []),
    (lambda t: t.increment("k"), [(MODIFIED, "k", 1, 2)]),
    (lambda t: t.increment("n"), [(ADDED, "n", MISSING, 1)]),
    (lambda t: t.update_many({"k": 2}), [(MODIFIED, "k", 1, 2)]),
    (lambda t: t.pop_many(["k", "zz"]), [(DELETED, "k", 1, MISSING)]),
    (lambda t: t.clear(), [(CLEARED, MISSING, MISSING, MISSING)]),
    (lambda t: t.update(k=2, n=3), [(MODIFIED, "k", 1, 2), (ADDED, "n", MISSING, 3)]),
    (lambda t: t.__ior__({"k": 2}), [(MODIFIED, "k", 1, 2)]),
    (lambda t: t.update({}), []),
    (lambda t: (t.get("k"), t["k"], "k" in t, list(t), t.snapshot(), t.copy()), []),
]


@pytest.mark.parametrize(("operate", "expected"), OPERATIONS)
def test_events_of_operations(ct: Any, name: str, operate: Any, expected: list[Any]) -> None:
    table = new(ct, name, k=1)
    events: list[Event] = []
    with table.watch(events.append):
        operate(table)
    assert brief(events) == expected


def test_failed_operations_make_no_event(ct: Any, name: str) -> None:
    table = new(ct, name, k=1)
    events: list[Event] = []
    table.watch(events.append)
    for call in (lambda: table.__delitem__("zz"), lambda: table.pop("zz"), lambda: table.increment("k", "x"),
                 lambda: table.__setitem__([], 1), lambda: table.__setitem__("k", MISSING)):  # fmt: skip
        with pytest.raises(Exception):  # noqa: B017 - which error is another test's business
            call()
    table.clear()
    table.clear()
    assert [event.kind for event in events] == [CLEARED]


@pytest.mark.parametrize("source", [lambda ct: {"a": 1}, lambda ct: ct.ConcurrentDict(a=1),
                                    lambda ct: ct.FrozenDict(a=1)])  # fmt: skip
def test_cloned(ct: Any, source: Any) -> None:
    table = ct.ConcurrentDict()
    events: list[Event] = []
    table.watch(events.append)
    table.update(source(ct))
    assert [event.kind for event in events] == [CLONED]
    assert type(events[0].new) is ct.FrozenDict
    assert events[0].new == {"a": 1}
    assert events[0].version == table.version


def test_update_from_pairs_or_into_content_is_not_cloned(ct: Any) -> None:
    table = ct.ConcurrentDict()
    events: list[Event] = []
    table.watch(events.append)
    table.update([("a", 1)])
    table.update({"b": 2})
    assert [event.kind for event in events] == [ADDED, ADDED]


def test_cloned_set(ct: Any) -> None:
    table = ct.ConcurrentSet()
    events: list[Event] = []
    table.watch(events.append)
    table.update({1, 2})
    assert [event.kind for event in events] == [CLONED]
    assert type(events[0].new) is ct.FrozenSet
    assert events[0].new == {1, 2}


def test_events_of_sets(ct: Any) -> None:
    table = ct.ConcurrentSet([1])
    events: list[Event] = []
    table.watch(events.append)
    table.add(2)
    table.add(2)
    table.discard(1)
    table.discard(9)
    table.remove(2)
    table |= {3}
    table |= {3}
    table ^= {3, 4}
    table.clear()
    kinds = brief(events)
    assert kinds[:3] == [(ADDED, 2, MISSING, MISSING), (DELETED, 1, MISSING, MISSING),
                         (DELETED, 2, MISSING, MISSING)]  # fmt: skip
    replay: set[Any] = {1}
    for event in events:
        if event.kind is ADDED:
            replay.add(event.key)
        elif event.kind is DELETED:
            replay.remove(event.key)
        elif event.kind is CLONED:
            replay |= event.new
        else:
            replay.clear()
        if event.version == events[-2].version:
            assert replay == {4}
    assert events[-1].kind is CLEARED


@pytest.mark.parametrize("method", ["pop", "intersection_update", "difference_update"])
def test_removals_of_sets(ct: Any, method: str) -> None:
    table = ct.ConcurrentSet([1])
    events: list[Event] = []
    table.watch(events.append)
    argument: list[Any] = {"pop": [], "intersection_update": [[2]], "difference_update": [[1]]}[
        method
    ]
    getattr(table, method)(*argument)
    assert len(events) == 1
    assert events[0].kind in (DELETED, CLEARED)


def test_versions_rise_and_end_at_the_tables(ct: Any, name: str) -> None:
    table = new(ct, name)
    events: list[Event] = []
    table.watch(events.append)
    for number in range(20):
        table[number] = number
        assert events[-1].version == table.version
    table.update({number: 0 for number in range(10)})
    table.pop_many(range(5))
    versions = [event.version for event in events]
    assert versions == sorted(set(versions))
    assert versions[-1] == table.version
    assert versions == list(range(versions[0], versions[0] + len(versions)))


def test_change_is_visible_in_the_callback(ct: Any, name: str) -> None:
    table = new(ct, name)
    seen: list[Any] = []
    with table.watch(lambda event: seen.append((table.get(event.key), len(table)))):
        table["a"] = 1
        table["a"] = 2
        del table["a"]
    assert seen == [(1, 1), (2, 1), (None, 0)]


@pytest.mark.parametrize("kinds", [ADDED, DELETED, ADDED | DELETED, MODIFIED | CLEARED])
@pytest.mark.parametrize("as_list", [False, True])
def test_kind_filter(ct: Any, kinds: EventKind, as_list: bool) -> None:
    table = ct.ConcurrentDict()
    events: list[Event] = []
    table.watch(events.append, kinds=list(kinds) if as_list else kinds)
    table["a"] = 1
    table["a"] = 2
    del table["a"]
    table["b"] = 1
    table.clear()
    everything = [ADDED, MODIFIED, DELETED, ADDED, CLEARED]
    assert [event.kind for event in events] == [kind for kind in everything if kind & kinds]


@pytest.mark.parametrize("bad", [5, "ADDED", [5], None])
def test_bad_kinds(ct: Any, bad: Any) -> None:
    with pytest.raises(TypeError):
        ct.ConcurrentDict().watch(print, kinds=bad)


def test_key_filter(ct: Any, name: str) -> None:
    table = new(ct, name)
    events: list[Event] = []
    table.watch(events.append, keys=["a", 1])
    table["a"] = 1
    table["b"] = 2
    table[1.0] = 3
    del table["b"]
    table["zz"] = 1
    table.clear()
    table.update({"q": 1})
    assert [(event.kind, event.key) for event in events] == [
        (ADDED, "a"),
        (ADDED, 1),
        (CLEARED, MISSING),
        *([(CLONED, MISSING)] if name != "ShardedDict" else []),  # each shard's keys are its own
    ]


def test_filters_combine(ct: Any) -> None:
    table = ct.ConcurrentDict()
    events: list[Event] = []
    table.watch(events.append, keys={"a"}, kinds=DELETED)
    table.update_many([("a", 1), ("b", 1)])
    table.pop_many(["a", "b"])
    assert [(event.kind, event.key) for event in events] == [(DELETED, "a")]


def test_arguments(ct: Any) -> None:
    table = ct.ConcurrentDict()
    with pytest.raises(TypeError):
        table.watch(5)
    with pytest.raises(TypeError):
        table.watch(print, keys=5)
    with pytest.raises(TypeError):
        table.watch(print, keys=[[]])
    with pytest.raises(TypeError):
        table.watch()
    assert ct.inspect_table(table).watchers == 0


def test_cancel(ct: Any) -> None:
    table = ct.ConcurrentDict()
    events: list[Event] = []
    watch = table.watch(events.append)
    table["a"] = 1
    watch.cancel()
    watch.cancel()
    table["b"] = 1
    assert len(events) == 1
    assert ct.inspect_table(table).watchers == 0


def test_context_manager(ct: Any) -> None:
    table = ct.ConcurrentDict()
    events: list[Event] = []
    with pytest.raises(Boom), table.watch(events.append) as watch:
        assert isinstance(watch, ct.Watch)
        table["a"] = 1
        raise Boom
    table["b"] = 1
    assert len(events) == 1


def test_several_watchers_run_in_order_of_registration(ct: Any) -> None:
    table = ct.ConcurrentDict()
    calls: list[int] = []
    watches = [table.watch(lambda event, n=n: calls.append(n)) for n in range(5)]
    table["a"] = 1
    assert calls == [0, 1, 2, 3, 4]
    watches[2].cancel()
    table["a"] = 2
    assert calls[5:] == [0, 1, 3, 4]


def test_the_watch_object_need_not_be_kept(ct: Any) -> None:
    table = ct.ConcurrentDict()
    events: list[Event] = []
    table.watch(events.append)
    gc.collect()
    table["a"] = 1
    assert len(events) == 1


@pytest.mark.parametrize("error", [Boom, KeyError, KeyboardInterrupt])
def test_callback_that_raises(ct: Any, unraisable: list[Any], name: str, error: type) -> None:
    table = new(ct, name)
    events: list[Event] = []

    def fail(event: Event) -> None:
        raise error("callback")

    with table.watch(fail), table.watch(events.append):
        table["a"] = 1
        del table["a"]
    assert len(events) == 2
    assert [type(entry.exc_value) for entry in unraisable] == [error, error]
    assert all(entry.object is fail for entry in unraisable)
    assert table == {}


def test_callback_may_write(ct: Any, name: str) -> None:
    table, log = new(ct, name), ct.ConcurrentDict()
    events: list[tuple[Any, ...]] = []

    def mirror(event: Event) -> None:
        events.append((event.kind, event.key, event.version))
        if event.key == "a":
            table["b"] = event.new
        log[event.key] = event.new

    with table.watch(mirror):
        table["a"] = 1
    assert table == log == {"a": 1, "b": 1}
    assert sorted(key for _, key, _ in events) == ["a", "b"]
    assert len({version for _, _, version in events}) == 2


def test_callback_may_watch_and_cancel(ct: Any) -> None:
    table = ct.ConcurrentDict()
    late: list[Event] = []
    watches: list[Any] = []

    def once(event: Event) -> None:
        watches[0].cancel()
        table.watch(late.append)

    watches.append(table.watch(once))
    table["a"] = 1
    table["b"] = 1
    assert [event.key for event in late] == ["b"]
    assert ct.inspect_table(table).watchers == 1


def test_callback_of_two_tables_may_cross(ct: Any) -> None:
    left, right = ct.ConcurrentDict(), ct.ConcurrentDict()
    with (
        left.watch(lambda event: right.setdefault(event.key, event.new)),
        right.watch(lambda event: left.setdefault(event.key, event.new)),
    ):
        left["a"] = 1
        right["b"] = 2
    assert left == right == {"a": 1, "b": 2}


def test_callback_runs_in_the_writing_thread_before_the_call_returns(ct: Any) -> None:
    import threading

    table = ct.ConcurrentDict()
    idents: list[int] = []
    table.watch(lambda event: idents.append(threading.get_ident()))

    def write() -> None:
        table["a"] = 1
        assert idents[-1] == threading.get_ident()

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    table["b"] = 1
    assert len(idents) == 2
    assert idents[1] == threading.get_ident() != idents[0]


def test_no_lock_is_held_in_a_callback(ct: Any, name: str) -> None:
    import threading

    table = new(ct, name)
    done: list[bool] = []

    def other_thread_writes(event: Event) -> None:
        if event.key == "a":
            thread = threading.Thread(
                target=table.__setitem__, args=("from the other", 1), daemon=True
            )
            thread.start()
            thread.join(30)
            done.append(not thread.is_alive())

    with table.watch(other_thread_writes):
        table["a"] = 1
    assert done == [True]
    assert table["from the other"] == 1


@pytest.mark.parametrize("name", MUTABLE_TABLES)
def test_deallocated(ct: Any, name: str) -> None:
    table = new(ct, name)
    events: list[tuple[Any, ...]] = []
    table.watch(lambda event: events.append((event.kind, event.key, event.old, event.new)))
    table.clear()
    del table
    gc.collect()
    assert events == [(DEALLOCATED, MISSING, MISSING, MISSING)]


def test_watching_does_not_keep_the_table(ct: Any) -> None:
    import weakref

    table = ct.ConcurrentDict()
    watch = table.watch(lambda event: None)
    reference = weakref.ref(table)
    del table
    gc.collect()
    assert reference() is None
    watch.cancel()


def test_frozen_tables_have_nothing_to_watch(ct: Any) -> None:
    for table in (ct.FrozenDict(), ct.FrozenSet(), ct.SharedKeys(), 5, "x"):
        with pytest.raises((TypeError, ct.WatchError)):
            ct.watch(table, print)


@pytest.mark.parametrize("name", MUTABLE_TABLES)
def test_module_function_watch(ct: Any, name: str) -> None:
    table = new(ct, name)
    events: list[Event] = []
    with ct.watch(table, events.append, kinds=CLEARED | ADDED):
        table.update([("a", 1)] if name != "ConcurrentSet" else ["a"])
        table.clear()
    assert [event.kind for event in events][-1] is CLEARED
    assert len(events) == 2 or name == "ConcurrentSet"


def test_events_replay_to_the_same_table(ct: Any, name: str) -> None:
    """The model of a watched table is its events applied to a builtin dict."""
    table, mirror = new(ct, name), {}

    def apply(event: Event) -> None:
        if event.kind in (ADDED, MODIFIED):
            assert mirror.get(event.key, MISSING) == event.old
            mirror[event.key] = event.new
        elif event.kind is DELETED:
            assert mirror.pop(event.key) == event.old
        elif event.kind is CLEARED:
            mirror.clear()
        elif event.kind is CLONED:
            assert not mirror
            mirror.update(event.new)

    table.watch(apply)
    operations = [
        lambda n: table.__setitem__(Named(n % 7), n),
        lambda n: table.pop(Named(n % 5), None),
        lambda n: table.update({Named(n % 3): n, "x": n}),
        lambda n: table.setdefault("x", n),
        lambda n: table.popitem() if table else None,
        lambda n: table.increment("count"),
        lambda n: table.compute("x", lambda old: n if n % 2 else MISSING),
        lambda n: table.clear() if n % 11 == 0 else None,
        lambda n: table.pop_many(["x", Named(1)]),
    ]
    for number, operation in zip(range(400), itertools.cycle(operations)):
        operation(number)
        assert table == mirror


def test_event_repr_and_equality_of_kinds() -> None:
    assert {kind.name for kind in EventKind} == {"ADDED", "MODIFIED", "DELETED", "CLEARED", "CLONED",
                                                 "DEALLOCATED", "LOST"}  # fmt: skip
    event = Event(ADDED, None, "k", MISSING, 1, 5)
    assert (event.kind, event.table, event.key, event.old, event.new, event.version) == tuple(event)
    assert "ADDED" in repr(event)
    assert len(event.lost) == 0
