"""Build the C core in place, quickly: `python tools/build_core.py [COMPILER FLAG...]`.

For work on the core: what an installation does (pyproject.toml says how), but in parallel, with
warnings as errors and with flags of your own. Needs a C compiler and setuptools. The extension
lands beside the package, named for the running interpreter; delete that file to go back to the
Python implementation.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

PACKAGE = Path(__file__).resolve().parent.parent / "concurrent_tables"
FLAGS = ["-std=c11", "-O2", "-g", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]


def build(flags: list[str]) -> Path:
    """Compile csrc/*.c into `concurrent_tables/_core*.so`; the path of the result."""
    sources = sorted(str(path) for path in (PACKAGE / "csrc").glob("*.c"))
    extension = Extension("_core", sources, extra_compile_args=FLAGS + flags, extra_link_args=flags)
    command = build_ext(Distribution({"name": "concurrent_tables", "ext_modules": [extension]}))
    command.parallel = 2
    command.force = True
    with tempfile.TemporaryDirectory() as objects:
        command.build_temp = objects
        command.build_lib = str(PACKAGE)
        command.ensure_finalized()
        command.run()
    return PACKAGE / command.get_ext_filename("_core")


if __name__ == "__main__":
    print(build(sys.argv[1:]))
