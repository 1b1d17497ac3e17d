"""The implementation in use, chosen once for each interpreter at the first import."""

from __future__ import annotations

from ._select import choose

_chosen = choose()

IMPLEMENTATION = _chosen.IMPLEMENTATION
reclaim = _chosen.reclaim
names = vars(_chosen)
