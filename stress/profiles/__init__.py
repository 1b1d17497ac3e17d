"""What each type promises to threads: contract profiles.

Only what a profile promises is judged, and a report says what was promised and where the promise is
written. `profile_of(cls)` finds the profile of a class: one that was declared for it
(`__stress_profile__` on the class, or `register`), ours for the tables of this package, CPython's
for its own types and for classes derived from them that change nothing, and for everybody else the
modest one of generic.py.
"""

from __future__ import annotations

from .base import Effect, Profile, Promise, Result
from .find import profile_of, register

__all__ = ["Effect", "Profile", "Promise", "Result", "profile_of", "register"]
