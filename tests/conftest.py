"""Fixtures of every test: the implementation columns, the debug oracle, the guard on the GIL.

One fixture, `ct`, gives a namespace with all public names of one implementation. A test that takes
it runs once per implementation that can be imported, so that the C column appears by itself as soon
as the extension is built; a missing one is named in the header line of the run.

`CONCURRENT_TABLES_PURE=1` leaves only the Python column, `=0` makes a missing extension an error of
the run. An extension that is there but does not load (stale, built for another interpreter, broken)
always is one: a run that silently tested half of the package would be worth nothing.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import sysconfig
import threading
import traceback
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["CONCURRENT_TABLES_DEBUG"] = "1"  # before the first import of the package

import pytest
from hypothesis import HealthCheck, settings

import concurrent_tables
from concurrent_tables import _debug, inspect_table
from concurrent_tables._select import IMPLEMENTATION_NAMES, load
from tests.support import ROOT

DEFAULT_TIMEOUT_SECONDS = 120
FREE_THREADED_BUILD = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

settings.register_profile(
    "tables",
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("tables")


def _load_columns() -> tuple[dict[str, Any], str]:
    """The implementations by name, and the text of the header line about them."""
    wanted = os.environ.get("CONCURRENT_TABLES_PURE", "")
    columns: dict[str, Any] = {"python": load("python")}
    if wanted == "1":
        return columns, "python (c: not asked for, CONCURRENT_TABLES_PURE=1)"
    try:
        columns["c"] = load("c")
    except ImportError as error:
        built = importlib.util.find_spec("concurrent_tables._core") is not None
        if built or wanted == "0":
            state = "is built but does not load" if built else "is not built"
            raise pytest.UsageError(
                f"the extension concurrent_tables._core {state}: {error}"
            ) from error
        return columns, "python (c: not built)"
    extension = Path(sys.modules["concurrent_tables._core"].__file__ or "")
    newer = extension.is_relative_to(ROOT) and _stale_source(extension)
    if newer:
        raise pytest.UsageError(
            f"{extension.name} is stale: csrc/{newer} is newer; `python tools/build_core.py`"
        )
    return columns, "python, c"


def _stale_source(extension: Path) -> str | None:
    """The first C source that is newer than the extension built from this checkout."""
    sources = (ROOT / "concurrent_tables" / "csrc").glob("*.[ch]")
    built = extension.stat().st_mtime
    return next((path.name for path in sorted(sources) if path.stat().st_mtime > built), None)


def _gil_is_enabled() -> bool:
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


COLUMNS, COLUMNS_TEXT = _load_columns()


def _describe() -> str:
    gil = "on" if _gil_is_enabled() else "off"
    build = " free-threading" if FREE_THREADED_BUILD else ""
    return (
        f"concurrent_tables: implementations {COLUMNS_TEXT}, "
        f"CPython {platform.python_version()}{build}, GIL {gil}"
    )


def pytest_report_header(config: pytest.Config) -> str:
    return _describe()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "timeout(seconds): the time after which a test counts as hung"
    )
    config.addinivalue_line("markers", "slow: takes several seconds")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give every test without a time limit of its own the default one: a hang is a failure."""
    if not config.pluginmanager.hasplugin("timeout"):
        return
    seconds = config.getoption("timeout", None) or DEFAULT_TIMEOUT_SECONDS
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(seconds))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if FREE_THREADED_BUILD and _gil_is_enabled() and "PYTHON_GIL" not in os.environ:
        sys.stderr.write("\nconcurrent_tables: the GIL came back on during this run\n")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session", params=sorted(COLUMNS, reverse=True))
def ct(request: pytest.FixtureRequest) -> Any:
    """The public names of one implementation: `ct.ConcurrentDict`, `ct.MISSING`, ..."""
    return COLUMNS[request.param]


@pytest.fixture(scope="session")
def columns() -> dict[str, Any]:
    """Every implementation of this run by name, for tests that cross them."""
    return COLUMNS


@pytest.fixture
def as_active(ct: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ct` as what the package exports, which is where pickles look their classes up."""
    for name in IMPLEMENTATION_NAMES:
        monkeypatch.setattr(concurrent_tables, name, getattr(ct, name))


_reported: dict[int, weakref.ref[Any]] = {}  # broken tables that a failing test keeps alive


@pytest.fixture(autouse=True)
def oracle() -> Iterator[None]:
    """After each test: walk every living table, and see that threads and GIL are as before."""
    threads_before = threading.active_count()
    yield
    failures = []
    for table in _debug.live_tables():
        known = _reported.get(id(table))
        if known is not None and known() is table:
            continue  # its own test has failed for it; the traceback keeps it alive
        try:
            inspect_table(table).check()
        except Exception:  # a broken table may fail in any way
            failures.append(f"{type(table).__name__}:\n{traceback.format_exc()}")
            _reported[id(table)] = weakref.ref(table)
    assert not failures, "tables with broken invariants:\n" + "\n".join(failures)
    assert threading.active_count() <= threads_before, (
        f"the test left threads running: {threading.enumerate()}"
    )
    if FREE_THREADED_BUILD and "PYTHON_GIL" not in os.environ:
        assert not _gil_is_enabled(), "the GIL came back on during this test"


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What reached `sys.unraisablehook` during the test."""
    caught: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", caught.append)
    return caught
