"""Poison for reclaimed blocks, in debug mode."""

from __future__ import annotations

from typing import Any, NoReturn

from .._debug import ENABLED, register

__all__ = ["ENABLED", "POISON", "UseAfterFreeError", "register"]


class UseAfterFreeError(AssertionError):
    """A reclaimed block was used: some reader was not pinned, or a grace period was too short."""


class _Poison:
    """Stands in for the arrays of a reclaimed block; any use of it is an error."""

    __slots__ = ()

    def _fail(self, *args: object) -> NoReturn:
        raise UseAfterFreeError("a reclaimed keys block was used after its grace period")

    __getitem__ = __setitem__ = __len__ = __iter__ = __bool__ = _fail

    def __repr__(self) -> str:
        return "<poisoned>"


POISON: Any = _Poison()
