"""`ct-stress`: exit statuses, selection, listing, JSON, and the end of a hanging run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from stress import cli, environment
from stress.workloads import WORKLOADS
from tests.support import run_child

LOCKED = "tests.stress.containers:LockedDict"
QUICK = ["--ops", "400", "--threads", "3", "--seed", "1"]


def run(*arguments: str) -> int:
    return cli.main(["run", *arguments])


def test_a_clean_run_ends_with_a_table_and_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--target", LOCKED, *QUICK) == 0
    text = capsys.readouterr().out
    assert "target      workload" in text
    assert "no violation seen" in text
    assert "seed 1, 3 threads, 400 operations per workload" in text
    assert "safe" not in text


def test_the_head_names_interpreter_implementation_and_gil(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("--target", LOCKED, *QUICK, "--only", "ycsb-c")
    head = capsys.readouterr().out.splitlines()[0]
    assert head.startswith("CPython 3.")
    assert "GIL on" in head or "GIL off" in head
    assert "implementation: " in head


def test_a_violation_ends_with_1_and_says_how_to_run_it_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = "tests.stress.containers:ForgettingDict"
    assert run("--target", target, "--seconds", "20", "--seed", "7", "--only", "ycsb-a") == 1
    text = capsys.readouterr().out
    assert "VIOLATION of" in text
    assert f"again: ct-stress run --target {target} --only ForgettingDict/ycsb-a --seed 7" in text
    assert "latest operations" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["--target", "nonsense"],
        ["--target", "no_such_module_here:Class"],
        ["--target", "tests.stress.containers:NoSuchClass"],
        ["--target", "tests.stress.containers:NoContainer"],
        ["--target", "tests.stress.containers:NeedsArguments"],
        ["--target", "builtins:None"],
        ["--target", LOCKED, "--threads", "0"],
        ["--target", LOCKED, "--ops", "0"],
        ["--target", LOCKED, "--seconds", "-1"],
        ["--target", LOCKED, "--seconds", "nan"],
        ["--target", LOCKED, "--stall", "0"],
        ["--target", LOCKED, "--json", "/no/such/directory/file.json"],
    ],
    ids=lambda arguments: " ".join(arguments[-2:]),
)
def test_usage_errors_end_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("ct-stress: error: ")
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("option", ["--json", "--html"])
@pytest.mark.parametrize(
    "command",
    [
        ["run", "--target", LOCKED],
        ["run", "--serial", "--target", "stress.zoo.counters:LossyCounter"],
        ["soak", "--minutes", "1"],
        ["report", "{report}"],
        ["selftest"],
        ["bench"],
        ["bench", "cache"],
    ],
    ids=" ".join,
)
def test_a_file_that_cannot_be_written_is_told_by_its_option_before_anything_runs(
    command: list[str], option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if (option, command[0]) in (("--html", "run"), ("--html", "selftest"), ("--json", "report")):
        pytest.skip("the command has no such option")
    report = tmp_path / "report.json"
    report.write_text('{"schema": 1, "tool": "ct-stress", "command": "replay", "findings": []}')
    arguments = [word.format(report=report) for word in command]
    file = str(tmp_path / "no such directory" / "file")
    assert cli.main([*arguments, option, file]) == 2
    captured = capsys.readouterr()
    assert captured.err == f"ct-stress: error: {option} {file}: No such file or directory\n"
    assert captured.out == ""


def test_unknown_options_end_with_2() -> None:
    with pytest.raises(SystemExit) as ended:
        run("--no-such-option")
    assert ended.value.code == 2


def test_nothing_selected_ends_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--target", LOCKED, "--only", "no-such-workload") == 3
    assert "nothing was exercised" in capsys.readouterr().out
    assert run("--target", LOCKED, "--only", "no-such-workload", "--list") == 3


def test_only_takes_patterns_on_workloads_and_types(capsys: pytest.CaptureFixture[str]) -> None:
    def selected(*patterns: str) -> list[str]:
        assert run("--target", LOCKED, "--json", "-", *QUICK, "--only", *patterns) == 0
        return [done["workload"] for done in json.loads(capsys.readouterr().out)["workloads"]]

    assert selected("ycsb-[ab]") == ["ycsb-a", "ycsb-b"]
    assert selected("LockedDict/tok*") == ["tokens"]
    assert selected("ycsb-c", "clear") == ["ycsb-c", "clear"]
    assert selected("*/ycsb-f", "OtherDict/*") == ["ycsb-f"]


def test_list_names_every_workload_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--list") == 0
    lines = capsys.readouterr().out.splitlines()
    named = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert named == list(WORKLOADS)
    assert run("--target", LOCKED, "--list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines][:2] == ["ycsb-a", "ycsb-b"]
    assert not any("groups" in line.split()[0] for line in lines)


def test_json_has_the_documented_fields(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "result.json"
    target = "tests.stress.containers:StrangerSet"
    assert run("--target", target, "--json", str(path), *QUICK, "--only", "ycsb-[ce]") == 1
    assert "VIOLATION" in capsys.readouterr().out  # the report is still there
    document: dict[str, Any] = json.loads(path.read_text())
    assert set(document) == {
        "schema", "tool", "command", "environment", "options", "seconds", "stalled", "exit_status",
        "workloads", "sampling",
    }  # fmt: skip
    assert document["schema"] == 1 and document["tool"] == "ct-stress"
    assert document["exit_status"] == 1 and document["stalled"] is False
    facts = document["environment"]
    assert facts["gil_enabled"] is facts["gil_enabled_at_end"] is environment.gil_enabled()
    assert facts["free_threaded_build"] is environment.free_threaded_build()
    assert {"python", "implementation", "debug_mode", "platform", "cpus"} <= set(facts)
    assert document["options"]["seed"] == 1 and document["options"]["threads"] == 3
    for done in document["workloads"]:
        assert set(done) == {
            "target", "workload", "rounds", "operations", "refusals", "seconds", "violations",
            "suppressed", "facts", "verdict",
        }  # fmt: skip
    violation = document["workloads"][-1]["violations"][0]
    assert set(violation) == {
        "check", "message", "target", "workload", "seed", "round", "rerun", "operations", "details",
        "timeline",
    }  # fmt: skip
    timeline = violation["timeline"]
    assert [op["text"] for op in timeline["operations"]] == [
        operation.partition(": ")[2] for operation in violation["operations"]
    ]
    assert timeline["order"] == "began" and timeline["threads"]
    assert violation["check"] == "iteration" and "a stranger" in violation["message"]


def test_json_on_stdout_stands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--target", LOCKED, "--json", "-", *QUICK, "--only", "ycsb-a") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["workloads"][0]["verdict"] == "clean"
    assert document["workloads"][0]["operations"] == 400


def test_a_terminal_without_rich_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    assert run("--target", LOCKED, *QUICK, "--only", "ycsb-a") == 2
    assert "concurrent_tables[stress]" in capsys.readouterr().err
    assert run("--target", LOCKED, *QUICK, "--only", "ycsb-a", "--plain") == 0


def test_a_terminal_gets_a_table_of_rich(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rich")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert run("--target", LOCKED, *QUICK, "--only", "ycsb-a", "churn") == 0
    text = capsys.readouterr().out
    assert "│" in text and "ycsb-a" in text and "no violation seen" in text


@pytest.mark.parametrize("at_end", [False, True])
def test_a_gil_that_is_on_in_a_free_threaded_build_is_said_loudly(at_end: bool) -> None:
    facts = {**environment.describe(), "free_threaded_build": True}
    facts |= {"gil_enabled": not at_end, "gil_enabled_at_end": True}
    warning = environment.gil_warning(facts)
    assert warning is not None and warning.startswith("WARNING") and "GIL" in warning
    quiet = {**facts, "gil_enabled": False, "gil_enabled_at_end": False}
    assert environment.gil_warning(quiet) is None
    assert environment.gil_warning({**facts, "free_threaded_build": False}) is None


def test_python_m_stress_runs_from_a_checkout() -> None:
    done = run_child(["-m", "stress", "run", "--target", LOCKED, *QUICK, "--only", "ycsb-a"])
    assert done.returncode == 0, done.stderr
    assert "no violation seen" in done.stdout


def test_a_deadlock_is_a_violation_with_stacks_and_the_process_ends() -> None:
    target = "tests.stress.containers:DeadlockDict"
    arguments = ["--target", target, "--seconds", "30", "--stall", "2", "--seed", "1"]
    arguments += ["--only", "*/ycsb-a"]
    done = run_child(["-m", "stress", "run", *arguments, "--json", "-"])
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert document["stalled"] is True
    (violation,) = document["workloads"][0]["violations"]
    assert violation["check"] == "stall"
    assert "no thread made progress" in violation["message"]
    assert "with self._lock:" in violation["details"]
    assert violation["operations"]


def test_a_hang_that_holds_the_gil_ends_the_process_too() -> None:
    target = "tests.stress.containers:GilHoldingDict"
    arguments = ["--target", target, "--ops", "100", "--stall", "1", "--seed", "1"]
    done = run_child(["-m", "stress", "run", *arguments])
    assert done.returncode == 1
    assert "in __setitem__" in done.stdout + done.stderr


def test_the_plain_report_aligns_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--target", LOCKED, *QUICK, "--only", "ycsb-a", "tokens") == 0
    lines = capsys.readouterr().out.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("target")]
    ends = {line.index("clean") for line in lines[at + 1 : at + 3]}
    assert ends == {lines[at].index("verdict")}
