"""What copies and pickles carry beyond the contents; written once for both implementations.

A subclass may have attributes and slots of its own, and may change the recipe as the subclass of a
builtin can (`__reduce__`, `__getstate__`, `__setstate__`, `__getnewargs__`). Pickles cross between
the implementations because they name public classes and functions of this module only.
"""

from __future__ import annotations

from typing import Any

__all__ = ["copied", "new_sharded", "own_state"]

_PACKAGE = __name__.partition(".")[0]


def own_state(table: Any) -> Any:
    """What `object.__getstate__` gives for a table, without the slots of this package."""
    state = object.__getstate__(table)
    if not isinstance(state, tuple):
        return state or None
    attributes, slots = state
    ours = {
        name
        for cls in type(table).__mro__
        if cls.__module__.partition(".")[0] == _PACKAGE
        for name in vars(cls).get("__slots__", ())
    }
    slots = {name: value for name, value in slots.items() if name not in ours}
    return (attributes, slots) if slots else attributes or None


def copied(table: Any) -> Any:
    """A shallow copy by way of `__reduce_ex__`, as `copy.copy` makes of a dict or set."""
    recipe = table.__reduce_ex__(4)
    if isinstance(recipe, str):
        return table
    make, arguments, *rest = recipe
    state, elements, items = (*rest, None, None, None)[:3]
    result = make(*arguments)
    if state is not None:
        _set_state(result, state)
    for element in elements or ():
        result.append(element)
    for key, value in items or ():
        result[key] = value
    return result


def new_sharded(cls: Any, shards: int) -> Any:
    """An empty `ShardedDict` (or an instance of a subclass): what its pickles begin with."""
    return cls.__new__(cls, shards=shards)


def _set_state(result: Any, state: Any) -> None:
    if hasattr(result, "__setstate__"):
        result.__setstate__(state)
        return
    slots: dict[str, Any] = {}
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    if state:
        result.__dict__.update(state)
    for name, value in slots.items():
        setattr(result, name, value)
