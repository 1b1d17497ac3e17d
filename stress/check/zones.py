"""A register whose writes are all different, decided in O(n log n).

All operations with one value (its write and its reads) form a cluster; they stand together in every
order that explains the history. Let `first` be the earliest response in the cluster and `last` the
latest invocation. Cluster A can stand before cluster B unless something of B ended before something
of A began: unless first(B) < last(A). The history is linearizable exactly if no read ends before its
write begins and no two clusters exclude one another (P. Gibbons and E. Korach, "Testing shared
memories", SIAM J. Comput. 1997, there with "zones"). Only clusters with first < last can exclude
others: their value was there from first to last.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .effects import NOTHING, Effect
from .history import FOREVER

__all__ = ["zone_conflict"]


@dataclass(slots=True)
class _Cluster:
    value: Any
    write: Effect | None  # None: the initial value
    first: int
    last: int
    observed: bool


def zone_conflict(effects: Sequence[Effect], initial: Any) -> str | bool | None:
    """A text that says what is wrong, False for linearizable, None if the check does not apply.

    It applies to reads and writes only, each write of another value, none of the initial one.
    """
    clusters = _clusters(effects, initial)
    if clusters is None:
        return None
    for effect in effects:
        if effect.saw is NOTHING:
            continue
        if effect.saw not in clusters:
            return f"value from nowhere: {effect.op} saw a value that nobody wrote"
        cluster = clusters[effect.saw]
        if cluster.write is not None and effect.response < cluster.write.invoke:
            return f"read before its write: {effect.op}, {cluster.write.op}"
        cluster.observed = True
        cluster.first = min(cluster.first, effect.response)
        cluster.last = max(cluster.last, effect.invoke)
    return _exclusion([c for c in clusters.values() if _counts(c)])


def _clusters(effects: Sequence[Effect], initial: Any) -> dict[Any, _Cluster] | None:
    clusters = {initial: _Cluster(initial, None, -FOREVER, -FOREVER, False)}
    for effect in effects:
        if effect.left is NOTHING:
            continue
        if effect.saw is not NOTHING or effect.left in clusters:
            return None
        clusters[effect.left] = _Cluster(effect.left, effect, effect.response, effect.invoke, False)
    return clusters


def _counts(cluster: _Cluster) -> bool:
    """A write that nobody saw and that may never have happened need not be placed."""
    return cluster.observed or cluster.write is None or not cluster.write.op.unknown


def _exclusion(clusters: list[_Cluster]) -> str | bool:
    forward = sorted((c for c in clusters if c.first < c.last), key=lambda c: c.first)
    for before, after in pairwise(forward):
        if after.first < before.last and before.first < after.last:
            return _text(before, after)
    firsts = [cluster.first for cluster in forward]
    for cluster in clusters:
        if cluster.first < cluster.last:
            continue
        place = bisect_left(firsts, cluster.last)  # of those that begin before it, the last
        if place and cluster.first < forward[place - 1].last:
            return _text(forward[place - 1], cluster)
    return False


def _text(one: _Cluster, other: _Cluster) -> str:
    return (
        f"order cycle: {one.value!r} was there before {other.value!r} and after it, "
        "and both were written once"
    )
