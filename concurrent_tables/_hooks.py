"""Delivery of errors that have no caller to go to; shared by both implementations."""

from __future__ import annotations

import sys
import weakref
from functools import cache
from typing import Any

__all__ = ["report_unraisable"]


def report_unraisable(message: str, source: object) -> None:
    """Give the exception being handled to `sys.unraisablehook`; `source` is what raised it."""
    kind, value, traceback = sys.exc_info()
    arguments = _hook_arguments_type()((kind, value, traceback, message, source))
    try:
        sys.unraisablehook(arguments)
    except BaseException:  # a failing hook must not take the writer down
        sys.__unraisablehook__(arguments)


class _Marker(Exception):
    """Raised once, to see what the interpreter hands to the hook."""


class _Target:
    """Dies at once; only its weak reference matters."""

    __slots__ = ("__weakref__",)


@cache
def _hook_arguments_type() -> Any:
    """The type that the default hook insists on. No module exposes it, so look at an instance."""
    seen: list[type] = []
    previous = sys.unraisablehook

    def capture(arguments: Any) -> None:
        if isinstance(arguments.exc_value, _Marker):
            seen.append(type(arguments))
        else:
            previous(arguments)

    def fail(_: object) -> None:
        raise _Marker

    sys.unraisablehook = capture
    try:
        target = _Target()
        reference = weakref.ref(target, fail)
        del target
    finally:
        sys.unraisablehook = previous
    del reference
    return seen[0]
