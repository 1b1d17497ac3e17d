"""Build the harness's compiled search in place: `python tools/build_search.py [COMPILER FLAG...]`.

What tools/build_core.py is for the tables. Without it `ct-stress check` searches in Python.
"""

from __future__ import annotations

import sys

from build_core import ROOT, build

if __name__ == "__main__":
    print(build(ROOT / "stress", "_search", sys.argv[1:]))
