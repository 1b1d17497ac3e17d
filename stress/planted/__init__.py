"""Planted bugs in the C core, and the detectors that find them: README.md says how it all works.

Needs the sources of the core (a checkout, or an unpacked source distribution), a C compiler and the
headers of the interpreter. `ct-stress selftest` and tests/mutants run it.
"""

from __future__ import annotations

from .proof import Proof, missing, prove

__all__ = ["Proof", "missing", "prove"]
