"""Programs of operations on a whole dict or set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .compile_keyed import DICT_RULES, KEY_ERROR, MEMBER, SET_RULES, no_answer
from .history import History, Raised
from .program import (
    ABSENT,
    ANY,
    AT,
    CELL,
    CLEAR,
    EQUAL,
    IMPOSSIBLE,
    KEEP,
    LAST,
    LEN,
    MACHINE_MAP,
    MACHINE_ORDERED,
    OTHER,
    SET,
    Args,
    Code,
    Compiler,
    Program,
    Rule,
    Uncompilable,
    cell,
    whole,
)

__all__ = ["MapCompiler", "SetCompiler"]

GROWING = frozenset({"update", "__ior__", "symmetric_difference_update", "__ixor__"})
NARROWING = frozenset({"intersection_update", "__iand__"})


def _together(codes: Iterable[Code]) -> Code:
    return tuple([number for code in codes for number in code])


def _len(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    if unknown:
        return ()
    return whole(LEN, 0, EQUAL, result) if isinstance(result, int) else IMPOSSIBLE


def _bool(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    if unknown:
        return ()
    return whole(LEN, 0, OTHER if result else EQUAL, 0) if result in (0, 1) else IMPOSSIBLE


def _clear(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    no_answer(result, unknown)
    return whole(CLEAR, 0, ANY)


def _known(result: Any, unknown: bool) -> None:
    if unknown or isinstance(result, Raised):
        raise Uncompilable


def _empty(result: Raised) -> Code:
    """Taking something failed: only an empty table may say so."""
    return whole(LEN, 0, EQUAL, 0) if result == KEY_ERROR else IMPOSSIBLE


# --- dicts --------------------------------------------------------------------------------------


def _update(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    no_answer(result, unknown)
    pairs: Iterable[tuple[Any, Any]] = dict(*args).items()
    return _together(cell(p.key(one), ANY, 0, SET, p.number(value)) for one, value in pairs)


def _many(p: Program, args: Args, result: Any, unknown: bool, effect: int) -> Code:
    if unknown or not isinstance(result, dict) or not result.keys() <= set(args[0]):
        raise Uncompilable
    return _together(
        cell(p.key(one), EQUAL, p.number(result[one]) if one in result else ABSENT, effect, ABSENT)
        for one in args[0]
    )


def _get_many(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    return _many(p, args, result, unknown, KEEP)


def _pop_many(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    if len(set(args[0])) != len(tuple(args[0])):
        raise Uncompilable  # the second time the key is gone
    return _many(p, args, result, unknown, SET)


class MapCompiler(Compiler):
    """Dicts: `ordered` ones keep insertion order, and their `popitem` takes the last pair."""

    rules = DICT_RULES

    def __init__(self, *, ordered: bool) -> None:
        self.ordered = ordered
        self.machine = MACHINE_ORDERED if ordered else MACHINE_MAP
        self.whole_rules = {
            **dict.fromkeys(("__len__", "len"), _len),
            "__bool__": _bool,
            "clear": _clear,
            **dict.fromkeys(("update", "update_many", "__ior__"), _update),
            "get_many": _get_many,
            "pop_many": _pop_many,
            "popitem": self._popitem,
            "keys": self._keys,
            **dict.fromkeys(("items", "snapshot", "copy"), self._items),
        }

    def initial_cell(self, program: Program, state: Any) -> int:
        """Of one key: `state` has that key alone, or nothing."""
        return next((program.number(value) for _, value in state), ABSENT)

    def begin(self, program: Program, state: Any) -> Code:
        return _together(
            cell(program.key(key), ANY, 0, SET, program.number(value)) for key, value in state
        )

    def _popitem(self, p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
        if isinstance(result, Raised) and not unknown:
            return _empty(result)
        _known(result, unknown)
        if type(result) is not tuple or len(result) != 2:
            return IMPOSSIBLE
        number, value = p.key(result[0]), p.number(result[1])
        if self.ordered:
            return whole(LAST, number, EQUAL, value)
        return cell(number, EQUAL, value, SET, ABSENT)

    def _contents(self, p: Program, triples: list[tuple[Any, int, int]]) -> Code:
        """That the table has these keys and no others: (key, guard, value number)."""
        code = AT if self.ordered else CELL
        places = enumerate(triples)
        return whole(LEN, 0, EQUAL, len(triples)) + _together(
            whole(code, p.key(key), guard, value, place) for place, (key, guard, value) in places
        )

    def _keys(self, p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
        _known(result, unknown)
        keys = list(result)
        if len(set(keys)) != len(keys):
            return IMPOSSIBLE
        return self._contents(p, [(one, OTHER, ABSENT) for one in keys])

    def _items(self, p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
        _known(result, unknown)
        pairs = list(result.items() if hasattr(result, "items") else result)
        if len({one for one, _ in pairs}) != len(pairs):
            return IMPOSSIBLE
        return self._contents(p, [(one, EQUAL, p.number(value)) for one, value in pairs])


# --- sets ---------------------------------------------------------------------------------------


def _set_pop(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    if isinstance(result, Raised) and not unknown:
        return _empty(result)
    _known(result, unknown)
    return cell(p.key(result), EQUAL, MEMBER, SET, ABSENT)


def _set_update(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    no_answer(result, unknown)
    return _together(cell(p.key(item), ANY, 0, SET, MEMBER) for item in set().union(*args))


def _difference_update(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    no_answer(result, unknown)
    return _together(cell(p.key(item), ANY, 0, SET, ABSENT) for item in set().union(*args))


def _intersection_update(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    no_answer(result, unknown)
    others = p.universe - p.universe.intersection(*args)
    return _together(cell(p.key(item), ANY, 0, SET, ABSENT) for item in others)


def _symmetric_update(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    no_answer(result, unknown)
    return _together(
        cell(p.key(item), EQUAL, ABSENT, SET, MEMBER, OTHER, ABSENT, SET, ABSENT)
        for item in set(args[0])
    )


def _set_contents(p: Program, key: int, args: Args, result: Any, unknown: bool) -> Code:
    _known(result, unknown)
    items = list(result)
    if len(set(items)) != len(items):
        return IMPOSSIBLE
    return whole(LEN, 0, EQUAL, len(items)) + _together(
        cell(p.key(item), EQUAL, MEMBER) for item in items
    )


SET_WHOLE_RULES: dict[str, Rule] = {
    **dict.fromkeys(("__len__", "len"), _len),
    "__bool__": _bool,
    "clear": _clear,
    "pop": _set_pop,
    **dict.fromkeys(("update", "__ior__"), _set_update),
    **dict.fromkeys(("difference_update", "__isub__"), _difference_update),
    **dict.fromkeys(("intersection_update", "__iand__"), _intersection_update),
    **dict.fromkeys(("symmetric_difference_update", "__ixor__"), _symmetric_update),
    **dict.fromkeys(("copy", "items", "snapshot"), _set_contents),
}


class SetCompiler(Compiler):
    """Sets: maps whose only value is `MEMBER`."""

    rules = SET_RULES

    def __init__(self) -> None:
        self.whole_rules = SET_WHOLE_RULES

    def initial_cell(self, program: Program, state: Any) -> int:
        return MEMBER if state else ABSENT

    def begin(self, program: Program, state: Any) -> Code:
        return _together(cell(program.key(item), ANY, 0, SET, MEMBER) for item in state)

    def universe(self, history: History, members: Sequence[int], state: Any) -> set[Any]:
        if not any(history.methods[i] in NARROWING for i in members):
            return set()
        found = set(state)
        for i in members:
            method = history.methods[i]
            if method in self.rules:
                found.add(history.args[i][0])
            elif method in GROWING:
                found.update(*history.args[i])
        return found
