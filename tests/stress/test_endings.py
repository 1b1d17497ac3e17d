"""Daemon threads at shutdown: interpreters that end while threads use containers."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from stress.options import UsageError
from stress.repro.rates import Rate
from stress.repro.steps import Case
from stress.repro.trials import Trials, family_of
from stress.repro.writer import write_test
from stress.sampling import endings
from stress.sampling.catalogue import catalogue_of
from stress.sampling.endings import Ending, Endings, ending
from stress.sampling.generator import Generator
from stress.sampling.scenario import Scenario
from stress.sampling.subject import Subject
from stress.sampling.supervisor import sample
from stress.targets import resolve

SOUND = "tests.stress.containers:LockedDict"
HANGS = "tests.stress.fragile:HangsAtExit"
ABORTS = "tests.stress.fragile:AbortsAtExit"


def a_scenario(target: str) -> Scenario:
    subject = Subject(resolve(target))
    generator = Generator(subject, catalogue_of(subject), Random(1))
    return next(
        scenario for scenario in map(generator.draw, range(99)) if not scenario.values.hostile
    )


def test_ends_that_hang_or_crash_are_told_with_stacks() -> None:
    beats: list[int] = []
    seen = ending(HANGS, a_scenario(HANGS), lambda: beats.append(1), limit=0.5)
    assert seen is not None and "no progress" in seen.message
    assert any("__del__" in line for line in seen.stacks), seen
    assert beats
    seen = ending(ABORTS, a_scenario(ABORTS), lambda: None)
    assert seen is not None and "SIGABRT" in seen.message
    assert any("__del__" in line for line in seen.stacks), seen


@pytest.mark.parametrize("target", [SOUND, "ConcurrentDict"])
def test_a_container_that_can_be_left_is_not_accused(target: str) -> None:
    drawn = a_scenario(SOUND if target == SOUND else "concurrent_tables:ConcurrentDict")
    assert ending(target, drawn, lambda: None, limit=60.0) is None


def test_threads_without_containers_are_the_control() -> None:
    assert ending(ABORTS, a_scenario(ABORTS), lambda: None, alone=True, limit=60.0) is None


def test_nothing_is_said_where_the_control_fails_too(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def fails(*_: Any, alone: bool = False) -> Ending:
        asked.append(alone)
        return Ending("a crash", [], [])

    monkeypatch.setattr(endings, "ending", fails)
    monkeypatch.setattr(endings, "_FIRST", 0.0)
    watched = Endings(SOUND, lambda: None)
    assert watched.look(a_scenario(SOUND)) is None
    assert asked == [False, True]
    watched._next = 0.0
    assert watched.look(a_scenario(SOUND)) is None and len(asked) == 2


def test_the_campaign_finds_it_and_counts() -> None:
    found = sample(ABORTS, 1, 90.0, enough=1)
    assert [finding["kind"] for finding in found.findings] == ["shutdown"], found.findings
    assert found.faults["daemon threads at shutdown"] >= 1
    evidence = found.findings[0]["evidence"]
    assert any("__del__" in line for line in evidence["stacks"])


def test_a_finding_is_measured_again_and_not_written() -> None:
    drawn = a_scenario(ABORTS)
    with Trials(ABORTS, 1) as trials:
        trial = trials.measure(drawn, (), family_of("shutdown"), seconds=60.0, enough=1, samples=5)
    assert trial.rate.events == 1 and trial.finding["kind"] == "shutdown"
    with pytest.raises(UsageError, match="replay it"):
        write_test(".", ABORTS, "shutdown", "", Case(drawn), Rate(), "", {}, {})
