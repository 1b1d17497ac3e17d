"""Porcupine's key-value logs: `{:process 0, :type :invoke, :f :get, :key "0", :value nil}` a line.

`get`, `put` and `append` of text. `:ok` of a get carries what it read. `:info`, and a call that never
returns, may take effect at any later time; a `:fail` had no effect.
"""

from __future__ import annotations

import json
import re

from .events import EventLog
from .history import History, Status

__all__ = ["read_kv"]

_TEXT = r'"(?:[^"\\]|\\.)*"'
_LINE = re.compile(
    r"^\{:process (?P<process>\d+), :type :(?P<type>invoke|ok|fail|info), "
    rf":f :(?P<f>get|put|append), :key (?P<key>{_TEXT}), :value (?P<value>nil|{_TEXT})\}}\s*$"
)


def read_kv(text: str, name: str) -> History:
    """The history in a log; `name` is the file's, for errors."""
    log = EventLog(name, "kv")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        match = _LINE.match(line)
        if match is None:
            raise log.error(number, f"not a line of such a log: {line[:80]!r}")
        _event(log, number, match)
    return log.history()


def _event(log: EventLog, line: int, match: re.Match[str]) -> None:
    process, method = int(match["process"]), match["f"]
    key = _text(log, line, match["key"])
    value = None if match["value"] == "nil" else _text(log, line, match["value"])
    if method != "get" and value is None:
        raise log.error(line, f"{method} needs a text")
    if match["type"] == "invoke":
        log.invoke(line, process, method, (key,) if method == "get" else (key, value))
        return
    call = log.called(line, process, method)
    if call.args[0] != key:
        raise log.error(line, f"process {process} called {method} on {call.args[0]!r}, not {key!r}")
    if match["type"] == "ok":
        if method == "get" and value is None:
            raise log.error(line, "a get that is ok needs the text that it read")
        log.end(line, process, call, value if method == "get" else None, Status.OK)
    else:
        status = Status.FAIL if match["type"] == "fail" else Status.INFO
        log.end(line, process, call, None, status)


def _text(log: EventLog, line: int, quoted: str) -> str:
    try:
        return str(json.loads(quoted))  # EDN's escapes of text are among JSON's
    except ValueError as error:
        raise log.error(line, f"not a text: {quoted}: {error}") from error
