"""Every bug of the zoo without luck; none in the twins."""

from __future__ import annotations

import pytest

from stress.serial import explore, replay
from stress.zoo import ZOO, Specimen

MOST_SCHEDULES = 300
by_name = pytest.mark.parametrize("specimen", ZOO, ids=lambda specimen: specimen.name)


@by_name
@pytest.mark.parametrize("seed", range(4))
def test_bounded_search_finds_the_bug_with_every_seed(specimen: Specimen, seed: int) -> None:
    result = explore(
        specimen.broken,
        specimen.programs,
        seed=seed,
        limit=MOST_SCHEDULES,
        granularity=specimen.granularity,
    )
    assert result.found is not None, str(result)
    assert result.found.kind == specimen.kind
    assert result.found.schedule == result.schedules == result.distinct


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
@pytest.mark.parametrize("strategy", ["pct", "random"])
def test_random_strategies_find_it_too(specimen: Specimen, strategy: str) -> None:
    result = explore(
        specimen.broken,
        specimen.programs,
        strategy=strategy,
        seed=1,
        limit=3000,
        granularity=specimen.granularity,
    )
    assert result.found is not None, str(result)
    assert replay(result.found.token).exact


def test_there_are_enough_of_them() -> None:
    assert len(ZOO) >= 12
    assert len({specimen.name for specimen in ZOO}) == len(ZOO)
