"""Finding the profile of a class."""

from __future__ import annotations

from .base import Profile
from .cpython import PROFILES
from .generic import generic_profile
from .ours import our_profile

__all__ = ["profile_of", "register"]

_REGISTERED: dict[type, Profile] = {}
_PACKAGE = "concurrent_tables"


def register(cls: type, profile: Profile) -> None:
    """Declare what a class promises, from outside of it.

    >>> class Bag(set):
    ...     pass
    >>> register(Bag, Profile.declare("Bag", atomic="add discard"))
    >>> profile_of(Bag).name
    'Bag'
    """
    _REGISTERED[cls] = profile


def profile_of(cls: type, own: frozenset[str] = frozenset()) -> Profile:
    """What `cls` promises; `own` are the methods that it defines itself (see targets.py)."""
    if cls in _REGISTERED:
        return _REGISTERED[cls]
    declared = getattr(cls, "__stress_profile__", None)
    if isinstance(declared, Profile):
        return declared
    for base in cls.__mro__:
        if base.__module__ == _PACKAGE and (found := our_profile(base.__name__)):
            return found
    known = PROFILES.get(f"{cls.__module__}.{cls.__qualname__}")
    return known or generic_profile(cls, own)
