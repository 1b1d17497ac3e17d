"""What the strategies try: how many schedules, which of them, and when they end."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from math import comb

import pytest

from stress.check.models import Dict
from stress.profiles import Profile
from stress.serial import Bounded, SerialError, Strategy, TokenError, explore, replay
from stress.zoo.counters import LockedCounter, LossyCounter

TWICE = [[("increment",)], [("increment",)]]


class Steps:
    """Nothing shared: every schedule is right."""

    def three(self) -> int:
        a = 1
        b = a + 1
        return b + 1


class Endless:
    """One of two threads waits in a loop for a flag that nobody sets."""

    def spin(self) -> None:
        while True:
            pass


@pytest.mark.parametrize("calls", [1, 2])
def test_exhaustive_search_tries_every_interleaving_once(calls: int) -> None:
    programs = [[("three",)] * calls] * 2
    result = explore(Steps, programs, strategy="exhaustive")
    points = 3 * calls
    assert result.complete
    assert result.schedules == result.distinct == comb(2 * points, points)


def test_without_preemptions_the_operations_stay_whole() -> None:
    result = explore(LossyCounter, TWICE, bound=0)
    assert result.complete
    assert (result.schedules, result.found) == (2, None)


def test_few_preemptions_are_tried_first() -> None:
    strategy = Bounded(seed=3)
    assert explore(LossyCounter, TWICE, strategy=strategy).found
    assert strategy.bound == 1


@pytest.mark.parametrize("strategy", ["bounded", "pct", "random"])
def test_the_same_seed_tries_the_same_schedules(strategy: str) -> None:
    first, again = (explore(LossyCounter, TWICE, strategy=strategy, seed=7) for _ in range(2))
    assert first.found is not None
    assert again.found == first.found


def test_the_limit_is_kept() -> None:
    result = explore(LockedCounter, TWICE, strategy="random", limit=17)
    assert result.schedules == 17
    assert not result.complete


def test_endless_loops_are_cut() -> None:
    result = explore(Endless, [[("spin",)], [("spin",)]], limit=3, steps=50)
    assert (result.schedules, result.cut, result.found) == (3, 3, None)


class Waving:
    """Waits in a loop for another thread."""

    def __init__(self) -> None:
        self._flag = False

    def wave(self) -> None:
        self._flag = True

    def wait(self) -> bool:
        while not self._flag:
            pass
        return self._flag


def test_who_waits_in_a_loop_lets_others_go_on() -> None:
    result = explore(Waving, [[("wait",)], [("wave",)]], bound=1)
    assert result.complete
    assert (result.cut, result.found) == (0, None)


class Careless(Strategy):
    """Chooses nobody, or fails."""

    def __init__(self, answer: int | None) -> None:
        self.answer = answer

    def choose(self, current: int, able: Sequence[int]) -> int:
        if self.answer is None:
            raise ZeroDivisionError
        return self.answer


def test_a_strategy_of_ones_own_can_fail() -> None:
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        explore(LossyCounter, TWICE, strategy=Careless(None))
    with pytest.raises(SerialError, match="not deterministic"):
        explore(LossyCounter, TWICE, strategy=Careless(9))
    assert threading.active_count() == before


class Moody:
    """Another one each time it is made."""

    made = 0

    def __init__(self) -> None:
        Moody.made += 1
        self._lines = Moody.made

    def work(self) -> None:
        for _ in range(self._lines % 7):
            pass


def test_a_container_that_is_not_deterministic_is_told() -> None:
    with pytest.raises(SerialError, match="not deterministic"):
        explore(Moody, [[("work",)], [("work",)], [("work",)]], strategy="exhaustive")


def test_unknown_names_are_refused() -> None:
    with pytest.raises(SerialError, match="no strategy is called 'lucky'"):
        explore(LossyCounter, TWICE, strategy="lucky")
    with pytest.raises(SerialError, match="granularity"):
        explore(LossyCounter, TWICE, granularity="word")
    with pytest.raises(SerialError, match="pure-Python"):
        explore(dict, [[("clear",)], [("clear",)]])


class Deaf:
    """Its setdefault says the wrong thing, in every order: it is no judge of itself."""

    def setdefault(self, key: str, value: int) -> int:
        return value


def test_a_model_can_judge() -> None:
    programs = [[("setdefault", "k", 1)], [("setdefault", "k", 2)]]
    assert explore(Deaf, programs).found is None
    found = explore(Deaf, programs, model=Dict()).found
    assert found is not None
    assert found.outcome == (1, 2)
    assert found.expected == {(1, 1), (2, 2)}


def test_an_invariant_is_looked_at_after_every_schedule() -> None:
    def small(counter: LockedCounter) -> bool:
        return counter.count < 2

    result = explore(LockedCounter, TWICE, invariant=small)
    assert result.found is not None
    assert result.found.kind == "invariant"
    assert replay(result.found.token, invariant=small).kind == "invariant"


def test_what_is_not_promised_is_not_judged() -> None:
    loose = Profile.declare("counter", loose="increment")
    assert explore(LossyCounter, TWICE, promises=loose).found is None


def test_arguments_that_are_no_literals_are_given_again() -> None:
    class Kept:
        def __init__(self) -> None:
            self.seen = 0

        def put(self, thing: object) -> int:
            seen = self.seen
            self.seen = seen + 1
            return seen

    programs = [[("put", object())], [("put", object())]]
    found = explore(Kept, programs).found
    assert found is not None
    with pytest.raises(TokenError, match="`make`"):
        replay(found.token)
    with pytest.raises(TokenError, match="programs"):
        replay(found.token, Kept)
    assert replay(found.token, Kept, programs).exact


@pytest.mark.parametrize("token", ["", "cts1-", "cts1-AAAA", "cts1-é", "other-1"])
def test_damaged_tokens_are_refused(token: str) -> None:
    with pytest.raises(TokenError):
        replay(token)


def test_a_changed_container_is_told() -> None:
    found = explore(LossyCounter, TWICE).found
    assert found is not None
    again = replay(found.token, LockedCounter)
    assert not again.exact
    assert again.kind == ""
    assert "not the same run" in again.text
