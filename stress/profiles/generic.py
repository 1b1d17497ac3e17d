"""What a container of somebody else is held to, when it declares nothing.

As the workloads do (targets.py): methods that the class itself defines for one key are atomic, `len`
is exact except beside bulk changes, `update` loses nothing. Everything else is sound at rest.
"""

from __future__ import annotations

from .base import ATOMIC, GLIMPSE, LOOSE_READ, READ, STEPS, UNKNOWN, Profile, Promise, table

__all__ = ["generic_profile"]

_SOURCE = "stress harness: what any container is held to"
_CHANGES = "__setitem__ __delitem__ pop popitem setdefault clear add discard remove append appendleft popleft"
_READS = "__getitem__ get __contains__"
_ERRORS = frozenset(
    {"RuntimeError", "StopIteration", "KeyError", "IndexError", "ValueError", "NotImplementedError"}
)


def generic_profile(cls: type, own: frozenset[str]) -> Profile:
    """The profile of a class that says nothing; `own` are the methods that are its own."""
    promises = {
        **table(_kept(_CHANGES, own), ATOMIC, _SOURCE),
        **table(_kept(_READS, own), READ, _SOURCE),
        **table(_kept("__len__", own), GLIMPSE, _SOURCE),
        **table(_kept("update difference_update", own), STEPS, _SOURCE),
    }
    return Profile(
        cls.__name__,
        promises,
        (Promise(*UNKNOWN, "nothing is promised"), Promise(*LOOSE_READ, "nothing is promised")),
        _SOURCE,
        arbitrary=frozenset({"pop", "popitem"}),
        errors=_ERRORS,
    )


def _kept(names: str, own: frozenset[str]) -> str:
    return " ".join(name for name in names.split() if name in own)
