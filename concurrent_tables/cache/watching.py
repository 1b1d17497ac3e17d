"""Watching a cache: events of its table of entries, told in values."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any

from .._missing import MISSING
from ..events import ALL_KINDS, Event, EventKind, Watch
from .base import Shared
from .following import Following

__all__ = ["Watching"]

_POLL_SECONDS = 1.0


class _Translator:
    """Gives a callback the cache in place of its table, and values in place of entries."""

    __slots__ = ("cache", "callback", "native")

    def __init__(self, cache: Any, callback: Callable[[Event], object]) -> None:
        self.cache = weakref.ref(cache)
        self.native = cache._parts.native
        self.callback = callback

    def __call__(self, event: Event) -> None:
        old, new = event.old, event.new
        # The C table tells values; what was lost is told by versions.
        if not self.native and event.kind is not EventKind.LOST:
            old = old if old is MISSING else old.value
            new = new if new is MISSING else new.value
        self.callback(event._replace(table=self.cache(), old=old, new=new))


class Watching(Shared):
    """`watch`, `wait_for` and `invalidate_on`."""

    def watch(
        self,
        callback: Callable[[Event], object],
        *,
        kinds: EventKind | Iterable[EventKind] = ALL_KINDS,
        keys: Iterable[Any] | None = None,
    ) -> Watch:
        """Call `callback(event)` for every entry that comes, changes or goes.

        The events are those of tables: ADDED, MODIFIED and DELETED with `key`, `old` and `new`, in
        the writing thread, with no lock held; `event.table` is the cache. An entry that expired or
        fell with a tag is reported when it is taken out. Returns a `Watch` with `cancel()`.
        Thread-safety: atomic.
        """
        if not callable(callback):
            raise TypeError(f"the watch callback must be callable, not {callback!r}")
        watching: Watch = self._table.watch(_Translator(self, callback), kinds=kinds, keys=keys)
        return watching

    def wait_for(self, key: Any, timeout: float | None = None) -> Any:
        """The value of `key`, as soon as there is one; loads nothing.

        `timeout` in seconds, None for as long as it takes; TimeoutError when it is over.
        Thread-safety: blocks this thread only.
        """
        came = threading.Event()
        end = None if timeout is None else monotonic() + timeout
        with self._table.watch(lambda _: came.set(), keys=[key]):
            while True:
                came.clear()
                entry = self._peek_entry(key)
                if entry is not None:
                    return entry.value
                left = _POLL_SECONDS if end is None else min(_POLL_SECONDS, end - monotonic())
                if left <= 0:
                    raise TimeoutError(
                        f"{type(self).__name__}: no value for key {key!r} within {timeout} s"
                    )
                came.wait(left)

    def invalidate_on(
        self, table: Any, keys: Callable[[Event], Iterable[Any]] | None = None
    ) -> Following:
        """Drop entries whenever `table` changes; returns a `Following` with `cancel()`.

        `table`: a mutable table of this package or, on CPython 3.12 and later, a builtin dict. Where
        several threads write that dict, hold a lock around the writes, as for `watch`.
        `keys(event)`: an iterable of the cache keys that depend on what changed, never a str for one
        key; without it the event's own key.
        It is called for ADDED, MODIFIED and DELETED, in the writing thread; when it raises, and
        for changes of the whole table (CLEARED, CLONED, LOST), everything is dropped.

        Once the write has returned, no read of the cache returns a value made before it; loads in
        flight are handled as by `invalidate`. Errors: TypeError, WatchError as for `watch`.
        Thread-safety: atomic.
        """
        if keys is not None and not callable(keys):
            raise TypeError(f"keys must be callable, not {keys!r}")
        following = Following(self, table, keys)
        with self._clearing():
            self._followings += (following,)
        return following

    def _unfollow(self, following: Following) -> None:
        with self._clearing():
            self._followings = tuple(
                [other for other in self._followings if other is not following]
            )
