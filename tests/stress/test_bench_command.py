"""`ct-stress bench`: selection, output, exit statuses, and small real runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stress import cli
from stress.bench import BenchObserver, BenchOptions, CellResult, contestants, run_bench
from stress.bench.child import growth_of, memory_of, records_of
from stress.bench.contestants import BASELINES, find_contestants
from stress.bench.crew import Crew
from stress.bench.goals import GOALS
from stress.bench.latency import measure_latency
from stress.bench.plan import cells_of, contestants_of, jobs_of
from stress.bench.run import warnings_of
from stress.bench.snapshots import measure_snapshots
from stress.options import UsageError

SMALL = ["--rounds", "2", "--seconds-per-cell", "0.01", "--threads", "1"]


def bench(*arguments: str) -> int:
    return cli.main(["bench", *arguments])


def test_a_small_run_prints_tables_and_writes_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, page = tmp_path / "result.json", tmp_path / "result.html"
    only = ["--only", "dict/getitem/str/immortal/*", "--contestants", "ConcurrentDict"]
    assert bench(*only, *SMALL, "2", "--judge", "--json", str(file), "--html", str(page)) == 0
    text = capsys.readouterr().out
    assert "dict/getitem/str/immortal/attribute" in text
    assert "2 threads, a table each" in text
    assert "subtracted: empty loop" in text
    assert "reads, local variable, 1 thread" in text or "reads with the GIL, 1 thread" in text
    document = json.loads(file.read_text(encoding="utf-8"))
    assert len(document["cells"]) == 3
    assert document["environment"]["implementation"] in ("c", "python")
    assert "<svg" in page.read_text(encoding="utf-8")

    assert bench("--from", str(file), "--judge", "--json", str(tmp_path / "again.json")) == 0
    assert (tmp_path / "again.json").read_text(encoding="utf-8") == file.read_text("utf-8")


def test_json_on_stdout_is_alone(capsys: pytest.CaptureFixture[str]) -> None:
    only = ["--only", "set/in/str/-/local", "--contestants", "ConcurrentSet"]
    assert bench(*only, *SMALL, "--json", "-") == 0
    document = json.loads(capsys.readouterr().out)
    (cell,) = document["cells"]
    assert {row["contestant"] for row in cell["series"]} == {
        "(empty loop)",
        "set",
        "ConcurrentSet",
    }


def test_list_names_cells_and_measurements(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("--list") == 0
    names = capsys.readouterr().out.splitlines()
    assert "dict/getitem/str/immortal/global" in names
    assert "memory/dict/str" in names
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--ops", "nonsense"],
        ["--keys", "nonsense"],
        ["--threads", "0"],
        ["--threads", "many"],
        ["--rounds", "0"],
        ["--seconds-per-cell", "-1"],
        ["--clock", "sun"],
        ["--contestants", "nobody"],
        ["--from", "/no/such/file.json"],
        ["--json", "/no/such/directory/file.json"],
    ],
    ids=" ".join,
)
def test_usage_errors_end_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(*arguments) == 2
    assert capsys.readouterr().err.startswith("ct-stress: error: ")


def test_nothing_selected_ends_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("--only", "no/such/cell") == 3
    assert bench("--only", "no/such/cell", "--list") == 3


def test_the_quick_run_has_a_cell_for_every_goal() -> None:
    cells = cells_of(BenchOptions())
    for goal in GOALS:
        for operation in goal.operations:
            assert any(cell.operation == operation for cell in cells), goal
        for keys in goal.keys:
            assert any(cell.keys == keys for cell in cells), goal


def test_the_full_run_has_every_cell_of_the_quick_one_and_no_cell_twice() -> None:
    quick, full = cells_of(BenchOptions()), cells_of(BenchOptions(preset="full"))
    assert set(quick) < set(full)
    assert len(full) == len(set(full))
    quick_jobs, full_jobs = jobs_of(BenchOptions()), jobs_of(BenchOptions(preset="full"))
    assert set(quick_jobs) < set(full_jobs)


def test_axes_narrow_the_whole_space_and_leave_further_measurements_out() -> None:
    options = BenchOptions(operations=("get",), keys=("tuple",), values=("hot",))
    assert {cell.name for cell in cells_of(options)} == {
        f"dict/get/tuple/hot/{reach}" for reach in ("global", "attribute", "local")
    }
    assert jobs_of(options) == []


def test_every_family_has_its_builtin_and_the_builtin_is_always_measured() -> None:
    found, _, _ = find_contestants()
    for cell in cells_of(BenchOptions()):
        chosen = contestants_of(cell, found, BenchOptions(contestants=("SplitDict",)))
        assert BASELINES[cell.family] in [one.name for one in chosen]


def test_absent_rivals_are_left_out_with_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(contestants, "_find", lambda name, *modules: None)
    found, versions, notes = find_contestants()
    assert {one.side for one in found} == {"builtin", "ours"}
    assert versions == {}
    assert notes == [
        "cereggii is not installed: left out",
        "ft_utils is not installed: left out",
    ]
    assert bench("--only", "dict/get/str/immortal/local", *SMALL) == 0
    assert "cereggii is not installed: left out" in capsys.readouterr().out


def test_rivals_are_found_where_they_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    class AtomicDict(dict[Any, Any]):
        pass

    monkeypatch.setattr(contestants, "_find", lambda name, *modules: AtomicDict)
    found, versions, _ = find_contestants()
    rivals = [one for one in found if one.side == "rival"]
    assert [one.name for one in rivals] == ["cereggii", "ft_utils"]
    assert rivals[0].maker()([("a", 1)]) == {"a": 1}
    assert set(versions) == {"cereggii", "ft_utils"}


def test_warnings_are_loud() -> None:
    facts = {
        "implementation": "python",
        "free_threaded_build": True,
        "gil_enabled": True,
        "debug_mode": True,
        "load_average": [8.0],
        "usable_cpus": 2,
    }
    lines = warnings_of(facts)
    assert sum(line.startswith("WARNING") for line in lines) == 3
    assert any("NOT THE C EXTENSION" in line for line in lines)
    assert any("GIL IS ON" in line for line in lines)
    assert any("load average 8" in line for line in lines)


def test_an_interrupted_run_keeps_what_it_has() -> None:
    class Impatient(BenchObserver):
        def cell_done(self, result: CellResult, clock: str) -> None:
            raise KeyboardInterrupt

    options = BenchOptions(
        only=("set/in/*",), threads=(1,), rounds=1, seconds_per_cell=0.01, contestants=("set",)
    )
    result = run_bench(options, Impatient())
    assert len(result.cells) == 1
    assert result.all_errors() == ["interrupted: the rest was not measured"]


def test_records_are_measured_against_dict() -> None:
    options = BenchOptions(only=("record/get/str/immortal/local",), preset="full", threads=(1,))
    result = run_bench(BenchOptions(**{**options.as_json(), "rounds": 2, "seconds_per_cell": 0.01}))
    (cell,) = result.cells
    assert {one.contestant for one in cell.measured()} == {"dict", "ConcurrentDict", "SplitDict"}
    assert cell.errors == []


def test_children_measure_memory_and_growth() -> None:
    memory = memory_of("ConcurrentDict", "dict", "str", 2000)
    assert set(memory) == {"getsizeof", "traced", "resident"}
    assert memory["traced"] > 8
    assert records_of("SplitDict", 50)["getsizeof"] > 0
    for family, name in (("dict", "ConcurrentDict"), ("set", "ConcurrentSet")):
        for kind in ("pairs", "popitem"):
            assert growth_of(name, family, kind, 400)["pairs"] == 400
    with pytest.raises(ValueError, match="no contestant 'list'"):
        memory_of("list", "dict", "str", 10)


def test_latency_has_ordered_percentiles() -> None:
    ours = [one for one in find_contestants()[0] if one.name == "ConcurrentDict"][:1]
    with Crew(2) as crew:
        (measure,) = measure_latency(ours, crew, rounds=1, fresh=500, reads=2000)
    figures = measure.figures
    assert 0 <= figures["p50"] <= figures["p99"] <= figures["p99_9"] <= figures["max"]


def test_snapshots_are_measured_against_copies() -> None:
    measures = measure_snapshots(find_contestants()[0], rounds=1, sizes=(10,))
    named = {one.contestant: one.figures for one in measures}
    assert set(named) == {"dict.copy()", "ConcurrentDict", "ShardedDict"} | {
        "set.copy()",
        "ConcurrentSet",
    }
    assert set(named["ConcurrentDict"]) == {"repeated", "after_write", "after_write_to_copy"}


def test_options_refuse_what_makes_no_sense() -> None:
    with pytest.raises(UsageError, match="preset"):
        BenchOptions(preset="slow")


def test_png_files_where_matplotlib_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="--png needs matplotlib (extra bench)")
    only = ["--only", "dict/get/str/immortal/local", "--contestants", "ConcurrentDict"]
    assert bench(*only, *SMALL, "--png", str(tmp_path)) == 0
    assert (tmp_path / "dict-get.png").read_bytes().startswith(b"\x89PNG")
