"""What pages say about the outside: the generated page, commands, options, links."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.docs.run_page import blocks
from tests.docs.test_examples import PAGES
from tests.support import ROOT, run_child

THREAD_SAFETY = ROOT / "docs" / "reference" / "thread-safety.md"


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _console_lines() -> list[Any]:
    return [
        pytest.param(line, id=f"{_name(page)}:{block.line}:{line[:40]}")
        for page in PAGES
        for block in blocks(page.read_text(encoding="utf-8"))
        if block.language == "console"
        for line in block.code.splitlines()
        if line.startswith("ct-stress ")
    ]


def test_thread_safety_page_is_what_contracts_generate() -> None:
    """After a change of contracts.py, write the page anew with the command in its first lines."""
    child = run_child(["-m", "concurrent_tables.contracts"], CONCURRENT_TABLES_PURE="1")
    assert child.returncode == 0, child.stderr
    assert THREAD_SAFETY.read_text(encoding="utf-8") == child.stdout


COMMANDS = ("run", "soak", "bench", "check", "replay", "report", "selftest", "list")


@pytest.fixture(scope="session")
def stress_options() -> dict[str, set[str]]:
    """The options of each command of `ct-stress`, as its help names them."""
    options = {}
    for command in COMMANDS:
        child = run_child(["-m", "stress", command, "--help"], CONCURRENT_TABLES_PURE="1")
        assert child.returncode == 0, child.stderr
        options[command] = set(re.findall(r"--\w[\w-]*", child.stdout)) - {"--help"}
    return options


@pytest.mark.parametrize("line", _console_lines())
def test_stress_options_in_the_pages_exist(line: str, stress_options: dict[str, set[str]]) -> None:
    words = shlex.split(line)
    assert words[1] in COMMANDS
    assert {word for word in words if word.startswith("--")} <= stress_options[words[1]]


@pytest.mark.parametrize("command", COMMANDS)
def test_reference_has_every_stress_option(
    command: str, stress_options: dict[str, set[str]]
) -> None:
    page = (ROOT / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
    section = page.partition(f"## ct-stress {command}\n")[2].partition("\n## ")[0]
    rows = set(re.findall(r"^\| `(--[\w-]+)", section, re.M))
    assert rows == stress_options[command]


@pytest.mark.parametrize("name", ["run", "test"])
def test_readme_marks_the_commands_that_ci_runs(name: str) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(
        rf"^<!-- command: {name} -->\n```console\n(.*?)^```$", text, re.S | re.M
    )
    assert command.count("\n") == 1, "one line, to be pasted as it is"
    assert f"readme {name}" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#:]+\.md)[^)]*\)", text)
    targets += [f"{target}.md" for target in re.findall(r"\{doc\}`([^`<]+)`", text)]
    for target in targets:
        assert (page.parent / target).exists(), target
