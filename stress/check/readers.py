"""Histories from files: etcd (Jepsen's log of one register), kv (porcupine's EDN maps), json (ours)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from .errors import HistoryError
from .etcd import read_etcd
from .history import History
from .jsonl import read_json, write_json
from .kv import read_kv

__all__ = ["FORMATS", "read_history", "write_history"]

FORMATS: dict[str, Callable[[str, str], History]] = {
    "etcd": read_etcd,
    "kv": read_kv,
    "json": read_json,
}


def read_history(path: str | os.PathLike[str], format: str = "json") -> History:
    """The history in a file.

    Parameters:
        path: the file; UTF-8.
        format: "etcd", "kv" or "json".

    Raises:
        HistoryError: the file cannot be read; the message begins with `FILE:LINE:`.
    """
    if format not in FORMATS:
        raise HistoryError(f"no format is called {format!r}; there are {', '.join(FORMATS)}")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise HistoryError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise HistoryError(f"{path}:{line}: not UTF-8: {error.reason}") from error
    history = FORMATS[format](text, str(path))
    if not len(history):
        raise HistoryError(f"{path}:1: there is no operation in it")
    return history


def write_history(history: History, path: str | os.PathLike[str]) -> None:
    """Write a history in the format "json".

    Raises:
        HistoryError: a value that the format cannot hold.
    """
    Path(path).write_text(write_json(history), encoding="utf-8")
