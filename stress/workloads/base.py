"""The base of all workloads, and the table of those that exist.

A workload is a `Round` subclass: `__init__` sets fresh containers up, `step` does one operation
in a worker thread, `at_rest` checks when all threads have ended. Registering it needs a name, one
line of text, the kinds of container it fits, and the methods without which it makes no sense.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable
from typing import ClassVar, TypeVar

from ..arena import Arena, Worker
from ..targets import Kind, Target

__all__ = ["WORKLOADS", "Round", "applicable", "workload"]


class Round:
    """One round of a workload; see the module's text."""

    name: ClassVar[str]
    summary: ClassVar[str]
    kinds: ClassVar[frozenset[Kind]]
    needs: ClassVar[frozenset[str]]
    native_only: ClassVar[bool]
    quota: ClassVar[int] = 400  # steps of one thread in one round
    threads_wanted: ClassVar[int] = 0  # instead of the default number; 0 means that
    only: ClassVar[frozenset[str]] = frozenset()  # names of targets; empty: whatever fits
    outside: ClassVar[bool] = False  # runs in processes of its own, not round by round

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.threads = arena.threads
        self.native = arena.target.native
        self.package = arena.target.package  # our functions beside the tables; native only

    def begin(self, worker: Worker) -> None:
        """Once per thread, before the barrier."""

    def step(self, worker: Worker) -> None:
        """One operation of one thread."""
        raise NotImplementedError

    def finish(self, worker: Worker) -> None:
        """Once per thread, after its last step (not after a violation)."""

    def at_rest(self) -> None:
        """Checks when all threads have ended (not after a violation)."""


WORKLOADS: dict[str, type[Round]] = {}
_Class = TypeVar("_Class", bound=type[Round])


def workload(
    name: str,
    summary: str,
    kinds: Iterable[Kind],
    *,
    needs: Iterable[str] = (),
    native_only: bool = False,
) -> Callable[[_Class], _Class]:
    """Register a `Round` subclass under `name`."""

    def register(cls: _Class) -> _Class:
        cls.name = name
        cls.summary = summary
        cls.kinds = frozenset(kinds)
        cls.needs = frozenset(needs)
        cls.native_only = native_only
        assert name not in WORKLOADS, f"two workloads are named {name!r}"
        WORKLOADS[name] = cls
        return cls

    return register


def applicable(target: Target) -> list[type[Round]]:
    """The workloads that fit a target, in the order of their registration."""
    return [
        cls
        for cls in WORKLOADS.values()
        if target.kind in cls.kinds
        and (cls.outside or not issubclass(target.type, collections.Counter))  # its update adds
        and (not cls.only or target.name in cls.only)
        and (target.native or not cls.native_only)
        and target.has(*cls.needs)
    ]
