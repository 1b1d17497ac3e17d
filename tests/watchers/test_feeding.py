"""Who feeds the subscriptions: one writer at a time, and none of them for ever."""

from __future__ import annotations

import threading
from typing import Any

from concurrent_tables.events import EventKind, Record, WatchState

RECORD: Record = (EventKind.ADDED, "key", None, 1, 1)


class Refilled(WatchState):
    """The log gets a new record for each that is taken out, as from writers that are faster.

    Until `enough`, when the first feeder has returned. `fed` tells that it has begun.
    """

    __slots__ = ("enough", "fed")

    def __init__(self) -> None:
        super().__init__(0)
        self.enough = threading.Event()
        self.fed = threading.Event()
        self.subscriptions = (self._refill,)  # called like the weak references that belong here

    def _refill(self) -> None:
        self.fed.set()
        if not self.enough.is_set():
            self.log.append(RECORD)


def test_no_writer_feeds_for_ever() -> None:
    state = Refilled()
    state.log.append(RECORD)

    def feed_once() -> None:
        state._feed()
        state.enough.set()

    def feed_on() -> None:
        state.fed.wait()
        while not state.enough.is_set():
            state._feed()

    threads = [threading.Thread(target=target) for target in (feed_once, feed_on, feed_on)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    state._feed()
    assert not state.log and not state._drainers


def test_everything_is_fed_once_and_in_order(ct: Any) -> None:
    table = ct.ConcurrentDict()
    subscription = table.subscribe(100_000)
    started = threading.Barrier(4)

    def write(number: int) -> None:
        started.wait()
        for step in range(1_000):
            table[number] = step

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = []
    while len(subscription):
        versions.append(subscription.get(timeout=0).version)
    assert versions == [*range(versions[0], versions[0] + 4_000)]
