"""Deadlocks are found and named; what may wait is not accused; models do as their originals."""

from __future__ import annotations

import queue
import threading
import time

from stress.serial import explore, replay
from stress.zoo.blocking import Accounts

_shared = threading.Lock()


class OfTheModule:
    """Its lock was made when this module was imported."""

    def __init__(self) -> None:
        self.n = 0

    def hit(self) -> int:
        with _shared:
            seen = self.n
            self.n = seen + 1
            return seen


class Again:
    """Takes its lock twice."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def clear(self) -> None:
        with self._lock:
            self.reset()

    def reset(self) -> None:
        with self._lock:
            pass


class Mixed:
    """Some of everything in threading."""

    def __init__(self) -> None:
        self._places = threading.BoundedSemaphore(1)
        self._event = threading.Event()
        self._barrier = threading.Barrier(2)
        self._condition = threading.Condition(threading.Lock())
        self.inside = 0

    def alone(self) -> int:
        with self._places:
            self.inside += 1
            seen = self.inside
            self.inside -= 1
        return seen

    def meet(self) -> bool:
        return self._barrier.wait() in (0, 1)

    def tell(self) -> None:
        self._event.set()
        with self._condition:
            self._condition.notify_all()

    def hear(self) -> bool:
        return self._event.wait()

    def hear_soon(self) -> bool:
        with self._condition:
            return bool(self._condition.wait_for(self._event.is_set, timeout=1))

    def nap(self) -> None:
        time.sleep(3600)


def test_a_cycle_is_named_with_its_lines() -> None:
    programs = [[("transfer", "left", "right", 1)], [("transfer", "right", "left", 2)]]
    found = explore(Accounts, programs).found
    assert found is not None
    assert found.kind == "deadlock"
    assert "thread 0 -> thread 1 -> thread 0" in found.message
    assert found.message.count("waits for the Lock made at blocking.py:") == 2
    assert "held by thread 1" in found.message
    assert "held by thread 0" in found.message
    assert replay(found.token).message == found.message


def test_a_thread_can_wait_for_itself() -> None:
    found = explore(Again, [[("clear",)], [("reset",)]]).found
    assert found is not None
    assert found.kind == "deadlock"
    assert "held by thread 0" in found.message or "held by thread 1" in found.message


def test_a_call_that_waits_when_it_is_alone_may_wait() -> None:
    result = explore(queue.Queue, [[("get",)], [("get",)]], limit=50)
    assert result.found is None


def test_a_queue_of_the_standard_library_is_not_accused() -> None:
    result = explore(queue.Queue, [[("put", 1)], [("get",)]], bound=1)
    assert result.found is None
    assert result.complete


def test_locks_of_modules_are_modelled_and_put_back() -> None:
    lock = _shared
    result = explore(OfTheModule, [[("hit",)]] * 2, strategy="exhaustive")
    assert (result.found, result.complete) == (None, True)
    assert _shared is lock
    assert not _shared.locked()


def test_models_do_as_their_originals() -> None:
    for programs in (
        [[("alone",)], [("alone",)]],
        [[("tell",)], [("hear",)]],
        [[("tell",)], [("hear_soon",)]],
        [[("nap",)], [("alone",), ("nap",)]],
    ):
        result = explore(Mixed, programs)
        assert result.found is None, str(result)
        assert result.complete


def test_a_barrier_waits_for_all() -> None:
    """Alone nobody passes it: there is no sequential order, and every schedule would be wrong."""
    found = explore(Mixed, [[("meet",)], [("meet",)]], limit=5).found
    assert found is not None
    assert found.kind == "outcome"
    assert found.outcome[:2] == (True, True)
