"""Recorded histories: the preset workload, and journals that outlive the process."""

from __future__ import annotations

import gc
import os
import threading
import time
from typing import Any

import pytest

from stress import Options, run_campaign
from stress.check import Outcome, Recorder, judge
from stress.check.ledger import Ledger
from stress.check.recorder import next_ticket, seconds_per_call
from stress.html.timeline import timeline as drawn
from stress.lanes import lanes_of_history
from stress.moments import Moments
from tests.stress.containers import LockedDict, LockedSet
from tests.support import run_child


class TornLockedDict(LockedDict):
    """An overwrite takes the old entry out first, and lets others see it."""

    def __setitem__(self, key: Any, value: Any) -> None:
        self.pop(key, None)
        time.sleep(0)
        super().__setitem__(key, value)


class Forgetting(LockedDict):
    """No dict, for one thread already."""

    def __setitem__(self, key: Any, value: Any) -> None:
        super().clear()
        super().__setitem__(key, value)


def histories(cls: type, **more: Any) -> Any:
    options = Options(seed=2, only=("histories",), **more)
    (done,) = run_campaign([cls], options).workloads
    return done


@pytest.mark.parametrize("cls", [LockedDict, LockedSet, dict, set])
def test_histories_of_correct_containers_are_linearizable(cls: type) -> None:
    done = histories(cls, ops=4000)
    assert done.violations == []
    assert done.facts["judged ok"] > 2 and "judged illegal" not in done.facts
    assert done.facts["judged"] >= 3200  # 16 threads of 200 operations
    assert done.facts["recorder_ns"] > 0


def test_a_torn_overwrite_is_not_linearizable() -> None:
    done = histories(TornLockedDict, seconds=30.0)
    (violation,) = done.violations
    assert violation.check == "linearizability"
    assert "cannot be placed" in violation.message
    assert "longest linearizable prefix" in violation.details


class CollectingDict(TornLockedDict):
    """Collects garbage every now and then."""

    def __getitem__(self, key: Any) -> Any:
        if self.looked % 8 == 0:
            gc.collect(0)
        self.looked += 1
        return super().__getitem__(key)

    looked = 0


def test_collections_are_told_with_the_operations() -> None:
    """In the history, in its lanes and in its drawing."""
    done = histories(CollectingDict, seconds=60.0)
    timeline = done.violations[0].timeline
    kinds = {event["kind"] for event in timeline["events"]}
    assert "collection" in kinds
    tickets = [op["invoke"] for op in timeline["operations"]]
    assert all(event["at"] >= min(tickets) for event in timeline["events"])
    assert any("== collection: generation" in line for line in lanes_of_history(timeline, 10_000))
    assert 'aria-label="collection: generation' in drawn(timeline, "x")
    assert not [each for each in gc.callbacks if "Moments" in repr(each)]


def test_resizes_are_told() -> None:
    table: dict[int, int] = {}
    recorder = Recorder(table, "dict")
    moments = Moments(table)
    with moments.watching():
        number = 0
        while not any(event["kind"] == "resize" for event in moments.events):
            recorder.call("__setitem__", number, number)
            number += 1
    (first, *_) = [event for event in moments.events if event["kind"] == "resize"]
    assert first["text"].endswith(" bytes") and recorder.history()[0].invoke < first["at"]


def test_what_is_no_dict_for_one_thread_is_left_alone() -> None:
    done = histories(Forgetting, ops=4000)
    assert done.violations == [] and done.facts["left alone"] and "judged" not in done.facts


def test_tickets_of_threads_fit_their_order() -> None:
    drawn: list[list[int]] = [[], []]
    barrier = threading.Barrier(2)

    def draw(mine: list[int]) -> None:
        barrier.wait()
        mine += [next_ticket() for _ in range(500)]

    threads = [threading.Thread(target=draw, args=(each,)) for each in drawn]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for mine in drawn:
        assert mine == sorted(mine)
    assert seconds_per_call(calls=200) > 0


def test_a_ledger_holds_what_a_recorder_saw() -> None:
    ledger = Ledger(threads=2, capacity=3)
    try:
        key = "some key"
        ledger.keys[id(key)] = 7
        recorder = Recorder({}, "dict", ledger=ledger)
        for call in (("get", key), ("__setitem__", key, 5), ("pop", key, None)):
            recorder.call(*call)
        with pytest.raises(KeyError):
            recorder.call("__delitem__", key)
        texts = [line.partition(" [")[0] for line in Ledger(ledger.path).lines()]
        assert texts == [  # the oldest is gone
            "client 0: __setitem__(key 7, 5) -> None",
            "client 0: pop(key 7, None) -> 5",
            "client 0: __delitem__(key 7) -> raised KeyError",
        ]
        assert judge(recorder.history()).outcome is Outcome.OK
    finally:
        ledger.remove()


_DYING = """
import os
from stress.check import Recorder
from stress.check.ledger import Ledger
class Table(dict):
    def clear(self):
        os.abort()
recorder = Recorder(Table(), "dict", ledger=Ledger(os.environ["LEDGER"]))
recorder.call("setdefault", 1, 2)
recorder.call("clear")
"""


def test_a_history_survives_the_process() -> None:
    ledger = Ledger()
    try:
        assert run_child(_DYING, LEDGER=ledger.path).returncode < 0
        over, flying = ledger.lines()
        assert over.startswith("client 0: setdefault(..., 2) -> 2 [")
        assert flying.startswith("client 0: clear() in flight [")
    finally:
        ledger.remove()
    assert not os.path.exists(ledger.path)
