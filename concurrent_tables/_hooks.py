"""Delivery of errors that have no caller to go to; shared by both implementations."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

__all__ = ["report_unraisable"]


def report_unraisable(message: str, source: object) -> None:
    """Give the exception being handled to `sys.unraisablehook`; `source` is what raised it."""
    kind, value, traceback = sys.exc_info()
    hook_args: Any = SimpleNamespace(
        exc_type=kind,
        exc_value=value,
        exc_traceback=traceback,
        err_msg=message,
        object=source,
    )
    try:
        sys.unraisablehook(hook_args)
    except BaseException:  # a failing hook must not take the writer down
        sys.__unraisablehook__(hook_args)
