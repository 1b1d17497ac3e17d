"""`ct-stress bench cache`: cells, goals and the command, on little."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stress.bench import cache_command, cache_rest, cache_rounds, cache_space
from stress.bench.cache_charts import charts_of
from stress.bench.cache_child import NotMeasured
from stress.bench.cache_contestants import find_cache_contestants
from stress.bench.cache_judge import judge_cache
from stress.bench.cache_rest import rest_percent
from stress.bench.cache_rounds import WORKLOADS, CacheCell, measure_cell
from stress.bench.cache_space import bytes_per_entry
from stress.bench.cache_traces import cache_hit_ratio
from stress.cli import main
from stress.environment import describe
from tests.cache.conftest import no_thread_stays

__all__ = ["no_thread_stays"]  # a fixture: caches with ttl have a clock


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cache_rounds, "_LAP", 40)
    monkeypatch.setattr(cache_command, "_SIZE", 30)
    monkeypatch.setattr(cache_command, "bytes_per_entry", lambda name, entries: 100.0)
    monkeypatch.setenv("CT_CORPUS", str(tmp_path))  # no traces


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize(("threads", "caches"), [(1, "one"), (2, "one"), (2, "each")])
def test_every_workload_is_measured(workload: str, threads: int, caches: str) -> None:
    contestants = [one for one in find_cache_contestants()[0] if one.side == "ours"]
    said: list[str] = []
    cell = CacheCell(workload, threads, caches, True, 30)
    measure_cell(cell, contestants, 2, said.append)
    assert said == [f"{workload}, ttl, {threads} threads, {caches}"]
    assert len(cell.rounds["Cache"]) == 2 and cell.nanoseconds("Cache") > 0


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, page = tmp_path / "result.json", tmp_path / "result.html"
    output = ["--json", str(file), "--html", str(page)]
    assert main(["bench", "cache", "--threads", "1", "--rounds", "1", *output]) == 0
    assert "Cache, 1 thread</text>" in page.read_text(encoding="utf-8")
    out = capsys.readouterr().out
    assert "calls, 1 threads, one" in out and "lru_cache" in out
    assert main(["bench", "cache", "--from", str(file), "--judge"]) == 0
    assert "to lru_cache: " in capsys.readouterr().out
    file.write_text("{}", encoding="utf-8")
    assert main(["bench", "cache", "--from", str(file)]) == 2


def result_with_everything() -> dict[str, Any]:
    cell = CacheCell(
        "hits", 2, "each", True, 30, {"Cache": [100.0, 200.0, 400.0], "<moka>": [50.0]}
    )
    trace = {"trace": "gli", "maxsize": 252, "tinylfu": 15.0, "lru": 1.0, "exact_lru": 1.0}
    return {
        "environment": describe(),
        "not_installed": ["theine"],
        "cells": [cell.as_json()],
        "traces": [{**trace, "others": {"<moka>": 14.0}}],
        "memory": {"Cache": 82.0, "<moka>": 200.0},
        "rest_percent": 0.25,
    }


def test_charts() -> None:
    throughput, ratio, memory = charts_of(result_with_everything())
    assert throughput.bars[0] == ("Cache, 2 threads, a cache each", "ours", 7.5, 10.0, 15.0)
    assert throughput.bars[1] == ("<moka>, 2 threads, a cache each", "rival", 40.0, 40.0, 40.0)
    assert [(bar.label, bar.median) for bar in ratio.bars] == [
        ("Cache, tinylfu", 15.0),
        ("Cache, lru", 1.0),
        ("exact LRU", 1.0),
        ("<moka>", 14.0),
    ]
    assert [bar.median for bar in memory.bars] == [82.0, 200.0]
    older = {**result_with_everything(), "traces": []}
    del older["rest_percent"]  # as files of earlier versions are
    assert [chart.group for chart in charts_of(older)] == ["throughput", "memory"]


def test_the_page_and_the_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, page = tmp_path / "result.json", tmp_path / "result.html"
    file.write_text(json.dumps(result_with_everything()), encoding="utf-8")
    command = ["bench", "cache", "--from", str(file), "--judge"]
    assert main([*command, "--html", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 3 and "0.25 % of a core" in text and "theine is not inst" in text
    assert "&lt;moka&gt;" in text and "<moka>" not in text
    assert "clock at rest" in capsys.readouterr().out
    pytest.importorskip("matplotlib", reason="--png needs matplotlib (extra bench)")
    assert main([*command, "--png", str(tmp_path / "charts")]) == 0
    names = sorted(path.name for path in (tmp_path / "charts").iterdir())
    assert names == ["cache-hit-ratio.png", "cache-memory.png", "cache-throughput.png"]


def test_where_no_page_can_be_written_nothing_is_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["bench", "cache", "--html", "/no/such/directory/page.html"]) == 2
    assert capsys.readouterr().err.startswith("ct-stress: error: ")


def test_the_clock_is_measured_in_a_process_of_its_own() -> None:
    try:
        assert rest_percent(1000, 0.1) >= 0.0
    except NotMeasured:
        assert not hasattr(time, "pthread_getcpuclockid")


@pytest.mark.parametrize("missing", ["time", "cache", "end"])
def test_why_the_clock_was_not_measured_is_said_in_one_line(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if missing == "time":
        monkeypatch.delattr(time, "pthread_getcpuclockid", raising=False)
        why = "this platform does not tell the CPU time of another thread"
    elif missing == "cache":
        monkeypatch.setattr(time, "pthread_getcpuclockid", len, raising=False)
        monkeypatch.setattr(cache_command, "_ENTRIES", -1)
        why = "its process ended with status 1: ValueError: "
    else:
        monkeypatch.setattr(time, "pthread_getcpuclockid", len, raising=False)
        monkeypatch.setattr(cache_rest, "_FILL_SECONDS", 0.0)
        monkeypatch.setattr(cache_command, "_REST_SECONDS", 0.001)
        why = "its process had not ended after 0.001 s"
    # What else there is to measure takes minutes.
    monkeypatch.setattr(cache_command, "_cells", lambda threads, full: [])
    monkeypatch.setattr(cache_command, "_traces", lambda contestants, full: [])
    monkeypatch.setattr(cache_command, "_memory", lambda contestants, entries, not_measured: {})
    assert main(["bench", "cache", "--full", "--json", "-"]) == 3
    out, err = capsys.readouterr()
    said = [line for line in err.splitlines() if "at rest" in line]
    assert len(said) == 1 and said[0].startswith(f"the clock at rest is not measured: {why}")
    result = json.loads(out)
    assert result["rest_percent"] is None and result["not_measured"] == said


@pytest.mark.parametrize("missing", ["platform", "cache", "end"])
def test_why_the_memory_was_not_measured_is_said(
    missing: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(cache_command, "bytes_per_entry", bytes_per_entry)
    if missing == "platform":
        monkeypatch.setattr(sys, "platform", "nowhere")
        why = "this platform does not tell the resident size of a process"
    elif missing == "cache":
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setattr(cache_command, "_ENTRIES", -10)
        why = "its process ended with status 1: "
    else:
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setattr(cache_space, "_LIMIT_SECONDS", 0.001)
        why = "its process had not ended after 0.001 s"
    monkeypatch.setattr(cache_command, "_traces", lambda contestants, full: [])
    file, page = tmp_path / "result.json", tmp_path / "page.html"
    cells = ["--threads", "1", "--rounds", "1", "--contestants", "lru_cache"]
    assert main(["bench", "cache", *cells, "--json", str(file), "--html", str(page)]) == 0
    out, err = capsys.readouterr()
    line = f"the memory of Cache is not measured: {why}"
    assert line in out and line in err and line in page.read_text(encoding="utf-8")
    assert json.loads(file.read_text(encoding="utf-8"))["memory"] == {}


def test_hit_ratio_of_a_whole_cache() -> None:
    (ours,) = [one for one in find_cache_contestants()[0] if one.side == "ours"]
    assert cache_hit_ratio(ours.make(10, None, bool), [1, 2, 1, 1]) == 50.0


def test_memory_is_measured_in_a_process_of_its_own() -> None:
    try:
        assert bytes_per_entry("Cache", 1000) >= 0.0
    except NotMeasured:
        assert not sys.platform.startswith("linux")


def test_goals() -> None:
    def cell(workload: str, threads: int, caches: str = "one", **rounds: float) -> Any:
        made = CacheCell(workload, threads, caches, False, 1)
        made.rounds = {name: [figure] for name, figure in rounds.items()}
        return made.as_json()

    result = {
        "cells": [
            cell("hits", 1, Cache=100.0, moka=90.0, lru_cache=1.0),
            cell("hits", 2, Cache=100.0, moka=210.0),
            cell("hits", 2, "each", Cache=80.0),
            cell("calls", 1, Cache=125.0, lru_cache=100.0),
            cell("calls", 2, Cache=100.0, lru_cache=199.0),
        ],
        "traces": [
            {"trace": "gli", "maxsize": 252, "tinylfu": 15.0, "lru": 15.6, "exact_lru": 15.6}
        ],
        "memory": {"Cache": 150.0, "moka": 100.0},
        "rest_percent": 2.5,
    }
    verdicts = judge_cache(json.loads(json.dumps(result)))
    assert [(round(one.figure, 2), one.met) for one in verdicts] == [
        (1.11, False),  # 1 thread, to the fastest other; lru_cache is not among those
        (2.1, True),
        (1.25, True),  # to a cache each
        (1.25, True),  # calls
        (1.99, False),
        (15.0, True),  # the goal of the trace
        (15.0, False),  # below LRU by 0.6 points
        (0.0, True),
        (1.5, True),
        (2.5, False),  # the clock at rest
    ]
