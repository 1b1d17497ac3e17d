"""Scenario sampling: what operations a type has, which outcomes are right, what is found."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from stress.profiles import Effect, Profile, Result, profile_of, register
from stress.sampling.catalogue import catalogue_of
from stress.sampling.freeze import Raised, freeze
from stress.sampling.generator import Generator
from stress.sampling.hostile import HERE, MODES, HostileError, HostileKey
from stress.sampling.journal import ARRIVED, DOING, Journal
from stress.sampling.judge import errors_allowed
from stress.sampling.outcomes import admissible
from stress.sampling.pool import Pool
from stress.sampling.sampler import Run, Sampler
from stress.sampling.scenario import Call, Scenario
from stress.sampling.subject import Subject
from stress.sampling.values import Values
from stress.sampling.weave import weave
from stress.targets import Target, default_targets, resolve, target_of
from tests.stress import fragile
from tests.stress.containers import LockedDict, LockedSet, OnlyItems, OnlyMembers

SPINNING = not getattr(sys, "_is_gil_enabled", lambda: True)()


def call(source: str, effect: Effect = Effect.ATOMIC, **more: Any) -> Call:
    name = source.lstrip("!").partition(".")[2].partition("(")[0] or source
    return Call(name, source, effect, more.pop("result", Result.EXACT), writes=True, **more)


def scenario(maker: str, *threads: tuple[Call, ...], size: int = 2, **more: Any) -> Scenario:
    values = Values("str", "int", size, 1)
    contents = (("C0", f"contents(K[0:{size}], V[0:])"),)
    return Scenario(0, "subject", values, maker, threads, contents=contents, **more)


@pytest.fixture
def journal() -> Iterator[Journal]:
    made = Journal()
    yield made
    made.remove()


def run_one(cls: type, one: Scenario, journal: Journal, seconds: float = 5.0) -> Run:
    sampler = Sampler(Subject(target_of(cls)), journal, Random(1), spinning=SPINNING)
    try:
        return sampler.run(one, seconds)
    finally:
        sampler.end()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system pins no threads")
def test_threads_that_spin_set_off_from_a_cpu_each(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2:
        pytest.skip("there is one CPU only")
    calls: list[list[set[int]]] = [[], []]
    left: list[set[int]] = [set(), set()]
    set_affinity = os.sched_setaffinity

    def note(process: int, cpus: set[int]) -> None:
        set_affinity(process, cpus)
        calls[int(threading.current_thread().name.removeprefix("thread "))].append(set(cpus))

    def look(t: int) -> None:
        left[t] = os.sched_getaffinity(0)

    monkeypatch.setattr(os, "sched_setaffinity", note)
    pool = Pool(2, journal, spinning=True)
    pool.run(look, 2)
    pool.end()
    (first, then), (second, last) = calls
    assert len(first) == len(second) == 1 and first != second
    assert then == last == allowed and left == [
        allowed,
        allowed,
    ]  # the scheduler may move them again


# -- the catalogue ---------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [dict, set, Counter, OrderedDict, defaultdict, deque])
def test_every_public_method_of_a_type_is_an_operation(cls: type) -> None:
    names = {op.name for op in catalogue_of(Subject(target_of(cls))).ops}
    public = {name for name in dir(cls) if not name.startswith("_")}
    refused = {"fromkeys"} if cls is Counter else set()  # it exists only to say no
    assert public <= names | refused
    assert {"__len__", "__contains__", "__iter__", "__eq__", "__repr__", "__init__"} <= names


def test_operators_iterators_and_views_are_operations_with_their_operands() -> None:
    found = catalogue_of(Subject(target_of(set)))
    by_name = {op.name: op for op in found.ops}
    assert {"set", "frozenset", "own", "self"} <= set(by_name["__isub__"].operands)
    assert "list" not in by_name["__isub__"].operands
    assert by_name["__isub__"].writes and not by_name["__sub__"].writes
    assert {op.name for op in found.iterator_ops} >= {
        "iterator.__next__",
        "iterator.__length_hint__",
    }
    views = catalogue_of(Subject(target_of(dict)))
    assert {"keys.__and__", "items.__contains__", "values.__iter__"} <= {
        op.name for op in views.ops
    }
    assert len(views.views) == 3 and "reversed({a}.items())" in views.iterators


def test_iterators_that_a_stranger_hands_out_are_not_shared() -> None:
    assert catalogue_of(Subject(target_of(LockedDict))).iterators == []


class Slotted(LockedDict):
    """Correct; its lock and what it guards are slots."""

    __slots__ = ("data", "lock")


@pytest.mark.parametrize("cls", [LockedDict, Slotted])
def test_nobody_replaces_the_lock_of_a_stranger(cls: type) -> None:
    """Neither by another `__init__` while threads work, nor as an attribute."""
    templates = {op.template for op in catalogue_of(Subject(target_of(cls))).ops}
    assert "{a}.extra" in "".join(templates)
    assert not [text for text in templates if "__init__" in text or "lock =" in text]


def test_unknown_methods_are_tried_with_guessed_arguments() -> None:
    class Odd(LockedSet):
        def promote(self, item: Any) -> None:
            self.add(item)

    (op,) = [op for op in catalogue_of(Subject(target_of(Odd))).ops if op.name == "promote"][:1]
    assert op.writes and op.template == "{a}.promote({k})"


def test_the_generator_meets_many_pairs_and_its_scenarios_run(journal: Journal) -> None:
    subject = Subject(target_of(LockedDict))
    generator = Generator(subject, catalogue_of(subject), Random(5))
    seen: set[tuple[str, str]] = set()
    for number in range(60):
        drawn = generator.draw(number)
        generator.count(drawn, 1)
        seen |= drawn.pairs()
        weave(drawn, subject, spinning=False).build(2)
    assert len(seen) > 60


@pytest.mark.parametrize("target", default_targets(), ids=lambda target: target.name)
def test_scenarios_are_drawn_for_every_type(target: Target) -> None:
    """Among them types that nothing writes to."""
    subject = Subject(target)
    generator = Generator(subject, catalogue_of(subject), Random(7))
    for number in range(300):
        assert generator.draw(number).pairs()


def test_operands_that_break_by_themselves_are_not_shared_with_a_stranger() -> None:
    for cls, innocent in ((LockedSet, True), (set, False)):
        subject = Subject(target_of(cls))
        generator = Generator(subject, catalogue_of(subject), Random(3))
        drawn = [generator.draw(number) for number in range(900)]
        shared = {each.b.partition("(")[0] for each in drawn}
        assert innocent == shared.isdisjoint({"iter", "OrderedDict", "deque"}), shared
        shared = {each.b.partition("(")[0] for each in drawn if each.values.python_keys}
        innocent &= sys.version_info < (3, 14)  # later ones keep sets and dicts whole
        assert innocent == shared.isdisjoint({"set", "dict"}), shared


@pytest.mark.parametrize("cls", [dict, set, Counter, OrderedDict, defaultdict, deque])
def test_nothing_is_promised_of_operands_that_run_code_in_python(cls: type) -> None:
    """While CPython asks a generator, or compares with a Counter, another thread may have its turn."""
    subject = Subject(target_of(cls))
    generator = Generator(subject, catalogue_of(subject), Random(11))
    drawn = [each for number in range(400) for each in generator.draw(number).calls]
    met = [each for each in drawn if each.operand in ("generator", "Counter")]
    assert met and {each.result for each in met} == {Result.LOOSE}
    assert {each.effect for each in met} <= {Effect.NONE, Effect.UNKNOWN}


def test_banned_pairs_are_not_drawn() -> None:
    subject = Subject(target_of(set))
    generator = Generator(subject, catalogue_of(subject), Random(5))
    generator.banned = {pair for pair in generator.universe() if "pop" in pair}
    for number in range(40):
        assert not (generator.draw(number).pairs() & generator.banned)


# -- outcomes --------------------------------------------------------------------------------------


def outcomes_of(cls: type, one: Scenario) -> set[Any]:
    subject = Subject(target_of(cls))
    woven = weave(one, subject, spinning=False)
    found = admissible(woven, [(0, subject.freeze)], lambda: None)
    assert found.exact
    return set(found.orders)


def test_the_admissible_outcomes_are_those_of_every_order() -> None:
    one = scenario("T(C0)", (call("a.pop(K0, 0)"), call("len(a)")), (call("a.pop(K0, 1)"),), size=1)
    names = weave(one, Subject(target_of(dict)), spinning=False).names
    value = names["V"][0]
    assert outcomes_of(dict, one) == {(value, 0, 1, ()), (0, 0, value, ())}


def test_steps_of_a_call_let_others_in_between() -> None:
    update = call(
        "a.update([K2, K3])", Effect.STEPS, result=Result.LOOSE, steps=("a.add(K2)", "a.add(K3)")
    )
    one = scenario("make(C0)", (update,), (call("a.clear()"),))
    sizes = {len(outcome[-1]) for outcome in outcomes_of(LockedSet, one)}
    assert sizes == {0, 1, 2}


def test_nothing_exact_is_concluded_where_not_every_order_was_run() -> None:
    """The counts of three threads meet in 34,650 orders: the first of them say nothing of the others."""
    steps = tuple([f"a.update([K{n}])" for n in range(4)])
    update = call("a.update([K0, K1, K2, K3])", Effect.STEPS, result=Result.LOOSE, steps=steps)
    one = scenario("make(C0)", (update,), (update,), (update,))
    woven = weave(one, Subject(target_of(Counter)), spinning=False)
    assert not admissible(woven, [], lambda: None, patient=True).exact


def test_errors_of_orders_that_were_not_run_are_no_findings() -> None:
    """An iterator of what is no pair, which the orders that are run first find used up."""
    use, read = call("list(O0)", result=Result.LOOSE), call("len(a)", result=Result.LOOSE)
    update = call("a.update(O0)", result=Result.LOOSE)
    threads = (use, read, read), (read, read, read), (update, read, read)
    one = scenario("make(C0)", *threads, operands=(("O0", "iter([1])"),))
    subject = Subject(target_of(LockedDict))
    woven = weave(one, subject, spinning=False)
    found = admissible(woven, [], lambda: None, patient=True)
    assert not found.complete and "TypeError" not in found.errors.get((2, 0), ())
    assert "TypeError" in errors_allowed(woven, found, subject, 2, 0)


def test_orders_of_whole_calls_are_cut_off_as_well() -> None:
    """Three threads of three calls have 1,680 of them, and one call with steps brings both lists."""
    update = call("a.update([K0])", Effect.STEPS, result=Result.LOOSE, steps=("a.update([K0])",))
    one = scenario("make(C0)", *[(update, update, update)] * 3)
    woven = weave(one, Subject(target_of(Counter)), spinning=False)
    ran: list[int] = []
    assert not admissible(woven, [], lambda: ran.append(1), patient=True).exact
    assert len(ran) <= 801, len(ran)


def test_results_are_frozen_in_one_form_whatever_an_order_gives() -> None:
    values = Values("tuple", "int", 1, 1)
    pop = call("a.pop()")
    one = Scenario(
        0, "set", values, "T(C0)", ((pop,), (pop,)), contents=(("C0", "contents(K[:1], [])"),)
    )
    forms = {type(part) for outcome in outcomes_of(set, one) for part in outcome[:2]}
    assert forms == {tuple, Raised}


def test_freezing_is_by_contents_and_bounded() -> None:
    assert freeze({1: [2]}) == freeze({1: [2]}) != freeze({1: [3]})
    assert freeze({1, 2}) == freeze({2, 1}) != freeze(frozenset({1, 2}))
    assert freeze(iter([1])) == freeze(iter([2]))
    assert freeze({1: 2}.values()) == freeze({3: 2}.values())


def test_what_cannot_be_iterated_is_known_by_lookups() -> None:
    for cls, state in ((OnlyItems, (1, "absent")), (OnlyMembers, (True, False))):
        subject = Subject(target_of(cls))
        made = subject.target.make()
        made.add("a") if cls is OnlyMembers else made.__setitem__("a", 1)
        assert subject.reader(["a", "b"])(made) == state
        assert subject.unsound(made, frozenset({"a"})) is None


# -- profiles --------------------------------------------------------------------------------------


def test_profiles_say_what_is_promised_and_where() -> None:
    assert profile_of(set).promise("add", writes=True).effect is Effect.ATOMIC
    assert profile_of(set).promise("__contains__", writes=False).result is Result.GLIMPSE
    assert profile_of(dict).promise("__iter__", writes=False).result is Result.LOOSE
    assert "iteration" in profile_of(dict).promise("__iter__", writes=False).source
    assert profile_of(Counter).promise("subtract", writes=True).effect is Effect.UNKNOWN
    ours = profile_of(resolve("concurrent_tables:ConcurrentDict").type)
    assert ours.promise("compare_and_set", writes=True).effect is Effect.ATOMIC
    assert ours.promise("update", writes=True).effect is Effect.STEPS


def test_a_class_declares_its_own_profile() -> None:
    assert profile_of(fragile.Declared).name == "Declared"

    class Plain(dict[Any, Any]):
        pass

    register(Plain, Profile.declare("Plain", atomic="pop"))
    assert profile_of(Plain).promise("pop", writes=True).effect is Effect.ATOMIC
    assert profile_of(Plain).promise("__setitem__", writes=True).effect is Effect.UNKNOWN


# -- sampling --------------------------------------------------------------------------------------


def test_a_torn_check_then_act_is_an_outcome_that_no_order_explains(journal: Journal) -> None:
    pair = [(call(f"a.setdefault(K0, V{n})"),) for n in (0, 1)]
    one = scenario("make(C0)", *pair, size=0)
    run = run_one(fragile.TornSetdefault, one, journal)
    assert [finding.kind for finding in run.findings[:1]] == ["outcome"]
    assert any(not expected for _, _, expected in run.findings[0].table)
    assert not run_one(LockedDict, one, journal, 0.3).findings


def test_a_lost_item_is_found_and_the_locked_twin_is_not_accused(journal: Journal) -> None:
    one = scenario("make(C0)", (call("a.add(K0)"),), (call("a.add(K1)"),), size=0)
    assert run_one(fragile.LosingSet, one, journal).findings
    assert not run_one(LockedSet, one, journal, 0.3).findings


def test_an_unsound_container_is_found_even_where_nothing_is_promised(journal: Journal) -> None:
    vague = [(call(f"a.add(K{n})", Effect.UNKNOWN, result=Result.LOOSE),) for n in (3, 4)]
    run = run_one(fragile.Miscounting, scenario("make(C0)", *vague), journal)
    assert run.findings[0].kind == "unsound"
    assert "len is" in run.findings[0].message


def test_an_error_that_nothing_explains_is_found(journal: Journal) -> None:
    look = call("list(a.keys())", Effect.NONE, result=Result.LOOSE)
    run = run_one(fragile.WrongError, scenario("make(C0)", (call("a.clear()"),), (look,)), journal)
    assert run.findings[0].kind == "error"
    assert "SystemError: half done" in run.findings[0].message


class Leaving(LockedDict):
    """Where threads read it key by key, another one has always been quicker and taken the keys."""

    def keys(self) -> Any:
        found = list(self)
        if threading.current_thread() is not threading.main_thread():
            self.clear()
        return found


def test_a_key_that_goes_while_keyword_arguments_are_read_is_no_finding(journal: Journal) -> None:
    """CPython makes a TypeError of the KeyError."""
    read = call("dict(**a)", Effect.UNKNOWN, result=Result.LOOSE)
    size = call("len(a)", Effect.NONE, result=Result.LOOSE)
    run = run_one(Leaving, scenario("make(C0)", (read,), (size,)), journal, 0.2)
    assert run.samples and run.findings == []


def test_an_operand_that_is_used_up_has_not_lost_the_keys(journal: Journal) -> None:
    """An iterator lets go of what it walks over when it comes to the end."""
    draw = call("next(O0, None)", Effect.NONE, result=Result.LOOSE)
    operands = (("O0", "iter(dict(zip(K[0:60], V)).items())"),)
    one = scenario("make(C0)", (draw,), (draw,), size=60, operands=operands)
    run = run_one(LockedDict, one, journal, 0.1)
    assert run.samples > 60 and run.findings == []


def test_shrinking_drops_what_is_not_needed(journal: Journal) -> None:
    one = scenario(
        "make(C0)",
        (call("len(a)"), call("a.setdefault(K0, V0)")),
        (call("a.setdefault(K0, V1)"), call("a.get(K1)")),
        size=0,
    )
    sampler = Sampler(
        Subject(target_of(fragile.TornSetdefault)), journal, Random(1), spinning=SPINNING
    )
    try:
        run = sampler.run(one, 5.0)
        assert run.findings
        assert [c.name for c in sampler.shrink(run).scenario.calls] == ["setdefault", "setdefault"]
    finally:
        sampler.end()


# -- the journal -----------------------------------------------------------------------------------


def test_the_journal_tells_another_mapping_what_was_in_flight(journal: Journal) -> None:
    journal.describe({"phase": "sampling", "scenario": {"number": 3}})
    row = journal.row(1)
    row[ARRIVED], row[DOING] = 17, 2
    journal.beat()
    other = Journal(journal.path)
    assert other.in_flight() == [(1, 17, 1)]
    assert other.description() == {"phase": "sampling", "scenario": {"number": 3}}
    assert other.progress == 1
    journal.clear()
    assert other.in_flight() == []


# -- hostile keys ----------------------------------------------------------------------------------


def test_hostile_keys_act_only_inside_samples() -> None:
    def pair(mode: str) -> list[HostileKey]:
        return [HostileKey(name, mode) for name in "ab"]

    for mode in MODES:
        assert len(dict.fromkeys(pair(mode))) == 2
    container = {1: 2}
    HERE.container = container
    try:
        raising = pair("raise")
        with pytest.raises(HostileError):
            for _ in range(20):
                dict.fromkeys(raising)
        for _ in range(20):
            assert len({*pair("sleep"), *pair("collide")}) == 2
        first, second = pair("clear")
        assert not any(first == second for _ in range(20)) and container == {}
    finally:
        HERE.container = None


def test_nothing_exact_is_concluded_from_hostile_keys() -> None:
    values = Values("hostile", "int", 3, 1, "clear")
    one = Scenario(0, "set", values, "T(C0)", ((call("a.add(K0)"),), (call("a.add(K1)"),)))
    assert not one.judged
    assert profile_of(LockedDict).hostile == {"collide", "sleep"}
    assert profile_of(dict).hostile == set(MODES)


def test_keys_that_collide_are_not_many() -> None:
    """Under a sanitizer one look at a table of thousands of them took longer than a hang may."""
    rng = Random(1)
    drawn = [Values.draw(rng, counts=False, large=True) for _ in range(400)]
    assert max(each.size for each in drawn) == 2000
    assert max(each.size for each in drawn if each.style == "object") <= 120
