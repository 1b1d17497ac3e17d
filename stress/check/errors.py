"""What can be wrong with a history before anything is judged."""

from __future__ import annotations

__all__ = ["HistoryError", "ModelError"]


class HistoryError(ValueError):
    """A history that cannot be read: the message begins with `FILE:LINE:` where there is one."""


class ModelError(ValueError):
    """A history that the model does not understand: an unknown method, wrong arguments."""
