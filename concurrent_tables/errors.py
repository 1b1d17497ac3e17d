"""Errors of the package: each subclasses the builtin that old `except` clauses catch.

A message names the table, the key where there is one, and what to do.
"""

from __future__ import annotations

__all__ = [
    "DeadlockError",
    "PureImplementationWarning",
    "RecursiveComputeError",
    "TableDestroyedError",
    "TableMutationError",
    "WatchError",
]


class TableMutationError(RuntimeError):
    """User code changed a table that it must not change at that point.

    Raised when a `HashTable.foreach` callback mutates its table, and when the `__eq__` of a key
    changes the table on every comparison, so that a lookup could never end.
    """


class TableDestroyedError(RuntimeError):
    """A `HashTable` was used after `destroy()`."""


class RecursiveComputeError(RuntimeError):
    """A factory of `compute_if_absent` asked for the very key that it is computing."""


class DeadlockError(RuntimeError):
    """Waiting would close a cycle of threads that wait for each other."""


class WatchError(RuntimeError):
    """The object cannot be watched on this interpreter, or no watcher id is left."""


class PureImplementationWarning(RuntimeWarning):
    """The C extension is absent, so the slower Python implementation is in use."""
