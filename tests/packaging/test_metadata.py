"""pyproject.toml against the directories, the version and the README."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path
from typing import Any

import concurrent_tables
from tests.support import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]


def _packages_on_disk(top: Path, name: str) -> set[str]:
    """Dotted names of the packages below a directory that is the package `name`."""
    found = set()
    for module in top.rglob("*.py"):
        parts = module.parent.relative_to(top).parts
        found.add(".".join((name, *parts)))
    return found


def test_every_package_on_disk_is_installed() -> None:
    expected = _packages_on_disk(ROOT / "concurrent_tables", "concurrent_tables")
    expected |= _packages_on_disk(ROOT / "stress", "concurrent_tables.stress")
    assert sorted(SETUPTOOLS["packages"]) == sorted(expected)


def test_every_c_source_is_compiled_and_every_header_watched() -> None:
    core, search = SETUPTOOLS["ext-modules"]
    for extension, package in ((core, "concurrent_tables"), (search, "stress")):
        directory = ROOT / package / "csrc"
        for listed, pattern in ((extension["sources"], "*.c"), (extension["depends"], "*.h")):
            assert listed == sorted(str(path.relative_to(ROOT)) for path in directory.glob(pattern))


def test_every_package_has_an_init() -> None:
    for top in ("concurrent_tables", "stress"):
        for module in (ROOT / top).rglob("*.py"):
            assert (module.parent / "__init__.py").exists(), module.parent


def test_versions_agree() -> None:
    assert PROJECT["project"]["version"] == concurrent_tables.__version__


def test_changelog_begins_with_this_or_the_unreleased_version() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert headings[0] in ("Unreleased", PROJECT["project"]["version"])


def test_tables_have_no_runtime_dependencies() -> None:
    assert PROJECT["project"]["dependencies"] == []


def test_console_script_exists() -> None:
    module, _, function = PROJECT["project"]["scripts"]["ct-stress"].partition(":")
    in_checkout = module.removeprefix("concurrent_tables.")
    assert callable(getattr(importlib.import_module(in_checkout), function))


def test_public_names_are_there_once() -> None:
    names = [name for name in concurrent_tables.__all__ if not name.startswith("__")]
    assert len(names) == len(set(names))
    for name in names:
        assert getattr(concurrent_tables, name) is not None


def test_readme_links_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", text)
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target
