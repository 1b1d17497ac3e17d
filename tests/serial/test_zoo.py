"""Every bug of the zoo without luck; none in the twins."""

from __future__ import annotations

import pytest

from stress.serial import Bounded, explore, replay
from stress.serial.judging import Judge
from stress.serial.session import Session
from stress.zoo import ZOO, Specimen

MOST_SCHEDULES = 400
ANSWERS = {"outcome", "order"}  # which of them comes first is the seed's
SHOWN_BY_CALLS = [specimen for specimen in ZOO if specimen.programs]
by_name = pytest.mark.parametrize("specimen", SHOWN_BY_CALLS, ids=lambda each: each.name)


@by_name
@pytest.mark.parametrize("seed", range(3))
def test_bounded_search_finds_the_bug_with_every_seed(specimen: Specimen, seed: int) -> None:
    result = explore(
        specimen.broken,
        specimen.programs,
        seed=seed,
        limit=MOST_SCHEDULES,
        granularity=specimen.granularity,
    )
    assert result.found is not None, str(result)
    assert result.found.kind == specimen.kind or {result.found.kind, specimen.kind} <= ANSWERS
    assert result.found.schedule == result.schedules == result.distinct


@by_name
def test_no_seed_can_miss_the_bug(specimen: Specimen) -> None:
    """The search tries all schedules of few preemptions: there are few, and one shows the bug."""
    tried = 0
    kinds: set[str] = set()
    for bound in (0, 1, 2):
        tried, kinds = _every_schedule(specimen, bound)
        if kinds - {""}:
            break
    assert specimen.kind in kinds
    assert tried <= MOST_SCHEDULES


def _every_schedule(specimen: Specimen, bound: int) -> tuple[int, set[str]]:
    strategy = Bounded(0, bound)
    kinds = set()
    tried = 0
    with Session(specimen.broken, specimen.programs, specimen.granularity, 1000) as session:
        judge = Judge(session.fresh, specimen.programs)
        while not tried or strategy.again():
            kinds.add(session.run(judge, strategy, None).kind)
            tried += 1
    return tried, kinds


@by_name
def test_a_finding_is_replayed_step_for_step(specimen: Specimen) -> None:
    found = explore(specimen.broken, specimen.programs, granularity=specimen.granularity).found
    assert found is not None
    for _ in range(3):
        again = replay(found.token)
        assert again.exact
        assert (again.kind, again.message) == (found.kind, found.message)
        assert (again.trace, again.outcome) == (found.trace, found.outcome)


@by_name
def test_the_twin_is_not_accused_in_any_schedule_of_two_preemptions(specimen: Specimen) -> None:
    result = explore(specimen.correct, specimen.programs, granularity=specimen.granularity)
    assert result.found is None, str(result)
    assert result.complete
    assert result.cut == 0
    assert result.schedules == result.distinct > 1


@by_name
def test_random_priorities_find_it_too(specimen: Specimen) -> None:
    found_by_chance(specimen, "pct")


@pytest.mark.parametrize(
    "specimen",
    # A walk gets lost in longer ones.
    [each for each in SHOWN_BY_CALLS if sum(map(len, each.programs)) <= 2],
    ids=lambda specimen: specimen.name,
)
def test_a_random_walk_finds_it_too(specimen: Specimen) -> None:
    found_by_chance(specimen, "random")


def found_by_chance(specimen: Specimen, strategy: str) -> None:
    result = explore(
        specimen.broken,
        specimen.programs,
        strategy=strategy,
        seed=1,
        limit=5000,
        granularity=specimen.granularity,
    )
    assert result.found is not None, str(result)
    assert replay(result.found.token).exact


def test_there_are_enough_of_them() -> None:
    assert len(SHOWN_BY_CALLS) >= 36
    assert len({specimen.name for specimen in ZOO}) == len(ZOO)
