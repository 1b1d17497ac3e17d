"""The parts of the harness: the oracle, seeds, options, targets, the runner."""

from __future__ import annotations

import re
import sys
import threading
from random import Random
from typing import Any

import pytest

from stress import Options, UsageError, resolve, run_campaign, target_of
from stress.arena import Arena
from stress.cells import ABSENT, PRESENT, Cell
from stress.keys import STYLES, Zipf, make_key
from stress.sampling.catalogue import catalogue_of
from stress.sampling.generator import Generator
from stress.sampling.subject import Subject
from stress.targets import Kind
from stress.workloads import applicable

from .containers import LockedDict, LockedSet, OnlyItems

# -- the oracle ----------------------------------------------------------------------------------


def test_a_cell_admits_the_latest_complete_write_and_those_under_way() -> None:
    cell = Cell("k", 2)
    before = cell.floor()
    assert cell.judge(before, ABSENT) is None  # nothing written yet
    first = cell.begin_put(0)
    assert cell.judge(before, first) is None  # under way: seen or not
    assert cell.judge(before, ABSENT) is None
    cell.done(0)
    assert cell.judge(cell.floor(), first) is None
    assert "absent" in str(cell.judge(cell.floor(), ABSENT))


def test_a_cell_refuses_stale_foreign_and_unwritten_values() -> None:
    cell, other = Cell("k", 2), Cell("other", 2)
    first = cell.begin_put(0)
    cell.done(0)
    second = cell.begin_put(0)
    cell.done(0)
    floor = cell.floor()
    assert "stale" in str(cell.judge(floor, first))
    assert cell.judge(floor, second) is None
    assert "written for key 'other'" in str(cell.judge(floor, other.begin_put(0)))
    assert "no thread wrote" in str(cell.judge(floor, ("k", 0, 99)))
    assert "no thread wrote" in str(cell.judge(floor, ("k", 1, 0)))
    assert "no thread wrote" in str(cell.judge(floor, "rubbish"))


def test_what_a_read_returned_no_later_read_may_go_back_from() -> None:
    cell = Cell("k", 1)
    first = cell.begin_put(0)
    cell.done(0)
    early = cell.floor()
    second = cell.begin_put(0)
    assert cell.judge(early, second) is None  # not complete, but seen
    assert cell.judge(early, first) is None  # by a read that began earlier
    assert "stale" in str(cell.judge(cell.floor(), first))


def test_a_cell_knows_when_a_key_may_be_absent_or_present() -> None:
    cell = Cell("k", 2)
    cell.begin_put(0)
    cell.done(0)
    assert cell.always_present(cell.floor())
    early = cell.floor()
    cell.begin_delete(1)
    assert cell.judge(early, ABSENT) is None
    assert cell.judge(early, PRESENT) is None
    cell.begin_put(0)
    cell.done(0)
    cell.done(1)
    assert cell.judge(cell.floor(), PRESENT) is None
    cell.begin_delete(0)
    cell.done(0)
    assert "present" in str(cell.judge(cell.floor(), PRESENT))


def test_a_write_that_did_not_happen_leaves_no_trace() -> None:
    cell = Cell("k", 1)
    first = cell.begin_put(0)
    cell.done(0)
    cell.begin_put(0)
    cell.cancel(0)
    assert cell.judge(cell.settle(), first) is None


# -- seeds ---------------------------------------------------------------------------------------


