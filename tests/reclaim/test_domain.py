"""The epoch domain by itself: nothing early, everything eventually, counters that are true.

These tests drive `concurrent_tables._pure.reclaim.Domain` objects of their own, so that pins and
retirements of the rest of the process do not blur what is asserted.
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from concurrent_tables._pure import reclaim
from tests.support import Boom, Trackable, numbered, run_threads


@pytest.fixture
def domain() -> reclaim.Domain:
    return reclaim.Domain()


class Reader:
    """A thread that pins when told and unpins when told."""

    def __init__(self, domain: reclaim.Domain) -> None:
        self._domain = domain
        self._pinned = threading.Event()
        self._release = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._pinned.wait(30)

    def _run(self) -> None:
        record = self._domain.pin()
        self._pinned.set()
        self._release.wait(60)
        self._domain.unpin(record)

    def end(self) -> None:
        self._release.set()
        self._thread.join(30)
        assert not self._thread.is_alive()


def retire_tracked(domain: reclaim.Domain, count: int = 1) -> list[weakref.ref[Trackable]]:
    references = []
    for number in range(count):
        value = Trackable(number)
        references.append(weakref.ref(value))
        domain.retire(value)
    return references


def test_nothing_is_freed_while_a_reader_is_pinned(domain: reclaim.Domain) -> None:
    reader = Reader(domain)
    references = retire_tracked(domain, 500)  # well above the number that triggers a poll
    domain.poll()
    assert all(reference() is not None for reference in references)
    assert domain.stats()["pending_items"] == 500
    assert domain.stats()["freed_total"] == 0
    reader.end()
    domain.flush()
    assert all(reference() is None for reference in references)
    assert domain.stats()["freed_total"] == 500


def test_a_later_reader_does_not_hold_older_items(domain: reclaim.Domain) -> None:
    older = retire_tracked(domain, 5)
    reader = Reader(domain)
    newer = retire_tracked(domain, 5)
    domain.poll()
    assert all(reference() is None for reference in older)
    assert all(reference() is not None for reference in newer)
    reader.end()
    domain.poll()
    assert all(reference() is None for reference in newer)


def test_own_pin_protects_too_and_pins_nest(domain: reclaim.Domain) -> None:
    outer = domain.pin()
    inner = domain.pin()
    (reference,) = retire_tracked(domain)
    domain.unpin(inner)
    domain.poll()
    assert reference() is not None
    domain.unpin(outer)
    domain.poll()
    assert reference() is None


def test_unpinned_items_are_freed_by_polling_alone(domain: reclaim.Domain) -> None:
    references = retire_tracked(domain, 20 * reclaim.POLL_ITEMS)
    alive = sum(reference() is not None for reference in references)
    assert alive <= reclaim.POLL_ITEMS
    assert domain.stats()["polls"] >= 10


def test_bytes_trigger_a_poll(domain: reclaim.Domain) -> None:
    value = Trackable()
    reference = weakref.ref(value)
    domain.retire(value, reclaim.POLL_BYTES)
    del value
    domain.retire(None, 1)
    domain.retire(None, reclaim.POLL_BYTES)
    assert reference() is None


def test_counters_add_up(domain: reclaim.Domain) -> None:
    reader = Reader(domain)
    for number in range(10):
        domain.retire(Trackable(), number)
    stats = domain.stats()
    assert stats["pending_items"] == 10
    assert stats["pending_bytes"] == sum(range(10))
    assert stats["retired_total"] == 10
    assert stats["pinned"] == 1
    reader.end()
    assert domain.flush() == 10
    stats = domain.stats()
    assert stats["pending_items"] == stats["pending_bytes"] == stats["pinned"] == 0
    assert stats["retired_total"] == stats["freed_total"] == 10


def test_callbacks_run_once_in_order_after_the_grace_period(domain: reclaim.Domain) -> None:
    calls: list[int] = []
    reader = Reader(domain)
    for number in range(5):
        domain.retire(lambda number=number: calls.append(number), callback=True)
    domain.poll()
    assert calls == []
    reader.end()
    domain.flush()
    domain.flush()
    assert calls == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("error", [Boom, KeyboardInterrupt])
def test_callback_errors_reach_unraisablehook(
    domain: reclaim.Domain, unraisable: list[Any], error: type
) -> None:
    def fail() -> None:
        raise error

    calls: list[int] = []
    domain.retire(fail, callback=True)
    domain.retire(lambda: calls.append(1), callback=True)
    domain.flush()
    assert calls == [1]
    assert [type(entry.exc_value) for entry in unraisable] == [error]
    assert unraisable[0].object is fail
    assert domain.stats()["callback_errors"] == 1


def test_callbacks_may_retire(domain: reclaim.Domain) -> None:
    calls: list[int] = []

    def again(depth: int) -> Callable[[], None]:
        def call() -> None:
            calls.append(depth)
            if depth:
                domain.retire(again(depth - 1), callback=True)

        return call

    domain.retire(again(5), callback=True)
    domain.flush()
    assert calls == [5, 4, 3, 2, 1, 0]
    assert domain.stats()["pending_items"] == 0


def test_finalizers_may_retire_and_flush(domain: reclaim.Domain) -> None:
    class Chatty:
        def __del__(self) -> None:
            domain.retire(Trackable())
            domain.flush()

    for _ in range(10):
        domain.retire(Chatty())
    domain.flush()
    assert domain.stats()["pending_items"] == 0
    assert domain.stats()["freed_total"] == domain.stats()["retired_total"] == 20


def test_thread_exit_hands_limbo_over(domain: reclaim.Domain) -> None:
    reader = Reader(domain)
    references: list[weakref.ref[Trackable]] = []
    thread = threading.Thread(target=lambda: references.extend(retire_tracked(domain, 10)))
    thread.start()
    thread.join()
    assert len(references) == 10
    assert all(reference() is not None for reference in references)
    assert domain.stats()["pending_items"] == 10
    reader.end()
    domain.poll()
    assert all(reference() is None for reference in references)


def test_records_of_ended_threads_go(domain: reclaim.Domain) -> None:
    before = domain.stats()["threads"]
    for _ in range(5):
        run_threads(lambda: domain.unpin(domain.pin()), count=3)
    assert domain.stats()["threads"] == before


def test_a_thread_that_ends_pinned_does_not_stop_reclamation(domain: reclaim.Domain) -> None:
    thread = threading.Thread(target=domain.pin)
    thread.start()
    thread.join()
    (reference,) = retire_tracked(domain)
    domain.flush()
    assert reference() is None


def test_synchronize_waits_for_the_readers_of_its_time(domain: reclaim.Domain) -> None:
    assert domain.synchronize() is True
    reader = Reader(domain)
    assert domain.synchronize(timeout_s=0.02) is False
    order: list[str] = []

    def wait() -> None:
        domain.synchronize()
        order.append("synchronized")

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    order.append("still pinned")
    reader.end()
    thread.join(30)
    assert order == ["still pinned", "synchronized"]


def test_synchronize_does_not_wait_for_later_readers(domain: reclaim.Domain) -> None:
    """Readers that pin over and over must not hold a waiter up for good."""
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            domain.unpin(domain.pin())

    def wait() -> None:
        try:
            for _ in range(20):
                assert domain.synchronize(timeout_s=60)
        finally:
            stop.set()

    run_threads(read, read, wait)


@pytest.mark.timeout(240)
def test_bounded_while_many_threads_retire(domain: reclaim.Domain) -> None:
    worst: list[int] = []

    def churn(number: int) -> None:
        for step in range(2000):
            record = domain.pin()
            domain.unpin(record)
            domain.retire(Trackable(step))
            if step % 200 == 0:
                worst.append(domain.stats()["pending_items"])

    run_threads(*numbered(churn, 4))
    assert max(worst) <= 4 * (reclaim.PRESSURE_ITEMS + reclaim.POLL_ITEMS)
    domain.flush()
    stats = domain.stats()
    assert stats["pending_items"] == 0
    assert stats["retired_total"] == stats["freed_total"] == 8000


def test_back_pressure_is_bounded_by_a_stuck_reader(
    domain: reclaim.Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that never unpins slows a writer down; it does not stop it, and nothing is freed."""
    monkeypatch.setattr(reclaim, "_PRESSURE_SPINS", 2)
    reader = Reader(domain)
    count = reclaim.PRESSURE_ITEMS + 3 * reclaim.POLL_ITEMS
    for _ in range(count):
        domain.retire(None)
    stats = domain.stats()
    assert stats["pressure_waits"] >= 1
    assert stats["pending_items"] == count
    reader.end()
    domain.flush()
    assert domain.stats()["pending_items"] == 0


