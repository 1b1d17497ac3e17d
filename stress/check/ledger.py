"""A recorder's journals in memory that outlives the process: a mapped file, one row for each thread.

An entry is six 64-bit words: invocation ticket, response ticket (0 while the call is in flight),
method, key, argument, result. Keys, arguments and results are kept when they are whole numbers, or
keys that were registered; of others only the kind is. A thread writes only its own row, and its count
last, so that whoever reads after the writer's death sees whole entries.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import Any

from .history import Raised

__all__ = ["Ledger", "Row"]

_WORDS = 6
_HEAD = 4  # words of the file, and of a row: threads, capacity; entries so far
_METHODS = (
    "?", "touch", "get", "__getitem__", "__contains__", "__setitem__", "__delitem__", "pop",
    "setdefault", "compare_and_set", "compare_and_delete", "swap", "__len__", "clear", "popitem",
    "copy", "snapshot", "add", "discard", "remove", "set", "steal",
)  # fmt: skip
_NUMBERS = {name: number for number, name in enumerate(_METHODS)}
_NONE, _TRUE, _FALSE, _KEY_ERROR, _ERROR, _OTHER, _NO_ARGUMENT = range(-1, -8, -1)
_TEXTS = {
    _NONE: "None", _TRUE: "True", _FALSE: "False", _KEY_ERROR: "raised KeyError",
    _ERROR: "raised another error", _OTHER: "...", _NO_ARGUMENT: "",
}  # fmt: skip


class Ledger:
    """The mapped file.

    Parameters:
        path: an existing ledger to read or to go on with; None makes a new one.
        threads: rows.
        capacity: entries that a row keeps; older ones are overwritten.

    Thread-safety: rows are written by one thread each; reading is for when they ended.
    """

    def __init__(self, path: str | None = None, threads: int = 16, capacity: int = 256) -> None:
        self.created = path is None
        size = 8 * (_HEAD + threads * (_HEAD + capacity * _WORDS))
        if path is None:
            handle, path = tempfile.mkstemp(prefix="ct-stress-", suffix=".ledger")
            os.ftruncate(handle, size)
        else:
            handle = os.open(path, os.O_RDWR)
            size = os.fstat(handle).st_size
        self.path = path
        try:
            self._map = mmap.mmap(handle, size)
        finally:
            os.close(handle)
        words = memoryview(self._map).cast("q")
        if self.created:
            words[0], words[1] = threads, capacity
        self.threads, self.capacity = words[0], words[1]
        self.keys: dict[int, int] = {}  # id of a key -> its number

    def row(self, number: int) -> Row:
        """The row of one thread, as a view of its own: views are not shared between threads."""
        number %= self.threads
        width = _HEAD + self.capacity * _WORDS
        start = _HEAD + number * width
        return Row(memoryview(self._map).cast("q")[start : start + width], self.capacity, self.keys)

    def clear(self) -> None:
        """Forget all entries."""
        for number in range(self.threads):
            self.row(number).words[0] = 0

    def lines(self, most: int = 200) -> list[str]:
        """The latest entries of all rows as text, by invocation; calls in flight come last."""
        entries = [
            (over, *entry, number)
            for number in range(self.threads)
            for over, entry in self.row(number).entries()
        ]
        entries.sort(key=lambda entry: (not entry[0], entry[1]))
        return [_line(entry) for entry in entries[-most:]]

    def remove(self) -> None:
        """Delete the file; the mapping stays until its users end."""
        if self.created and os.path.exists(self.path):
            os.unlink(self.path)


class Row:
    """The entries of one thread."""

    def __init__(self, words: memoryview, capacity: int, keys: dict[int, int]) -> None:
        self.words = words
        self._capacity = capacity
        self._keys = keys
        self._at = 0

    def begin(self, invoke: int, method: str, args: tuple[Any, ...]) -> None:
        """The thread is about to call."""
        words = self.words
        count = words[0]
        self._at = at = _HEAD + count % self._capacity * _WORDS
        words[at + 1] = 0
        words[at] = invoke
        words[at + 2] = _NUMBERS.get(method, 0)
        words[at + 3] = self._keys.get(id(args[0]), _OTHER) if args else _NO_ARGUMENT
        words[at + 4] = _code(args[-1]) if len(args) > 1 else _NO_ARGUMENT
        words[0] = count + 1

    def end(self, response: int, result: Any) -> None:
        """The call that it began last is over."""
        self.words[self._at + 5] = _code(result)
        self.words[self._at + 1] = response

    def entries(self) -> list[tuple[bool, tuple[int, ...]]]:
        """(whether it is over, its words) of every entry that is kept, oldest first."""
        count = self.words[0]
        found = []
        for number in range(max(0, count - self._capacity), count):
            at = _HEAD + number % self._capacity * _WORDS
            words = (*self.words[at : at + _WORDS].tolist(),)
            found.append((words[1] != 0, words))
        return found


def _code(value: Any) -> int:
    if value is None:
        return _NONE
    if value is True or value is False:
        return _TRUE if value else _FALSE
    if type(value) is int and 0 <= value < 1 << 62:
        return value
    if type(value) is Raised:
        return _KEY_ERROR if value.name == "KeyError" else _ERROR
    return _OTHER


def _line(entry: tuple[Any, ...]) -> str:
    _, invoke, response, method, key, argument, result, thread = entry
    shown = [f"key {key}" if key >= 0 else _TEXTS[key], _text(argument)]
    call = f"{_METHODS[method]}({', '.join([text for text in shown if text])})"
    if not response:
        return f"client {thread}: {call} in flight [{invoke}, ...)"
    return f"client {thread}: {call} -> {_text(result)} [{invoke}, {response}]"


def _text(code: int) -> str:
    return _TEXTS.get(code, str(code))
