"""Runs the examples of one Markdown page, or of all docstrings, in this interpreter.

`python -m tests.docs.run_page PAGE.md` executes the page's fenced `pycon` blocks as doctests and
its `python` blocks as code, in their order and in one namespace, as a reader would type them.
`python -m tests.docs.run_page --docstrings` runs the doctests of every module of the package and
of every public name. The last line says how many examples ran; the exit status is 1 if any failed.

It is a program and not a fixture because the choice between the implementations is made once per
process, at the first import, from `CONCURRENT_TABLES_PURE`.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
import sys
import traceback
import types
from pathlib import Path
from typing import Any, NamedTuple

_DICT_WATCHERS = ("_builtin_watch", "_dict_watcher_api")  # bind what CPython 3.11 does not have
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^(?P=indent)```", re.S | re.M
)


class Block(NamedTuple):
    """A fenced block of a page: its language, its text, the line of its first line (from 1)."""

    language: str
    code: str
    line: int


def blocks(text: str) -> list[Block]:
    """The fenced code blocks of a Markdown text, in order."""
    found = []
    for match in _FENCE.finditer(text):
        indent = match["indent"]
        code = "".join(
            line.removeprefix(indent) for line in match["code"].splitlines(keepends=True)
        )
        found.append(Block(match["language"], code, text.count("\n", 0, match.start("code")) + 1))
    return found


def run_page(path: Path) -> tuple[int, int]:
    """(examples run, examples failed) of one page."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    runner = doctest.DocTestRunner(verbose=False, optionflags=OPTIONS)
    parser = doctest.DocTestParser()
    ran = failed = 0
    for block in blocks(path.read_text(encoding="utf-8")):
        if block.language == "pycon":
            test = parser.get_doctest(block.code, namespace, path.name, str(path), block.line - 1)
            test.globs = namespace  # get_doctest copies it, and the page is one session
            result = runner.run(test, clear_globs=False)
            ran += result.attempted
            failed += result.failed
        elif block.language == "python":
            ran += 1
            try:
                padded = "\n" * (block.line - 1) + block.code  # tracebacks name the page's lines
                exec(compile(padded, str(path), "exec"), namespace)
            except Exception:
                failed += 1
                traceback.print_exc(file=sys.stdout)
    return ran, failed


def run_docstrings() -> tuple[int, int]:
    """(examples run, examples failed) of the docstrings of the package."""
    package = importlib.import_module("concurrent_tables")
    finder = doctest.DocTestFinder()
    runner = doctest.DocTestRunner(verbose=False, optionflags=OPTIONS)
    namespace = {name: getattr(package, name) for name in package.__all__}
    for name, owner in _documented(package):
        for test in finder.find(owner, name, globs=dict(namespace), module=_module_of(owner)):
            runner.run(test)
    failed, ran = runner.summarize(verbose=False)
    return ran, failed


def _documented(package: types.ModuleType) -> list[tuple[str, Any]]:
    """Every module that can be imported, then the public names that no module shows as its own."""
    owners: list[tuple[str, Any]] = [(package.__name__, package)]
    for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        last = info.name.rpartition(".")[2]
        if last in ("__main__", "_core") or ".stress" in info.name:
            continue
        if last in _DICT_WATCHERS and sys.version_info < (3, 12):
            continue
        owners.append((info.name, importlib.import_module(info.name)))
    for name in package.__all__:
        value = getattr(package, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            owners.append((f"{package.__name__}.{name}", value))
    return owners


def _module_of(owner: Any) -> Any:
    # False: take every member of a public class, whatever module it says that it is from.
    return owner if inspect.ismodule(owner) else False


def _find_harness() -> None:
    """In a checkout that is not installed, `concurrent_tables.stress` is the directory `stress`."""
    try:
        importlib.import_module("concurrent_tables.stress")
    except ModuleNotFoundError:
        sys.modules["concurrent_tables.stress"] = importlib.import_module("stress")


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m tests.docs.run_page PAGE.md | --docstrings", file=sys.stderr)
        return 2
    _find_harness()
    ran, failed = (
        run_docstrings() if arguments == ["--docstrings"] else run_page(Path(arguments[0]))
    )
    print(f"{ran} examples, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
