"""Exceptions that one thread raises in another (PyThreadState_SetAsyncExc), without harm to the harness.

Each thread can be sent one exception a batch, while it says that it may be (`open`). Before it leaves
its loop over the samples it waits until the sender has certainly seen that it may not any more
(`close`): an exception under way arrives in that wait, where the thread's function catches it.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
import time
from collections.abc import Iterator

__all__ = ["Interrupted", "close", "open_", "sending"]

_PAUSE = 3e-4
_raise = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise.argtypes = (ctypes.c_ulong, ctypes.py_object)


class Interrupted(BaseException):
    """What is raised in threads that sample."""


class _Post:
    """Which threads may be interrupted, and how often the sender looked."""

    def __init__(self) -> None:
        self.may: dict[int, bool] = {}  # by thread ident; False once it was sent
        self.looks = 0
        self.over = True


_POST = _Post()


def open_() -> None:
    """This thread may be interrupted, once."""
    _POST.may[threading.get_ident()] = not _POST.over


def close() -> None:
    """This thread may not be interrupted any more; an exception under way arrives in here."""
    _POST.may[threading.get_ident()] = False
    then = _POST.looks
    while _POST.looks < then + 2 and not _POST.over:
        time.sleep(_PAUSE)


@contextlib.contextmanager
def sending() -> Iterator[None]:
    """Exceptions from another thread, at moments that nobody chose."""
    over = threading.Event()
    _POST.may.clear()
    _POST.over = False
    thread = threading.Thread(target=_send, args=(over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(5)


def _send(over: threading.Event) -> None:
    while not over.is_set():
        for ident, may in list(_POST.may.items()):
            if may:
                _POST.may[ident] = False
                _raise(ident, Interrupted)
        _POST.looks += 1
        over.wait(_PAUSE)
    _POST.over = True
