"""Results and containers as comparable values: what an outcome is made of.

Frozen values are compared between samples and sequential runs, so they must not depend on where an
object lies. Objects made by a factory during the run (`Fresh`) are alike when frozen alone;
`identities` numbers them where it matters which of them is where.
"""

from __future__ import annotations

import collections
import types
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

from .values import Fresh

__all__ = ["SCALARS", "Raised", "caught", "freeze", "lookups_of", "state_of"]

SCALARS = (type(None), bool, int, float, str, bytes)
_ITERATORS: tuple[type, ...] = (
    types.GeneratorType, type(iter([])), type(iter(())), type(iter({})), type(iter({}.values())),
    type(iter({}.items())), type(reversed({})), type(iter(set())), type(iter(collections.deque())),
)  # fmt: skip
_DEPTH = 4
_MOST = 20_000  # elements: a corrupt structure may have no end


class Raised:
    """An operation's error as its result; equal when the type is."""

    __slots__ = ("name", "text")

    def __init__(self, error: BaseException) -> None:
        self.name = type(error).__name__
        try:
            self.text = str(error)
        except Exception:  # a key whose repr fails
            self.text = "?"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Raised) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"raises {self.name}"


def caught(error: BaseException) -> Raised:
    """The error as a result; drops what it keeps alive."""
    error.__traceback__ = None
    error.__context__ = None
    return Raised(error)


def freeze(value: Any, depth: int = 0) -> Any:
    """A hashable value that is equal for equal results."""
    kind = type(value)
    if kind in SCALARS or kind is Raised:
        return value
    if depth >= _DEPTH:
        return kind.__name__
    if isinstance(value, _ITERATORS) or hasattr(kind, "__next__"):
        return f"a {kind.__name__}"
    if kind is Fresh:
        return value
    if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType | types.MethodType):
        return getattr(value, "__qualname__", kind.__name__)
    try:
        return _freeze_container(value, depth)
    except Exception as error:  # a live view on something that changed, or is broken
        return (kind.__name__, Raised(error))


def _freeze_container(value: Any, depth: int) -> Any:
    name = type(value).__name__
    if isinstance(value, Mapping):
        return (name, tuple([(_key(k), freeze(v, depth + 1)) for k, v in _few(value.items())]))
    if isinstance(value, Set):
        return (name, frozenset(freeze(x, depth + 1) for x in _few(value)))
    if isinstance(value, tuple | list | collections.deque) or _is_values_view(value):
        return (name, tuple([freeze(x, depth + 1) for x in _few(value)]))
    return value if _hashable(value) else f"a {name}"


def _is_values_view(value: Any) -> bool:
    return isinstance(value, collections.abc.ValuesView)


def _key(key: Any) -> Any:
    return key


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _few(values: Iterable[Any]) -> Iterable[Any]:
    for number, value in enumerate(values):
        if number >= _MOST:
            raise RuntimeError(f"more than {_MOST} elements")
        yield value


def state_of(shape: str, *, ordered: bool) -> Callable[[Any], Any]:
    """A function that gives the whole state of a container at rest, as one hashable value."""
    functions: dict[str, Callable[[Any], Any]] = {
        "set": frozenset,
        "sequence": _items_in_order,
        "mapping": _ordered_items if ordered else _unordered_items,
        "table": _table_items,
    }
    return functions[shape]


def _items_in_order(container: Any) -> Any:
    return (*container,)


def lookups_of(shape: str, keys: Sequence[Any]) -> Callable[[Any], Any]:
    """The same for a mapping or set that cannot be iterated: what it has for each key."""

    def membership(container: Any) -> Any:
        return tuple([key in container for key in keys])

    def values(container: Any) -> Any:
        return tuple([_value(container, key) for key in keys])

    return values if shape == "mapping" else membership


def _value(container: Any, key: Any) -> Any:
    try:
        return container[key]
    except KeyError:
        return "absent"


def _ordered_items(container: Any) -> Any:
    return (*container.items(),)


def _unordered_items(container: Any) -> Any:
    return frozenset([(key, container[key]) for key in container])


def _table_items(container: Any) -> Any:
    found: list[tuple[Any, Any]] = []
    container.foreach(lambda key, value: found.append((key, value)))
    return frozenset(found)
