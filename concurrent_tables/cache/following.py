"""`invalidate_on`: a change of a table drops the entries that depend on it.

Tables of this package report a change after it is visible and before the writing call returns: whatever
loads from then on sees the new state, and loads that began before fall like with any invalidation.

Builtin dicts report *before* the change. A load that begins after the report may therefore still read
the old state. So the report is remembered, and while the dict does not show the change, loads are
run but not kept, and not shared between callers (`unsettled`). Those who write a watched dict take turns,
as `watch` asks of them, hence only the last report can be in that state.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

from .._hooks import report_unraisable
from .._missing import MISSING
from .._watch import watch
from ..events import Event, EventKind, Watch
from .removal import RemovalCause

__all__ = ["Following"]

_PER_KEY = EventKind.ADDED | EventKind.MODIFIED | EventKind.DELETED


class _Report:
    """A change of a builtin dict that was announced."""

    __slots__ = ("event",)

    def __init__(self, event: Event) -> None:
        self.event: Event | None = event  # None as soon as somebody saw the change

    def visible(self) -> bool:
        """Whether the dict has changed by now."""
        event = self.event
        if event is None:
            return True
        kind, table, key, old, new, _ = event
        if kind & _PER_KEY:
            seen = dict.get(table, key, MISSING) is not old
        elif kind is EventKind.CLEARED:
            seen = not table
        elif kind is EventKind.CLONED:
            seen = bool(table) or not new
        else:
            seen = True
        if seen:
            self.event = None  # lets the old value go
        return seen


class _Relay:
    """What the watch calls.

    Watches of builtin dicts live in a registry of the process. A keys function may know an object that
    has both cache and dict: kept alive from there, none of them would ever go.
    """

    __slots__ = ("_following", "watching")

    def __init__(self, following: Following) -> None:
        self.watching: Watch | None = None
        self._following = weakref.ref(following, self._ended)

    def __call__(self, event: Event) -> None:
        following = self._following()
        if following is not None:
            following._changed(event)

    def _ended(self, _: object) -> None:
        if self.watching is not None:
            self.watching.cancel()


class Following:
    """The watch behind one `invalidate_on`; also a context manager that cancels itself.

    It keeps neither the cache nor the table alive. Thread-safety: every method is atomic.
    """

    __slots__ = ("__weakref__", "_before", "_cache", "_keys", "_last", "_watch")

    def __init__(
        self, cache: Any, table: Any, keys: Callable[[Event], Iterable[Any]] | None
    ) -> None:
        self._keys = keys
        self._before = isinstance(table, dict)
        self._last: _Report | None = None
        self._cache = weakref.ref(cache, self._ended)
        self._watch: Watch | None = None
        relay = _Relay(self)
        self._watch = relay.watching = watch(table, relay)

    @property
    def active(self) -> bool:
        """Whether changes still drop entries."""
        return self._watch is not None and self._watch.active

    def cancel(self) -> None:
        """Stop following. Cancelling twice does nothing."""
        watching = self._watch
        if watching is not None:
            watching.cancel()
        cache = self._cache()
        if cache is not None:
            cache._unfollow(self)

    def __enter__(self) -> Following:
        return self

    def __exit__(self, *exc: object) -> None:
        self.cancel()

    def unsettled(self) -> bool:
        """Whether a change was announced that the dict does not show yet."""
        last = self._last
        return last is not None and not last.visible()

    def _ended(self, _: object) -> None:
        watching = self._watch
        if watching is not None:
            watching.cancel()

    def _changed(self, event: Event) -> None:
        cache = self._cache()
        if cache is None:
            return
        if event.kind is EventKind.DEALLOCATED:
            self._last = None
            return
        if self._before:
            self._last = _Report(event)
        for key in self._dependents(cache, event):
            try:
                cache.invalidate(key)
            except BaseException:
                report_unraisable("Exception ignored invalidating a key of a followed table", key)
                cache._clear(RemovalCause.INVALIDATED)

    def _dependents(self, cache: Any, event: Event) -> Iterable[Any]:
        """The keys to drop; everything is dropped at once where they cannot be told."""
        if event.kind & _PER_KEY:
            if self._keys is None:
                return (event.key,)
            try:
                names = self._keys(event)
                if isinstance(
                    names, (str, bytes)
                ):  # it would be taken apart, and stale values stay
                    raise TypeError(
                        f"keys(event) gave {names!r}, not an iterable of keys: return [key] for one key"
                    )
                return list(names)
            except BaseException:
                report_unraisable(
                    "Exception ignored in the keys function of invalidate_on", self._keys
                )
        cache._clear(RemovalCause.INVALIDATED)
        return ()
