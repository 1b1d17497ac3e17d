"""`python -m concurrent_tables`: which version, implementation and interpreter are in use."""

from __future__ import annotations

import platform
import sys

from . import IMPLEMENTATION, __version__

__all__ = ["describe"]

_IMPLEMENTATIONS = {
    "c": "c (the extension concurrent_tables._core)",
    "python": "python (the extension concurrent_tables._core is not in use)",
}


def describe() -> str:
    """Four lines: version, implementation, interpreter, whether the GIL is on or off."""
    gil_is_on = getattr(sys, "_is_gil_enabled", lambda: True)()
    interpreter = f"{platform.python_implementation()} {platform.python_version()}"
    return "\n".join(
        (
            f"concurrent_tables {__version__}",
            f"implementation    {_IMPLEMENTATIONS[IMPLEMENTATION]}",
            f"interpreter       {interpreter} ({sys.executable})",
            f"GIL               {'on' if gil_is_on else 'off'}",
        )
    )


if __name__ == "__main__":
    print(describe())
