"""Every operation of a cache, run out of memory: `python -m tests.memory.cache_operations POLICY STATE`.

In a process of its own: the sweep collects garbage after each of some thousand attempts, which takes
long beside what a test session has gathered. Exit status 1 and the problems, if there are any.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

from concurrent_tables import reclaim
from concurrent_tables.cache.cache import make_cache_type
from concurrent_tables.cache.parts import parts
from tests.memory.cache_sweep import CacheSweep, CacheWorld


def _later(world: CacheWorld, seconds: float) -> None:
    world.now += seconds


def _expired(cache: Any, world: CacheWorld, seconds: float) -> None:
    world.now = 100.0 + seconds
    cache.expire()


def _met(cache: Any, world: CacheWorld) -> None:
    """Expired entries that a read, a write and a removal meet."""
    world.now = 145.0
    cache.get(world.old[0])
    cache.pop(world.old[1], None)
    cache.set(world.old[2], world.values[15])


def _fallen(cache: Any, world: CacheWorld) -> None:
    cache.invalidate_tag("tag")
    cache.expire()


OPERATIONS: dict[str, Any] = {
    "get": lambda c, w: (c.get(w.old[1]), c.get("plain"), c.get(w.fresh[0])),
    "get_many": lambda c, w: c.get_many(w.old),
    "in": lambda c, w: (w.old[1] in c, len(c)),
    "keys": lambda c, w: (c.keys(), c.items()),
    "stats": lambda c, w: (c.stats(), c.info(), repr(c)),
    "set": lambda c, w: c.set(w.fresh[0], w.values[15]),
    "set str": lambda c, w: c.set("name", w.values[15]),
    "set over": lambda c, w: c.set(w.old[1], w.values[15]),
    "set ttl": lambda c, w: c.set(w.fresh[1], w.values[15], ttl=7.0),
    "set ttl 0": lambda c, w: c.set(w.old[1], w.values[15], ttl=0),
    "set tags": lambda c, w: c.set(w.fresh[1], w.values[15], tags=w.tags),
    "pop": lambda c, w: c.pop(w.old[1]),
    "pop default": lambda c, w: c.pop(w.fresh[1], None),
    "touch": lambda c, w: c.touch(w.old[1], 500.0),
    "touch 0": lambda c, w: c.touch(w.old[1], 0),
    "expires_in": lambda c, w: c.expires_in(w.old[1]),
    "load": lambda c, w: c.get_or_load(w.fresh[1], w.to_value),
    "load over expired": lambda c, w: (_later(w, 25.0), c.get_or_load(w.old[0], w.to_value)),
    "load tags": lambda c, w: c.get_or_load(w.fresh[1], w.to_value, tags=w.tags),
    "load_many": lambda c, w: c.load_many(w.fresh[:1], w.to_many),
    "invalidate": lambda c, w: c.invalidate(w.old[1]),
    "invalidate_tag": lambda c, w: c.invalidate_tag("other"),
    "fallen": _fallen,
    "invalidate_where": lambda c, w: c.invalidate_where(w.odd),
    "expire one": lambda c, w: _expired(c, w, 25.0),
    "expire some": lambda c, w: _expired(c, w, 60.0),
    "expire all": lambda c, w: _expired(c, w, 5000.0),
    "due": lambda c, w: (_later(w, 60.0), c._expire_due()),
    "met expired": _met,
    "clear": lambda c, w: c.clear(),
    "watch": lambda c, w: c.watch(w.ignored).cancel(),
    "table": lambda c, w: (c._table.items(), c._table.values(), c._table.get(w.old[1])),
    "table books": lambda c, w: (c._table._books(), c._table._tallies(), c._table._next_due()),
}


def main(policy: str, state: str) -> int:
    """Sweep over all operations of a C cache with `policy` ("none": without a bound)."""
    gc.freeze()  # what is here is here to stay
    cache_type = make_cache_type(parts("c"), None)
    failed = False
    for label, operation in OPERATIONS.items():
        if sys.version_info < (3, 12) and label.startswith("load"):
            continue  # ContextVar.set() of CPython 3.11 crashes without memory
        sweep = CacheSweep(
            lambda: CacheWorld(cache_type, None if policy == "none" else policy, state), operation
        )
        if found := sweep.run(reclaim.flush):
            failed = True
            print(f"{label}: {found[:4]}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
