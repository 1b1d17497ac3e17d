"""Build the harness's compiled search in place: `python tools/build_search.py [COMPILER FLAG...]`.

What tools/build_core.py is for the tables. Without it `ct-stress check` searches in Python.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from build_core import FLAGS
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

PACKAGE = Path(__file__).resolve().parent.parent / "stress"


def build(flags: list[str]) -> Path:
    """Compile stress/csrc/*.c into `stress/_search*.so`; the path of the result."""
    sources = sorted(str(path) for path in (PACKAGE / "csrc").glob("*.c"))
    extension = Extension("_search", sources, extra_compile_args=FLAGS + flags)
    extension.extra_link_args = flags
    command = build_ext(Distribution({"name": "stress", "ext_modules": [extension]}))
    command.force = True
    with tempfile.TemporaryDirectory() as objects:
        command.build_temp = objects
        command.build_lib = str(PACKAGE)
        command.ensure_finalized()
        command.run()
    return PACKAGE / command.get_ext_filename("_search")


if __name__ == "__main__":
    print(build(sys.argv[1:]))
