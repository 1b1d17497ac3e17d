"""Ready-made hash and compare functions for `HashTable`. They run no user code."""

from __future__ import annotations

from typing import NoReturn

from .keys import HASH_MASK

__all__ = ["compare_identity", "compare_str", "hash_identity", "hash_str"]


def hash_identity(key: object, /) -> int:
    """A hash of the address of `key`: any object will do.

    The low four bits, which alignment leaves zero, are rotated away (Python/hashtable.c does too).

    >>> key = []
    >>> hash_identity(key) == hash_identity(key)
    True
    """
    address = id(key)
    return (address >> 4 | address << 60) & HASH_MASK


def compare_identity(a: object, b: object, /) -> bool:
    """Whether `a` and `b` are one object.

    >>> compare_identity([], [])
    False
    """
    return a is b


def hash_str(key: str, /) -> int:
    """The hash of a str, not of a subclass's making; TypeError for anything else.

    >>> hash_str("spam") == hash_str("sp" + "am")
    True
    """
    if not isinstance(key, str):
        _reject_non_str("hash_str", key)
    return str.__hash__(key)


def compare_str(a: str, b: str, /) -> bool:
    """Whether two str have the same characters; TypeError for anything else.

    >>> compare_str("spam", "sp" + "am")
    True
    """
    if not isinstance(a, str):
        _reject_non_str("compare_str", a)
    if not isinstance(b, str):
        _reject_non_str("compare_str", b)
    return str.__eq__(a, b)


def _reject_non_str(function: str, thing: object) -> NoReturn:
    raise TypeError(
        f"{function}() takes str keys, not {type(thing).__name__}; "
        "give the HashTable hash and compare functions for its own kind of keys"
    )


for _function in (hash_identity, compare_identity, hash_str, compare_str):
    _function.__module__ = "concurrent_tables"
