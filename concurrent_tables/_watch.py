"""`watch`: one function for tables of this package and for builtin dicts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterable

from .errors import WatchError
from .events import ALL_KINDS, Event, EventKind, Watch

__all__ = ["watch"]


def watch(
    obj: object,
    callback: Callable[[Event], object],
    /,
    *,
    kinds: EventKind | Iterable[EventKind] = ALL_KINDS,
    keys: Iterable[Hashable] | None = None,
) -> Watch:
    """Call `callback(event)` for every change of `obj`; returns a `Watch`.

    A mutable table of this package: the same as `obj.watch(...)`, whose callbacks run after the
    change.

    A builtin `dict` (an instance of a subclass too) on CPython 3.12 or later: the interpreter's
    own dict watchers, all of them through one of its watcher ids. These report *before* the
    change, in the writing thread and in the middle of the write:

    - `event.old` is the present value, `event.new` the one to come, `event.version` 0. Storing the
      very object that is there already is no change. CLONED has the source in `event.new`.
    - DEALLOCATED has `event.table` None, since the dict is dying; the watch then ends. A watch
      does not keep its dict alive.
    - The callback may read the dict, and do anything to other objects, but must not change this
      dict, and while it runs no other thread may: the interpreter goes on with a write that it
      has begun. Where several threads write, hold a lock around the writes, or use a
      `ConcurrentDict`, which has no such rule.

    - What the interpreter does not report is not seen, such as assignments to attributes of an
      object whose `__dict__` is watched (3.13).

    Parameters: `kinds`, the `EventKind` flags wanted; `keys`, an iterable that restricts the
    per-key events (CLEARED, CLONED and DEALLOCATED always pass).
    Errors: TypeError when `obj` is neither, `callback` is not callable, `kinds` are no flags or a
    key is unhashable; WatchError when this interpreter has no dict watchers, or no id left.
    What the callback raises goes to `sys.unraisablehook`; the write stands.
    Thread-safety: atomic.
    Source: PyDict_AddWatcher and its companions in CPython's C API.

    >>> from concurrent_tables import ConcurrentDict, watch
    >>> table, log = ConcurrentDict(), []
    >>> with watch(table, log.append):
    ...     table["a"] = 1
    >>> log[0].kind, log[0].key
    (<EventKind.ADDED: 1>, 'a')
    """
    if hasattr(type(obj), "_set_watch_bit"):
        return obj.watch(callback, kinds=kinds, keys=keys)  # type: ignore[attr-defined,no-any-return]
    if not isinstance(obj, dict):
        raise TypeError(
            "watch() takes a mutable table of concurrent_tables or a builtin dict, not "
            f"{type(obj).__name__}"
        )
    if sys.version_info < (3, 12) or sys.implementation.name != "cpython":
        raise WatchError(
            "builtin dicts can be watched from CPython 3.12 on; this is "
            f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor}: "
            "use a ConcurrentDict, which can be watched everywhere"
        )
    try:
        from ._builtin_watch import watch_dict
    except ImportError as error:  # no ctypes: left out of the build, or a subinterpreter of 3.12
        raise WatchError(
            "watching a builtin dict takes ctypes, which this interpreter cannot import "
            f"({error}); use a ConcurrentDict, which can be watched everywhere"
        ) from error
    return watch_dict(obj, callback, kinds, keys)
