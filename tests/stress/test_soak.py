"""`ct-stress soak`: slices add up, coverage is exact, violations end with 1, and an end leaves a report."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stress import cli
from stress.memory import pooled, slope_of
from stress.report import unmet_lines, unmet_pairs
from stress.sampling.evidence import Sampling
from stress.sampling.supervisor import sample
from tests.support import ROOT

SET = "tests.stress.containers:LockedSet"


def test_a_soak_of_a_correct_set_is_clean_and_says_exactly_which_pairs_met(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, page = tmp_path / "soak.json", tmp_path / "soak.html"
    arguments = ["--minutes", "0.05", "--target", SET, "--seed", "3", "--threads", "2"]
    files = ["--json", str(report), "--html", str(page)]
    assert cli.main(["soak", *arguments, *files, "--only", "scenarios"]) == 0
    text = capsys.readouterr().out
    document: dict[str, Any] = json.loads(report.read_text())
    assert document["command"] == "soak" and document["ended"] == "time over"
    assert document["exit_status"] == 0 and document["errors"] == []
    assert {"environment", "options", "workloads", "sampling", "memory", "minutes"} <= set(document)
    coverage = document["sampling"]["LockedSet"]["coverage"]
    missing = unmet_pairs(coverage)
    met = {(x, y) for x, y, count in coverage["pairs"] if count}
    names = coverage["operations"]
    assert len(missing) + len(met) >= coverage["pairs_in_all"]
    assert (
        len({(x, y) for x, y in met if x in names and y in names}) + len(missing)
        == (coverage["pairs_in_all"])
    )
    count = coverage["pairs_in_all"] - len(missing)
    assert f"pairs of operations of LockedSet: {count} of {coverage['pairs_in_all']} met" in text
    assert "no violation seen" in text and "safe" not in text
    assert page.read_text().startswith("<!doctype html>")


def test_a_violation_ends_a_soak_with_1_and_is_said_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "soak.json"
    arguments = ["--minutes", "0.05", "--target", "tests.stress.containers:StrangerSet"]
    files = ["--json", str(report), "--only", "ycsb-e", "--threads", "2", "--seed", "1"]
    assert cli.main(["soak", *arguments, *files]) == 1
    text = capsys.readouterr().out
    assert "VIOLATION of 'iteration' in StrangerSet/ycsb-e: " in text
    assert text.index("VIOLATION of 'iteration'") < text.index("soak time over")
    (violation, *_) = json.loads(report.read_text())["workloads"][0]["violations"]
    assert violation["timeline"]["operations"]


def interrupt(start: list[str], report: Path, number: int) -> int:
    """A soak that gets a signal after a second and ends with a report: its exit status."""
    arguments = ["soak", "--hours", "1", "--target", SET]
    arguments += ["--only", "scenarios", "--json", str(report), "--seed", "1"]
    command = [sys.executable, *start, *arguments]
    soak = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert soak.stdout is not None
        assert soak.stdout.readline().startswith("CPython")
        assert "3600 s in all" in soak.stdout.readline()
        time.sleep(1)  # in the middle of a slice, or before it: both must do
        soak.send_signal(number)
        rest, _ = soak.communicate(timeout=60)
    finally:
        soak.kill()
    assert "soak interrupted after" in rest and "Traceback" not in rest
    assert json.loads(report.read_text())["ended"] == "interrupted"
    return soak.returncode


SIGNALS = pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"]
)


@SIGNALS
def test_an_interrupted_soak_leaves_its_report(tmp_path: Path, number: int) -> None:
    status = interrupt(["-m", "stress"], tmp_path / "soak.json", number)
    assert status in (0, 3)  # 3: it was interrupted before the first sample


SWALLOWING = """
import sys, time
from stress import cli, soak

def sample(*arguments, **options):
    for _ in range(2):  # as a finalizer would: the first interrupt is lost
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            if swallowed:
                raise
            swallowed.append(True)

swallowed = []
soak.sample, soak._AGAIN_SECONDS = sample, 0.5
sys.exit(cli.main(sys.argv[1:]))
"""


@SIGNALS
def test_an_interrupt_that_is_lost_is_raised_again(tmp_path: Path, number: int) -> None:
    interrupt(["-c", SWALLOWING], tmp_path / "soak.json", number)


@pytest.mark.parametrize(
    "arguments",
    [[], ["--minutes", "0"], ["--minutes", "-1"], ["--hours", "nan"]],
    ids=lambda arguments: " ".join(arguments) or "no time",
)
def test_a_soak_needs_a_time(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["soak", *arguments]) == 2
    assert "--minutes" in capsys.readouterr().err


def test_sampling_goes_on_where_it_ended_and_meets_what_never_met() -> None:
    result = Sampling("LockedSet")
    met: list[int] = []
    while len(met) < 2 or (met[-1] == met[0] and len(met) < 30):  # with the GIL few threads meet
        done = len(met)
        sample(SET, done, 60.0, operations=3_000 * (done + 1), into=result, sweep=0.9)
        met.append(len(result.met))
        assert len(result.unmet) + len(
            [p for p in result.met if set(p) <= set(result.operations)]
        ) == (result.pairs)
    assert met[-1] > met[0] and result.children >= 2
    paces = [operations for _, operations in result.paces]
    assert paces == sorted(paces) and paces[-1] == result.totals["operations"]


def test_paces_stay_few_and_keep_the_last() -> None:
    result = Sampling("x")
    for number in range(5_000):
        result.pace(float(number), 2)
    assert len(result.paces) <= 600 and result.paces[-1] == (4_999.0, 10_000)


def test_pairs_that_never_met_are_listed_by_name() -> None:
    coverage = {
        "operations": ["b", "a"],
        "pairs": [["a", "a", 3], ["a", "x", 9]],
        "pairs_in_all": 3,
    }
    assert unmet_pairs(coverage) == [("a", "b"), ("b", "b")]
    assert unmet_lines({"sampling": {"T": {"coverage": coverage}}}) == [
        "pairs of operations of T: 1 of 3 met",
        "  never met:",
        "    a with b",
        "    b with b",
    ]


def test_the_slope_of_a_line() -> None:
    assert slope_of([(float(x), 100 + 7 * x) for x in range(9)]) == pytest.approx((7.0, 60.0))
    assert slope_of([(1.0, 5), (1.0, 9)]) == (0.0, 0.0)
    assert pooled([(4.0, 1.0), (4.0, 9.0)]) == (4.0, 0.0)
    assert pooled([(4.0, 1.0)]) is None
