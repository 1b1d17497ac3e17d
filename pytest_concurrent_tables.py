"""pytest plugin of the stress harness: `@concurrent`, `@operation`, fixtures and options.

A module of its own beside the package, and a light one: pytest imports it at its start in every suite
of the environment, and neither the tables nor the harness must be imported before a test asks for
them. What it does with marked tests is in `concurrent_tables.stress.plugin`. It asserts nothing that
pytest would have to rewrite (PYTEST_DONT_REWRITE).
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import pytest

__all__ = ["concurrent", "operation"]

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
_OPERATION = "__concurrent_operation__"


def concurrent(
    target: Any = None,
    /,
    *,
    threads: int = 4,
    seconds: float = 2.0,
    model: Any = None,
    rounds: int | None = None,
    operations: int = 4,
    minimise: float = 3.0,
    serial: bool = False,
) -> Callable[[_Decorated], _Decorated]:
    """Run a test, or the operations of a class, from several threads, and judge what they saw.

    Parameters:
        target: the class under test, or a function that makes an instance.
        threads: how many (a class that is sampled: two or three). seconds: how long.
        model: a model of `concurrent_tables.stress.check`, or its name ("dict", "set", "counter",
            ...), by which the history is judged; by default that of the target's kind.
        rounds: at most so many fresh instances. operations: of each thread and round, for a class.
        minimise: seconds for making a failure smaller.
        serial: sample one thread at a time, with every schedule repeatable (3.12 and later, containers
            written in Python).

    On a test that takes `history`, threads run its body at once, on one fresh instance in every round;
    `history` stands for the instance and records. On a class, they run its methods that are marked with
    `@operation`. On any other test, the harness samples every operation that the target has, and the
    body runs when nothing was found.
    """
    mark = pytest.mark.concurrent.with_args(
        target,
        threads=threads,
        seconds=seconds,
        model=model,
        rounds=rounds,
        operations=operations,
        minimise=minimise,
        serial=serial,
    )

    def decorate(decorated: _Decorated) -> _Decorated:
        if isinstance(decorated, type):
            return _test_class(decorated, mark)  # type: ignore[return-value]
        marked: _Decorated = mark(decorated)
        return marked

    return decorate


def operation(method: _Decorated) -> _Decorated:
    """Mark a method `(self, history, rng)` of a class under `@concurrent` as an operation."""
    setattr(method, _OPERATION, True)
    return method


def _test_class(cls: type, mark: pytest.MarkDecorator) -> type:
    names = [name for name in dir(cls) if getattr(getattr(cls, name), _OPERATION, False)]
    if not names:
        raise TypeError(f"@concurrent: {cls.__name__} has no method that is marked with @operation")

    def test_concurrent(self: Any, history: Any) -> None:
        raise AssertionError("the plugin runs the operations instead")

    test_concurrent.__doc__ = f"The operations {', '.join(names)}, at once."
    cls.test_concurrent = mark(test_concurrent)  # type: ignore[attr-defined]
    return cls


# -- hooks -----------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("concurrent", "tests under @concurrent")
    group.addoption("--ct-seed", type=int, metavar="N", help="repeat the choices of an earlier run")
    group.addoption(
        "--ct-seconds", type=float, metavar="S", help="seconds for each test, instead of its own"
    )
    group.addoption(
        "--ct-repro-dir", metavar="DIR", help="write standalone tests for findings there"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "concurrent(target, ...): run from several threads and judge what they saw"
    )
    if config.option.ct_seed is None:
        config.option.ct_seed = secrets.randbelow(2**32)  # workers of pytest-xdist get it too


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    mark = pyfuncitem.get_closest_marker("concurrent")
    if mark is None:
        return None
    _plugin().run_marked(pyfuncitem, mark, _seed_of(pyfuncitem))
    return True


def _plugin() -> Any:
    """The harness's part; of this checkout when the package is not installed."""
    installed = importlib.util.find_spec("concurrent_tables.stress")
    beside = (Path(__file__).parent / "stress" / "plugin").is_dir()
    name = "stress.plugin" if installed is None and beside else "concurrent_tables.stress.plugin"
    return importlib.import_module(name)


def _seed_of(item: pytest.Item) -> int:
    """Of one test: the same whichever other tests run, and in whichever process."""
    text = f"{item.config.option.ct_seed}/{item.nodeid}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


# -- fixtures --------------------------------------------------------------------------------------


@pytest.fixture
def stress_seed(request: pytest.FixtureRequest) -> int:
    """A seed for this test; `--ct-seed` repeats it."""
    return _seed_of(request.node)


@pytest.fixture
def stress_rng(stress_seed: int) -> Random:
    """Random choices that `--ct-seed` repeats; under `@concurrent` each thread has its own."""
    return Random(stress_seed)


@pytest.fixture
def stress_thread() -> int:
    """Under `@concurrent`: the number of the thread that runs the test, from 0."""
    return 0


@pytest.fixture
def history(request: pytest.FixtureRequest) -> Any:
    """Under `@concurrent`: the instance under test, which records what is done to it."""
    if request.node.get_closest_marker("concurrent") is None:
        raise pytest.UsageError(
            f"{request.node.nodeid}: the fixture `history` needs @concurrent(...)"
        )
    return None  # each thread is given its own


@pytest.fixture
def run_threads() -> Iterator[Callable[..., list[Any]]]:
    """`run_threads(function, count=4)`: function(0), function(1)... at once; their results.

    `run_threads(f, g, h)` calls each without arguments. They start from a barrier. The first exception
    is raised again; threads that do not end within 60 s are a failure that shows where they are.
    """
    yield _plugin().run_threads


@pytest.fixture
def barrier() -> Any:
    """`barrier(count)`: a `threading.Barrier` that gives up after 60 s instead of hanging."""
    import threading

    return lambda count: threading.Barrier(count, timeout=60)
