"""Errors of the serialised mode, and how a thread of an abandoned run is ended."""

from __future__ import annotations

__all__ = ["Abandoned", "Blocked", "SerialError", "TokenError"]


class SerialError(RuntimeError):
    """The container cannot be run serialised; the message says why and what to do."""


class TokenError(ValueError):
    """A replay token is damaged, or does not fit what it is replayed on."""


class Blocked(Exception):
    """A call would wait for ever, with nobody there to end it: only in sequential runs."""


class Abandoned(BaseException):
    """Ends a thread of a run that is over: after a deadlock, or too many steps."""
