"""Subscriptions: order, overflow, ends, threads and event loops."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest

from concurrent_tables import MISSING, EventKind
from concurrent_tables._waits import ForkMark
from tests.support import MUTABLE_TABLES, new, numbered, run_threads


def test_events_in_order(ct: Any) -> None:
    table = ct.ConcurrentDict()
    subscription = table.subscribe()
    assert isinstance(subscription, ct.Subscription)
    for number in range(100):
        table[number] = number
    del table[5]
    subscription.close()
    events = list(subscription)
    assert [event.key for event in events] == [*range(100), 5]
    assert [event.version for event in events] == sorted({event.version for event in events})
    assert events[-1].kind is EventKind.DELETED


def test_nothing_before_the_subscription(ct: Any) -> None:
    table = ct.ConcurrentDict(a=1)
    subscription = table.subscribe()
    subscription.close()
    assert list(subscription) == []


def test_filters(ct: Any) -> None:
    table = ct.ConcurrentDict()
    subscription = table.subscribe(kinds=[EventKind.ADDED], keys=["a"])
    table["a"] = 1
    table["a"] = 2
    table["b"] = 1
    subscription.close()
    assert [(event.kind, event.key) for event in subscription] == [(EventKind.ADDED, "a")]


@pytest.mark.parametrize("maxlen", [1, 2, 5, 64])
def test_overflow_names_exactly_what_was_lost(ct: Any, maxlen: int) -> None:
    table = ct.ConcurrentDict()
    subscription = table.subscribe(maxlen=maxlen)
    start = table.version
    for number in range(100):
        table[number] = number
    subscription.close()
    events = list(subscription)
    lost = [event for event in events if event.kind is EventKind.LOST]
    assert len(lost) == 1
    assert events[-1] is lost[0]
    kept = [event.version for event in events[:-1]]
    assert kept == list(range(start + 1, start + 1 + len(kept)))
    assert len(kept) in (maxlen, maxlen - 1)
    assert list(lost[0].lost) == list(range(kept[-1] + 1 if kept else start + 1, table.version + 1))
    assert (lost[0].old, lost[0].new) == (lost[0].lost[0], lost[0].lost[-1])


def test_events_go_on_after_an_overflow(ct: Any) -> None:
    table = ct.ConcurrentDict()
    subscription = table.subscribe(maxlen=4)
    start = table.version
    seen: list[int] = []
    for number in range(300):
        table[number] = number
        if number % 7 == 0:
            for _ in range(3):
                if len(subscription):
                    event = next(subscription)
                    seen += event.lost if event.kind is EventKind.LOST else [event.version]
    subscription.close()
    for event in subscription:
        seen += event.lost if event.kind is EventKind.LOST else [event.version]
    assert seen == list(range(start + 1, start + 301))


@pytest.mark.parametrize("maxlen", [0, -1])
def test_bad_maxlen(ct: Any, maxlen: int) -> None:
    with pytest.raises(ValueError):
        ct.ConcurrentDict().subscribe(maxlen)


def test_bad_type_of_maxlen(ct: Any) -> None:
    with pytest.raises(TypeError):
        ct.ConcurrentDict().subscribe("10")


def test_close_ends_a_blocked_consumer(ct: Any) -> None:
    table = ct.ConcurrentDict()
    subscription = table.subscribe()
    got: list[Any] = []
    consumer = threading.Thread(target=lambda: got.extend(subscription), daemon=True)
    consumer.start()
    table["a"] = 1
    subscription.close()
    consumer.join(30)
    assert not consumer.is_alive()
    assert [event.key for event in got] == ["a"]


def test_the_end_of_the_table_ends_the_iteration(ct: Any) -> None:
    table = ct.ConcurrentDict()
    subscription = table.subscribe()
    table["a"] = 1
    del table
    gc.collect()
    assert [event.kind for event in subscription] == [EventKind.ADDED, EventKind.DEALLOCATED]


def test_context_manager_and_counting(ct: Any) -> None:
    table = ct.ConcurrentDict()
    with table.subscribe():
        assert ct.inspect_table(table).watchers == 1
    assert ct.inspect_table(table).watchers == 0


def test_a_dropped_subscription_is_forgotten(ct: Any) -> None:
    table = ct.ConcurrentDict()
    subscription = table.subscribe()
    del subscription
    gc.collect()
    table["a"] = 1
    assert ct.inspect_table(table).watchers == 0


@pytest.mark.parametrize("name", MUTABLE_TABLES)
def test_complete_and_in_order_across_threads(ct: Any, name: str) -> None:
    table = new(ct, name)
    subscription = table.subscribe(maxlen=10**6)
    start = table.version

    def write(number: int) -> None:
        for step in range(150):
            if name == "ConcurrentSet":
                table.add((number, step))
                if step % 3 == 0:
                    table.discard((number, step))
            else:
                table[(number, step % 20)] = step
                if step % 3 == 0:
                    table.pop((number, step % 20), None)

    run_threads(*numbered(write, 4))
    subscription.close()
    events = list(subscription)
    assert [event.version for event in events] == list(range(start + 1, table.version + 1))
    replay: dict[Any, Any] = {}
    for event in events:
        if event.kind is EventKind.DELETED:
            assert replay.pop(event.key) == event.old
        else:
            expected = EventKind.MODIFIED if event.key in replay else EventKind.ADDED
            assert event.kind is expected
            assert replay.get(event.key, MISSING) == event.old
            replay[event.key] = event.new
    if name == "ConcurrentSet":
        assert table == set(replay)
    else:
        assert table == replay


def test_consumers_share_the_events(ct: Any) -> None:
    table = ct.ConcurrentDict()
    subscription = table.subscribe(maxlen=10**6)

    def consume() -> list[int]:
        return [event.version for event in subscription]

    def write() -> None:
        for number in range(500):
            table[number] = number
        subscription.close()

    *consumed, _ = run_threads(consume, consume, write)
    first, second = consumed
    assert first == sorted(first)
    assert second == sorted(second)
    assert sorted(first + second) == list(range(min(first + second), min(first + second) + 500))


def test_async_iteration(ct: Any) -> None:
    table = ct.ConcurrentDict()

    async def main() -> list[Any]:
        subscription = table.subscribe()

        def write() -> None:
            for number in range(50):
                table[number] = number
            subscription.close()

        thread = threading.Thread(target=write)
        thread.start()
        events = [event async for event in subscription]
        thread.join()
        return events

    events = asyncio.run(asyncio.wait_for(main(), 60))
    assert [event.key for event in events] == list(range(50))


def test_async_consumers_in_two_loops(ct: Any) -> None:
    table = ct.ConcurrentDict()
    subscription = table.subscribe()

    def consume() -> list[int]:
        async def main() -> list[int]:
            return [event.version async for event in subscription]

        return asyncio.run(asyncio.wait_for(main(), 60))

    def write() -> None:
        for number in range(200):
            table[number] = number
        subscription.close()

    first, second, _ = run_threads(consume, consume, write)
    assert len(first) + len(second) == 200
    assert len({*first, *second}) == 200


def test_cancelled_async_consumer_loses_nothing(ct: Any) -> None:
    table = ct.ConcurrentDict()

    async def main() -> Any:
        subscription = table.subscribe()
        waiting = asyncio.ensure_future(anext(subscription))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        table["a"] = 1
        return await asyncio.wait_for(anext(subscription), 30)

    assert asyncio.run(main()).key == "a"


def test_a_full_queue_never_blocks_a_writer(ct: Any) -> None:
    table = ct.ConcurrentDict()
    subscription = table.subscribe(maxlen=1)
    run_threads(lambda: [table.increment("n") for _ in range(500)], count=3)
    assert table["n"] == 1500
    assert len(subscription) <= 2


class Obstacle:
    """A key that equals "a" and, when it is compared with that, waits until it may go on."""

    def __init__(self) -> None:
        self.met, self.may_go = threading.Event(), threading.Event()

    def __hash__(self) -> int:
        return hash("a")

    def __eq__(self, other: object) -> bool:
        self.met.set()
        assert self.may_go.wait(60)
        return False


@pytest.mark.parametrize("name", [name for name in MUTABLE_TABLES if name.endswith("Dict")])
def test_close_loses_nothing_that_another_thread_is_about_to_feed(ct: Any, name: str) -> None:
    table = new(ct, name)
    obstacle = Obstacle()
    first, second = table.subscribe(keys=[obstacle]), table.subscribe()

    def write() -> None:
        table["a"] = 0

    def close() -> None:
        assert obstacle.met.wait(60)  # the other thread is at the first subscription
        for number in range(1, 9):
            table["b"] = number
        second.close()
        obstacle.may_go.set()

    run_threads(write, close)
    events = list(second)
    assert [event.new for event in events] == [*range(9)]
    assert [event.version for event in events] == sorted({event.version for event in events})
    first.close()


def test_the_end_of_a_table_is_told_once_whoever_is_at_it(ct: Any) -> None:
    table = ct.ConcurrentDict()
    subscription = table.subscribe()
    watch = table._watch
    drainer = ForkMark()
    table["a"] = 1
    watch._drainers[drainer.generation] = drainer  # as if another thread were feeding
    table["b"] = 2
    watch.close(table)
    del watch._drainers[drainer.generation]
    watch._feed()
    assert [event.kind for event in subscription] == [
        EventKind.ADDED, EventKind.ADDED, EventKind.DEALLOCATED,
    ]  # fmt: skip
