"""Hit ratios of policies on traces of requests that others recorded.

The traces are where `CT_CORPUS` says, or in ../shared/corpus beside the checkout. A policy is asked as
a cache asks it, one request after the other, with the keys' numbers for values.
"""

from __future__ import annotations

import gzip
import os
import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import inf
from pathlib import Path
from typing import Any

__all__ = [
    "TRACE_GOALS",
    "TraceGoal",
    "cache_hit_ratio",
    "exact_lru_ratio",
    "hit_ratio",
    "read_trace",
    "traces_folder",
]


@dataclass(frozen=True)
class TraceGoal:
    """On this trace, with so many entries, `tinylfu` shall hit in so many percent of the requests."""

    trace: str
    maxsize: int
    percent: float


TRACE_GOALS = (
    TraceGoal("gli", 252, 14.0),
    TraceGoal("multi3", 600, 45.0),
    TraceGoal("corda", 1024, 33.0),
    TraceGoal("loop", 512, 49.0),
    TraceGoal("corda-loop-corda", 513, 39.0),
)


def traces_folder() -> Path:
    """Where the traces are, if they are anywhere."""
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "corpus"
    return Path(os.environ.get("CT_CORPUS", beside)) / "traces"


@cache
def read_trace(name: str) -> tuple[int, ...]:
    """The keys of a trace in the order of the requests; FileNotFoundError when it is not here."""
    if name == "corda-loop-corda":
        corda = read_trace("corda")
        return corda + read_trace("loop") + corda
    if name == "corda":
        packed = gzip.decompress((traces_folder() / "corda_vaultservice.gz").read_bytes())
        return struct.unpack(f">{len(packed) // 8}q", packed)
    text = gzip.decompress((traces_folder() / f"{name}.trace.gz").read_bytes()).decode()
    return tuple([int(word) for word in text.split() if word.lstrip("-").isdigit()])


def hit_ratio(policy: Any, requests: Sequence[int], entry_type: Any) -> float:
    """Percent of the requests that find their key in a cache with this policy."""
    table: dict[int, Any] = {}
    hits = 0
    for key in requests:
        entry = table.get(key)
        if entry is not None:
            hits += 1
            policy.accessed([entry])
            continue
        table[key] = entry = entry_type(key, None, 0, None, inf, inf, 0.0, inf, 1)
        policy.added(entry)
        for victim in policy.victims():
            del table[victim.key]
    return 100.0 * hits / max(1, len(requests))


def cache_hit_ratio(cache: Any, requests: Sequence[int]) -> float:
    """Percent of the requests that a whole cache hits: `cache.get(key)`, and `set` where it is None."""
    get, store = cache.get, cache.set
    hits = 0
    for key in requests:
        if get(key) is None:
            store(key, True)
        else:
            hits += 1
    return 100.0 * hits / max(1, len(requests))


def exact_lru_ratio(requests: Sequence[int], maxsize: int) -> float:
    """Percent of the requests that an exact LRU of so many entries hits."""
    entries: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for key in requests:
        if key in entries:
            hits += 1
            entries.move_to_end(key)
            continue
        entries[key] = None
        if len(entries) > maxsize:
            entries.popitem(last=False)
    return 100.0 * hits / max(1, len(requests))
