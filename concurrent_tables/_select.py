"""Which implementation runs: the C extension where it is built, else Python (PEP 399).

`CONCURRENT_TABLES_PURE=1` forces Python, `CONCURRENT_TABLES_PURE=0` requires C; unset prefers C
and falls back with one warning.
"""

from __future__ import annotations

import importlib
import os
import warnings
from types import SimpleNamespace
from typing import Literal

from . import errors, events, inspection
from ._missing import MISSING, MissingType

__all__ = ["IMPLEMENTATION_NAMES", "choose", "load"]

IMPLEMENTATION_NAMES = (
    "ConcurrentDict",
    "ConcurrentSet",
    "FrozenDict",
    "FrozenSet",
    "Guard",
    "HashTable",
    "ShardedDict",
    "SharedKeys",
    "SplitDict",
    "compare_identity",
    "compare_str",
    "exclusive",
    "hash_identity",
    "hash_str",
    "reclaim",
)
_VARIABLE = "CONCURRENT_TABLES_PURE"
_MODULES = {"python": "._pure.api", "c": "._core"}


def load(name: Literal["c", "python"]) -> SimpleNamespace:
    """All public names in one implementation; ImportError when it is not there."""
    if name not in _MODULES:
        raise ValueError(f"implementation must be 'c' or 'python', not {name!r}")
    from . import watchers
    from ._watch import watch

    module = importlib.import_module(_MODULES[name], __package__)
    names = {public: getattr(module, public) for public in IMPLEMENTATION_NAMES}
    shared = {public: getattr(errors, public) for public in errors.__all__}
    return SimpleNamespace(
        IMPLEMENTATION=name,
        MISSING=MISSING,
        MissingType=MissingType,
        Event=events.Event,
        EventKind=events.EventKind,
        Subscription=events.Subscription,
        TableInfo=inspection.TableInfo,
        Watch=events.Watch,
        inspect_table=inspection.inspect_table,
        watch=watch,
        watchers=watchers,
        **shared,
        **names,
    )


def choose() -> SimpleNamespace:
    """The implementation that the environment asks for."""
    wanted = os.environ.get(_VARIABLE, "")
    if wanted not in ("", "0", "1"):
        raise ValueError(
            f"{_VARIABLE}={wanted!r}: use 1 for the Python implementation, 0 to require C, "
            "or leave it unset"
        )
    if wanted == "1":
        return load("python")
    try:
        return load("c")
    except ImportError as error:
        if wanted == "0":
            raise ImportError(
                f"{_VARIABLE}=0 requires the C extension concurrent_tables._core, which is not "
                f"built for this interpreter ({error}); reinstall with a C compiler present"
            ) from error
    warnings.warn(
        "concurrent_tables runs its slower Python implementation: the C extension is not built "
        f"for this interpreter (set {_VARIABLE}=1 to choose this without a warning)",
        errors.PureImplementationWarning,
        stacklevel=4,
    )
    return load("python")
