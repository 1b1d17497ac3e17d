"""How our child processes are started: the same interpreter, with the same modules to import.

The current directory comes first on the path of `python -m`, and on ours, where targets are looked for.
Where that is a checkout and the harness that runs is an installed one, a child would import the
checkout's package. So children get `-P`, and a path that begins where this package is.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["child_command", "child_environment"]


def child_command(module: str, *arguments: str) -> list[str]:
    """The command line that runs `module` with this interpreter; it tells stacks when it dies."""
    return [sys.executable, "-P", "-X", "faulthandler", "-m", module, *arguments]


def child_environment(**more: str) -> dict[str, str]:
    """The environment with which a child finds what this process finds, and `more`."""
    paths = [*_home(), *[path or os.getcwd() for path in sys.path]]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **more}


def _home() -> list[str]:
    """The directory to import this package from; none where an import hook maps its name."""
    here = Path(__file__).resolve()
    names = (*__name__.split(".")[:-1], here.name)
    return [str(here.parents[len(names) - 1])] if here.parts[-len(names) :] == names else []
