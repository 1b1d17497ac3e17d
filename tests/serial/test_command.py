"""`ct-stress run --serial` and `ct-stress replay`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stress.cli import main
from stress.sampling import outcomes
from stress.serial import explore
from stress.zoo.counters import LossyCounter

LOSING = "tests.serial.containers:LosingDict"
SERIAL = ["run", "--serial", "--seed", "1", "--seconds", "20", "--target"]


def _token(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("replay: ")).split()[1]


def test_a_broken_container_is_found_and_replayed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "found.json"
    assert main([*SERIAL, LOSING, "--scenarios", "100", "--limit", "60", "--json", str(file)]) == 1
    output = capsys.readouterr().out
    assert "violation" in output
    assert "containers.py" in output
    document = json.loads(file.read_text(encoding="utf-8"))
    assert document["findings"][0]["token"] == _token(output)
    assert main(["replay", _token(output)]) == 1
    again = capsys.readouterr().out
    message = document["findings"][0]["message"].partition("; at rest")[0]  # sets have no order
    assert message in again
    assert "the same run, step for step" in again


def test_a_replay_refuses_nothing_for_being_slow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that was fast enough for the search may be busy when a token is replayed."""
    assert main([*SERIAL, LOSING, "--scenarios", "100", "--limit", "60"]) == 1
    token = _token(capsys.readouterr().out)
    monkeypatch.setattr(outcomes, "_MOST_SECONDS", 0.0)
    assert main(["replay", token]) == 1
    assert "the same run, step for step" in capsys.readouterr().out


def test_a_locked_container_is_not_accused(capsys: pytest.CaptureFixture[str]) -> None:
    target = "tests.stress.containers:LockedDict"
    assert main([*SERIAL, target, "--scenarios", "25", "--limit", "60"]) == 0
    assert "0 violations found" in capsys.readouterr().out


def test_tokens_of_explore_are_replayed(capsys: pytest.CaptureFixture[str]) -> None:
    found = explore(LossyCounter, [[("increment",)], [("increment",)]]).found
    assert found is not None
    assert main(["replay", found.token]) == 1
    assert "counters.py" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--serial"], "--serial needs --target"),
        ([*SERIAL, "builtins:dict"], "no Python code"),
        ([*SERIAL, LOSING, "--limit", "0"], "at least 1"),
        ([*SERIAL, "tests.serial.containers:UnboundDict"], "does not work with modelled locks"),
        ([*SERIAL, LOSING, "--ops", "10"], "not for --serial"),
        (["replay", "cts1-xxx"], "damaged"),
        (["replay", "hello"], "begins with"),
    ],
)
def test_mistakes_are_told(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