class Recording(LockedDict):
    """Writes down every call, of one thread."""

    calls: list[tuple[str, Any]]

    def __init__(self) -> None:
        super().__init__()
        self.calls = []
        Recording.instances.append(self)

    instances: list[Recording] = []  # noqa: RUF012

    def __getitem__(self, key: Any) -> Any:
        self.calls.append(("get", key))
        return super().__getitem__(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.calls.append(("set", key, value))  # type: ignore[arg-type]
        super().__setitem__(key, value)

    def __delitem__(self, key: Any) -> None:
        self.calls.append(("del", key))
        super().__delitem__(key)


@pytest.mark.parametrize("workload", ["ycsb-a", "ycsb-d", "churn", "bursts"])
def test_the_seed_decides_every_operation(workload: str) -> None:
    def calls(seed: int) -> list[str]:
        Recording.instances.clear()
        run_campaign([Recording], Options(seed=seed, threads=1, ops=300, only=(workload,)))
        return [repr(made.calls) for made in Recording.instances]

    assert calls(1) == calls(1)
    assert calls(1) != calls(2)


def test_rounds_threads_and_targets_make_different_choices() -> None:
    target = target_of(LockedDict)

    def draws(number: int, workload: str) -> list[int]:
        arena = Arena(target, workload, number, Options(seed=1, threads=2))
        return [worker.rng.randrange(10**9) for worker in arena.workers]

    seen = {*draws(0, "ycsb-a"), *draws(1, "ycsb-a"), *draws(0, "ycsb-b")}
    assert len(seen) == 6


# -- options and targets -------------------------------------------------------------------------


def test_ops_bound_a_workload_exactly() -> None:
    for ops in (1, 7, 1000, 3333):
        (done,) = run_campaign(
            [LockedDict], Options(seed=1, threads=4, ops=ops, only=("ycsb-b",))
        ).workloads
        assert done.operations == ops


def test_without_ops_the_default_time_is_the_budget() -> None:
    assert Options().budget_seconds == 20
    assert Options(ops=5).budget_seconds is None
    assert Options(ops=5, seconds=2).budget_seconds == 2


def test_seeds_are_drawn_when_none_is_given() -> None:
    assert Options().seed != Options().seed


@pytest.mark.parametrize("style", STYLES)
def test_keys_are_all_different(style: str) -> None:
    keys = {make_key(style, owner, number) for owner in range(6) for number in range(200)}
    assert len(keys) == 1200


def test_zipf_prefers_low_ranks_and_stays_in_range() -> None:
    arena = Arena(target_of(dict), "w", 0, Options(seed=1))
    draws = [Zipf(10).draw(arena.rng) for _ in range(2000)]
    assert set(draws) == set(range(10))
    assert draws.count(0) > draws.count(4) > 0


@pytest.mark.parametrize(
    ("specification", "kind"),
    [
        ("builtins:dict", Kind.DICT),
        ("builtins:set", Kind.SET),
        ("builtins:frozenset", Kind.FROZEN_SET),
        ("types:MappingProxyType", Kind.FROZEN_DICT),
        ("collections:OrderedDict", Kind.DICT),
        ("tests.stress.containers:OnlyItems", Kind.DICT),
    ],
)
def test_the_kind_of_a_target_is_found(specification: str, kind: Kind) -> None:
    target = resolve(specification)
    assert target.kind is kind
    assert not target.native


def test_our_tables_are_native(ct: Any) -> None:
    assert target_of(ct.ConcurrentDict).native
    assert target_of(ct.HashTable).kind is Kind.TABLE
    assert target_of(ct.SplitDict, package=ct).make().shared_keys is not None


def test_inherited_mixins_are_not_judged() -> None:
    assert not target_of(OnlyItems).has("pop")
    names = {cls.name for cls in applicable(target_of(OnlyItems))}
    assert "tokens" not in names and "ycsb-a" in names and "iteration" not in names

    class Mixed(LockedDict):
        pop = LockedDict.__mro__[1].pop  # type: ignore[assignment]

    assert target_of(LockedDict).has("pop", "__getitem__")
    assert not target_of(LockedSet).has("__ior__")


def test_a_factory_function_is_a_target_too() -> None:
    target = target_of(lambda: LockedDict(), "made")
    assert target.name == "made" and target.type is LockedDict
    with pytest.raises(UsageError, match="neither a class nor a function"):
        target_of(7)  # type: ignore[arg-type]


# -- the runner ----------------------------------------------------------------------------------


def test_the_switch_interval_is_restored() -> None:
    before = sys.getswitchinterval()
    run_campaign([LockedDict], Options(seed=1, ops=50, only=("ycsb-a",)))
    assert sys.getswitchinterval() == before


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    run_campaign([LockedDict], Options(seed=1, ops=200))
    assert threading.active_count() == before


def test_an_observer_hears_of_every_workload() -> None:
    from stress import Observer, WorkloadResult

    class Heard(Observer):
        def __init__(self) -> None:
            self.names: list[str] = []
            self.fractions: list[float] = []
            self.ended: list[str] = []

        def started(self, target: str, workload: str, number: int, total: int) -> None:
            assert number == len(self.names) < total
            self.names.append(f"{target}/{workload}")

        def progress(self, fraction: float) -> None:
            self.fractions.append(fraction)

        def finished(self, result: WorkloadResult) -> None:
            self.ended.append(result.name)

    heard = Heard()
    run_campaign([LockedDict], Options(seed=1, ops=300, only=("ycsb-*",)), heard)
    assert heard.names == heard.ended == [f"LockedDict/ycsb-{letter}" for letter in "abcdef"]
    assert max(heard.fractions) == 1.0 and min(heard.fractions) >= 0.0


def test_each_pair_of_a_list_is_a_step() -> None:
    """Also where its key comes again: another thread may see the value in between."""
    subject = Subject(resolve("concurrent_tables:ConcurrentDict"))
    generator = Generator(subject, catalogue_of(subject), Random(1))
    repeated = 0
    for number in range(3000):
        for call in generator.draw(number).calls:
            keys = re.findall(r"\b(K\d)\b", call.source)
            if call.name == "update" and call.steps and ".update([(" in call.source:
                assert len(call.steps) == len(keys), call
                repeated += len(set(keys)) < len(keys)
    assert repeated
