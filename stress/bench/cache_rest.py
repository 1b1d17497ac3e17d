"""What the clock of the process costs while nobody asks a cache anything, in a process of its own.

A cache is filled with entries whose lives are spread evenly over an hour. From then on the clock takes out
what ends and moves what will end soon; the CPU time of its thread is read before and after a while.
"""

from __future__ import annotations

import sys
import time

from .cache_child import NotMeasured, measure_in_child

__all__ = ["rest_percent"]

_LIFE_SECONDS = 3600.0
_FILL_SECONDS = 600.0  # at most, whatever the machine
_SETTLE_SECONDS = 2.0  # the first bucket holds whatever ended while the cache was filled


def rest_percent(entries: int, seconds: float) -> float:
    """Percent of a core, over so many seconds at rest; NotMeasured where that cannot be told."""
    if not hasattr(time, "pthread_getcpuclockid"):
        raise NotMeasured("this platform does not tell the CPU time of another thread")
    return measure_in_child(__spec__.name, [str(entries), str(seconds)], _FILL_SECONDS + seconds)


def _measure(entries: int, seconds: float) -> float:
    from concurrent_tables import Cache
    from concurrent_tables.cache import clock

    cache = Cache(entries, ttl=_LIFE_SECONDS)
    for number in range(entries):
        cache.set(number, True, ttl=1.0 + _LIFE_SECONDS * number / entries)
    thread = clock._State.thread
    assert thread is not None and thread.ident is not None
    used = time.pthread_getcpuclockid(thread.ident)
    time.sleep(_SETTLE_SECONDS)
    spent, began = time.clock_gettime(used), time.monotonic()
    time.sleep(seconds)
    spent, lasted = time.clock_gettime(used) - spent, time.monotonic() - began
    return 100.0 * spent / lasted


if __name__ == "__main__":
    print(_measure(int(sys.argv[1]), float(sys.argv[2])))
