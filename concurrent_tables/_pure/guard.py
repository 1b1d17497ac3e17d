"""Guards: a lookup that is remembered and revalidated with one load and compare.

As the interpreter's inline caches do with `dk_version`: the entry numbers of some keys stay good
until a key is added to or removed from the table; overwriting a value does not disturb them.
"""

from __future__ import annotations

from typing import Any

from .._missing import MISSING
from .critical_section import CriticalSection
from .keys import MISS, find
from .reclaim import IDLE, domain
from .table import NULL

__all__ = ["Guard"]


class Guard:
    """Calls return the present value of one key, or a tuple of the values of several.

    An absent key gives MISSING. The values of several keys are all of one moment. `valid` tells
    whether the remembered entries still hold; a call after a change of the set of keys looks the
    keys up again and counts in `refreshes`.

    Thread-safety: lock-free; a guard may be shared between threads.

    >>> from concurrent_tables import ConcurrentDict
    >>> settings = ConcurrentDict(host="a", port=80)
    >>> guard = settings.guard("host", "port")
    >>> guard()
    ('a', 80)
    >>> settings["port"] = 81
    >>> guard.valid, guard()
    (True, ('a', 81))
    """

    __slots__ = ("_cache", "_hashes", "_keys", "_refreshes", "_table")
    __module__ = "concurrent_tables"

    def __init_subclass__(cls, *, ours: bool = False) -> None:
        if not ours:
            raise TypeError("type 'concurrent_tables.Guard' is not an acceptable base type")

    def __init__(self, table: Any, keys: tuple[Any, ...]) -> None:
        if not keys:
            raise TypeError("guard() takes at least one key")
        self._table = table
        self._keys = keys
        self._hashes = [hash(key) for key in keys]
        self._refreshes = 0
        table._touch()
        self._cache = self._resolve()

    @property
    def keys(self) -> tuple[Any, ...]:
        """The guarded keys."""
        return self._keys

    @property
    def refreshes(self) -> int:
        """How often the keys had to be looked up again."""
        return self._refreshes

    @property
    def valid(self) -> bool:
        """Whether the remembered entries still hold."""
        return self._holds(self._cache)

    def _holds(self, cache: tuple[Any, int, int, list[int]]) -> bool:
        block, nentries, keys_version, _ = cache
        table = self._table
        return bool(
            table._block is block
            and block.nentries == nentries
            and table._keys_version == keys_version
        )

    def __call__(self) -> Any:
        table = self._table
        table._touch()
        while True:
            cache = self._cache  # loaded once: another thread may put a newer one in its place
            block, _, _, entries = cache
            record = domain.pin()
            try:
                version = table._at_rest() if len(entries) > 1 else 0
                # A block raises `nentries` before it publishes an entry, and an entry is never
                # used again: as long as both hold, absent keys are absent and numbers are right.
                if self._holds(cache):
                    values = [MISSING if ix == MISS else block.values[ix] for ix in entries]
                    if all(value is not NULL for value in values):
                        if len(values) == 1:
                            return values[0]
                        # Of one moment if no commit began between the first load and the last.
                        if table._started == version and table._block is block:
                            return tuple(values)
            finally:
                # In straight-line code: an exception that a signal handler raises cannot leave the pin.
                record.depth -= 1
                if record.depth == 0:
                    record.sequence = IDLE
            if not self._holds(cache):
                self._cache = self._resolve()
                self._refreshes += 1
            elif len(entries) > 1:
                found = table.get_many(self._keys)
                return tuple([found.get(key, MISSING) for key in self._keys])

    def _resolve(self) -> tuple[Any, int, int, list[int]]:
        table = self._table
        while True:
            keys_version = table.keys_version
            places = [find(table, k, h) for k, h in zip(self._keys, self._hashes, strict=True)]
            block, nentries = places[0][0], places[0][2]
            # Inside the section no commit is half done.
            with CriticalSection(table._mutex):
                if (
                    table._keys_version == keys_version
                    and table._block is block
                    and block.nentries == nentries
                    and all(place[0] is block for place in places)
                ):
                    return block, nentries, keys_version, [place[1] for place in places]
