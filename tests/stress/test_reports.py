"""Reports: histories in one shape, text lanes, outcome tables, reading files, and a page that escapes all."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from stress import cli
from stress.check import History, judge, write_history
from stress.documents import documents_of
from stress.histories import history_of_calls, history_of_steps, history_of_verdict
from stress.html.page import page
from stress.html.plot import segments_of
from stress.lanes import lanes_of_history, outcome_table
from stress.serial import explore
from stress.zoo.counters import LossyCounter

EVIL = "</script><script>alert(1)</script><!-- \" ' &amp; ]]>"


def stale_read(value: Any = 2) -> History:
    history = History("dict")
    history.append(0, "set", ("k", 1), None, 10, 40)
    history.append(1, "set", ("k", value), None, 20, 60)
    history.append(1, "get", ("other",), None, 61, 62)
    history.append(0, "get", ("k",), value, 70, 80)
    history.append(1, "get", ("k",), value, 90, 95)
    history.append(0, "get", ("k",), 7, 100, 110)
    return history


class Tags(HTMLParser):
    """Counts elements and keeps what would be loaded or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        for name, value in attributes:
            if name in ("src", "href", "srcset", "data", "action") or name.startswith("on"):
                self.loaded.append(f"{tag} {name}={value}")


# -- histories -----------------------------------------------------------------------------------


def test_a_verdict_becomes_the_operations_of_its_key_with_places_and_states() -> None:
    history = stale_read()
    told = history_of_verdict(history, judge(history))
    assert told["order"] == "tickets" and told["key"] == "'k'"
    assert told["threads"] == ["client 0", "client 1"]
    assert [op["text"] for op in told["operations"]].count("get('other')") == 0
    placed = sorted(
        (op["place"], op["text"], op["state"])
        for op in told["operations"]
        if op["place"] is not None
    )
    assert [place for place, _, _ in placed] == list(range(len(placed)))
    assert len(placed) == 4 and placed[-1][2] == "(('k', 2),)"
    (illegal,) = [op for op in told["operations"] if op["mark"] == "illegal"]
    assert illegal["text"] == "get('k')" and illegal["result"] == "7" and illegal["place"] is None


def test_of_a_history_too_long_to_show_the_part_around_the_illegal_operation_is_kept() -> None:
    history = History("register")
    for number in range(12_000):
        history.append(0, "write", (number,), None, 2 * number, 2 * number + 1)
    history.append(1, "read", (), -1, 24_001, 24_002)
    told = history_of_verdict(history, judge(history))
    assert len(told["operations"]) == 5_000
    assert told["operations"][-1]["mark"] == "illegal"
    assert "5000 of 12001 operations" in told["notes"][0]


def test_calls_without_tickets_keep_each_threads_order() -> None:
    told = history_of_calls([["a", "b", "c"], ["d"]], in_flight=[(0, 1)], returned=[1, 1])
    assert [(op["text"], op["mark"]) for op in told["operations"]] == [
        ("a", ""), ("b", "in flight"), ("c", "not begun"), ("d", ""),
    ]  # fmt: skip
    assert told["operations"][1]["response"] is None


def test_steps_end_where_their_threads_next_one_begins() -> None:
    told = history_of_steps([(1.0, 4, "x"), (1.5, 2, "y"), (2.0, 4, "z")])
    assert told["threads"] == ["thread 2", "thread 4"]
    spans = {op["text"]: (op["invoke"], op["response"]) for op in told["operations"]}
    assert spans == {"x": (0, 3), "y": (2, 6), "z": (4, 6)}


# -- text ----------------------------------------------------------------------------------------


def test_lanes_have_a_column_for_each_thread_in_the_order_of_tickets() -> None:
    history = stale_read()
    lines = lanes_of_history(history_of_verdict(history, judge(history)))
    text = "\n".join(lines)
    (head,) = [line for line in lines if "client 0" in line and "client 1" in line]
    second = head.index("client 1")
    calls = [line for line in lines if "+ set(" in line]
    assert calls[0].index("+ set('k', 1)") == head.index("client 0")
    assert calls[1].index("+ set('k', 2)") == second and calls[1].index("|") == 2
    assert "!! get('k')" in text and "cannot be placed: get('k') -> 7" in text
    assert "state before it: (('k', 2),)" in text


def test_long_lanes_are_cut_around_the_illegal_operation() -> None:
    history = History("register")
    for number in range(300):
        history.append(0, "write", (number,), None, 2 * number, 2 * number + 1)
    history.append(1, "read", (), -1, 601, 602)
    lines = lanes_of_history(history_of_verdict(history, judge(history)), most=20)
    assert len(lines) < 30 and any("lines before" in line for line in lines)
    assert any("!! read()" in line for line in lines)


def test_the_outcome_table_has_the_four_columns() -> None:
    lines = outcome_table([("(1, 2)", 30, False), ("(2, 1)", 970, True)])
    assert lines[0].split() == ["RESULT", "SAMPLES", "FREQUENCY", "EXPECTED"]
    assert lines[1].split()[-3:] == ["30", "3.00%", "NO"]
    assert lines[2].split()[-3:] == ["970", "97.00%", "yes"]


