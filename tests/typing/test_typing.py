"""What type checkers see: the samples, the package itself, and the stub against the runtime."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT

pytest.importorskip("mypy", reason="mypy is not installed (extra: test)")

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.py"))
TIMEOUT_SECONDS = 300


def run_module(*arguments: str, **env: str) -> None:
    """`python -m ...` in the root of the checkout; its output is the failure message."""
    child = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert child.returncode == 0, child.stdout + child.stderr


@pytest.mark.timeout(TIMEOUT_SECONDS)
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_strict_checking_of_a_sample(sample: Path, tmp_path: Path) -> None:
    """Strict mode also reports a `type: ignore` that ignores nothing: each expected error occurs."""
    run_module(
        "mypy",
        "--strict",
        "--config-file=",
        "--follow-imports=silent",
        f"--cache-dir={tmp_path}",
        str(sample),
    )


@pytest.mark.timeout(TIMEOUT_SECONDS)
def test_package_is_clean_under_strict_checking(tmp_path: Path) -> None:
    run_module("mypy", f"--cache-dir={tmp_path}")  # what to check is in pyproject.toml


@pytest.mark.timeout(TIMEOUT_SECONDS)
@pytest.mark.parametrize("pure", ["0", "1"], ids=["c", "python"])
def test_stub_describes_the_runtime(columns: dict[str, Any], pure: str) -> None:
    if pure == "0" and "c" not in columns:
        pytest.skip("the C extension is not built")
    run_module(
        "mypy.stubtest",
        "concurrent_tables",
        "--ignore-unused-allowlist",  # interpreters differ
        "--allowlist",
        str(Path(__file__).parent / "stubtest_allowlist.txt"),
        "--mypy-config-file",
        str(ROOT / "pyproject.toml"),
        CONCURRENT_TABLES_PURE=pure,
    )


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_samples_only_ignore_named_errors(sample: Path) -> None:
    """A bare `type: ignore` would accept any error at that line."""
    for line in sample.read_text(encoding="utf-8").splitlines():
        assert "# type: ignore" not in line or "# type: ignore[" in line, line
