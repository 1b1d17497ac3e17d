"""Exceptions from outside in the middle of a delivery: subscriptions get what comes after."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

from tests.support import MUTABLE_MAPPINGS, new, run_threads

WAIT_SECONDS = 30.0


class Interrupt(BaseException):
    """What a signal handler might raise."""


class InterruptedOnce(dict[int, Any]):
    """Raises once after `setdefault` has stored, as an interrupt between two instructions does."""

    armed = True

    def setdefault(self, *args: Any) -> Any:
        result = super().setdefault(*args)
        if self.armed:
            self.armed = False
            raise Interrupt
        return result


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_another_writer_goes_on_delivering(
    ct: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    table = new(ct, name)
    subscription = table.subscribe(10)
    table._watch._drainers = InterruptedOnce()
    table["a"] = 1
    assert [unraisable.exc_type for unraisable in told] == [Interrupt]
    run_threads(lambda: table.__setitem__("b", 2))
    assert [subscription.get(timeout=WAIT_SECONDS).key for _ in range(2)] == ["a", "b"]


@pytest.mark.skipif(sys.gettrace() is not None, reason="somebody else traces this run")
@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_no_lock_is_taken_by_python_code(
    ct: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt that comes when `Condition.__enter__` returns would leave its lock taken."""
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)
    table = new(ct, name)
    subscription = table.subscribe(10)

    def trace(frame: Any, event: str, _: Any) -> Any:
        if frame.f_code is not threading.Condition.__enter__.__code__:
            return None
        if event == "return":
            sys.settrace(None)
            raise Interrupt
        return trace

    sys.settrace(trace)
    try:
        table["a"] = 1
    finally:
        sys.settrace(None)
    run_threads(lambda: table.__setitem__("b", 2))
    assert [subscription.get(timeout=WAIT_SECONDS).key for _ in range(2)] == ["a", "b"]
