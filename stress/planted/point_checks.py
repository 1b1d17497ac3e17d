"""What the yield points themselves promise, checked in a child process (run_scenario.py)."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

from . import serial
from .keys import Key

__all__ = ["CHECKS"]

CHECKS: dict[str, Callable[[], None]] = {}


def check(function: Callable[[], None]) -> Callable[[], None]:
    """Register under the function's name."""
    CHECKS[function.__name__] = function
    return function


def _program() -> list[Callable[[], Any]]:
    """Three threads on one table: growth, deletions, comparisons in Python, snapshots."""
    table = serial.ct.ConcurrentDict({Key(0): 0})

    def body(number: int) -> Callable[[], Any]:
        def work() -> Any:
            seen = []
            for step in range(4):
                table[(number + step) % 5] = (number, step)
                table[Key(step % 3)] = number
                seen.append(table.get((number * step) % 5))
                seen.append(table.pop((number * 3 + step) % 7, None))
            return seen, [str(item) for item in table.snapshot().items()]

        return work

    return [body(number) for number in range(3)]


@check
def replay_is_exact() -> None:
    """A seed gives a trace; the seed again, and the choices of the trace, give that very run."""
    traces = set()
    for mode in ("random", "pct"):
        for seed in range(25):
            run = serial.serialised(mode, _program(), seed=seed)
            again = serial.serialised(mode, _program(), seed=seed)
            choices = [thread for thread, _ in run.trace]
            replay = serial.serialised("choices", _program(), order=choices)
            assert run.stats["stalls"] == 0, run.stats
            assert (run.trace, run.results) == (again.trace, again.results), (mode, seed)
            assert (run.trace, run.results) == (replay.trace, replay.results), (mode, seed)
            assert replay.stats["diverged"] == 0, replay.stats
            traces.add(tuple(choices))
    assert len(traces) > 25, f"only {len(traces)} orders"


@check
def scripts_go_where_they_say() -> None:
    """Lines of a script run to a point, its n-th time, or to the end; a miss is counted."""
    log: list[str] = []

    def body(name: str) -> Callable[[], None]:
        def work() -> None:
            for step in range(3):
                serial.here("step")
                log.append(f"{name}{step}")

        return work

    order: list[serial.Step] = [(1, "step", 2), (0, "step", 3), (1, None), (0, None)]
    run = serial.serialised("script", [body("a"), body("b")], order=order)
    assert log == ["b0", "a0", "a1", "b1", "b2", "a2"], log
    assert run.stats["missed"] == 0, run.stats
    run = serial.serialised("script", [body("a")], order=[(0, "elsewhere")])
    assert run.stats["missed"] == 1, run.stats


@check
def blocked_threads_do_not_block_the_run() -> None:
    """A thread that waits for a Python lock leaves the turn to the one that holds it."""
    lock = threading.Lock()

    def hold() -> None:
        with lock:
            serial.here("held")

    order: list[serial.Step] = [(0, "held"), (1, None), (0, None)]

    def wait() -> None:
        with lock:
            serial.here("got it")

    run = serial.serialised("script", [hold, wait], order=order)
    assert run.results == [None, None]
    assert run.stats["stalls"] == 1, run.stats


@check
def a_collection_ends() -> None:
    """A collector may stop the world while threads wait at points, attached."""
    table = serial.ct.ConcurrentDict(a=0)

    def collect() -> None:
        table["b"] = 1
        gc.collect()

    def write() -> None:
        for number in range(20):
            table[number] = number

    for seed in range(3):
        run = serial.serialised("random", [collect, write, write], seed=seed)
        assert run.results == [None, None, None], run.results


@check
def errors_end_a_thread_only() -> None:
    """A body that raises leaves the run; the others go on."""

    def fail() -> None:
        serial.here("before")
        raise ZeroDivisionError

    run = serial.serialised("random", [fail, lambda: serial.here("on")], seed=1)
    assert isinstance(run.results[0], ZeroDivisionError) and run.results[1] is None


@check
def delays_change_nothing_else() -> None:
    """Seeded delays: the same program, no schedule, sound tables."""
    table = serial.ct.ConcurrentDict()

    def work(number: int) -> None:
        serial.core._points_enter(number)
        for step in range(300):
            table[number, step] = step
            table.pop((number, step - 5), None)
        serial.core._points_leave()

    serial.core._points_configure("delays", seed=5, threads=3)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    serial.core._points_configure("off")
    assert len(table) == 15
    serial.ct.inspect_table(table).check()


@check
def wrong_calls_are_refused() -> None:
    """Unknown modes, thread numbers outside of the run, too many threads."""
    for call, *arguments in (
        (serial.core._points_configure, "mode"),
        (serial.core._points_configure, "random", 0, 1000),
        (serial.core._points_enter, 0),
        (serial.core._points_configure, "script", 0, 1, ["x"]),
    ):
        try:
            call(*arguments)
        except (ValueError, TypeError, SystemError):
            continue
        raise AssertionError(f"accepted: {call} {arguments}")
