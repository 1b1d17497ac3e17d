"""Every workload on every table type of every implementation."""

from __future__ import annotations

from typing import Any

import pytest

from stress import ExitStatus, Options, run_campaign
from stress.targets import DEFAULT_TARGETS, default_targets
from stress.workloads import WORKLOADS, applicable

SEEDS = (1,)


@pytest.mark.usefixtures("as_active")
@pytest.mark.parametrize("name", DEFAULT_TARGETS)
@pytest.mark.parametrize("seed", SEEDS)
def test_tables_are_clean(ct: Any, name: str, seed: int) -> None:
    (target,) = [target for target in default_targets(ct) if target.name == name]
    result = run_campaign([target], Options(seed=seed, ops=1200, threads=6))
    assert [str(violation) for violation in result.violations] == []
    assert result.exit_status is ExitStatus.CLEAN
    assert all(done.operations for done in result.workloads)


def test_every_workload_fits_a_table(ct: Any) -> None:
    fitting = {cls.name for target in default_targets(ct) for cls in applicable(target)}
    assert fitting == set(WORKLOADS)


def test_the_mixes_of_ycsb_run_on_every_mutable_type(ct: Any) -> None:
    for target in default_targets(ct):
        names = {cls.name for cls in applicable(target)}
        if not target.name.startswith("Frozen"):
            assert names >= {f"ycsb-{letter}" for letter in "abcdef"} | {"churn"}


def test_a_subclass_of_a_table_is_held_to_the_contract_of_tables(ct: Any) -> None:
    class Halves(ct.ConcurrentDict):  # type: ignore[misc, name-defined]
        """Not atomic: the group arrives in two parts."""

        def update_many(self, other: Any, /) -> None:
            for key, value in dict(other).items():
                self[key] = value

    options = Options(seed=1, seconds=30.0, only=("groups",))
    violations = run_campaign([Halves], options).violations
    assert violations and violations[0].check == "torn"
