"""Watching builtin dicts: one of the interpreter's watcher ids for all of them.

Dicts cannot be weakly referenced, so a watched dict is registered by its address. The address stands
for that dict as long as it is registered: the interpreter sends DEALLOCATED before it frees a watched
dict, and the registration ends there, under the lock. For the same reason a registered address may be
handed to `PyDict_Unwatch` while the lock is held: a dict that is about to die in another thread waits,
inside its DEALLOCATED event, for the lock.

The lock is re-entrant, because a finalizer (of a watched dict, at worst) may interrupt its holder; what
it guards is therefore changed in single steps. It is not held while callbacks run.

The watcher id is taken with the first watch and given back with the last.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

from . import _dict_watcher_api as api
from ._hooks import report_unraisable
from ._missing import MISSING
from .errors import WatchError
from .events import Event, EventKind, Filter, Watch

__all__ = ["BuiltinWatch", "watch_dict"]

# PyDict_WatchEvent, in its order (Include/cpython/dictobject.h).
_KINDS = (
    EventKind.ADDED,
    EventKind.MODIFIED,
    EventKind.DELETED,
    EventKind.CLONED,
    EventKind.CLEARED,
    EventKind.DEALLOCATED,
)
_HAS_OLD = EventKind.MODIFIED | EventKind.DELETED


class BuiltinWatch(Watch):
    """A callback registered with one builtin dict, which it does not keep alive.

    Thread-safety: every method is atomic. After `cancel()` returns, no new delivery starts; one
    that another thread has begun may still be running.
    """

    __slots__ = ("_address",)

    def __init__(self, address: int, callback: Callable[[Event], object], filter: Filter) -> None:
        if not callable(callback):
            raise TypeError(f"the watch callback must be callable, not {callback!r}")
        self.callback = callback
        self._filter = filter
        self._address = address
        self._active = True

    def cancel(self) -> None:
        """Stop the deliveries. Cancelling twice does nothing."""
        if self._active:
            self._active = False
            _registry.remove(self)


class _Registry:
    """The watched dicts of this process, by address, and the interpreter's watcher id."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.watches: dict[int, tuple[BuiltinWatch, ...]] = {}
        self.watcher_id: int | None = None
        self.closed = False
        self.callback = api.callback_for(_handle)

    def add(self, watch: BuiltinWatch, target: dict[Any, Any]) -> None:
        address = watch._address
        with self.lock:
            if self.closed:
                raise WatchError("watch() of a builtin dict while the interpreter shuts down")
            while True:
                present = self.watches.get(address, ())
                watches = (*present, watch)
                if self.watches.get(address, ()) is present:  # else a finalizer was here too
                    break
            self.watches[address] = watches  # from now on nobody gives the id back
            try:
                api.watch_dict(self._ensure_id(), target)
            except BaseException:
                self.remove(watch)
                raise

    def remove(self, watch: BuiltinWatch) -> None:
        address = watch._address
        with self.lock:
            present = self.watches.get(address, ())
            if watch not in present:
                return  # the dict died, and its address may be another's by now
            rest = tuple([other for other in present if other is not watch])
            if rest:
                self.watches[address] = rest
            else:
                self._forget(address)

    def retire(self, address: int) -> tuple[BuiltinWatch, ...]:
        """The dict at `address` is dying: its registration ends. Returns its watches."""
        with self.lock:
            watches = self.watches.pop(address, ())
            self._give_id_back()
        return watches

    def close(self) -> None:
        """The interpreter shuts down: it must not call back any more."""
        with self.lock:
            self.closed = True
            for address in list(self.watches):
                for watch in self.watches.get(address, ()):
                    watch._active = False
                self._forget(address)

    def after_fork_in_child(self) -> None:
        self.lock = threading.RLock()  # a thread of the parent may have held the other one

    def _forget(self, address: int) -> None:
        if self.watches.pop(address, None) is not None and self.watcher_id is not None:
            api.unwatch_address(self.watcher_id, address)
        self._give_id_back()

    def _ensure_id(self) -> int:
        if self.watcher_id is None:
            try:
                taken = api.add_watcher(self.callback)
            except RuntimeError as error:
                raise WatchError(
                    "no dict watcher id is left in this interpreter: other libraries hold all of "
                    "them; use a ConcurrentDict, which needs none"
                ) from error
            if self.watcher_id is None:
                self.watcher_id = taken
            else:  # a finalizer was here too
                api.clear_watcher(taken)
        return self.watcher_id

    def _give_id_back(self) -> None:
        watcher_id = self.watcher_id
        if not self.watches and watcher_id is not None:
            self.watcher_id = None
            api.clear_watcher(watcher_id)


def watch_dict(
    target: dict[Any, Any],
    callback: Callable[[Event], object],
    kinds: EventKind | Iterable[EventKind],
    keys: Iterable[Any] | None,
) -> Watch:
    """Register `callback` with a builtin dict; see `concurrent_tables.watch`."""
    # Version 0 of every event must pass the filter's "nothing before".
    watch = BuiltinWatch(id(target), callback, Filter(kinds, keys, since=-1))
    _registry.add(watch, target)
    return watch


def _handle(event: int, address: int, key: int | None, new: int | None) -> None:
    """What the interpreter calls, in the writing thread and before the change."""
    if not 0 <= event < len(_KINDS):
        return  # a kind of a later version of the interpreter
    kind = _KINDS[event]
    if kind is EventKind.DEALLOCATED:
        _deliver_deallocated(_registry.retire(address))
    else:
        watches = _registry.watches.get(address)
        if watches:
            _deliver(watches, kind, api.object_at(address), key, new)


def _deliver(
    watches: tuple[BuiltinWatch, ...],
    kind: EventKind,
    target: dict[Any, Any],
    key_address: int | None,
    new_address: int | None,
) -> None:
    key = MISSING if key_address is None else api.object_at(key_address)
    new = MISSING if new_address is None else api.object_at(new_address)
    if kind is EventKind.CLONED:
        key, new = MISSING, key  # the interpreter passes the source as the key
    wanted = [watch for watch in watches if _admits(watch, kind, key)]
    if wanted:
        old = _present_value(target, key) if kind & _HAS_OLD else MISSING
        event = Event(kind, target, key, old, new, 0)
        for watch in wanted:
            _call(watch, event)


def _deliver_deallocated(watches: tuple[BuiltinWatch, ...]) -> None:
    """The dict must not be brought back to life, so its event does not name it."""
    event = Event(EventKind.DEALLOCATED, None, MISSING, MISSING, MISSING, 0)
    for watch in watches:
        if _admits(watch, event.kind, MISSING):
            _call(watch, event)
        watch._active = False


def _admits(watch: BuiltinWatch, kind: EventKind, key: Any) -> bool:
    try:
        return watch._active and watch._filter.admits((kind, key, MISSING, MISSING, 0))
    except BaseException:
        report_unraisable("Exception ignored in the key filter of a dict watch", watch.callback)
        return False


def _present_value(target: dict[Any, Any], key: Any) -> Any:
    """The value that is about to be replaced; MISSING if the `__eq__` of a key fails now."""
    try:
        return dict.get(target, key, MISSING)
    except BaseException:
        report_unraisable("Exception ignored looking up the old value for a dict watch", key)
        return MISSING


def _call(watch: BuiltinWatch, event: Event) -> None:
    try:
        if watch._active:
            watch.callback(event)
    except BaseException:
        # The write goes on and the other watches are told.
        report_unraisable("Exception ignored in dict watch callback", watch.callback)


_registry = _Registry()
atexit.register(_registry.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_registry.after_fork_in_child)
