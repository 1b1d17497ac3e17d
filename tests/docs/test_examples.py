"""Every example in README, docs/ and the docstrings runs, in each implementation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs.run_page import blocks
from tests.support import ROOT, implementation_environment, run_child

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "_build" not in page.parts]
RUNNABLE = ("pycon", "python")
OTHER_LANGUAGES = ("console", "text", "toml", "json")


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _run(ct: Any, argument: str) -> int:
    """Run the examples in a child; the number that ran, all of them passed."""
    child = run_child(
        ["-m", "tests.docs.run_page", argument], timeout=100, **implementation_environment(ct)
    )
    assert child.returncode == 0, child.stdout + child.stderr
    summary = re.search(r"^(\d+) examples, 0 failed$", child.stdout, re.M)
    assert summary is not None, child.stdout + child.stderr
    return int(summary[1])


@pytest.mark.parametrize(
    "page",
    [
        p
        for p in PAGES
        if any(b.language in RUNNABLE for b in blocks(p.read_text(encoding="utf-8")))
    ],
    ids=_name,
)
def test_examples_of_a_page(page: Path, ct: Any) -> None:
    assert _run(ct, str(page)) > 0


def test_examples_of_the_docstrings(ct: Any) -> None:
    assert _run(ct, "--docstrings") > 0


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_block_says_what_it_is(page: Path) -> None:
    """A block in an unknown language would be an example that nothing runs."""
    for block in blocks(page.read_text(encoding="utf-8")):
        known = block.language in (*RUNNABLE, *OTHER_LANGUAGES)
        directive = block.language == "" and not block.code.lstrip().startswith(">>>")
        assert known or directive, f"{_name(page)}:{block.line}: {block.language!r}"


def test_blocks_finds_language_code_and_line() -> None:
    text = "a\n\n```pycon\n>>> 1\n1\n```\n\n- b\n\n  ```python\n  x = 1\n  ```\n"
    assert [tuple(block) for block in blocks(text)] == [
        ("pycon", ">>> 1\n1\n", 4),
        ("python", "x = 1\n", 11),
    ]
