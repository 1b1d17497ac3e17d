"""What is hammered: our tables, or anything dict- or set-like named by `module:Class`.

What is judged follows from what the container promises.

*Our tables* (and subclasses of them) are held to the whole contract of the package.

*Any other container* is held to this:

1. Every method that its class (or a base other than the mixins of `collections.abc`) defines for
   one key or item is atomic: `[]`, `get`, `in`, assignment, `del`, `pop`, `setdefault`, `popitem`,
   `add`, `discard`, `remove`, and `clear` for each key. A write that is complete is seen by every
   read that begins later, and a read returns only what was written for that very key.
2. `len` is never outside what the operations so far allow, and exact at rest.
3. While the set of keys does not change, iteration yields each key exactly once. While it
   changes, iteration (and `update` from such a container) may refuse with RuntimeError, may miss
   or repeat what changed, but yields nothing that was never there.
4. `update` and `difference_update` lose nothing that another thread wrote to other keys.

Compound methods inherited from `collections.abc` (such as `MutableMapping.pop`) promise nothing
and are not called. What a class lacks is not judged: workloads that need it are left out.

A container can take the interpreter down with it: the builtin `set` of CPython 3.11 to 3.13 loses
items, and crashes, when threads switch inside the `__eq__` of its items. `ct-stress run --target`
therefore works in child processes (isolation.py, sampling/).
"""

from __future__ import annotations

import collections.abc
import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .options import UsageError

__all__ = ["DEFAULT_TARGETS", "Kind", "Target", "default_targets", "resolve", "target_of"]

DEFAULT_TARGETS = (
    "ConcurrentDict",
    "ShardedDict",
    "SplitDict",
    "ConcurrentSet",
    "FrozenDict",
    "FrozenSet",
    "HashTable",
)
_MIXIN_MODULES = frozenset({"collections.abc", "_collections_abc", "typing"})
_PACKAGE = "concurrent_tables"


class Kind(Enum):
    """What a container is, as far as workloads care."""

    DICT = "dict"
    SET = "set"
    TABLE = "hash table"
    FROZEN_DICT = "frozen dict"
    FROZEN_SET = "frozen set"
    SEQUENCE = "sequence"  # deque-like; only scenario sampling fits it


_METHODS: dict[Kind, tuple[str, ...]] = {
    Kind.SEQUENCE: ("append", "popleft", "__iter__"),
    Kind.DICT: ("__getitem__", "__setitem__", "__delitem__"),
    Kind.TABLE: ("set", "get", "steal", "foreach"),
    Kind.SET: ("add", "discard", "__contains__"),
    Kind.FROZEN_DICT: ("__getitem__", "keys"),
    Kind.FROZEN_SET: ("__contains__", "isdisjoint"),
}


@dataclass(frozen=True)
class Target:
    """A container under test: its name, how to make one, and what it promises.

    `make(contents)` gives a fresh container; mutable kinds are called without contents. `native`
    holds it to the contract of our tables. `methods` are those it defines itself. `package` has
    the functions that go with our tables (`exclusive`, `reclaim`, ...).
    """

    name: str
    kind: Kind
    make: Callable[..., Any]
    methods: frozenset[str]
    native: bool
    type: type
    package: Any = None

    def has(self, *names: str) -> bool:
        """Whether all these methods exist and are judged."""
        return self.methods.issuperset(names)


def default_targets(package: Any = None) -> list[Target]:
    """Every table type of the package, or of one implementation of it (a namespace like it)."""
    package = package or _package()
    return [target_of(getattr(package, name), name, package=package) for name in DEFAULT_TARGETS]


def _package() -> Any:
    try:
        return importlib.import_module(_PACKAGE)
    except ImportError as error:
        raise UsageError(f"{_PACKAGE} cannot be imported: {error}") from error


