"""Which entries to keep: the policies by name."""

from __future__ import annotations

from random import getrandbits
from typing import Any, Protocol

from .lru import Lru
from .tinylfu import TinyLfu

__all__ = ["POLICIES", "Policy", "check_policy", "make_policy"]


class Policy(Protocol):
    """What a cache asks of its policy, one thread at a time, and never with user code inside."""

    @property
    def weight(self) -> int: ...
    def added(self, entry: Any) -> None: ...
    def replaced(self, old: Any, new: Any) -> None: ...
    def accessed(self, entries: list[Any]) -> None: ...
    def removed(self, entry: Any) -> None: ...
    def victims(self) -> list[Any]: ...
    def clear(self) -> None: ...
    def info(self) -> dict[str, Any]: ...


POLICIES: dict[str, Any] = {"lru": Lru, "tinylfu": TinyLfu}


def check_policy(name: str) -> Any:
    """The class of a policy; ValueError names those there are."""
    try:
        return POLICIES[name]
    except (KeyError, TypeError):
        raise ValueError(f"policy must be one of {', '.join(POLICIES)}, not {name!r}") from None


def make_policy(name: str, maxsize: int, seed: int | None = None) -> Policy:
    """A policy by name that keeps at most `maxsize` of weight; errors as of `check_policy`.

    Without a `seed` nobody can foretell which keys share counters.
    """
    kind = check_policy(name)
    policy: Policy = kind(maxsize, getrandbits(64) if seed is None else seed)
    return policy
