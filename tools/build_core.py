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

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ["-std=c11", "-O2", "-g", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]


def build(package: Path, name: str, flags: list[str]) -> Path:
    """Compile `package`/csrc/*.c into `package`/`name`*.so; the path of the result."""
    sources = sorted(str(path) for path in (package / "csrc").glob("*.c"))
    extension = Extension(name, sources, extra_compile_args=FLAGS + flags, extra_link_args=flags)
    command = build_ext(Distribution({"name": package.name, "ext_modules": [extension]}))
    command.parallel = 2
    command.force = True
    with tempfile.TemporaryDirectory() as objects:
        command.build_temp = objects
        command.build_lib = str(package)
        command.ensure_finalized()
        command.run()
    return package / command.get_ext_filename(name)


if __name__ == "__main__":
    print(build(ROOT / "concurrent_tables", "_core", sys.argv[1:]))
