"""After an exploration everything is as it was: threads, names, events, the collector."""

from __future__ import annotations

import _thread
import gc
import sys
import threading
import time
from typing import Any

import pytest

from stress.check.models import Model
from stress.serial import SerialError, explore
from stress.serial import scheduler as scheduling
from stress.zoo.blocking import Accounts, DeafMailbox
from stress.zoo.counters import LossyCounter


def _around() -> tuple[Any, ...]:
    tools: Any = ()
    if sys.version_info >= (3, 12):
        tools = [sys.monitoring.get_tool(number) for number in range(6)]
    return (
        {thread.ident for thread in threading.enumerate()},
        [getattr(threading, name) for name in ("Lock", "RLock", "Condition", "Event", "Semaphore")],
        time.sleep,
        tools,
        gc.isenabled(),
        sys.gettrace(),
    )


@pytest.mark.parametrize("strategy", ["bounded", "pct", "random"])
@pytest.mark.parametrize("make", [LossyCounter, Accounts, DeafMailbox])
def test_everything_is_put_back(make: Any, strategy: str) -> None:
    programs = {
        LossyCounter: [[("increment",)], [("increment",)]],
        Accounts: [[("transfer", "left", "right", 1)], [("transfer", "right", "left", 1)]],
        DeafMailbox: [[("get",)], [("put", 1)]],
    }[make]
    before = _around()
    explore(make, programs, strategy=strategy, limit=200)
    assert _around() == before


class Unmakeable:
    def __init__(self) -> None:
        raise ZeroDivisionError


def test_everything_is_put_back_after_an_error() -> None:
    before = _around()
    with pytest.raises(ZeroDivisionError):
        explore(Unmakeable, [[("get",)], [("get",)]])
    with pytest.raises(SerialError):
        explore(LossyCounter, [[("increment",)]], granularity="word")
    assert _around() == before


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 has no sys.monitoring: no ids to want")
def test_all_ids_in_use_is_an_error_that_says_so() -> None:
    if sys.version_info >= (3, 12):
        taken = [number for number in range(6) if sys.monitoring.get_tool(number) is None]
        for number in taken:
            sys.monitoring.use_tool_id(number, "a test")
        try:
            with pytest.raises(SerialError, match=r"all ids of sys\.monitoring are in use"):
                explore(LossyCounter, [[("increment",)]])
        finally:
            for number in taken:
                sys.monitoring.free_tool_id(number)


_real = _thread.allocate_lock()
_hidden = [_real]


class Unmodelled:
    """Waits in a lock that nobody can see."""

    def wait(self) -> None:
        with _hidden[0]:
            pass


def test_waiting_in_something_unknown_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "STALL_SECONDS", 0.2)
    _real.acquire()
    threading.Timer(0.8, _real.release).start()  # so that the thread can end
    with pytest.raises(SerialError, match="not modelled"):
        explore(Unmodelled, [[("wait",)]], model=_Anything())
    left = [thread for thread in threading.enumerate() if thread.name.startswith("serial-")]
    for thread in left:
        thread.join(20)
    assert not any(thread.is_alive() for thread in left)  # none runs on in the container


class _Anything(Model):
    """Allows what it is asked."""

    name = "anything"

    def answers(self, state: Any, method: str, args: tuple[Any, ...]) -> list[tuple[Any, Any]]:
        return [(None, state)]


def test_threads_that_have_nothing_to_do_with_it_get_real_locks() -> None:
    made: list[Any] = []
    stop = threading.Event()

    def other() -> None:
        while not stop.is_set():
            lock = threading.Lock()
            if type(lock) is not type(_real):
                made.append(lock)

    thread = threading.Thread(target=other)
    thread.start()
    try:
        explore(LossyCounter, [[("increment",)], [("increment",)]], strategy="random", limit=30)
    finally:
        stop.set()
        thread.join()
    assert made == []