def test_every_callback_runs_exactly_once_beside_thread_exits_and_flushes(
    domain: reclaim.Domain,
) -> None:
    calls: list[int] = []
    rounds, threads, each = 12, 3, 40
    stop = threading.Event()

    def flush() -> None:
        while not stop.is_set():
            domain.flush()

    flusher = threading.Thread(target=flush, daemon=True)
    flusher.start()

    def retire(number: int) -> None:
        for step in range(each):
            domain.retire(lambda value=(number, step): calls.append(value), callback=True)

    for round_number in range(rounds):
        run_threads(*numbered(lambda n, r=round_number: retire(r * threads + n), threads))
    stop.set()
    flusher.join(30)
    domain.flush()
    assert len(calls) == len(set(calls)) == rounds * threads * each


def test_a_reader_never_sees_a_freed_item(domain: reclaim.Domain) -> None:
    """The use that the domain is for: a cell that is replaced while others read through it."""

    class Cell:
        def __init__(self) -> None:
            self.alive = True

        def free(self) -> None:
            self.alive = False

    class Box:
        cell = Cell()

    stop, reads, written = threading.Event(), [0, 0], [0]

    def read(number: int) -> None:
        while not stop.is_set():
            record = domain.pin()
            cell = Box.cell
            for _ in range(5):
                assert cell.alive, "a cell was freed under a pinned reader"
            domain.unpin(record)
            reads[number] += 1

    def write() -> None:
        try:
            # On a busy machine the readers may come late: go on until both have read.
            while written[0] < 3000 or min(reads) < 100:
                old, Box.cell = Box.cell, Cell()
                domain.retire(old.free, callback=True)
                written[0] += 1
        finally:
            stop.set()

    run_threads(lambda: read(0), lambda: read(1), write)
    domain.flush()
    assert domain.stats()["freed_total"] == written[0]


def test_what_is_retired_after_a_look_at_the_pins_is_not_covered_by_it(
    domain: reclaim.Domain,
) -> None:
    """A reader may have pinned in between and see the item; it must wait for the next look."""
    oldest = domain._oldest_pinned()
    record = domain.pin()
    domain.retire(object())
    assert record.limbo[-1].sequence > oldest
    domain.unpin(record)
    assert domain.flush() == 1


def test_a_collection_while_a_thread_is_registered(
    monkeypatch: pytest.MonkeyPatch, unraisable: list[Any]
) -> None:
    """The thread has storage of its own then, but no record in it."""
    register = reclaim.Domain._register

    def collect_and_register(domain: reclaim.Domain) -> reclaim.Record:
        gc.collect()
        return register(domain)

    monkeypatch.setattr(reclaim.Domain, "_register", collect_and_register)
    records: list[reclaim.Record] = []
    thread = threading.Thread(target=lambda: records.append(reclaim.domain.record()))
    thread.start()
    thread.join()
    assert len(records) == 1 and not unraisable
