"""Watchers by number, as the interpreter's C API has them for its dicts.

After `PyDict_AddWatcher` and its companions (Objects/dictobject.c): up to eight callbacks have the ids
0 to 7; a table carries a bit mask of the ids that watch it. One callback thus serves any number of
tables, which costs a table one bit. `table.watch(...)` is the comfortable form.

A bit in a table says "ask the watcher"; whether it watches the table, the watcher knows. So a bit that
a race left behind is harmless, and an id that is given out again inherits no tables.

>>> from concurrent_tables import ConcurrentDict, watchers
>>> log = []
>>> watcher = watchers.add_watcher(lambda event: log.append((event.kind.name, event.key)))
>>> table = ConcurrentDict()
>>> watchers.watch(watcher, table)
>>> table["a"] = 1
>>> watchers.unwatch(watcher, table)
>>> table["b"] = 2
>>> log
[('ADDED', 'a')]
>>> watchers.clear_watcher(watcher)
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Callable
from typing import Any, NoReturn

from ._hooks import report_unraisable
from .events import Event, EventKind, WatchState

__all__ = ["MAX_WATCHERS", "add_watcher", "clear_watcher", "unwatch", "watch"]

MAX_WATCHERS = 8


class _Watcher:
    """A callback and its tables: by address, since tables are neither hashable nor kept alive.

    A table's DEALLOCATED event removes its entry, so an address stands for one table.
    """

    __slots__ = ("callback", "tables")

    def __init__(self, callback: Callable[[Event], object]) -> None:
        self.callback = callback
        self.tables: dict[int, weakref.ref[Any]] = {}


# Every access is one atomic dict operation; no lock, so nothing to hold while callbacks run.
_watchers: dict[int, _Watcher] = {}


def add_watcher(callback: Callable[[Event], object], /) -> int:
    """Register `callback(event)` and return its id, the lowest of 0 to 7 that is free.

    The callback runs as those of `table.watch` do: in the writing thread, after the change, with
    no lock held; what it raises goes to `sys.unraisablehook`.
    Errors: TypeError when it is not callable; RuntimeError when all eight ids are taken.
    Thread-safety: atomic.
    """
    if not callable(callback):
        raise TypeError(f"add_watcher: the callback must be callable, not {callback!r}")
    watcher = _Watcher(callback)
    for watcher_id in range(MAX_WATCHERS):
        if _watchers.setdefault(watcher_id, watcher) is watcher:
            return watcher_id
    raise RuntimeError(
        f"add_watcher: all {MAX_WATCHERS} watcher ids are taken; "
        "give one back with clear_watcher, or use table.watch(...)"
    )


def clear_watcher(watcher_id: int, /) -> None:
    """Give an id back. Its tables are no longer watched; deliveries under way find no callback.

    Errors: ValueError when no watcher has this id. Thread-safety: atomic.
    """
    _, number = _find(watcher_id)
    watcher = _watchers.pop(number, None)
    if watcher is None:  # another thread was faster
        _reject(number)
    for ref in watcher.tables.copy().values():
        table = ref()
        if table is not None:
            _set_bit(number, table)


def watch(watcher_id: int, table: Any, /) -> None:
    """Let a watcher have the events of `table`, a mutable table of this package.

    Watching twice is watching once. The watcher does not keep the table alive.
    Errors: ValueError when no watcher has this id; TypeError for anything but a table.
    Thread-safety: atomic.
    """
    watcher, number = _find(watcher_id)
    _check_table(table)
    watcher.tables[id(table)] = weakref.ref(table)
    _set_bit(number, table)


def unwatch(watcher_id: int, table: Any, /) -> None:
    """Stop what `watch` began; does nothing when it did not.

    Errors: ValueError when no watcher has this id; TypeError for anything but a table.
    Thread-safety: atomic.
    """
    watcher, number = _find(watcher_id)
    _check_table(table)
    watcher.tables.pop(id(table), None)
    _set_bit(number, table)


def _find(watcher_id: int) -> tuple[_Watcher, int]:
    number = operator.index(watcher_id)
    watcher = _watchers.get(number)
    if watcher is None:
        _reject(number)
    return watcher, number


def _reject(number: int) -> NoReturn:
    raise ValueError(f"no table watcher has the id {number}; add_watcher gives ids out")


def _check_table(table: Any) -> None:
    if not hasattr(type(table), "_set_watch_bit"):
        raise TypeError(
            "table watchers watch mutable tables of concurrent_tables, not "
            f"{type(table).__name__}; for a builtin dict use concurrent_tables.watch"
        )


def _set_bit(number: int, table: Any) -> None:
    """Make the table's bit tell whether it is watched, whoever else is about to change that."""
    while True:
        watched = _watches(number, table)
        table._set_watch_bit(1 << number, watched)
        if _watches(number, table) == watched:
            return


def _watches(number: int, table: Any) -> bool:
    watcher = _watchers.get(number)
    return watcher is not None and id(table) in watcher.tables


def _deliver(mask: int, event: Event) -> bool:
    """Call the watchers whose bits are in `mask` (events.WatchState, after the section).

    False when one of them may not have heard of the event, for lack of memory.
    """
    told = True
    address = id(event.table)
    for number in range(MAX_WATCHERS):
        watcher = _watchers.get(number) if mask >> number & 1 else None
        if watcher is None or address not in watcher.tables:
            continue
        try:
            watcher.callback(event)
        except BaseException as error:
            report_unraisable("Exception ignored in low-level table watcher", watcher.callback)
            told &= not isinstance(error, MemoryError)
        if event.kind is EventKind.DEALLOCATED:
            watcher.tables.pop(address, None)
    return told


WatchState.low_level = _deliver
