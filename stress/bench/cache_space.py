"""Memory for each entry of a cache with ttl: what the process grows by, in a process of its own."""

from __future__ import annotations

import gc
import subprocess
import sys

__all__ = ["bytes_per_entry"]


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        import resource

        return int(file.read().split()[1]) * resource.getpagesize()


def bytes_per_entry(contestant: str, entries: int) -> float | None:
    """Bytes of a cache of so many int keys, without keys and values; None where it cannot be told."""
    if not sys.platform.startswith("linux"):
        return None
    command = [sys.executable, "-m", __spec__.name, contestant, str(entries)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    return float(done.stdout) if done.returncode == 0 else None


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