def resolve(specification: str) -> Target:
    """The target named by `module:Class`; UsageError says what is wrong with it."""
    module_name, colon, attribute = specification.partition(":")
    if not (module_name and colon and attribute):
        raise UsageError(f"target {specification!r} is not of the form module:Class")
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise UsageError(f"target module {module_name!r} cannot be imported: {error}") from error
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise UsageError(f"module {module_name!r} has no {attribute!r}") from None
    return target_of(found)


def target_of(
    factory: Callable[..., Any],
    name: str | None = None,
    *,
    native: bool | None = None,
    package: Any = None,
) -> Target:
    """A target from a class, or from a function that makes containers.

    Parameters
    ----------
    factory: called without arguments (for immutable kinds with the contents) for each container.
    name: shown in reports; the factory's own name by default.
    native: hold it to the contract of our tables; by default so for their subclasses only.
    package: the namespace of our functions (`exclusive`, `reclaim`, ...) that go with the tables;
        `concurrent_tables` by default, one implementation of it in tests of both.
    """
    if not callable(factory):
        raise UsageError(f"target {factory!r} is neither a class nor a function that makes one")
    name = name or str(getattr(factory, "__name__", factory))
    make = _maker(factory, package)
    sample = _sample(make, name)
    kind = _kind_of(type(sample), name)
    if native is None:
        native = any(base.__module__ == _PACKAGE for base in type(sample).__mro__)
    package = package or (_package() if native else None)
    return Target(name, kind, make, _own_methods(type(sample)), native, type(sample), package)


def _maker(factory: Callable[..., Any], package: Any) -> Callable[..., Any]:
    """`SplitDict` alone needs an argument: a `SharedKeys` of its own."""
    if not isinstance(factory, type):
        return factory
    split = next((base for base in factory.__mro__ if base.__name__ == "SplitDict"), None)
    if split is None or split.__module__ != _PACKAGE:
        return factory
    shared_keys = (package or _package()).SharedKeys
    return lambda *contents: factory(shared_keys(), *contents)


def _sample(make: Callable[..., Any], name: str) -> Any:
    try:
        return make()
    except TypeError:
        pass  # an immutable kind that wants its contents, or a broken class: tried next
    except Exception as error:
        raise UsageError(f"target {name}: calling it without arguments fails: {error!r}") from error
    try:
        return make({})
    except Exception as error:
        raise UsageError(f"target {name}: cannot be made without arguments: {error!r}") from error


def _kind_of(cls: type, name: str) -> Kind:
    for abc, kind in _ABCS:
        if issubclass(cls, abc):
            return kind
    for kind, needed in _METHODS.items():
        if all(hasattr(cls, method) for method in needed):
            return kind
    raise UsageError(
        f"target {name} ({cls.__module__}.{cls.__qualname__}) is neither dict- nor set-like nor a "
        "deque: it needs __getitem__, __setitem__ and __delitem__, or add, discard and "
        "__contains__, or append and popleft"
    )


_ABCS: Iterable[tuple[Any, Kind]] = (
    (collections.abc.MutableMapping, Kind.DICT),
    (collections.abc.MutableSet, Kind.SET),
    (collections.abc.MutableSequence, Kind.SEQUENCE),
    (collections.abc.Mapping, Kind.FROZEN_DICT),
    (collections.abc.Set, Kind.FROZEN_SET),
)


def _own_methods(cls: type) -> frozenset[str]:
    """Names whose definition is not a mixin's; see point 1 of the module's text."""
    names: set[str] = set()
    seen: set[str] = set()
    for base in cls.__mro__:
        if base is object:
            continue
        fresh = {name for name, value in vars(base).items() if value is not None} - seen
        seen |= set(vars(base))
        if base.__module__ not in _MIXIN_MODULES:
            names |= fresh
    if hasattr(cls, "__contains__"):
        names |= {"__contains__"}  # the mixin's is one lookup
    if "__getitem__" in names and hasattr(cls, "get"):
        names |= {"get"}
    return frozenset(names)
