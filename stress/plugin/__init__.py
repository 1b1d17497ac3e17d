"""What the pytest plugin does with tests under `@concurrent` (pytest_concurrent_tables.py has the hooks).

A test that takes `history` is a program that several threads run at once, again and again, each time
on a fresh instance; a class with operations gives each thread a program of random ones. What they
called and what was answered is a history, and is judged by a model (rounds.py, recording.py). Of any
other test the target is sampled by the campaign of ct-stress (sampled.py).
"""

from __future__ import annotations

import inspect
from typing import Any

from .crew import run_threads
from .rounds import run_rounds
from .sampled import run_sampled
from .settings import Settings

__all__ = ["run_marked", "run_threads"]


def run_marked(item: Any, mark: Any, seed: int) -> None:
    """Run a pytest function under the marker; pytest's failure when something was found."""
    settings = Settings.of(item, mark, seed)
    if "history" in inspect.signature(item.obj).parameters:
        run_rounds(item, settings)
        return
    run_sampled(item, settings)
    names = item._fixtureinfo.argnames
    item.obj(**{name: item.funcargs[name] for name in names})
