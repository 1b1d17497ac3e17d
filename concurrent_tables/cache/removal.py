"""Why an entry left a cache."""

from __future__ import annotations

import enum

__all__ = ["RemovalCause"]


class RemovalCause(enum.StrEnum):
    """Why an entry left; equal to its name in lower case.

    - EXPLICIT: `pop` or `clear`.
    - REPLACED: another value took its place.
    - SIZE: the policy chose it to keep the bound.
    - EXPIRED: its ttl or idle time was over.
    - INVALIDATED: `invalidate...`, a followed table, or one of its tags. Also what another call met while
      `clear` was on its way to it, and what a load brought that a write overtook.
    """

    place: int  # among the numbers that the C table counts

    EXPLICIT = "explicit"
    REPLACED = "replaced"
    SIZE = "size"
    EXPIRED = "expired"
    INVALIDATED = "invalidated"


for _place, _cause in enumerate(RemovalCause, start=1):
    _cause.place = _place
