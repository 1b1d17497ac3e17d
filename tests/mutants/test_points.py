"""The yield points: exact replay, scripts, blocked threads; and nothing of them in a release build."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stress.planted.building import SOURCES, compile_file, compiler
from stress.planted.point_checks import CHECKS

pytestmark = pytest.mark.timeout(300)  # whoever comes first builds


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_points(name: str, base_build: Path, run_scenarios: Callable[..., Any]) -> None:
    done = run_scenarios(base_build, name)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_release_build_has_no_points(tmp_path: Path) -> None:
    """Compiled as an installation does it: no call, no symbol, no name of a point."""
    if compiler() is None:
        pytest.skip("needs a C compiler and the headers of this Python, on a POSIX system")
    for name in ("points.c", "points_schedule.c", "write.c"):
        compile_file(SOURCES / name, tmp_path / f"{name}.o")
        found = re.findall(rb"ct_points?\w*|block_publish", (tmp_path / f"{name}.o").read_bytes())
        assert not found, (name, found)


def test_no_source_uses_a_point_outside_of_the_macros() -> None:
    """Preprocessed without CT_POINTS, no file but the runtime names the functions behind them."""
    command = compiler()
    if command is None:
        pytest.skip("needs a C compiler and the headers of this Python, on a POSIX system")
    include = sysconfig.get_paths()["include"]
    used = [path for path in sorted(SOURCES.glob("*.c")) if "CT_POINT" in path.read_text()]
    assert len(used) > 10
    for path in used:
        text = subprocess.run(
            [*command, "-E", "-P", f"-I{include}", str(path)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert not re.search(r"\bct_point", text), path.name
