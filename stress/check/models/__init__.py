"""The models that come with the checkers, by name."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import ModelError
from .base import REFUSED, WHOLE, Model, OneOf
from .mappings import Dict
from .registers import CasRegister, Counter, KeyValue, Register
from .sequences import Deque, Queue, Stack
from .sets import Set

__all__ = [
    "MODELS",
    "REFUSED",
    "WHOLE",
    "CasRegister",
    "Counter",
    "Deque",
    "Dict",
    "KeyValue",
    "Model",
    "OneOf",
    "Queue",
    "Register",
    "Set",
    "Stack",
    "model_named",
]


def _unordered_dict() -> Model:
    return Dict(ordered=False)


MODELS: dict[str, Callable[[], Model]] = {
    "cas-register": CasRegister,
    "counter": Counter,
    "deque": Deque,
    "dict": Dict,
    "dict-unordered": _unordered_dict,
    "kv": KeyValue,
    "queue": Queue,
    "register": Register,
    "set": Set,
    "stack": Stack,
}


def model_named(name: str) -> Model:
    """A built-in model by its name.

    Raises:
        ModelError: there is none; the message names those there are.
    """
    if name not in MODELS:
        raise ModelError(f"no model is called {name!r}; there are {', '.join(sorted(MODELS))}")
    return MODELS[name]()
