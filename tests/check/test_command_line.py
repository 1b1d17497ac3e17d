"""`ct-stress check`: a line for each file, and an exit status that scripts can use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stress.check import History, write_history
from stress.cli import main

ETCD = "INFO  jepsen.util - 0 :invoke :write 1\nINFO  jepsen.util - 0 :ok :write 1\n"
READ = "INFO  jepsen.util - 1 :invoke :read nil\nINFO  jepsen.util - 1 :ok :read {}\n"


@pytest.fixture
def logs(tmp_path: Path) -> tuple[str, str]:
    """A log that is right and one that is not."""
    good, bad = tmp_path / "good.log", tmp_path / "bad.log"
    good.write_text(ETCD + READ.format(1), encoding="utf-8")
    bad.write_text(ETCD + READ.format(2), encoding="utf-8")
    return str(good), str(bad)


def test_one_line_for_each_file(logs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = logs
    assert main(["check", "--format", "etcd", good, bad]) == 1
    assert capsys.readouterr().out == f"{good} ok\n{bad} illegal\n"
    assert main(["check", "--format", "etcd", good]) == 0


def test_explanation_and_json(logs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--format", "etcd", "--explain", *logs]) == 1
    assert "cannot be placed: client 1: read() -> 2" in capsys.readouterr().out
    assert main(["check", "--format", "etcd", "--json", *logs]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["file"], row["verdict"]) for row in rows] == [
        (logs[0], "ok"),
        (logs[1], "illegal"),
    ]


def test_unreadable_files_do_not_stop_the_others(
    logs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.log"
    broken.write_text("what?\n", encoding="utf-8")
    assert main(["check", "--format", "etcd", str(broken), *logs]) == 2
    captured = capsys.readouterr()
    assert captured.out == f"{logs[0]} ok\n{logs[1]} illegal\n"
    assert f"{broken}:1: not a line of such a log" in captured.err


def test_model_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = History()
    history.append(0, "get", ("k",), None, 1, 2)
    write_history(history, tmp_path / "h.json")
    name = str(tmp_path / "h.json")
    assert main(["check", name]) == 2
    assert "the file names no model; --model does" in capsys.readouterr().err
    assert main(["check", "--model", "dict", name]) == 0
    assert main(["check", "--model", "set", name]) == 2
    assert "does not know the method 'get'" in capsys.readouterr().err


def test_limits_must_be_positive(logs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--format", "etcd", "--deadline", "0", *logs]) == 2
    assert "greater than 0" in capsys.readouterr().err
