"""The model of a dict: a builtin dict, and the operations that the tables of this package add.

A state is the tuple of (key, value) pairs, in order of insertion, or their frozenset where the
container promises no order. `compute_if_absent(key, value)` and `compute(key, value)` are recorded
with the value that the function gave, not with the function.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from concurrent_tables import MISSING

from ..compile_maps import MapCompiler
from ..errors import ModelError
from ..history import Operation, Raised
from ..program import Compiler
from .base import REFUSED, Model, OneOf, freeze, same

__all__ = ["Dict"]

KEYED = frozenset(
    {
        *("get", "__getitem__", "__contains__", "contains", "__setitem__", "set"),
        *("__delitem__", "delete", "pop", "setdefault", "compare_and_set", "compare_and_delete"),
        *("swap", "increment", "compute_if_absent", "compute"),
    }
)
WHOLE_TABLE = frozenset(
    {
        *("__len__", "len", "__bool__", "clear", "popitem", "keys", "values", "items", "snapshot"),
        *("copy", "update", "update_many", "get_many", "pop_many", "__ior__"),
    }
)
READS = frozenset(
    {
        *("get", "__getitem__", "__contains__", "contains", "__len__", "len", "__bool__"),
        *("keys", "values", "items", "snapshot", "copy", "get_many"),
    }
)
WEAK = frozenset({"iter", "__iter__", "__reversed__", "iter_items"})
ORDERED, UNORDERED = MapCompiler(ordered=True), MapCompiler(ordered=False)
CONTENTS = frozenset({"keys", "values", "items", "snapshot", "copy"})


class _Plain(dict[Any, Any]):
    """A builtin dict with the operations that it lacks, for one thread."""

    set = dict.__setitem__
    delete = dict.__delitem__
    contains = dict.__contains__
    len = dict.__len__
    update_many = dict.update
    compute_if_absent = dict.setdefault

    def __bool__(self) -> bool:
        return len(self) > 0

    def compare_and_set(self, key: Any, expected: Any, new: Any) -> bool:
        swapped = bool(self.get(key, MISSING) == expected)
        if swapped:
            self[key] = new
        return swapped

    def compare_and_delete(self, key: Any, expected: Any) -> bool:
        deleted = bool(self.get(key, MISSING) == expected)
        if deleted:
            self.pop(key, None)
        return deleted

    def swap(self, key: Any, new: Any) -> Any:
        old = self.get(key, MISSING)
        self[key] = new
        return old

    def compute(self, key: Any, new: Any) -> Any:
        if new is MISSING:
            self.pop(key, None)
        else:
            self[key] = new
        return new

    def increment(self, key: Any, delta: Any = 1, default: Any = 0) -> Any:
        self[key] = new = self.get(key, default) + delta
        return new

    def get_many(self, keys: Any) -> dict[Any, Any]:
        return {key: self[key] for key in keys if key in self}

    def pop_many(self, keys: Any) -> dict[Any, Any]:
        return {key: self.pop(key) for key in keys if key in self}

    def snapshot(self) -> dict[Any, Any]:
        return dict(self)


class Dict(Model):
    """A dict, keyed operations and those on the whole table.

    Parameters:
        ordered: whether the container promises insertion order (and `popitem` the last one).

    `iter` (keys) and `iter_items` are weakly consistent: a key that was there from start to end is
    yielded exactly once, no key twice, and nothing that was not there at some moment between.
    `keys`, `values`, `items`, `snapshot` and `copy` are of one moment. `get_many` and
    `pop_many` are too.
    """

    name = "dict"
    initial: Hashable = ()
    methods = KEYED | WHOLE_TABLE | WEAK
    keyed = KEYED
    reads = READS
    weak = WEAK

    def __init__(self, *, ordered: bool = True) -> None:
        self.ordered = ordered
        if not ordered:
            self.initial = frozenset()

    def state_of(self, content: Any) -> Hashable:
        """The state of a table with this content (a mapping or pairs)."""
        pairs = dict(content).items()
        return tuple(pairs) if self.ordered else frozenset(pairs)

    def step(self, state: Any, op: Operation) -> Any:
        if op.method == "popitem" and not self.ordered and state:
            return self._pop_any(state, op)
        plain = _Plain(state)
        expected = self._call(plain, op.method, op.args)
        if not op.unknown and not self._agrees(expected, op):
            return REFUSED
        return self.state_of(plain)

    @staticmethod
    def _pop_any(state: frozenset[Any], op: Operation) -> Any:
        if op.unknown:
            return OneOf(state - {pair} for pair in state)
        try:
            return state - {op.result} if op.result in state else REFUSED
        except TypeError:  # an answer that is no pair at all
            return REFUSED

    def answers(self, state: Any, method: str, args: tuple[Any, ...]) -> list[tuple[Any, Any]]:
        if method == "popitem" and not self.ordered and state:
            return [(pair, state - {pair}) for pair in state]
        plain = _Plain(state)
        answer = self._call(plain, method, args)
        if method in CONTENTS:
            answer = _contents(method, answer)
        return [(answer, self.state_of(plain))]

    @staticmethod
    def _call(plain: _Plain, method: str, args: tuple[Any, ...]) -> Any:
        if method in ("update", "update_many", "__ior__"):
            return plain.update(*args) if args else None  # in-place operators answer nothing here
        try:
            return getattr(plain, method)(*args)
        except (KeyError, TypeError) as error:
            if isinstance(error, TypeError) and method != "increment":
                raise ModelError(f"{method}{args!r}: {error}") from error
            return Raised(type(error).__name__)

    def _agrees(self, expected: Any, op: Operation) -> bool:
        if op.method not in CONTENTS or isinstance(op.result, Raised):
            return same(expected, op.result)
        wanted = _contents(op.method, expected)
        try:
            found = _contents(op.method, op.result)
        except TypeError:  # an answer without contents
            return False
        if self.ordered:
            return wanted == found
        return sorted(map(repr, wanted)) == sorted(map(repr, found))

    def compiler(self) -> Compiler | None:
        return ORDERED if self.ordered else UNORDERED


def _contents(method: str, value: Any) -> tuple[Any, ...]:
    """Contents as a tuple, whether given as a mapping, a view or pairs."""
    if method in ("snapshot", "copy", "items"):
        return freeze(list(value.items() if hasattr(value, "items") else value))  # type: ignore[no-any-return]
    return freeze(list(value))  # type: ignore[no-any-return]
