"""Our own format: a header line, then one JSON object a line for each operation.

    {"format": "concurrent-tables-history", "version": 1, "model": "dict"}
    {"client": 0, "method": "set", "args": ["k", 1], "result": null, "invoke": 1, "response": 4}
    {"client": 1, "method": "get", "args": ["k"], "result": 1, "invoke": 2, "response": 3}
    {"client": 0, "method": "pop", "args": ["x"], "raised": "KeyError", "invoke": 5, "response": 6}
    {"client": 1, "method": "clear", "args": [], "invoke": 7, "status": "info"}

`status` is "ok" (and may be left out), "fail" or "info". Values that JSON lacks are objects with one
key: {"$tuple": [...]}, {"$set": [...]}, {"$frozenset": [...]}, {"$dict": [[key, value], ...]},
{"$bytes": "hex"}, {"$missing": true}. A JSON object whose only key begins with "$" is written as
$dict.
"""

from __future__ import annotations

import json
from typing import Any

from concurrent_tables import MISSING

from .errors import HistoryError
from .history import History, Raised, Status

__all__ = ["read_json", "write_json"]

NAME, VERSION = "concurrent-tables-history", 1
_KEYS = {"client", "method", "args", "result", "raised", "invoke", "response", "status"}
_NEEDED = {"client", "method", "args", "invoke"}


def write_json(history: History) -> str:
    """The text of a history."""
    header: dict[str, Any] = {"format": NAME, "version": VERSION}
    if history.model is not None:
        header["model"] = history.model
    lines = [json.dumps(header)]
    for op in history:
        row: dict[str, Any] = {"client": op.client, "method": op.method}
        try:
            row["args"] = [_encode(value) for value in op.args]
            if isinstance(op.result, Raised):
                row["raised"] = op.result.name
            else:
                row["result"] = _encode(op.result)
        except TypeError as error:
            raise HistoryError(f"operation {op.index}: {op}: {error}") from error
        row["invoke"] = op.invoke
        if not op.unknown:
            row["response"] = op.response
        if op.status != Status.OK:
            row["status"] = op.status.name.lower()
        lines.append(json.dumps(row))
    return "\n".join(lines) + "\n"


def _encode(value: Any) -> Any:
    if value is MISSING:
        return {"$missing": True}
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is list:
        return [_encode(one) for one in value]
    if kind in (tuple, set, frozenset):
        return {f"${kind.__name__}": [_encode(one) for one in value]}
    if kind is bytes:
        return {"$bytes": value.hex()}
    if kind is dict:
        plain = all(type(key) is str for key in value) and not any(k[:1] == "$" for k in value)
        if plain:
            return {key: _encode(one) for key, one in value.items()}
        return {"$dict": [[_encode(key), _encode(one)] for key, one in value.items()]}
    raise TypeError(f"the format has no values of type {kind.__name__}")


def _decode(value: dict[str, Any]) -> Any:
    """For `object_hook`: the innermost objects come first."""
    if len(value) != 1:
        return value
    ((tag, content),) = value.items()
    match tag:
        case "$missing":
            return MISSING
        case "$tuple":
            return tuple(content)
        case "$set":
            return set(content)
        case "$frozenset":
            return frozenset(content)
        case "$bytes":
            return bytes.fromhex(content)
        case "$dict":
            return dict(content)
    return value


def read_json(text: str, name: str) -> History:
    """The history in a text; `name` is the file's, for errors."""
    history: History | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_hook=_decode)
            if not isinstance(row, dict):
                raise HistoryError("an object was expected")
            if history is None:
                history = _begin(row)
            else:
                _append(history, row)
        except (ValueError, TypeError) as error:  # HistoryError and JSON's errors are ValueErrors
            raise HistoryError(f"{name}:{number}: {error}") from error
    if history is None:
        raise HistoryError(f"{name}:1: the header line is missing")
    return history


def _begin(row: dict[str, Any]) -> History:
    if row.get("format") != NAME:
        raise HistoryError(f'the first line must have "format": "{NAME}"')
    if row.get("version") != VERSION:
        raise HistoryError(f"version {row.get('version')!r} is unknown; this reads {VERSION}")
    model = row.get("model")
    if model is not None and not isinstance(model, str):
        raise HistoryError("the model must be a name")
    return History(model)


def _append(history: History, row: dict[str, Any]) -> None:
    missing, strange = _NEEDED - row.keys(), row.keys() - _KEYS
    if missing or strange:
        what = f"lacks {sorted(missing)}" if missing else f"has the unknown {sorted(strange)}"
        raise HistoryError(f"the operation {what}")
    for field in ("client", "invoke", "response"):
        if field in row and type(row[field]) is not int:
            raise HistoryError(f"{field} must be a whole number, not {row[field]!r}")
    if not isinstance(row["method"], str) or not isinstance(row["args"], list):
        raise HistoryError("method must be a name and args a list")
    status = row.get("status", "ok")
    if status not in ("ok", "fail", "info"):
        raise HistoryError(f'status must be "ok", "fail" or "info", not {status!r}')
    result = Raised(str(row["raised"])) if "raised" in row else row.get("result")
    history.append(
        row["client"],
        row["method"],
        tuple(row["args"]),
        result,
        row["invoke"],
        row.get("response"),
        Status[status.upper()],
    )
