"""What `pip install .` gives a user: the contents of the wheel, and the package in use.

The wheels are built from a copy of the sources, so that a build never writes into the checkout: one
with a compiler that fails, since the fallback is to be tested on every machine, and one with the
compiler of this machine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from tests.support import ROOT


def _major(distribution: str) -> int:
    """The installed major version, 0 when it is not installed (importing it would do more)."""
    try:
        return int(version(distribution).partition(".")[0])
    except PackageNotFoundError:
        return 0


pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        _major("pip") == 0 or _major("setuptools") < 77,
        reason="pip and setuptools >= 77 are not installed (extra: test)",
    ),
]
SOURCES = (
    "concurrent_tables",
    "stress",
    "pytest_concurrent_tables.py",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)
NOT_SOURCES = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd")


def _python(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run this interpreter without the checkout on its path."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONPATH" and not name.startswith("CONCURRENT_TABLES_")
    }
    return subprocess.run(
        [sys.executable, *arguments],
        env={**inherited, **env},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def _build(place: Path, **env: str) -> Path:
    """A wheel of a copy of the sources; the copy is made in `place`, and so is the wheel."""
    sources = place / "sources"
    sources.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, sources / name, ignore=NOT_SOURCES)
        else:
            shutil.copy(ROOT / name, sources / name)
    built = _python(
        *("-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-cache-dir"),
        *("--wheel-dir", str(place), str(sources)),
        **env,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (found,) = place.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built without a compiler."""
    place = tmp_path_factory.mktemp("wheel")
    return _build(place, CC="no-such-compiler", CXX="no-such-compiler")


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheel installed."""
    target = tmp_path_factory.mktemp("installed")
    done = _python("-m", "pip", "install", "--no-deps", "--target", str(target), str(wheel))
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def _use(installed: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return _python(*arguments, PYTHONPATH=str(installed), PYTHONSAFEPATH="1", **env)


def _use_alone(installed: Path, code: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Without site-packages: an editable installation there would lend its extension."""
    return _use(installed, "-S", "-c", code, **env)


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    expected = {
        "concurrent_tables/__init__.py",
        "concurrent_tables/__init__.pyi",
        "concurrent_tables/py.typed",
        "concurrent_tables/_pure/__init__.py",
        "concurrent_tables/stress/__init__.py",
        "concurrent_tables/stress/cli.py",
    }
    assert expected <= names
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "concurrent_tables",
        "pytest_concurrent_tables.py",
    }
    assert not [name for name in names if name.endswith((".c", ".h", ".so", ".pyc"))]


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_wheel_with_a_compiler_runs_the_extension(tmp_path: Path) -> None:
    wheel = _build(tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        compiled = [name for name in archive.namelist() if name.endswith((".so", ".pyd"))]
    assert sorted(name.partition(".")[0] for name in compiled) == [
        "concurrent_tables/_core",
        "concurrent_tables/stress/_search",
    ]
    target = tmp_path / "installed"
    done = _python("-m", "pip", "install", "--no-deps", "--target", str(target), str(wheel))
    assert done.returncode == 0, done.stdout + done.stderr
    child = _use(target, "-W", "error", "-m", "concurrent_tables", CONCURRENT_TABLES_PURE="0")
    assert child.returncode == 0, child.stderr
    assert re.search(r"^implementation +c", child.stdout, re.M), child.stdout


def test_wheel_names_licence_and_script(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(info).decode()
        scripts = archive.read(info.replace("METADATA", "entry_points.txt")).decode()
    assert "License-Expression: MIT" in metadata
    assert "Requires-Python: >=3.11" in metadata
    unconditional = [
        line
        for line in metadata.splitlines()
        if line.startswith("Requires-Dist:") and "extra ==" not in line
    ]
    assert unconditional == []
    assert "ct-stress = concurrent_tables.stress.cli:main" in scripts
    assert "pytest_concurrent_tables = pytest_concurrent_tables" in scripts


def test_import_without_extension_warns_once(installed: Path) -> None:
    code = (
        "import concurrent_tables as c; import concurrent_tables.stress, concurrent_tables.reclaim\n"
        "print(c.IMPLEMENTATION); c.ConcurrentDict(a=1).increment('a')"
    )
    child = _use_alone(installed, code)
    assert child.returncode == 0, child.stderr
    assert child.stdout == "python\n"
    assert len(re.findall(r"^\S.*Warning: ", child.stderr, re.M)) == 1, child.stderr
    assert "PureImplementationWarning" in child.stderr


def test_asking_for_python_silences_the_warning(installed: Path) -> None:
    child = _use(
        installed, "-W", "error", "-c", "import concurrent_tables", CONCURRENT_TABLES_PURE="1"
    )
    assert (child.returncode, child.stdout, child.stderr) == (0, "", "")


def test_requiring_the_extension_fails_clearly(installed: Path) -> None:
    child = _use_alone(installed, "import concurrent_tables", CONCURRENT_TABLES_PURE="0")
    assert child.returncode == 1
    assert "ImportError" in child.stderr
    assert "CONCURRENT_TABLES_PURE" in child.stderr


def test_module_says_what_is_in_use(installed: Path) -> None:
    child = _use(installed, "-m", "concurrent_tables", CONCURRENT_TABLES_PURE="1")
    assert child.returncode == 0, child.stderr
    assert re.search(r"^implementation +python", child.stdout, re.M)
    assert re.search(r"^GIL +(on|off)$", child.stdout, re.M)


def test_stress_runs_where_it_is_installed(installed: Path) -> None:
    child = _use(
        installed,
        *("-m", "concurrent_tables.stress", "run", "--list"),
        CONCURRENT_TABLES_PURE="1",
    )
    assert child.returncode == 0, child.stdout + child.stderr
    assert "ConcurrentDict" in child.stdout


def test_stress_runs_from_a_checkout() -> None:
    child = subprocess.run(
        [sys.executable, "-m", "stress", "run", "--list"],
        cwd=ROOT,
        env={**os.environ, "CONCURRENT_TABLES_PURE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert child.returncode == 0, child.stdout + child.stderr
    assert "ConcurrentDict" in child.stdout


def test_children_of_an_installed_harness_are_installed_ones_too(installed: Path) -> None:
    """In a checkout's directory too, where `python -m` would find the checkout's package."""
    code = (
        f"import os; os.chdir({str(ROOT)!r})\n"
        "from concurrent_tables.stress.cli import main\n"
        "raise SystemExit(main(['run', '--target', 'concurrent_tables:ConcurrentDict', '--seconds', '0.5']))"
    )
    child = _python("-P", "-c", code, PYTHONPATH=str(installed), CONCURRENT_TABLES_PURE="1")
    assert child.returncode == 0, child.stdout + child.stderr
    assert "scenarios" in child.stdout
