"""The zoo: small broken containers in pure Python, one bug each, and their correct twins.

A harness that finds nothing here is broken itself. The serialised mode (`stress.serial`) finds every
bug of the zoo with the bounded search, whatever the seed, and none in the twins.
"""

from __future__ import annotations

from . import blocking, caches, counters, events, maps, tables
from .specimen import Specimen

__all__ = ["ZOO", "Specimen"]

ZOO: tuple[Specimen, ...] = (
    *counters.SPECIMENS,
    *maps.SPECIMENS,
    *caches.SPECIMENS,
    *blocking.SPECIMENS,
    *tables.SPECIMENS,
    *events.SPECIMENS,
)
