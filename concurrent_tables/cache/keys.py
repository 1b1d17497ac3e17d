"""The cache key of a call: who is called, and with what."""

from __future__ import annotations

import weakref
from typing import Any

__all__ = ["Instance", "Token", "make_key"]


class Token:
    """Stands for one decorated function in its keys, so that functions may share a cache."""

    __slots__ = ("__weakref__", "name")

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Instance(weakref.ref[Any]):
    """Stands for the object whose method is called, and keeps it not alive; compared by identity.

    A function has one for each object, with the keys of that object's results.
    """

    __slots__ = ("keys",)
    keys: set[Any]
    __hash__ = object.__hash__
    __eq__ = object.__eq__
    __ne__ = object.__ne__


_KEYWORDS = Token("keywords")


def make_key(token: Token, args: tuple[Any, ...], kwargs: dict[str, Any], typed: bool) -> Any:
    """A hashable key of one call; calls whose keywords come in another order have another key."""
    if kwargs:
        key: tuple[Any, ...] = (token, *args, _KEYWORDS, *kwargs.items())
    else:
        key = (token, *args)
    if typed:
        key += tuple([type(value) for value in (*args, *kwargs.values())])
    return key
