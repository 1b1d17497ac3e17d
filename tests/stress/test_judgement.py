"""The harness tells correct containers from broken ones."""

from __future__ import annotations

from typing import Any

import pytest

from stress import ExitStatus, Options, run_campaign
from stress.targets import target_of
from stress.workloads import WORKLOADS, applicable

from . import containers


@pytest.mark.parametrize("cls", containers.CORRECT, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("seed", [1, 2])
def test_correct_containers_raise_no_alarm(cls: Any, seed: int) -> None:
    result = run_campaign([cls], Options(seed=seed, seconds=3.0, threads=6))
    assert result.violations == []
    assert result.exit_status is ExitStatus.CLEAN
    assert len(result.workloads) >= 7


@pytest.mark.parametrize(
    ("cls", "workload"),
    containers.BROKEN.items(),
    ids=lambda value: getattr(value, "__name__", value),
)
def test_broken_containers_are_caught(cls: Any, workload: str) -> None:
    options = Options(seed=3, seconds=20.0, threads=8, only=(workload,))
    result = run_campaign([cls], options)
    assert result.exit_status is ExitStatus.VIOLATION
    (done,) = result.workloads
    violation = done.violations[0]
    assert violation.workload == workload
    assert violation.target == cls.__name__
    assert violation.seed == 3
    assert f"--only {cls.__name__}/{workload} --seed 3 --threads 8" in violation.rerun


def test_a_correct_container_under_the_name_of_a_broken_one_is_clean() -> None:
    """What catches the broken classes is what they do: their base class passes the same checks."""
    for workload in {*containers.BROKEN.values()}:
        for cls in (containers.LockedDict, containers.LockedSet):
            result = run_campaign([cls], Options(seed=3, ops=1500, only=(workload,)))
            assert result.violations == []


def test_an_exception_of_a_container_is_reported_with_its_traceback() -> None:
    options = Options(seed=1, seconds=20.0, only=("ycsb-a",))
    violation = run_campaign([containers.RaisingDict], options).violations[0]
    assert violation.check == "exception"
    assert "OSError" in violation.message
    assert "the table is on fire" in violation.details
    assert any("put(" in operation for operation in violation.operations)


def test_builtin_dict_is_clean() -> None:
    """Beside scenarios, where keys that empty it in the middle of an insertion break it up to 3.13."""
    names = [each.name for each in applicable(target_of(dict)) if not each.outside]
    result = run_campaign([dict], Options(seed=5, ops=2000, only=(*names,)))
    assert result.violations == []
    assert [done.workload for done in result.workloads] == names


def test_all_workloads_have_one_line_each() -> None:
    for name, workload in WORKLOADS.items():
        assert workload.summary and "\n" not in workload.summary
        assert name == workload.name
