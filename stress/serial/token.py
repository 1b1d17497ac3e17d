"""Replay tokens: the programs and every choice of a schedule, in one word.

`cts1-` and base64 of compressed JSON. A token that was made of an importable container with literal
arguments needs nothing else; otherwise `replay` is given them again. The digest in it is that of the
trace and the outcome: a replay says whether it was the same run.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import sys
import zlib
from collections.abc import Sequence
from typing import Any

from .errors import TokenError
from .runs import Run

__all__ = ["PREFIX", "decode", "digest_of", "encode", "literal", "version"]

PREFIX = "cts1-"


def encode(facts: dict[str, Any], choices: Sequence[int]) -> str:
    """A token; `facts` are JSON values."""
    document = {**facts, "choices": _packed(choices), "python": version()}
    data = zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 9)
    return PREFIX + base64.urlsafe_b64encode(data).decode().rstrip("=")


def decode(token: str) -> tuple[dict[str, Any], list[int]]:
    """The facts and the choices of a token."""
    if not token.startswith(PREFIX):
        raise TokenError(f"a token of the serialised mode begins with {PREFIX!r}")
    word = token[len(PREFIX) :]
    try:
        data = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True)
        facts = json.loads(zlib.decompress(data))
        return facts, _unpacked(facts.pop("choices"))
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
        raise TokenError("the token is damaged; copy it whole") from error


def _packed(choices: Sequence[int]) -> str:
    """Runs of the same thread: `0*5,1,0*3`."""
    parts: list[list[int]] = []
    for choice in choices:
        if parts and parts[-1][0] == choice:
            parts[-1][1] += 1
        else:
            parts.append([choice, 1])
    return ",".join(f"{choice}*{n}" if n > 1 else str(choice) for choice, n in parts)


def _unpacked(text: str) -> list[int]:
    choices: list[int] = []
    for part in filter(None, text.split(",")):
        choice, _, times = part.partition("*")
        choices += [int(choice)] * int(times or 1)
    return choices


def digest_of(run: Run, outcome: Any) -> str:
    """Of the trace and the outcome; the same wherever the files lie."""
    steps = [
        (thread, file.replace("\\", "/").rpartition("/")[2], line, offset)
        for thread, (file, line, offset) in run.trace
    ]
    return hashlib.sha256(repr((steps, run.end, _sorted(outcome))).encode()).hexdigest()[:16]


def _sorted(value: Any) -> Any:
    """Without the order of sets, which is another one in every process."""
    if isinstance(value, frozenset):
        return sorted(map(repr, map(_sorted, value)))
    if isinstance(value, tuple):
        return [_sorted(each) for each in value]
    return value


def literal(value: Any) -> str | None:
    """The source of a value made of literals, or None."""
    source = repr(value)
    try:
        return source if ast.literal_eval(source) == value else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def version() -> str:
    """Tokens are of one minor version of Python: its lines and instructions are the points."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"
