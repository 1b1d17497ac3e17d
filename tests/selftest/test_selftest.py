"""`ct-stress selftest` on a handful of specimens; the whole of it is a command."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from stress import cli
from stress.planted import Proof, proof
from stress.selftest import Outcome, Row, Selftest, run, run_selftest
from stress.selftest.parallel import _Trial
from stress.zoo import ZOO


def test_it_finds_in_every_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bug that is there for long, so that threads meet it on any machine."""
    file = tmp_path / "result.json"
    arguments = ["--only", "serial", "parallel", "--specimens", "events out*", "factory*"]
    assert cli.main(["selftest", *arguments, "--json", str(file)]) == 0
    text = capsys.readouterr().out
    assert "NOT RUN: general: not asked for" in text and "safe" not in text
    assert (
        "2 specimens: 4 found, 0 not found, 0 cannot happen here, 0 of 4 correct ones accused"
        in text
    )
    document = json.loads(file.read_text(encoding="utf-8"))
    assert document["good"]
    assert [row["outcomes"]["serial"]["verdict"] for row in document["specimens"]] == ["found"] * 2
    assert [row["outcomes"]["parallel"]["verdict"] for row in document["twins"]] == ["clean"] * 2


def test_what_cannot_happen_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.environment, "gil_enabled", lambda: True)
    result = run_selftest(ways=["parallel"], only=["counter without a lock"])
    assert result.good
    (row,) = result.rows
    assert row.outcomes["parallel"].verdict == "cannot happen"
    assert "none lies between the steps" in result.table()


def test_a_specimen_without_its_bug_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = next(each for each in ZOO if each.name == "torn len")
    mended = type(whole)(**{**vars(whole), "broken": whole.correct})
    swapped = type(whole)(**{**vars(whole), "correct": whole.broken})
    monkeypatch.setattr(run, "ZOO", (mended,))
    assert run_selftest(ways=["serial"]).rows[0].outcomes["serial"].verdict == "missed"
    monkeypatch.setattr(run, "ZOO", (swapped,))
    result = run_selftest(ways=["serial"])
    assert not result.good and result.count("accused", twins=True) == 1


def test_threads_that_stand_still_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process with the twin, which ends; the deadlock itself is left to the command."""
    specimen = next(each for each in ZOO if each.kind == "deadlock")
    said = _Trial(specimen, "correct", Random(1)).run(0.05)
    assert said["kind"] == "" and said["samples"] >= 128


def test_without_sources_or_compiler_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(proof, "compiler", lambda: None)
    assert "no C compiler" in proof.missing()
    monkeypatch.setattr(proof, "SOURCES", tmp_path / "nothing")
    assert "C sources" in proof.missing()
    assert cli.main(["selftest", "--specimens", "torn len", "--only", "serial", "planted"]) == 0
    assert "***** NOT RUN: planted bugs of the C core: the C sources" in capsys.readouterr().out


def test_planted_bugs_are_rows_and_their_absence_is_a_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    """tests/mutants builds and finds each of them."""

    def prove(found: Any, select: Any) -> list[Proof]:
        assert select("lost_event") and not select("key_leaked")
        return [
            Proof("", "none", "all detectors", "clean", "", 1.0),
            Proof("lost_event", "An event is lost.", "events_arrive", "found", "failure", 1.0),
        ]

    monkeypatch.setattr(run, "missing", lambda: "")
    monkeypatch.setattr(run, "prove", prove)
    result = run_selftest(ways=["planted"], only=["lost*"])
    assert result.good
    assert [row.specimen for row in result.rows] == ["lost_event"]
    assert [row.specimen for row in result.twins] == ["none"]


def test_nobody_of_that_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["selftest", "--specimens", "unicorn", "--only", "serial"]) == 3
    assert cli.main(["selftest", "--json", "/nowhere/x"]) == 2
    assert "no specimen" in capsys.readouterr().err


def test_the_table_tells_what_went_wrong() -> None:
    row = Row("torn len", "", "outcome", {"general": Outcome("missed", "not in 9 operations")})
    twin = Row("twin of: torn len", "", "", {"serial": Outcome("accused", "a lie")})
    result = Selftest({}, 1, [row], [twin])
    assert not result.good
    assert "missed: torn len (general): not in 9 operations" in result.table()
    assert "accused: twin of: torn len (serial): a lie" in result.table()
    assert "0 found, 1 not found" in result.summary()
