"""Scenario sampling in child processes: evidence of their deaths, and no false alarm."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stress import ExitStatus, cli
from stress.options import UsageError
from stress.sampling.supervisor import Sampling, sample

from .hunting import find


def found(name: str, seconds: float = 40.0, **more: Any) -> Sampling:
    return sample(f"tests.stress.fragile:{name}", 3, seconds, **more)


@pytest.mark.parametrize("name", ["LockedDict", "LockedSet"])
def test_locked_containers_are_not_accused(name: str) -> None:
    result = sample(f"tests.stress.containers:{name}", 1, 60, operations=12_000)
    assert result.findings == []
    assert result.totals["operations"] >= 12_000 and result.totals["judged"]
    assert len(result.met) > 10 and result.children == 1
    assert result.profile["name"] == name


def test_an_abort_is_a_finding_with_the_operations_in_flight() -> None:
    result = found("Aborting", 7.0, operations=60_000)
    (first, *_) = [each for each in result.findings if each["kind"] == "abort"]
    assert "SIGABRT" in first["message"]
    evidence = first["evidence"]
    assert evidence["in flight"] and first["names"]
    assert any("sample" in line for line in evidence["journal"])
    assert any("in discard" in line for line in evidence["stacks"])
    assert evidence["history"] and first["scenario"]["lines"]
    assert result.children > 1  # and it went on


@pytest.mark.parametrize("name", ["OnlyItems", "OnlyMembers"])
def test_a_container_without_iteration_is_known_by_lookups(name: str) -> None:
    result = sample(f"tests.stress.containers:{name}", 1, 60, operations=2_000)
    assert result.findings == [] and result.broken == []
    assert result.totals["operations"] >= 2_000


def test_an_error_of_the_harness_is_not_alleged_on_the_target(
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = "tests.stress.fragile:BreakingTheHarness"
    arguments = ["--target", target, "--only", "*/scenarios", "--ops", "2000"]
    assert cli.main(["run", *arguments]) == ExitStatus.HARNESS == 4
    said = capsys.readouterr()
    assert "says nothing about the target" in said.err and "a bug of ours" in said.err
    assert "VIOLATION" not in said.out


def test_what_cannot_be_filled_is_an_error_of_usage() -> None:
    with pytest.raises(UsageError, match="could not be filled"):
        sample("tests.stress.fragile:Bottomless", 1, 20.0, operations=100)


def test_an_exit_is_a_finding() -> None:
    result = found("Exiting", 8.0, operations=2_000)
    assert result.findings[0]["kind"] == "exit"
    assert "status 7" in result.findings[0]["message"]


def test_a_hang_is_a_finding_with_stacks() -> None:
    result = found("Hanging", 8.0, stall_seconds=1.0)
    (first, *_) = [each for each in result.findings if each["kind"] == "hang"]
    assert first["names"] and first["evidence"]["in flight"]
    assert any("in clear" in line for line in first["evidence"]["stacks"])


def test_the_command_names_the_operations_and_ends_with_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = "tests.stress.fragile:LosingSet"
    arguments = ["--target", target, "--only", "*/scenarios", "--seconds", "4", "--minimise", "0"]
    find(*arguments, before_each=capsys.readouterr)
    text = capsys.readouterr().out
    assert "VIOLATION of 'outcome' in LosingSet/scenarios" in text
    assert "a.add(" in text and "promised:" in text
    assert "RESULT | SAMPLES | FREQUENCY | EXPECTED" in text
    assert "pairs of" in text


def test_the_json_has_coverage_and_what_was_promised(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--target", "tests.stress.containers:LockedSet", "--only", "scenarios"]
    assert cli.main(["run", *arguments, "--ops", "3000", "--seed", "4", "--json", "-"]) == 0
    sampling = json.loads(capsys.readouterr().out)["sampling"]["LockedSet"]
    assert sampling["samples"] and sampling["findings"] == []
    coverage = sampling["coverage"]
    assert coverage["pairs_in_all"] > len(coverage["pairs"]) > 0
    assert coverage["operand_types"]
    assert "add" in sampling["promised"]["promises"]
