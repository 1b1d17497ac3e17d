"""Sphinx configuration: `sphinx-build -W docs docs/_build/html`.

The reference is read from the docstrings of the Python implementation, so that the pages are the
same wherever they are built.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["CONCURRENT_TABLES_PURE"] = "1"  # before the first import of the package
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import concurrent_tables

project = "concurrent_tables"
author = "the concurrent_tables developers"
copyright = "2026, the concurrent_tables developers"
version = release = concurrent_tables.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
default_role = "code"  # docstrings write `name` for code
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "none"  # the annotations are in the signatures of the stub
nitpicky = True  # a name that the pages refer to exists

html_theme = "furo"
html_title = "concurrent_tables"
