"""The Python tables of this package, one thread at a time; and what is found without their lock."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable
from typing import Any

import pytest

from concurrent_tables import _select
from concurrent_tables._pure.critical_section import CriticalSection
from stress.serial import Exploration, explore, replay

TWIN = _select.load("python")
WATCHED = [
    importlib.import_module(f"concurrent_tables._pure.{name}")
    for name in ("critical_section", "dict", "keys", "mapping", "set", "set_keys", "table")
]
DICT_PROGRAMS = (
    [[("setdefault", "a", 1), ("get", "a")], [("setdefault", "a", 2)]],
    [[("setdefault", "a", 1)], [("pop", "a", None), ("clear",)]],
    [[("__setitem__", "a", 1), ("popitem",)], [("clear",), ("__len__",)]],
    [[("increment", "a")], [("increment", "a")]],
)
SET_PROGRAMS = (
    [[("add", 1), ("__len__",)], [("discard", 1), ("__ior__", {2, 3})]],
    [[("__isub__", {1, 2})], [("update", {1, 2}), ("snapshot",)]],
)


def explored(make: Callable[[], Any], programs: Any, **options: Any) -> Exploration:
    def fresh() -> Any:
        TWIN.reclaim.flush()  # what earlier tables left behind would be polled at other places
        return make()

    return explore(fresh, programs, watch=WATCHED, bound=1, **options)


@pytest.mark.parametrize("programs", DICT_PROGRAMS, ids=range(len(DICT_PROGRAMS)))
def test_dict(programs: Any) -> None:
    result = explored(TWIN.ConcurrentDict, programs)
    assert result.found is None, str(result)
    assert result.complete and result.cut == 0
    assert result.schedules == result.distinct > 20


@pytest.mark.parametrize("programs", SET_PROGRAMS, ids=range(len(SET_PROGRAMS)))
def test_set(programs: Any) -> None:
    result = explored(TWIN.ConcurrentSet, programs)
    assert result.found is None, str(result)
    assert result.complete and result.cut == 0
    assert result.schedules == result.distinct > 20


def test_tables_that_cross_wait_for_nobody_for_ever() -> None:
    """`a.update(b)` beside `b.update(a)`: sections of two tables in two orders."""

    class Pair:
        def __init__(self) -> None:
            self.tables = TWIN.ConcurrentDict(a=1), TWIN.ConcurrentDict(b=2)

        def items(self) -> Any:
            return [(number, dict(table.items())) for number, table in enumerate(self.tables)]

        def update(self, target: int) -> None:
            self.tables[target].update(self.tables[1 - target])

    result = explored(Pair, [[("update", 0)], [("update", 1)]])
    assert result.found is None, str(result)
    assert result.complete


def test_a_subclass_that_looks_before_it_stores_is_found_and_replayed() -> None:
    class Hasty(TWIN.ConcurrentDict):  # type: ignore[misc,name-defined]
        def setdefault(self, key: Any, value: Any) -> Any:
            if key not in self:
                self[key] = value
            return self[key]

    def make() -> Any:
        TWIN.reclaim.flush()
        return Hasty()

    programs = [[("setdefault", "a", 1)], [("setdefault", "a", 2)]]
    found = explore(make, programs, watch=WATCHED).found
    assert found is not None and found.kind == "outcome"
    again = replay(found.token, make, programs, watch=WATCHED)
    assert again.exact and again.trace == found.trace


def test_without_its_critical_section_the_twin_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def take(self: CriticalSection, sections: list[CriticalSection]) -> None:
        self.taking = False
        self.held = list(self.locks)  # without having taken them

    monkeypatch.setattr(CriticalSection, "_take", take)
    monkeypatch.setattr(CriticalSection, "_drop", lambda self: None)
    result = explored(TWIN.ConcurrentDict, [[("increment", "a")], [("increment", "a")]])
    assert result.found is not None, str(result)
    del result
    gc.collect()  # no broken table is left
