"""One flight per key, across threads and event loops; errors, cycles, timeouts, refreshes."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from concurrent_tables.cache import Loaded
from tests.support import Boom, run_threads

GIVE_UP_SECONDS = 60.0


class Gate:
    """A loader that says when it began, and goes on when told."""

    def __init__(self, result: Any = "loaded") -> None:
        self.began = threading.Event()
        self.opened = threading.Event()
        self.result = result
        self.calls = 0

    def __call__(self, key: Any) -> Any:
        self.calls += 1
        self.began.set()
        assert self.opened.wait(GIVE_UP_SECONDS)
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + GIVE_UP_SECONDS
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.001)


def waiting_for(cache: Any, key: Any) -> int:
    flight = cache._flights.get(key)
    return 0 if flight is None else flight.joined


def in_thread(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Start `call`; its ("value", v) or ("error", e) will be in the list."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(("value", call()))
        except BaseException as error:
            outcome.append(("error", error))

    thread = (
        threading.Thread(target=run, daemon=True, context=contextvars.Context())
        if (sys.version_info >= (3, 14))
        else threading.Thread(target=run, daemon=True)
    )
    thread.start()
    return thread, outcome


def test_four_threads_four_loops_a_thousand_callers_one_load(cache_type: Any) -> None:
    cache = cache_type(10)
    calls: list[Any] = []
    callers = 1000 if cache._parts.ConcurrentDict.__module__ else 0

    def load(key: Any) -> Any:
        calls.append(key)
        # By now most of the others have come; the rest will find the value.
        end = time.monotonic() + 0.2
        while time.monotonic() < end and waiting_for(cache, "cold") < callers - 8:
            time.sleep(0.001)
        return object()

    async def aload(key: Any) -> Any:
        return load(key)

    def sync() -> list[Any]:
        return [cache.get_or_load("cold", load) for _ in range(callers // 8)]

    def loop() -> list[Any]:
        async def many() -> list[Any]:
            return await asyncio.gather(
                *[cache.aget_or_load("cold", aload) for _ in range(callers // 8)]
            )

        return asyncio.run(many())

    results = run_threads(sync, loop, count=4)
    values = [value for part in results for value in part]
    assert calls == ["cold"]
    assert len(values) == callers and len({id(value) for value in values}) == 1
    stats = cache.stats()
    assert (stats.lookups, stats.loads) == (callers, 1)


def test_late_callers_do_not_join_what_fell(cache_type: Any) -> None:
    cache, gate = cache_type(), Gate("old")
    thread, outcome = in_thread(lambda: cache.get_or_load("k", gate))
    assert gate.began.wait(GIVE_UP_SECONDS)
    joined, joined_outcome = in_thread(lambda: cache.get_or_load("k", gate))
    until(lambda: waiting_for(cache, "k"))
    cache.invalidate("k")
    assert cache.get_or_load("k", lambda key: "new") == "new"
    gate.opened.set()
    thread.join()
    joined.join()
    assert outcome == joined_outcome == [("value", "old")]
    assert cache.get("k") == "new" and gate.calls == 1
    assert cache.stats().load_discards == 1


def test_a_late_tag_refuses_only_those_who_came_after_its_fall(cache_type: Any) -> None:
    cache, gate = cache_type(), Gate(Loaded("old", tags=["t"]))
    first, first_outcome = in_thread(lambda: cache.get_or_load("k", gate))
    assert gate.began.wait(GIVE_UP_SECONDS)
    before, before_outcome = in_thread(lambda: cache.get_or_load("k", gate))
    until(lambda: waiting_for(cache, "k") == 1)
    cache.invalidate_tag("t")
    after, after_outcome = in_thread(lambda: cache.get_or_load("k", lambda key: "new"))
    until(lambda: waiting_for(cache, "k") == 2)
    gate.opened.set()
    for thread in (first, before, after):
        thread.join()
    assert first_outcome == before_outcome == [("value", "old")]
    assert after_outcome == [("value", "new")]


def test_an_error_reaches_the_callers_of_that_flight(cache_type: Any) -> None:
    cache, gate = cache_type(), Gate(Boom("no"))
    threads = [in_thread(lambda: cache.get_or_load("k", gate))]
    assert gate.began.wait(GIVE_UP_SECONDS)
    threads += [in_thread(lambda: cache.get_or_load("k", gate)) for _ in range(3)]
    until(lambda: waiting_for(cache, "k") == 3)
    gate.opened.set()
    errors = []
    for thread, outcome in threads:
        thread.join()
        [(kind, error)] = outcome
        assert kind == "error" and type(error) is Boom and error.args == ("no",)
        errors.append(error)
    assert len({id(error) for error in errors}) == 4
    for error in errors:
        frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        assert frames[-1] == "__call__" and frames.count("__call__") == 1
        assert len(frames) <= 9
    assert cache.get_or_load("k", lambda key: "fine") == "fine"
    stats = cache.stats()
    assert (stats.load_successes, stats.load_failures, stats.loads) == (1, 1, 2)


def test_asking_for_its_own_key(cache_type: Any) -> None:
    cache = cache_type()

    def load(key: Any) -> Any:
        return cache.get_or_load("b" if key == "a" else "a", load)

    with pytest.raises(RuntimeError, match="'a' waits for 'b' waits for 'a'") as caught:
        cache.get_or_load("a", load)
    assert type(caught.value).__name__ == "RecursiveComputeError"
    assert cache.get_or_load("a", lambda key: 1) == 1


def test_asking_for_its_own_key_in_a_child_task(cache_type: Any) -> None:
    cache = cache_type()

    async def load(key: Any) -> Any:
        return await asyncio.gather(cache.aget_or_load(key, load))

    async def main() -> None:
        with pytest.raises(RuntimeError, match="'a' waits for 'a'"):
            await cache.aget_or_load("a", load)

    asyncio.run(main())


def test_a_blocking_wait_for_a_task_of_this_loop(cache_type: Any) -> None:
    cache = cache_type()

    async def load(key: Any) -> Any:
        await asyncio.sleep(0)
        return key

    async def main() -> Any:
        task = asyncio.create_task(cache.aget_or_load("a", load))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="would never end"):
            cache.get_or_load("a", lambda key: 1)
        return await task

    assert asyncio.run(main()) == "a"


def test_a_cycle_of_two_threads(cache_type: Any) -> None:
    cache = cache_type()
    barrier = threading.Barrier(2, timeout=GIVE_UP_SECONDS)

    def load(key: Any) -> Any:
        barrier.wait()
        return cache.get_or_load("b" if key == "a" else "a", lambda key: pytest.fail("loaded"))

    threads = [in_thread(lambda key=key: cache.get_or_load(key, load)) for key in "ab"]
    for thread, _ in threads:
        thread.join()
    errors = [outcome[0][1] for _, outcome in threads]
    assert {type(error).__name__ for error in errors} == {"DeadlockError"}
    assert all(
        "'a' waits for 'b' waits for 'a'" in str(error)
        or "'b' waits for 'a' waits for 'b'" in str(error)
        for error in errors
    )


def test_a_cycle_of_a_thread_and_a_task(cache_type: Any) -> None:
    cache = cache_type()
    barrier = threading.Barrier(2, timeout=GIVE_UP_SECONDS)

    def load(key: Any) -> Any:
        barrier.wait()
        return cache.get_or_load("b", load)

    async def aload(key: Any) -> Any:
        barrier.wait()
        return await cache.aget_or_load("a", aload)

    thread, outcome = in_thread(lambda: cache.get_or_load("a", load))
    other, other_outcome = in_thread(lambda: asyncio.run(cache.aget_or_load("b", aload)))
    thread.join()
    other.join()
    for [(kind, error)] in (outcome, other_outcome):
        assert kind == "error" and type(error).__name__ == "DeadlockError", error


def test_a_cancelled_first_caller_does_not_disturb_the_others(cache_type: Any) -> None:
    cache = cache_type()

    async def main() -> None:
        go = asyncio.Event()
        calls = []

        async def load(key: Any) -> Any:
            calls.append(key)
            await go.wait()
            return "value"

        leader = asyncio.create_task(cache.aget_or_load("k", load))
        await asyncio.sleep(0)
        others = [asyncio.create_task(cache.aget_or_load("k", load)) for _ in range(3)]
        await asyncio.sleep(0)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        go.set()
        assert await asyncio.gather(*others) == ["value"] * 3
        assert calls == ["k"]

    asyncio.run(main())


def test_a_loop_that_ends_during_its_load(cache_type: Any) -> None:
    """Its loader is cancelled; who waits elsewhere loads by himself."""
    cache = cache_type()
    began, stop = threading.Event(), threading.Event()

    async def forever(key: Any) -> Any:
        began.set()
        await asyncio.sleep(1000)

    async def main() -> None:
        task = asyncio.create_task(cache.aget_or_load("k", forever))
        while not stop.is_set():
            await asyncio.sleep(0.001)
        del task

    loop_thread, _ = in_thread(lambda: asyncio.run(main()))
    assert began.wait(GIVE_UP_SECONDS)
    waiter, outcome = in_thread(lambda: cache.get_or_load("k", lambda key: "mine"))
    until(lambda: waiting_for(cache, "k") >= 2)
    stop.set()
    waiter.join()
    loop_thread.join()
    assert outcome == [("value", "mine")]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:.*was never awaited")
def test_a_loop_that_is_closed_during_its_load(cache_type: Any) -> None:
    """Nobody cancels anything: the waiter sees that the loop is closed."""
    cache = cache_type()
    loop = asyncio.new_event_loop()

    async def forever(key: Any) -> Any:
        await asyncio.Event().wait()

    task = loop.create_task(cache.aget_or_load("k", forever))
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    waiter, outcome = in_thread(lambda: cache.get_or_load("k", lambda key: "mine"))
    until(lambda: waiting_for(cache, "k") >= 2)
    flight = cache._flights.get("k")
    inner = flight.task
    loop.close()
    waiter.join()
    assert outcome == [("value", "mine")]
    for pending in (task, inner):
        pending._log_destroy_pending = False
        pending.get_coro().close()
    del task, inner, pending, flight
    gc.collect()


def test_a_loader_that_was_cancelled(cache_type: Any) -> None:
    cache = cache_type()

    async def load(key: Any) -> Any:
        raise asyncio.CancelledError("by itself")

    async def main() -> None:
        with pytest.raises(asyncio.CancelledError):
            await cache.aget_or_load("k", load)
        assert await cache.aget_or_load("k", lambda key: "plain") == "plain"

    asyncio.run(main())


def test_an_interrupt_is_not_shared(cache_type: Any) -> None:
    cache, gate = cache_type(), Gate(KeyboardInterrupt())
    thread, outcome = in_thread(lambda: cache.get_or_load("k", gate))
    assert gate.began.wait(GIVE_UP_SECONDS)
    other, other_outcome = in_thread(lambda: cache.get_or_load("k", lambda key: "mine"))
    until(lambda: waiting_for(cache, "k") == 1)
    gate.opened.set()
    thread.join()
    other.join()
    assert type(outcome[0][1]) is KeyboardInterrupt
    assert other_outcome == [("value", "mine")]


def test_a_coroutine_function_in_a_thread(cache_type: Any) -> None:
    async def load(key: Any) -> Any:
        return 1

    with pytest.raises(TypeError, match="await aget_or_load"):
        cache_type().get_or_load("k", load)


def test_hard_timeout(cache_type: Any) -> None:
    cache, gate = cache_type(hard_timeout=0.02), Gate("too late")
    with pytest.raises(TimeoutError, match="the loader of key 'k' takes longer than"):
        cache.get_or_load("k", gate)
    gate.opened.set()
    until(lambda: cache.stats().loads == 1)
    until(lambda: cache.stats().load_discards == 1)
    assert cache.get("k") is None


def test_hard_timeout_of_a_coroutine(cache_type: Any) -> None:
    cache = cache_type(hard_timeout=0.02)

    async def forever(key: Any) -> Any:
        await asyncio.sleep(1000)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await cache.aget_or_load("k", forever)
        while cache.get("k") is None:
            try:
                assert await cache.aget_or_load("k", lambda key: 1) == 1
            except TimeoutError:  # the machine was busy with something else
                continue

    asyncio.run(main())


def test_timeouts_do_not_hurt_a_fast_loader(cache_type: Any) -> None:
    cache = cache_type(hard_timeout=GIVE_UP_SECONDS, soft_timeout=GIVE_UP_SECONDS)
    assert cache.get_or_load("k", lambda key: 1) == 1
    with pytest.raises(Boom):
        cache.get_or_load("l", raiser)


def raiser(key: Any) -> Any:
    raise Boom(key)


def test_soft_timeout_serves_what_expired(cache_type: Any, timer: Any) -> None:
    cache = cache_type(ttl=10, soft_timeout=0.01, stale_on_error=100, timer=timer)
    gate = Gate("new")
    cache.set("k", "stale")
    timer.forward(11)
    assert cache.get("k") is None
    assert cache.get_or_load("k", gate) == "stale"
    gate.opened.set()
    until(lambda: cache.get("k") == "new")
    assert cache.stats().stale_served == 1


def test_stale_on_error(cache_type: Any, timer: Any) -> None:
    cache = cache_type(ttl=10, stale_on_error=100, timer=timer)
    cache.set("k", "stale", tags=["t"])
    timer.forward(11)
    assert cache.get_or_load("k", raiser) == "stale"
    assert asyncio.run(cache.aget_or_load("k", raiser)) == "stale"
    cache.invalidate_tag("t")
    with pytest.raises(Boom):
        cache.get_or_load("k", raiser)
    cache.set("k", "stale")
    timer.forward(110)
    with pytest.raises(Boom):
        cache.get_or_load("k", raiser)


def test_refresh_ahead(cache_type: Any, timer: Any) -> None:
    cache = cache_type(refresh_after=10, timer=timer)
    gate = Gate("second")
    assert cache.get_or_load("k", lambda key: "first") == "first"
    timer.forward(10)
    for _ in range(5):
        assert cache.get_or_load("k", gate) == "first"
    assert gate.began.wait(GIVE_UP_SECONDS)
    gate.opened.set()
    until(lambda: cache.get("k") == "second")
    assert gate.calls == 1


def test_refresh_of_a_coroutine(cache_type: Any, timer: Any) -> None:
    cache = cache_type(refresh_after=10, timer=timer)

    async def main() -> None:
        calls: list[Any] = []

        async def load(key: Any) -> Any:
            calls.append(key)
            return len(calls)

        assert await cache.aget_or_load("k", load) == 1
        timer.forward(10)
        assert [await cache.aget_or_load("k", load) for _ in range(3)] == [1, 1, 1]
        while cache.get("k") == 1:
            await asyncio.sleep(0)
        assert cache.get("k") == 2 and len(calls) == 2

    asyncio.run(main())


def test_a_refresh_that_fails(cache_type: Any, timer: Any, unraisable: list[Any]) -> None:
    cache = cache_type(refresh_after=10, timer=timer)
    assert cache.get_or_load("k", lambda key: "first") == "first"
    timer.forward(10)
    assert cache.get_or_load("k", raiser) == "first"
    until(lambda: unraisable)
    assert type(unraisable[0].exc_value) is Boom
    assert cache.get("k") == "first"


def test_an_invalidation_beats_a_refresh(cache_type: Any, timer: Any) -> None:
    cache = cache_type(refresh_after=10, timer=timer)
    gate = Gate("old")
    cache.get_or_load("k", lambda key: "older")
    timer.forward(10)
    cache.get_or_load("k", gate)
    assert gate.began.wait(GIVE_UP_SECONDS)
    cache.invalidate("k")
    gate.opened.set()
    until(lambda: cache.stats().load_discards == 1)
    assert cache.get("k") is None


def test_load_many(cache_type: Any) -> None:
    cache = cache_type(100)
    asked: list[Any] = []

    def load(keys: list[Any]) -> dict[Any, Any]:
        asked.append(keys)
        return {key: key * 2 for key in keys if key != 3}

    cache.set(1, "there")
    assert cache.load_many([1, 2, 3, 4, 2], load) == {1: "there", 2: 4, 4: 8}
    assert asked == [[2, 3, 4]]
    assert cache.get_many([1, 2, 3, 4]) == {1: "there", 2: 4, 4: 8}
    with pytest.raises(ZeroDivisionError):
        cache.load_many([1, 7, 8], lambda keys: 1 / 0)
    assert len(cache._flights) == 0
    stats = cache.stats()
    assert (stats.load_successes, stats.load_failures) == (1, 1)


def test_load_many_waits_for_what_others_load(cache_type: Any) -> None:
    cache, gate = cache_type(), Gate("theirs")
    thread, _ = in_thread(lambda: cache.get_or_load("a", gate))
    assert gate.began.wait(GIVE_UP_SECONDS)
    other, outcome = in_thread(
        lambda: cache.load_many(["a", "b"], lambda keys: dict.fromkeys(keys, "mine"))
    )
    until(lambda: waiting_for(cache, "a") == 1)
    assert cache.get("b") == "mine"
    gate.opened.set()
    thread.join()
    other.join()
    assert outcome == [("value", {"a": "theirs", "b": "mine"})]


def test_load_many_and_an_invalidation(cache_type: Any) -> None:
    cache = cache_type()

    def load(keys: list[Any]) -> dict[Any, Any]:
        cache.invalidate("a")
        return dict.fromkeys(keys, "old")

    assert cache.load_many("ab", load) == {"a": "old", "b": "old"}
    assert cache.keys() == ["b"]


def test_load_many_serves_what_expired_in_place_of_an_error(cache_type: Any, timer: Any) -> None:
    cache = cache_type(10, ttl=10, stale_on_error=60, timer=timer)
    cache.load_many([1, 2], lambda keys: dict.fromkeys(keys, "old"))
    timer.forward(11)
    assert cache.load_many([1, 2], lambda keys: 1 // 0) == {1: "old", 2: "old"}
    assert cache.stats().stale_served == 2
    with pytest.raises(ZeroDivisionError):  # there is nothing in place of 3
        cache.load_many([1, 2, 3], lambda keys: 1 // 0)


def test_load_many_and_the_hard_timeout(cache_type: Any) -> None:
    cache = cache_type(10, hard_timeout=0.01)
    go_on = threading.Event()

    def loader(keys: list[Any]) -> dict[Any, Any]:
        assert go_on.wait(GIVE_UP_SECONDS)
        return dict.fromkeys(keys, "late")

    with pytest.raises(TimeoutError, match="key 1"):
        cache.load_many([1, 2], loader)
    go_on.set()
    while cache.stats().load_successes == 0:
        time.sleep(0.001)
    assert cache.load_many([1, 2], lambda keys: dict.fromkeys(keys, "new")) == {1: "new", 2: "new"}


def test_load_many_with_timeouts(cache_type: Any) -> None:
    cache = cache_type(10, hard_timeout=GIVE_UP_SECONDS)
    assert cache.load_many([1, 2, 3], lambda keys: {1: "a", 3: None}) == {1: "a", 3: None}
    with pytest.raises(ZeroDivisionError):
        cache.load_many([2], lambda keys: 1 // 0)
    with pytest.raises(SystemExit):
        cache.load_many([2], lambda keys: sys.exit())


def test_load_many_and_the_soft_timeout(cache_type: Any, timer: Any) -> None:
    cache = cache_type(10, ttl=10, stale_on_error=60, soft_timeout=0.01, timer=timer)
    cache.load_many([1, 2], lambda keys: dict.fromkeys(keys, "old"))
    timer.forward(11)
    go_on = threading.Event()

    def loader(keys: list[Any]) -> dict[Any, Any]:
        assert go_on.wait(GIVE_UP_SECONDS)
        return dict.fromkeys(keys, "new")

    assert cache.load_many([1, 2], loader) == {1: "old", 2: "old"}
    go_on.set()
    assert cache.wait_for(1, GIVE_UP_SECONDS) == cache.wait_for(2, GIVE_UP_SECONDS) == "new"


def test_one_run_of_a_loader_counts_once(cache_type: Any) -> None:
    def weigher(key: Any, value: Any) -> int:
        raise ZeroDivisionError

    async def aloader(key: Any) -> str:
        return "value"

    cache = cache_type(10, weigher=weigher)
    with pytest.raises(ZeroDivisionError):
        cache.get_or_load(1, lambda key: "value")
    with pytest.raises(ZeroDivisionError):
        cache.load_many([1, 2], lambda keys: dict.fromkeys(keys, "value"))
    with pytest.raises(ZeroDivisionError):
        asyncio.run(cache.aget_or_load(1, aloader))
    assert (cache.stats().load_successes, cache.stats().load_failures) == (3, 0)


def test_wait_for_in_a_thread(cache_type: Any) -> None:
    cache = cache_type()
    thread, outcome = in_thread(lambda: cache.wait_for("k", GIVE_UP_SECONDS))
    until(lambda: cache._table._watch is not None)
    cache.set("k", 5)
    thread.join()
    assert outcome == [("value", 5)]


class Touchy:
    """A key of which one comparison with another raises: that whose turn it is."""

    raises_at = -1

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        Touchy.raises_at -= 1
        if Touchy.raises_at == 0:
            raise ZeroDivisionError
        return self is other


def test_a_look_that_raises_leaves_no_flight(cache_type: Any) -> None:
    """Each comparison of the key on the way to its loader raises once; then it is loaded."""
    failures = 0
    for turn in range(1, 20):
        cache = cache_type(10)
        cache.set(Touchy(), "another")
        key = Touchy()
        Touchy.raises_at = turn
        try:
            cache.get_or_load(key, lambda _: "loaded")
        except ZeroDivisionError:
            failures += 1
        Touchy.raises_at = -1
        assert len(cache._flights) == 0
        assert cache.get_or_load(key, lambda _: "loaded") == "loaded"
    assert failures >= 2


def test_a_look_of_a_task_that_raises_leaves_no_flight(cache_type: Any) -> None:
    async def load(_: Any) -> str:
        return "loaded"

    async def main() -> None:
        for turn in range(1, 20):
            cache = cache_type(10)
            cache.set(Touchy(), "another")
            key = Touchy()
            Touchy.raises_at = turn
            with suppress(ZeroDivisionError):
                await cache.aget_or_load(key, load)
            Touchy.raises_at = -1
            assert len(cache._flights) == 0
            assert await cache.aget_or_load(key, load) == "loaded"

    asyncio.run(main())


def test_the_forms_of_a_call(cache_type: Any) -> None:
    """With the value there and without: a hit does not hide what is wrong with a call."""
    cache = cache_type(10)
    key_of: Any = str
    for _ in range(2):
        assert cache.get_or_load("a", key_of) == "a"
        assert cache.get_or_load(key="b", loader=key_of) == "b"
        assert cache.get_or_load("c", loader=key_of, tags=["t"]) == "c"
        assert cache.get_or_load("d", key_of, ttl=60.0, tags=("t",)) == "d"
        assert cache.get_or_load("e", key_of, **{"".join(["t", "tl"]): 60.0}) == "e"
    assert cache.stats().loads == 5 and cache.stats().lookups == 10
    for wrong in (
        lambda: cache.get_or_load("a", key_of, tag=["t"]),
        lambda: cache.get_or_load("a", key_of, ttl=1.0, tags=(), refresh=1),
        lambda: cache.get_or_load("a", key_of, 60.0),
        lambda: cache.get_or_load("a"),
        lambda: cache.get_or_load(),
        lambda: cache.get_or_load([], key_of),
    ):
        with pytest.raises(TypeError):
            wrong()
    cache.invalidate_tag("t")
    assert sorted(cache.keys()) == ["a", "b", "e"]
    assert 0 < cache.expires_in("e") <= 60.0 and cache.expires_in("a") == float("inf")


def test_a_cache_that_was_not_made(cache_type: Any) -> None:
    empty = cache_type.__new__(cache_type)
    with pytest.raises((RuntimeError, AttributeError)):
        empty.get_or_load("a", str)
    with pytest.raises((RuntimeError, AttributeError)):
        empty.get_or_load("a", str, ttl=1.0)


@pytest.mark.parametrize("twice", [False, True])
def test_the_loader_of_a_hit_is_not_touched(cache_type: Any, twice: bool) -> None:
    """Not even to see whether it can be called: as with `dict.setdefault`, nobody needs it."""
    cache = cache_type()
    cache.set("a", None)
    tags: dict[str, Any] = {"tags": ["t"]} if twice else {}
    assert cache.get_or_load("a", None, **tags) is None
    with pytest.raises(TypeError):
        cache.get_or_load("b", None, **tags)
    assert cache.stats().load_failures == 1 and cache.keys() == ["a"]
