"""The unmutated test build, one for all workers of a run, and scenarios in child processes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from stress.planted.building import build_base, compiler
from stress.planted.proof import run_detectors

Outcome = subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def base_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension of the unmutated sources with yield points."""
    if compiler() is None:
        pytest.skip("needs a C compiler and the headers of this Python, on a POSIX system")
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    return build_base(shared / "points-build")


@pytest.fixture(scope="session")
def run_scenarios() -> Callable[..., Outcome]:
    """Run scenarios on an extension; memory is filled when freed, so that late uses show."""
    return lambda extension, *names: run_detectors(extension, names)