# -- files ---------------------------------------------------------------------------------------


def test_what_check_prints_is_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "one.json", tmp_path / "two.json"
    write_history(stale_read(), first)
    good = History("register")
    good.append(0, "write", (1,), None, 1, 2)
    write_history(good, second)
    assert cli.main(["check", "--json", str(first), str(second)]) == 1
    report = tmp_path / "report.json"
    report.write_text(capsys.readouterr().out)
    assert cli.main(["report", str(report)]) == 0
    text = capsys.readouterr().out
    assert "ct-stress check: illegal" in text and "ct-stress check: ok" in text
    assert "!! cannot be placed: get('k') -> 7" in text and "safe" not in text


def test_a_run_is_shown_with_lanes_and_its_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, out = tmp_path / "report.json", tmp_path / "out.html"
    arguments = ["--target", "tests.stress.containers:StrangerSet", "--only", "ycsb-e"]
    arguments += ["--ops", "400", "--threads", "3", "--seed", "1", "--json", str(report)]
    assert cli.main(["run", *arguments]) == 1
    capsys.readouterr()
    assert cli.main(["report", str(report), "--html", str(out), "--text"]) == 0
    text = capsys.readouterr().out
    assert "VIOLATION: iteration in StrangerSet/ycsb-e" in text and "a stranger" in text
    assert "again: ct-stress run --target tests.stress.containers:StrangerSet" in text
    assert re.search(r"^    thread \d", text, re.MULTILINE)
    assert Tags(out.read_text()).counts["figure"] >= 1  # the lanes


def test_the_serialised_mode_is_shown_step_by_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = {
        "kind": "outcome", "message": "m", "token": "cts1-x", "schedules": 3, "text": "0| a.py:1 x",
        "timeline": history_of_calls([["a.add(K1)"], ["a.clear()"]]),
    }  # fmt: skip
    report = tmp_path / "serial.json"
    report.write_text(
        json.dumps({"target": "m:C", "seed": 5, "schedules": 9, "findings": [finding]})
    )
    assert cli.main(["report", str(report)]) == 0
    text = capsys.readouterr().out
    assert "outcome in m:C" in text and "+ a.add(K1)" in text and "0| a.py:1 x" in text
    assert "again: ct-stress replay cts1-x" in text


def test_a_replay_leaves_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = explore(LossyCounter, [[("increment",)], [("increment",)]]).found
    assert found is not None
    report = tmp_path / "replay.json"
    assert cli.main(["replay", found.token, "--json", str(report)]) == 1
    capsys.readouterr()
    assert cli.main(["report", str(report)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("ct-stress replay: 1 violation\n")
    assert f"again: ct-stress replay {found.token}" in text and "counters.py" in text


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", "{}", '{"workloads": 3, "environment": 4}', "\xff"]
)
def test_what_is_no_report_is_a_usage_error(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "no.json"
    path.write_bytes(content.encode("latin-1"))
    assert cli.main(["report", str(path)]) == 2
    assert str(path) in capsys.readouterr().err
    assert cli.main(["report", str(tmp_path / "missing.json")]) == 2


# -- the page ------------------------------------------------------------------------------------


def test_whatever_a_container_shows_stays_text() -> None:
    history = stale_read(EVIL)
    verdict = judge(history)
    told = {"file": EVIL, "model": EVIL, **verdict.as_json()}
    told["history"] = history_of_verdict(history, verdict)
    told["history"]["notes"].append(EVIL)
    told["history"]["events"].append({"at": 50, "kind": "resize", "text": EVIL})
    told["anomalies"] = [EVIL]
    text = page(documents_of([told]))
    tags = Tags(text)
    assert tags.counts["script"] == 1 and tags.loaded == []
    assert EVIL not in text and text.count("</script>") == 1
    assert "default-src 'none'" in text and "http" not in text.replace("http-equiv", "")
    assert text.count('class="event"') == 1


def test_throughput_follows_workloads_one_after_the_other_and_minutes_of_a_soak() -> None:
    done = [
        {"target": "T", "workload": "scenarios", "seconds": 2.0, "operations": 30},
        {"target": "T", "workload": "churn", "seconds": 1.0, "operations": 50},
    ]
    document: dict[str, Any] = {
        "workloads": done,
        "sampling": {"T": {"paces": [[0.5, 10], [2.0, 40]]}},
    }
    assert segments_of(document) == [
        (0.0, 0.5, 20.0, "T/scenarios"),
        (0.5, 2.0, 20.0, "T/scenarios"),
        (2.0, 3.0, 50.0, "T/churn"),
    ]
    document["minutes"] = [{"minute": 1, "rate": 9}, {"minute": 2, "rate": 8}]
    assert segments_of(document)[1] == (60.0, 120.0, 8.0, "minute 2")


def test_list_names_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list"]) == 0
    text = capsys.readouterr().out
    for name in ("ConcurrentDict", "scenarios", "collections.Counter", "cas-register", "torn len"):
        assert f"\n  {name}" in text
    assert cli.main(["list", "faults"]) == 0
    assert capsys.readouterr().out.startswith("faults:\n  collections")
