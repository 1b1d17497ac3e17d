"""How deep this thread is inside the locks of caches.

A finalizer may run at any moment, also in a thread that holds the maintenance lock of one cache, and use
another cache. It must not wait for that one's lock: its holder may be in the mirror-image situation.
So a thread that is inside any of these locks only tries; what it cannot do now is in the queue,
where the holder finds it, since it looks again after it has let go.
"""

from __future__ import annotations

import threading

__all__ = ["holding"]


class _Holding(threading.local):
    depth = 0


holding = _Holding()
