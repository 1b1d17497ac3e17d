"""Logs of events: every call and every return is a line; the line numbers are the tickets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .errors import HistoryError
from .history import History, Status

__all__ = ["EventLog"]


@dataclass(slots=True)
class _Call:
    method: str
    args: tuple[Any, ...]
    line: int


class EventLog:
    """Pairs calls with returns by process, and makes a history of them, in order of the calls."""

    def __init__(self, name: str, model: str) -> None:
        self.name = name
        self.model = model
        self.pending: dict[int, _Call] = {}
        self.rows: list[tuple[int, int, str, tuple[Any, ...], Any, int | None, Status]] = []

    def error(self, line: int, text: str) -> HistoryError:
        return HistoryError(f"{self.name}:{line}: {text}")

    def invoke(self, line: int, process: int, method: str, args: tuple[Any, ...]) -> None:
        before = self.pending.get(process)
        if before is not None:
            raise self.error(
                line,
                f"process {process} calls {method} while its {before.method} "
                f"of line {before.line} has not returned",
            )
        self.pending[process] = _Call(method, args, line)

    def called(self, line: int, process: int, method: str) -> _Call:
        """The pending call of a process, which this line ends."""
        call = self.pending.pop(process, None)
        if call is None or call.method != method:
            raise self.error(
                line, f"process {process} returns from {method}, which it did not call"
            )
        return call

    def end(self, line: int, process: int, call: _Call, result: Any, status: Status) -> None:
        response = None if status == Status.INFO else line
        row = (call.line, process, call.method, call.args, result, response, status)
        self.rows.append(row)

    def history(self) -> History:
        """All operations; those that never returned may still take effect."""
        for process, call in self.pending.items():
            self.end(0, process, call, None, Status.INFO)
        made = History(self.model)
        for invoke, process, method, args, result, response, status in sorted(
            self.rows, key=lambda row: row[0]
        ):
            made.append(process, method, args, result, invoke, response, status)
        return made
