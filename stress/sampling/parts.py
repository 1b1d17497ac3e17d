"""The fixed parts of scenarios: peers of a container, and what follows from all calls together."""

from __future__ import annotations

import sys
from dataclasses import replace

from ..profiles import Result
from .scenario import Scenario

__all__ = [
    "KEYS", "MAPPINGS", "MOST_STEPS", "PEER_CALLS", "pairs_of", "peers_of", "split", "weakened",
]  # fmt: skip

_PEERS = (
    "own", "own", "own", "set", "dict", "list", "pairs", "pair lists", "OrderedDict", "Counter",
    "deque", "iterator", "items iterator",
)  # fmt: skip
# Those that CPython itself keeps whole while threads share and change them: of the others (shared
# iterators, ordered dicts) some end the process, of which a container of somebody else is innocent.
_STEADY_PEERS = ("own", "own", "own", "set", "dict", "list", "pairs", "Counter")
# Up to 3.13, sets and dicts lose items, and crash, where threads take turns in the `__eq__` of keys.
_UNHASHED_PEERS = ("own", "own", "own", "list", "pairs")
PEER_CALLS: dict[str, tuple[str, ...]] = {
    "set": ("b.add({k})", "b.discard({k})", "b.clear()", "b.update({ks})", "b.pop()"),
    "dict": ("b.pop({k}, None)", "b.clear()", "b.update({p})", "!b[{k}] = {v}; r = None"),
    "list": ("b.append({k})", "b.clear()", "!b[0] = {k}; r = None", "b.pop()", "b.reverse()"),
    "pairs": ("b.append(({k}, {v}))", "b.clear()", "!b[0] = ({k}, {v}); r = None", "b.pop()"),
    "pair lists": (
        "!b[0][1] = {v}; r = None",
        "!b[0][0] = {k}; r = None",
        "b.reverse()",
        "b.pop()",
    ),
    "iterator": ("next(b, None)", "length_hint(b)", "list(b)"),
    "items iterator": ("next(b, None)", "length_hint(b)", "list(b)"),
    "deque": ("b.append({k})", "b.clear()", "b.popleft()", "b.rotate(1)"),
    "OrderedDict": ("b.pop({k}, None)", "b.clear()", "!b[{k}] = {v}; r = None"),
    "Counter": ("b.pop({k}, None)", "b.clear()", "!b[{k}] = {n}; r = None"),
}
MOST_STEPS = 4
MAPPINGS = frozenset({"dict", "OrderedDict", "Counter", "own"})
KEYS = frozenset({"list", "generator", "set", "frozenset", "deque", "keys view"})


def peers_of(*, stranger: bool, python_keys: bool) -> tuple[str, ...]:
    """Kinds of a second object that threads share, beside a container of CPython's or a stranger."""
    if not stranger:
        return _PEERS
    return _UNHASHED_PEERS if python_keys and sys.version_info < (3, 14) else _STEADY_PEERS


def weakened(scenario: Scenario) -> Scenario:
    """Glimpses are exact unless another thread changes many keys at once."""
    threads = []
    for number, thread in enumerate(scenario.threads):
        others = [c for n, each in enumerate(scenario.threads) if n != number for c in each]
        blurred = any(call.bulk for call in others)
        threads.append(
            tuple(
                [
                    replace(call, result=Result.LOOSE if blurred else Result.EXACT)
                    if call.result is Result.GLIMPSE
                    else call
                    for call in thread
                ]
            )
        )
    return replace(scenario, threads=tuple(threads))


def split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def pairs_of(text: str) -> list[tuple[str, str]]:
    parts = split(text.replace("(", "").replace(")", ""))
    return list(zip(parts[::2], parts[1::2], strict=True))
