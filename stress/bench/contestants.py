"""Who is measured: the builtin of each family, our tables, and rivals where they are installed."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..environment import gil_enabled

__all__ = ["BASELINES", "Contestant", "find_contestants"]

Pairs = Iterable[tuple[Any, Any]]

BASELINES = {"dict": "dict", "set": "set", "record": "dict"}


@dataclass(frozen=True)
class Contestant:
    """One type in one family.

    `maker()` gives the function that makes its tables from pairs; it is called once per cell and
    setting, so that records made for one setting share their keys. `special` has the phrases of a
    loop that differ from those of its family, `lacks` the operations that it does not have.
    """

    name: str
    family: str
    maker: Callable[[], Callable[[Pairs], Any]]
    side: str  # "builtin", "ours" or "rival"
    special: Mapping[str, str] = field(default_factory=dict)
    lacks: frozenset[str] = frozenset()


def find_contestants() -> tuple[list[Contestant], dict[str, str], list[str]]:
    """Every contestant that can be imported, the rivals' versions, and a line for what is absent."""
    versions: dict[str, str] = {}
    notes: list[str] = []
    found = [*_builtins(), *_ours()]
    for rival in (_cereggii, _ft_utils):
        before = gil_enabled()
        contestant, package = rival()
        if contestant is None:
            notes.append(f"{package} is not installed: left out")
            continue
        found.append(contestant)
        versions[package] = _version(package)
        if gil_enabled() != before:
            notes.append(f"WARNING: importing {package} turned the GIL on")
    return found, versions, notes


def _builtins() -> list[Contestant]:
    return [
        Contestant("dict", "dict", lambda: dict, "builtin"),
        Contestant("set", "set", lambda: _set_of(set), "builtin"),
        Contestant("dict", "record", lambda: dict, "builtin"),
    ]


def _ours() -> list[Contestant]:
    package = importlib.import_module("concurrent_tables")
    return [
        Contestant("ConcurrentDict", "dict", lambda: package.ConcurrentDict, "ours"),
        Contestant("ShardedDict", "dict", lambda: package.ShardedDict, "ours"),
        Contestant("ConcurrentSet", "set", lambda: _set_of(package.ConcurrentSet), "ours"),
        Contestant("ConcurrentDict", "record", lambda: package.ConcurrentDict, "ours"),
        Contestant("SplitDict", "record", lambda: _records(package), "ours"),
    ]


def _set_of(cls: Callable[[Iterable[Any]], Any]) -> Callable[[Pairs], Any]:
    return lambda pairs: cls(key for key, _ in pairs)


def _records(package: Any) -> Callable[[Pairs], Any]:
    shared = package.SharedKeys()
    return lambda pairs: package.SplitDict(shared, pairs)


def _filled(cls: Callable[[], Any]) -> Callable[[Pairs], Any]:
    """For classes whose constructors take no pairs."""

    def make(pairs: Pairs) -> Any:
        table = cls()
        for key, value in pairs:
            table[key] = value
        return table

    return make


def _cereggii() -> tuple[Contestant | None, str]:
    cls = _find("AtomicDict", "cereggii")
    if cls is None:
        return None, "cereggii"
    special = {"items": "{t}.fast_iter()"}  # the one way to iterate over it; yields pairs
    lacks = frozenset({"in"})
    maker = lambda: _filled(cls)  # noqa: E731
    return Contestant("cereggii", "dict", maker, "rival", special, lacks), "cereggii"


def _ft_utils() -> tuple[Contestant | None, str]:
    cls = _find("ConcurrentDict", "ft_utils.concurrency", "ft_utils.concurrent")
    if cls is None:
        return None, "ft_utils"
    return Contestant("ft_utils", "dict", lambda: _filled(cls), "rival"), "ft_utils"


def _find(name: str, *modules: str) -> Any:
    """The class from the first of the modules that has it; None where none can be imported."""
    for module in modules:
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
    return None


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
