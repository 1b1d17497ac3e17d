"""Puts the models in the place of `threading`'s locks while an exploration lasts.

Replaced are the names in `threading` itself, the same objects under any name in the modules under test,
and locks that those modules and classes made when they were imported. Threads that have nothing to
do with the exploration still get real locks. `time.sleep` is a point at which others go first.
"""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from . import locks
from .scheduler import Scheduler

__all__ = ["Patches"]

_NAMES = ("Lock", "RLock", "Condition", "Event", "Semaphore", "BoundedSemaphore", "Barrier")
_SIMPLE: dict[type, type[Any]] = {
    type(threading.Lock()): locks.Lock,
    type(threading.RLock()): locks.RLock,
    threading.Event: locks.Event,
}


class Patches:
    """Replaces names, and puts everything back."""

    def __init__(self, scheduler: Scheduler, owner: int, places: Iterable[Any]) -> None:
        self._scheduler = scheduler
        self._owner = owner  # the thread that makes containers
        self._places = list(places)
        self._undo: list[tuple[Any, str, Any]] = []
        self._static: list[Any] = []

    def __enter__(self) -> Patches:
        replaced: dict[int, Any] = {}
        for name in _NAMES:
            original = getattr(threading, name)
            new = self._dispatching(original, getattr(locks, name))
            replaced[id(original)] = new
            self._set(threading, name, new)
        replaced[id(_thread.allocate_lock)] = replaced[id(self._undo[0][2])]
        replaced[id(time.sleep)] = sleep = self._sleeping(time.sleep)
        self._set(time, "sleep", sleep)
        for place in self._places:
            for name, value in list(vars(place).items()):
                if id(value) in replaced:
                    self._set(place, name, replaced[id(value)])
                elif (model := self._modelled(value)) is not None:
                    self._set(place, name, model)
        return self

    def __exit__(self, *error: object) -> None:
        while self._undo:
            place, name, value = self._undo.pop()
            setattr(place, name, value)

    def reset(self) -> None:
        """Release the locks that belong to modules and classes."""
        for model in self._static:
            model.reset()

    def _set(self, place: Any, name: str, value: Any) -> None:
        if place is not threading or not any(p is place and n == name for p, n, _ in self._undo):
            self._undo.append((place, name, vars(place)[name]))
            setattr(place, name, value)

    def _ours(self) -> bool:
        return self._scheduler.controls() or _thread.get_ident() == self._owner

    def _dispatching(self, original: Any, model: Any) -> Any:
        """A stand-in for the class or function: calls make models, in our threads only."""

        def make(*args: Any, **kwargs: Any) -> Any:
            if self._ours():
                return model(self._scheduler, *args, **kwargs)
            return original(*args, **kwargs)

        return _StandIn(original, make)

    def _sleeping(self, original: Callable[[float], None]) -> Callable[[float], None]:
        def sleep(seconds: float, /) -> None:
            if self._scheduler.controls():
                self._scheduler.point(None, yields=True)
            elif not self._ours():
                original(seconds)

        return sleep

    def _modelled(self, value: Any) -> Any:
        """A model for a lock that exists already, or None."""
        kind = type(value)
        model: Any = None
        if kind in _SIMPLE:
            model = _SIMPLE[kind](self._scheduler)
        elif kind is _CONDITION:
            model = locks.Condition(self._scheduler)
        elif kind in _SEMAPHORES:
            model = _SEMAPHORES[kind](self._scheduler, value._value)
        if model is not None:
            self._static.append(model)
        return model


_CONDITION = threading.Condition
_SEMAPHORES: dict[type, Any] = {
    threading.Semaphore: locks.Semaphore,
    threading.BoundedSemaphore: locks.BoundedSemaphore,
}


class _StandIn:
    """Called, it makes; asked with isinstance, it knows originals and models."""

    def __init__(self, original: Any, make: Callable[..., Any]) -> None:
        self._original = original
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._make(*args, **kwargs)

    def __instancecheck__(self, instance: Any) -> bool:
        kind = self._original if isinstance(self._original, type) else type(self._original())
        return isinstance(instance, (kind, locks.Lock))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)
