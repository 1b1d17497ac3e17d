"""Jepsen's log of one register: `INFO  jepsen.util - PROCESS :invoke|:ok|:fail|:info :f VALUE`.

`:info`, and a call that never returns, may take effect at any later time. A failed `cas` that repeats
its arguments means that the comparison failed; any other failure had no effect. Lines of other
loggers and of the nemesis say nothing about the register and are passed over.
"""

from __future__ import annotations

import re
from typing import Any

from .events import EventLog
from .history import History, Status

__all__ = ["read_etcd"]

_OTHER = re.compile(r"^(?:TRACE|DEBUG|INFO|WARN|ERROR|FATAL)\s+(?!jepsen\.util\s)\S+\s+-|^\s*$")
_NEMESIS = re.compile(r"^\w+\s+jepsen\.util\s+-\s+:nemesis\s")
_LINE = re.compile(
    r"^INFO\s+jepsen\.util\s+-\s+(?P<process>\d+)\s+:(?P<type>invoke|ok|fail|info)"
    r"\s+:(?P<f>read|write|cas)(?:\s+(?P<value>\S.*?))?\s*$"
)
_PAIR = re.compile(r"^\[(-?\d+)[\s,]+(-?\d+)\]$")
_NUMBER = re.compile(r"^-?\d+$")


def read_etcd(text: str, name: str) -> History:
    """The history in a log; `name` is the file's, for errors."""
    log = EventLog(name, "cas-register")
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.match(line)
        if match is not None:
            _event(log, number, match)
        elif not _OTHER.match(line) and not _NEMESIS.match(line):
            raise log.error(number, f"not a line of such a log: {line[:80]!r}")
    return log.history()


def _event(log: EventLog, line: int, match: re.Match[str]) -> None:
    process, method, text = int(match["process"]), match["f"], match["value"]
    if match["type"] == "invoke":
        args = () if method == "read" else _arguments(log, line, method, text)
        log.invoke(line, process, method, args)
        return
    call = log.called(line, process, method)
    if match["type"] == "info":
        log.end(line, process, call, None, Status.INFO)
    elif match["type"] == "ok":
        log.end(line, process, call, _answer(log, line, method, text), Status.OK)
    elif method == "cas" and text is not None and _PAIR.match(text):
        log.end(line, process, call, False, Status.OK)
    else:
        log.end(line, process, call, None, Status.FAIL)


def _arguments(log: EventLog, line: int, method: str, text: str | None) -> tuple[Any, ...]:
    if method == "write":
        return (_number(log, line, text),)
    match = _PAIR.match(text or "")
    if match is None:
        raise log.error(line, f"cas needs [EXPECTED NEW], not {text!r}")
    return int(match[1]), int(match[2])


def _answer(log: EventLog, line: int, method: str, text: str | None) -> Any:
    if method == "read":
        return None if text == "nil" else _number(log, line, text)
    return True if method == "cas" else None


def _number(log: EventLog, line: int, text: str | None) -> int:
    if text is None or not _NUMBER.match(text):
        raise log.error(line, f"a number was expected, not {text!r}")
    return int(text)
