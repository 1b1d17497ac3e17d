"""Replay tokens of native findings: a scenario and where it was seen, in one word.

`ctn1-` and base64 of: 4 bytes with the length of what follows them, 4 bytes with its checksum (CRC-32),
and compressed JSON. The digit is the version of the format. Tokens of the serialised mode begin with
`cts1-` (stress/serial/token.py) and repeat a run step for step; these repeat the work of the threads.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import dataclass, field
from typing import Any

from ..options import UsageError
from ..sampling.facts import facts_of, scenario_from
from ..serial.token import PREFIX as SERIAL_PREFIX
from .steps import Case

__all__ = ["PREFIX", "NativeToken", "TokenError", "decode", "encode", "is_native"]

FORMAT = 1
PREFIX = f"ctn{FORMAT}-"
_ANY = re.compile(r"^ctn(\d+)-")
_ALPHABET = re.compile(r"[^A-Za-z0-9_-]")
_HEAD = 8  # bytes


class TokenError(UsageError):
    """A token that cannot be read: what is wrong, where, and what to do."""


@dataclass(frozen=True)
class NativeToken:
    """What a token holds.

    Parameters:
        target: `module:Class`, or the name of one of our tables. kind: of the finding.
        case: the scenario and its faults. seed: of the run that found it.
        facts: profile, versions, build and flags of that run; `rate` is [failing, samples].
    """

    target: str
    kind: str
    case: Case
    seed: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


def is_native(token: str) -> bool:
    """Whether it looks like a token of this kind, of any format."""
    return _ANY.match(token) is not None


def encode(token: NativeToken) -> str:
    """The word."""
    document = {
        **token.facts,
        "target": token.target,
        "kind": token.kind,
        "seed": token.seed,
        "faults": list(token.case.faults),
        "scenario": facts_of(token.case.scenario),
    }
    data = zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 9)
    head = len(data).to_bytes(4, "big") + zlib.crc32(data).to_bytes(4, "big")
    return PREFIX + base64.urlsafe_b64encode(head + data).decode().rstrip("=")


def decode(token: str) -> NativeToken:
    """What a token holds.

    Raises:
        TokenError: it is damaged, or of another format or harness.
    """
    document = _document(token)
    try:
        case = Case(scenario_from(document.pop("scenario")), tuple(document.pop("faults")))
        target, kind, seed = document.pop("target"), document.pop("kind"), document.pop("seed")
    except (KeyError, ValueError, TypeError) as error:
        raise TokenError(
            f"the token is whole, but of another version of the harness "
            f"(concurrent_tables {document.get('version', 'unknown')}): {error}; replay it with that"
        ) from error
    return NativeToken(str(target), str(kind), case, int(seed), document)


def _document(token: str) -> dict[str, Any]:
    token = token.strip()
    found = _ANY.match(token)
    if found is None:
        raise TokenError(
            f"{token[:12]!r}... is no replay token: one of a native run begins with {PREFIX!r}, one of "
            f"the serialised mode with {SERIAL_PREFIX!r}"
        )
    if int(found[1]) != FORMAT:
        raise TokenError(
            f"the token is of format {found[1]}, and this harness reads format {FORMAT}: replay it with "
            "the version of concurrent_tables that printed it"
        )
    word = token[len(PREFIX) :]
    strange = _ALPHABET.search(word)
    if strange is not None:
        place = len(PREFIX) + strange.start() + 1
        raise TokenError(
            f"the token is damaged: its character {place} is {strange[0]!r}, which no token has; copy it "
            "again, whole and without blanks"
        )
    return _checked(word)


def _checked(word: str) -> dict[str, Any]:
    try:
        data = base64.urlsafe_b64decode(word + "=" * (-len(word) % 4))
    except ValueError:
        data = b""
    size = int.from_bytes(data[:4], "big")
    needed = -(-(_HEAD + size) * 4 // 3)
    if len(data) < _HEAD or len(word) != needed:
        raise TokenError(
            f"the token is damaged: it has {len(word)} characters behind {PREFIX!r}"
            + (f", and says that they are {needed}" if len(data) >= 4 else "")
            + "; copy it again, whole and without blanks"
        )
    if zlib.crc32(data[_HEAD:]) != int.from_bytes(data[4:_HEAD], "big"):
        raise TokenError(
            f"the token is damaged: the checksum of its {len(word)} characters does not fit, so at "
            "least one is wrong; copy it again"
        )
    try:
        document = json.loads(zlib.decompress(data[_HEAD:]))
    except (ValueError, zlib.error) as error:
        raise TokenError(f"the token is of another harness: {error}") from error
    if not isinstance(document, dict):
        raise TokenError("the token is of another harness: it holds no scenario")
    return document
