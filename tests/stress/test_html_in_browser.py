"""The HTML report in a real browser: lanes, the illegal operation, the state on hover, by keyboard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stress import cli
from stress.check import History, judge
from stress.documents import documents_of, read_documents
from stress.histories import history_of_verdict
from stress.html.page import write_page

from .browser import Browser, missing
from .hunting import find

RIGHT, DOWN, HOME = "\ue014", "\ue015", "\ue011"
EVIL = "</script></svg><img src=x onerror='window.hacked = 1'><!-- \" ' & ]]>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with Browser() as made:
        yield made


def opened(browser: Browser, page: Path) -> None:
    browser.open(page.as_uri())
    assert browser.complaints() == []
    assert browser.run("return performance.getEntriesByType('resource').length") == 0
    assert browser.run("return window.hacked") is None


def panel(browser: Browser, figure: str = ".timeline") -> str:
    script = "return document.querySelector(arguments[0] + ' .panel').textContent"
    return str(browser.run(script, figure))


def checked(history: History, name: str = "history.json") -> dict[str, Any]:
    """What `ct-stress check --json` says of it."""
    verdict = judge(history)
    assert str(verdict.outcome) == "illegal"
    told = history_of_verdict(history, verdict)
    return {"file": name, "model": history.model, **verdict.as_json(), "history": told}


def stale_read() -> History:
    history = History("dict")
    history.append(0, "set", ("k", 1), None, 1, 4)
    history.append(1, "set", ("k", EVIL), None, 5, 9)
    history.append(2, "get", ("k",), 1, 6, 8)
    history.append(2, "get", ("k",), EVIL, 10, 12)
    history.append(0, "get", ("k",), 1, 13, 15)  # overwritten long ago
    return history


def test_a_failing_run_shows_lanes_the_illegal_operation_and_states(
    browser: Browser, tmp_path: Path
) -> None:
    report, page = tmp_path / "run.json", tmp_path / "run.html"
    arguments = ["--target", "tests.stress.fragile:HomelySet", "--only", "*/scenarios"]
    find(*arguments, "--ops", "4000", "--minimise", "0", "--json", str(report))
    assert cli.main(["report", str(report), "--html", str(page)]) == 0
    opened(browser, page)
    violations = json.loads(report.read_text())["workloads"][0]["violations"]
    number = [violation["check"] for violation in violations].index("outcome")
    timeline, figure = violations[number]["timeline"], f"#d0-f{number}"
    names = browser.run(
        "return [...document.querySelectorAll(arguments[0] + ' .names span')]"
        ".map(each => each.textContent)",
        figure,
    )
    assert names[0] == "thread 0" and names[-1] == "at rest" and len(names) >= 3
    count = "return document.querySelectorAll(arguments[0]).length"
    assert browser.run(count, f"{figure} .op") == len(timeline["operations"])
    assert browser.run(count, f"{figure} .op.illegal") == 1
    browser.point_at(browser.find(f"{figure} .op.illegal"))
    assert "cannot be placed; state before it: frozenset(" in panel(browser, figure)
    placed = [op for op in timeline["operations"] if op["place"] is not None]
    if placed:
        browser.point_at(browser.find(f"{figure} .op.placed"))
        assert "state after it: frozenset(" in panel(browser, figure)
    rows = browser.run(
        "return [...document.querySelector('.outcomes').rows].map(row => row.textContent)"
    )
    assert rows[0] == "RESULTSAMPLESFREQUENCYEXPECTED" and any("NO" in row for row in rows)
    text = browser.run("return document.body.textContent")
    assert "What was promised" in text and "Operations a second" in text
    assert browser.run("return document.querySelectorAll('svg.pairs').length") == 1


def test_an_illegal_history_is_read_with_the_mouse_and_the_keyboard(
    browser: Browser, tmp_path: Path
) -> None:
    page = tmp_path / "check.html"
    write_page(documents_of([checked(stale_read(), EVIL)]), str(page))
    opened(browser, page)
    browser.point_at(browser.find(".op.illegal"))
    assert "get('k') \u2192 1" in panel(browser)
    assert "called at 13, returned at 15" in panel(browser)
    assert f"state before it: {(('k', EVIL),)!r}" in panel(browser)
    look = "return getComputedStyle(document.querySelector(arguments[0] + ' rect')).stroke"
    assert browser.run(look, ".op.illegal") != browser.run(look, ".op.placed")
    browser.run("document.querySelector('.op.illegal').focus()")
    browser.press(HOME)
    assert "client 0: set('k', 1)" in panel(browser)
    assert "place 1 in the longest order; state after it: (('k', 1),)" in panel(browser)
    browser.press(RIGHT)
    assert "cannot be placed" in panel(browser)
    browser.press(DOWN)
    assert panel(browser).startswith("client 1: set('k', ")
    assert browser.run("return document.querySelectorAll('.op[tabindex=\"0\"]').length") == 1


def test_thousands_of_operations_and_the_way_to_the_illegal_one(
    browser: Browser, tmp_path: Path
) -> None:
    history, ticket = History("register"), 0
    for number in range(2_000):
        for client in (0, 1):
            history.append(client, "write", (number,), None, ticket, ticket + 3)
            ticket += 1
        ticket += 4
    history.append(2, "read", (), 7, ticket, ticket + 1)
    page = tmp_path / "large.html"
    write_page(documents_of([checked(history)]), str(page))
    opened(browser, page)
    assert browser.run("return document.querySelectorAll('.op').length") == 4_001
    browser.run("document.querySelector('button.jump').click()")
    assert "client 2: read() \u2192 7" in panel(browser)
    box = browser.run(
        "const r = document.activeElement.querySelector('rect').getBoundingClientRect();"
        "return [r.left, r.right, innerWidth]"
    )
    assert 0 <= box[0] < box[1] <= box[2]


def test_the_coverage_matrix_says_which_pairs_met(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "coverage.html"
    document = {
        "command": "soak", "environment": {
            "python": "3", "python_implementation": "CPython", "free_threaded_build": True,
            "gil_enabled": False, "implementation": "c", "platform": "x", "cpus": 2,
        },
        "options": {"seed": 1, "threads": 2}, "seconds": 60.0, "ended": "time over",
        "minutes": [{"minute": 1, "rate": 1000}, {"minute": 2, "rate": 90_000}],
        "workloads": [{
            "target": "T", "workload": "scenarios", "rounds": 1, "operations": 5, "seconds": 1.0,
            "verdict": "clean", "violations": [],
        }],
        "sampling": {"T": {
            "samples": 5, "faults": {"signals": 2}, "promised": {},
            "coverage": {
                "operations": ["add", "pop"], "pairs": [["add", "add", 4], ["add", "pop", 1234]],
                "pairs_in_all": 3, "operand_types": [["__or__", "set", 7]],
                "operand_types_in_all": [["__or__", "set"], ["__or__", "dict"]],
            },
        }},
    }  # fmt: skip
    (tmp_path / "soak.json").write_text(json.dumps(document))
    write_page(read_documents(str(tmp_path / "soak.json")), str(page))
    opened(browser, page)
    said = "return document.querySelector('.matrix .panel').textContent"
    browser.run("document.querySelector('svg.pairs').focus()")
    assert browser.run(said) == "add beside addmet in 4 samples"
    browser.press(DOWN)
    assert browser.run(said) == "pop beside addmet in 1,234 samples"
    browser.press(RIGHT)
    assert browser.run(said) == "pop beside popnever met"
    assert "never met: 1" in browser.run("return document.body.textContent")
    assert browser.run("return document.querySelectorAll('.plot .bars rect').length") == 2
