"""The instance under test as a test sees it: every call goes through, and is written down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..check import Recorder

__all__ = ["Recorded", "answered"]


class Recorded:
    """Looks like the target and records: `recorded.pop(k)`, `recorded[k] = v`, `k in recorded`...

    Exceptions of the target are recorded too, and raised; a thread whose test lets one through is
    done with its round, and the model says whether it was right.

    Thread-safety: any number of threads.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._kept: list[BaseException] = []

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._recorder.target, name)
        if not callable(attribute):
            return attribute
        return lambda *args: self._call(name, *args)

    def _call(self, method: str, *args: Any) -> Any:
        try:
            return self._recorder.call(method, *args)
        except Exception as error:
            self._kept.append(error)
            raise

    def call(self, method: str, /, *args: Any) -> Any:
        """Call a method by its name."""
        return self._call(method, *args)

    def __getitem__(self, key: Any) -> Any:
        return self._call("__getitem__", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._call("__setitem__", key, value)

    def __delitem__(self, key: Any) -> None:
        self._call("__delitem__", key)

    def __contains__(self, key: object) -> bool:
        return bool(self._call("__contains__", key))

    def __len__(self) -> int:
        return int(self._call("__len__"))

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("iteration is not recorded; give history.call a method that returns a list")

    def __bool__(self) -> bool:
        return True


def answered(recorded: Recorded, error: BaseException) -> bool:
    """Whether an exception was an answer of the target."""
    return any(error is kept for kept in recorded._kept)
