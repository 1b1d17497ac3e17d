"""LOST events: what callbacks missed, and what a subscription could not judge or queue."""

from __future__ import annotations

import gc
import sys
from typing import Any

import pytest

from concurrent_tables import MISSING, EventKind, watchers
from tests.support import MUTABLE_TABLES, new


class Moody:
    """Equal to nothing; comparing raises, where `mood` is set."""

    mood: BaseException | None = None

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        if Moody.mood is not None:
            raise Moody.mood
        return False


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    reports: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", reports.append)
    monkeypatch.setattr(Moody, "mood", None)
    return reports


def _change(table: Any, key: Any) -> None:
    if hasattr(table, "add"):
        table.add(key)
    else:
        table[key] = 1


@pytest.mark.parametrize("name", MUTABLE_TABLES)
def test_callbacks_learn_first_what_they_missed(ct: Any, name: str) -> None:
    table = new(ct, name)
    heard: list[Any] = []
    low: list[Any] = []
    number = watchers.add_watcher(low.append)
    watchers.watch(number, table)
    with table.watch(heard.append, kinds=EventKind.DELETED | EventKind.ADDED, keys=["b"]):
        _change(table, "a")
        before = table.version
        table._watch.log.lose(before, before)
        table._watch.log.lose(before - 1, before - 1)
        _change(table, "b")
        _change(table, "c")
    watchers.clear_watcher(number)
    assert [event.kind for event in heard] == [EventKind.LOST, EventKind.ADDED]
    lost = heard[0]
    assert lost.table is table and lost.key is MISSING
    assert list(lost.lost) == [before - 1, before]
    assert [event.kind for event in low[1:]] == [EventKind.LOST, EventKind.ADDED, EventKind.ADDED]


@pytest.mark.parametrize("name", MUTABLE_TABLES)
def test_a_callback_without_memory_is_told_again(ct: Any, name: str, unraisable: list[Any]) -> None:
    table = new(ct, name)
    heard: list[Any] = []

    def remember(event: Any) -> None:
        if event.key == "a":
            raise MemoryError
        heard.append(event)

    with table.watch(remember):
        _change(table, "a")
        missed = table.version
        assert [report.exc_type for report in unraisable] == [MemoryError]
        _change(table, "b")
    assert [event.kind for event in heard] == [EventKind.LOST, EventKind.ADDED]
    assert list(heard[0].lost) == [missed]


def test_a_watch_is_not_told_what_was_lost_before_it(ct: Any) -> None:
    table = ct.ConcurrentDict(a=1)
    heard: list[Any] = []
    with table.watch(lambda event: None):
        table["a"] = 2
        table._watch.log.lose(table.version, table.version)
        with table.watch(heard.append):
            table["a"] = 3
    assert [event.kind for event in heard] == [EventKind.MODIFIED]


def test_the_end_of_a_table_tells_what_was_lost(ct: Any) -> None:
    table = ct.ConcurrentDict()
    heard: list[Any] = []
    table.watch(lambda event: heard.append(event.kind))  # events would keep the table
    table["a"] = 1
    table._watch.log.lose(table.version, table.version)
    del table
    gc.collect()
    assert heard == [EventKind.ADDED, EventKind.LOST, EventKind.DEALLOCATED]


@pytest.mark.parametrize("error", [MemoryError, LookupError])
def test_what_a_filter_cannot_judge_is_lost(
    ct: Any, unraisable: list[Any], error: type[BaseException]
) -> None:
    table = ct.ConcurrentDict()
    subscription = table.subscribe(keys=[Moody()])
    version = table.version
    Moody.mood = error()
    table[1] = "its hash is that of the key in the filter"
    Moody.mood = None
    table[1] = "no other key of the filter"
    subscription.close()
    events = list(subscription)
    assert [event.kind for event in events] == [EventKind.LOST]
    assert list(events[0].lost) == [version + 1]
    assert len(unraisable) == 1
