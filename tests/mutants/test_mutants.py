"""Planted bugs in the C core: each patch still applies, builds, and is caught by its detector.

The same detectors pass on the unmutated build. tests/mutants/README.md says how to add a bug.
"""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stress.planted.building import SOURCES, build_mutant
from stress.planted.patching import apply, read_mutant
from stress.planted.proof import PATCHES
from stress.planted.scenarios import PARALLEL, SCENARIOS

pytestmark = pytest.mark.timeout(300)  # whoever comes first builds
GIL = not sysconfig.get_config_var("Py_GIL_DISABLED")


def test_there_are_enough() -> None:
    assert len(PATCHES) >= 16


def test_every_patch_names_a_scenario() -> None:
    for mutant in map(read_mutant, PATCHES):
        for gil in (False, True):
            detector = mutant.detector(gil)
            assert detector is None or detector in SCENARIOS, (mutant.name, detector)
            assert not gil or detector not in PARALLEL, (mutant.name, detector)


@pytest.mark.parametrize("kind", sorted({run.__module__ for run in SCENARIOS.values()}))
def test_no_false_alarm(kind: str, base_build: Path, run_scenarios: Callable[..., Any]) -> None:
    """What the sources promise holds in the unmutated build, under every schedule used here."""
    names = [name for name, run in SCENARIOS.items() if run.__module__ == kind]
    here = [name for name in names if not GIL or name not in PARALLEL]
    if not here:
        pytest.skip("needs threads that run in parallel: a build without the GIL")
    done = run_scenarios(base_build, *here)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_planted_bug_is_caught(
    patch: Path, base_build: Path, tmp_path: Path, run_scenarios: Callable[..., Any]
) -> None:
    mutant = read_mutant(patch)
    extension = build_mutant(apply(mutant, SOURCES), base_build, tmp_path)
    detector = mutant.detector(GIL)
    if detector is None:
        pytest.skip(f"applied and built; with the GIL {mutant.header['With the GIL']}")
    done = run_scenarios(extension, detector)
    assert done.returncode != 0, f"{mutant.name} was not caught by {detector}"
    assert "the script does not fit" not in done.stderr, done.stderr
    crashed = done.returncode < 0
    assert ("crash" if crashed else "failure") in mutant.header["Shows as"], done.stderr
    assert crashed or re.search("(Assertion|Invariant)Error", done.stderr), done.stderr
