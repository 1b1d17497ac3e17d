"""Figures, goals and files of the benchmark, computed from results made by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stress.bench import BenchResult, Cell, CellResult, Measure, Series, Setting, judge
from stress.bench.goals import GOALS, MEASURE_GOALS
from stress.bench.page import page
from stress.bench.results import spread
from stress.bench.space import EMPTY_LOOP, KEYS, OPERATIONS, REACHES, VALUES
from stress.bench.tables import cell_table, goal_table

ONE = Setting(1, "each")
SHARED = Setting(2, "one")
EACH = Setting(2, "each")


def series(name: str, setting: Setting, *samples: float, side: str = "ours") -> Series:
    side = {"dict": "builtin", EMPTY_LOOP: "loop", "cereggii": "rival"}.get(name, side)
    wall = list(samples)
    return Series(name, side, setting, wall, [one / 2 for one in wall], [1.0] * len(wall))


def cell(*content: Series, name: str = "dict/getitem/str/immortal/global") -> CellResult:
    return CellResult(Cell(*name.split("/")), list(content))


def result(*cells: CellResult, gil: bool = False, **more: Any) -> BenchResult:
    environment = {
        "python": "3.14.0",
        "python_implementation": "CPython",
        "free_threaded_build": not gil,
        "gil_enabled": gil,
        "implementation": "c",
        "debug_mode": False,
        "load_average": [0.0],
        "usable_cpus": 2,
    }
    return BenchResult(environment, {"clock": "wall"}, cells=list(cells), **more)


def verdict_on(found: BenchResult, goal: str) -> Any:
    (verdict,) = [one for one in judge(found) if one.goal == goal]
    return verdict


def test_spread_is_median_and_quartiles() -> None:
    found = spread([4.0, 1.0, 2.0, 3.0, 5.0])
    assert (found.low, found.median, found.high) == (2.0, 3.0, 4.0)
    assert spread([7.0]).low == spread([7.0]).median == 7.0


def test_the_loop_is_subtracted_and_ratios_are_taken_within_rounds() -> None:
    mine = series("ConcurrentDict", ONE, 20, 40, 30)
    builtin = series("dict", ONE, 30, 70, 50)
    found = cell(series(EMPTY_LOOP, ONE, 10, 10, 10), mine, builtin)
    assert found.net_ns(mine).median == 20
    assert found.gross_ns(mine).median == 30
    assert found.ratio(mine, builtin).median == 0.5
    assert found.gross_ratio(mine, builtin).median == pytest.approx(0.6)
    assert found.ratio(mine, builtin, "cpu").median == 0.5


def test_rounds_without_clean_laps_do_not_count_where_there_are_others() -> None:
    mine, builtin = series("ConcurrentDict", ONE, 1, 1, 1, 100), series("dict", ONE, 2, 2, 2, 50)
    found = cell(mine, builtin)
    mine.clean = [1.0, 0.5, 0.1, 0.0]
    assert found.net_ns(mine).high == 1.0
    assert found.ratio(mine, builtin).median == 0.5
    assert not mine.noisy
    mine.clean = [0.0, 0.0, 0.1, 0.0]
    assert found.net_ns(mine).high == 1.0
    assert mine.noisy
    mine.clean = [0.0, 0.0, 0.0, 0.0]
    assert found.net_ns(mine).high > 1.0


def test_without_common_clean_rounds_every_good_one_is_compared_with_every_other() -> None:
    mine, builtin = series("ConcurrentDict", ONE, 1, 9, 9, 9), series("dict", ONE, 9, 2, 4, 9)
    mine.clean, builtin.clean = [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]
    ratio = cell(mine, builtin).ratio(mine, builtin)
    assert (ratio.low, ratio.high) == (0.3125, 0.4375)


def test_scaling_is_to_one_thread_of_the_same_contestant() -> None:
    shared = series("dict", SHARED, 40, 40)
    found = cell(series("dict", ONE, 10, 10), shared)
    scaling = found.scaling(shared)
    assert scaling is not None
    assert scaling.median == 4.0


def test_goals_name_what_exists() -> None:
    axes = {
        "operations": {*OPERATIONS},
        "keys": {*KEYS},
        "values": {*VALUES, "-"},
        "reaches": {*REACHES},
        "families": {"dict", "set", "record"},
    }
    for goal in GOALS:
        for axis, names in axes.items():
            assert set(getattr(goal, axis)) <= names, goal
        assert goal.against in ("builtin", "own tables", "rivals")
        assert goal.builds in ("free-threaded", "gil", "any")
    names = [goal.name for goal in (*GOALS, *MEASURE_GOALS)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("mine", "met"), [(95.0, "yes"), (96.0, "no")])
def test_a_limit_may_be_reached_and_not_passed(mine: float, met: str) -> None:
    found = result(cell(series("ConcurrentDict", ONE, mine), series("dict", ONE, 100.0)))
    verdict = verdict_on(found, "reads, global or attribute, 1 thread")
    assert verdict.limit == 0.95
    assert verdict.met == met
    assert verdict.worst.value.median == mine / 100


def test_a_miss_within_the_spread_is_close() -> None:
    mine = series("ConcurrentDict", ONE, 80, 90, 100, 110, 120)
    found = result(cell(mine, series("dict", ONE, *[100.0] * 5)))
    assert verdict_on(found, "reads, global or attribute, 1 thread").met == "close"


def test_the_worst_place_decides_and_is_named() -> None:
    found = result(
        cell(series("ConcurrentDict", ONE, 50), series("dict", ONE, 100)),
        cell(
            series("ConcurrentDict", ONE, 99),
            series("dict", ONE, 100),
            name="dict/get/tuple/immortal/attribute",
        ),
        cell(
            series("ConcurrentDict", ONE, 99),
            series("dict", ONE, 100),
            name="dict/get/tuple/hot/attribute",
        ),
    )
    verdict = verdict_on(found, "reads, global or attribute, 1 thread")
    assert verdict.met == "no"
    assert (verdict.met_in, len(verdict.findings)) == (1, 2)
    assert verdict.worst.where == "ConcurrentDict: dict/get/tuple/immortal/attribute, 1 thread"
    assert verdict.typical == pytest.approx(0.745)


def test_sharing_is_judged_against_own_tables() -> None:
    found = result(
        cell(
            series("ConcurrentDict", SHARED, 120),
            series("ConcurrentDict", EACH, 100),
            series("dict", SHARED, 1000),
        )
    )
    name = "sharing costs nothing: 2 threads reading one table, to a table each"
    assert verdict_on(found, name).worst.value.median == 1.2
    assert verdict_on(found, "reads, global or attribute, 2 threads on one table").met == "yes"


def test_rivals_are_judged_in_every_cell_they_support() -> None:
    found = result(
        cell(series("ConcurrentDict", SHARED, 120), series("cereggii", SHARED, 100)),
        cell(series("ConcurrentDict", ONE, 10), name="dict/in/str/hot/local"),
    )
    verdict = verdict_on(found, "faster than rivals in every cell")
    assert [finding.value.median for finding in verdict.findings] == [1.2]
    assert verdict.worst.where.endswith(", to cereggii")


def test_goals_for_the_gil_are_judged_with_it() -> None:
    content = cell(series("ConcurrentDict", ONE, 120), series("dict", ONE, 100))
    assert verdict_on(result(content, gil=True), "reads with the GIL, 1 thread").met == "yes"
    names = [verdict.goal for verdict in judge(result(content, gil=True))]
    assert "reads, local variable, 1 thread" not in names
    assert "reads with the GIL, 1 thread" not in [one.goal for one in judge(result(content))]


def test_further_measurements_are_judged() -> None:
    case = "1,000,000 str keys"
    found = result(
        measures=[
            Measure("memory", case, "dict", "bytes per item", {"traced": 100.0, "resident": 0.0}),
            Measure("memory", case, "ConcurrentDict", "bytes per item", {"traced": 110.0}),
            Measure("memory", "other", "ConcurrentDict", "bytes per item", {"traced": 999.0}),
            Measure("growth", "pairs", "ConcurrentSet", "MiB", {"growth_mib": 6.0, "pairs": 1.0}),
        ]
    )
    memory = verdict_on(found, "bytes per item at a million entries, to the builtin")
    assert [finding.value.median for finding in memory.findings] == [pytest.approx(1.1)]
    growth = [one for one in judge(found) if one.goal.startswith("growth over 10 million insert")]
    assert growth[0].met == "no"
    assert growth[0].worst.where == "ConcurrentSet: pairs, growth_mib"


def test_what_was_not_measured_is_said() -> None:
    rows = goal_table(judge(result())).rows
    assert {row[2] for row in rows} == {"not measured"}
    assert {row[5] for row in rows} == {"-"}


def _sample_result() -> BenchResult:
    return result(
        cell(
            series(EMPTY_LOOP, ONE, 5, 6, 7),
            series("ConcurrentDict", ONE, 20, 21, 22),
            series("dict", ONE, 30, 31, 32),
            series("dict", SHARED, 90, 91, 92),
        ),
        notes=["<ft_utils> is not installed: left out"],
        measures=[Measure("growth", "pairs", "ConcurrentDict", "MiB", {"growth_mib": 0.5})],
        errors=["memory/dict/str: dict: exit status 1"],
        seconds=1.5,
    )


def test_a_result_survives_its_file() -> None:
    before = _sample_result()
    text = before.dumps()
    after = BenchResult.from_json(json.loads(text))
    assert after == before
    assert after.dumps() == text


def test_the_file_has_the_figures_that_readers_want() -> None:
    document = json.loads(_sample_result().dumps())
    (found,) = document["cells"]
    rows = {(row["contestant"], row["setting"]["threads"]): row for row in found["series"]}
    figures = rows["ConcurrentDict", 1]["figures"]
    assert figures["gross_ns"]["median"] == 21
    assert figures["net_ns"]["median"] == 15
    assert figures["ratio"]["median"] == pytest.approx(0.6)
    assert rows["dict", 2]["figures"]["scaling"]["median"] == pytest.approx(91 / 25)


@pytest.mark.parametrize("document", [{}, {"schema": 99}])
def test_other_files_are_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a result of ct-stress bench"):
        BenchResult.from_json(document)


def test_a_cell_is_shown_with_its_settings_in_columns() -> None:
    table = cell_table(_sample_result().cells[0], "wall")
    assert table.heads[1:] == ("1 thread", "2 threads, one table", "to 1")
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["dict"] == ("25.0", "91.0", "3.64")
    assert rows["ConcurrentDict"][0].startswith("15.0  0.60x [")
    assert rows["(subtracted: empty loop)"] == ("6.0", "", "")


def test_the_page_is_complete_and_loads_nothing() -> None:
    found = _sample_result()
    text = page(found, judge(found))
    assert "&lt;ft_utils&gt; is not installed" in text
    assert "exit status 1" in text
    assert text.count("<svg") == 1
    assert "ConcurrentDict, 1 thread" in text
    for outside in ("http:", "https:", "<script", "<link", "@import", "url("):
        assert outside not in text


def test_the_page_warns_of_the_python_implementation() -> None:
    found = _sample_result()
    found.environment["implementation"] = "python"
    assert '<p class="warning">WARNING' in page(found, [])
