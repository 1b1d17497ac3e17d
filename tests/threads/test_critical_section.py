"""The critical sections of the Python tables: exclusion, suspension, crossing, two mutexes."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from concurrent_tables._pure.critical_section import (
    CriticalSection,
    Mutex,
    active_sections,
    assert_held,
)
from tests.support import Boom, numbered, run_threads


def test_exclusion() -> None:
    mutex, state = Mutex(), {"n": 0}

    def work() -> None:
        for _ in range(300):
            with CriticalSection(mutex):
                value = state["n"]
                for _ in range(5):
                    assert state["n"] == value
                state["n"] = value + 1

    run_threads(work, count=4)
    assert state["n"] == 1200


def test_exclusion_of_two_mutexes() -> None:
    left, right, state = Mutex(), Mutex(), {"n": 0}

    def work(number: int) -> None:
        pair = (left, right) if number % 2 else (right, left)
        for _ in range(200):
            with CriticalSection(*pair):
                value = state["n"]
                for _ in range(5):
                    assert state["n"] == value
                state["n"] = value + 1

    run_threads(*numbered(work, 4))
    assert state["n"] == 800


def test_the_same_mutex_twice() -> None:
    mutex = Mutex()
    with CriticalSection(mutex, mutex) as section:
        assert len(section.held) == 1
        assert_held(mutex)
    assert active_sections() == []


def test_assert_held_can_fail() -> None:
    mutex = Mutex()
    with pytest.raises(AssertionError):
        assert_held(mutex)
    with CriticalSection(mutex):
        assert_held(mutex)
        with pytest.raises(AssertionError):
            assert_held(Mutex())
        failures: list[bool] = []

        def other() -> None:
            try:
                assert_held(mutex)
            except AssertionError:
                failures.append(True)

        run_threads(other)
        assert failures == [True]


def test_crossing_sections_do_not_deadlock() -> None:
    left, right = Mutex(), Mutex()
    counts: dict[int, int] = {}

    def work(number: int) -> None:
        first, second = (left, right) if number % 2 else (right, left)
        for step in range(200):
            with CriticalSection(first):
                with CriticalSection(second):
                    assert_held(second)
                assert_held(first)
            counts[number] = step + 1

    run_threads(*numbered(work, 8))
    assert set(counts.values()) == {200}


def test_an_inner_section_that_blocks_suspends_the_outer_one() -> None:
    outer, inner = Mutex(), Mutex()
    inner_taken, release = threading.Event(), threading.Event()
    events: list[str] = []

    def holder() -> None:
        with CriticalSection(inner):
            inner_taken.set()
            # The other thread waits for `inner` now; its outer mutex must be free to take.
            with CriticalSection(outer):
                events.append("outer was free")
            release.wait(30)

    def waiter() -> None:
        with CriticalSection(outer) as section:
            inner_taken.wait(30)
            release.set()
            with CriticalSection(inner):
                events.append("inner")
            assert not section.suspended
            assert_held(outer)

    run_threads(holder, waiter)
    assert sorted(events) == ["inner", "outer was free"]


def test_uncontended_inner_section_keeps_the_outer_one() -> None:
    outer, inner = Mutex(), Mutex()
    with CriticalSection(outer) as section, CriticalSection(inner):
        assert not section.suspended
        assert len(active_sections()) == 2
    assert active_sections() == []


def test_released_after_an_error() -> None:
    mutex = Mutex()
    with pytest.raises(Boom), CriticalSection(mutex):
        raise Boom
    assert active_sections() == []

    def other() -> bool:
        with CriticalSection(mutex):
            return True

    assert run_threads(other) == [True]


def test_three_deep_crossing() -> None:
    mutexes = [Mutex() for _ in range(3)]
    totals: list[int] = []

    def work(number: int) -> None:
        order = mutexes[number % 3 :] + mutexes[: number % 3]
        for _ in range(100):
            with CriticalSection(order[0]), CriticalSection(order[1]), CriticalSection(order[2]):
                assert_held(order[2])
            totals.append(1)

    run_threads(*numbered(work, 6))
    assert len(totals) == 600


def test_sections_are_per_thread() -> None:
    with CriticalSection(Mutex()):
        seen: list[Any] = []
        run_threads(lambda: seen.append(active_sections()))
        assert seen == [[]]
