"""Memory for each entry of a cache with ttl: what the process grows by, in a process of its own."""

from __future__ import annotations

import gc
import sys

from .cache_child import NotMeasured, measure_in_child

__all__ = ["bytes_per_entry"]

_LIMIT_SECONDS = 600.0


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        import resource

        return int(file.read().split()[1]) * resource.getpagesize()


def bytes_per_entry(contestant: str, entries: int) -> float:
    """Bytes of a cache of so many int keys, without keys and values; NotMeasured where it is not told."""
    if not sys.platform.startswith("linux"):
        raise NotMeasured("this platform does not tell the resident size of a process")
    return measure_in_child(__spec__.name, [contestant, str(entries)], _LIMIT_SECONDS)


def _measure(contestant: str, entries: int) -> float:
    from .cache_contestants import find_cache_contestants

    make = {one.name: one.make for one in find_cache_contestants()[0]}[contestant]
    keys = list(range(10**6, 10**6 + entries))
    gc.collect()
    before = _resident_bytes()
    made = make(entries, 3600.0, bool)
    for key in keys:
        made.set(key, True)
    gc.collect()
    return (_resident_bytes() - before) / entries


if __name__ == "__main__":
    print(_measure(sys.argv[1], int(sys.argv[2])))
