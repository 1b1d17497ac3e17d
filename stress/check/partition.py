"""Histories cut into parts that are judged apart.

By key, when every operation has one: a dict is as linearizable as each of its keys (locality, Herlihy
and Wing 1990; P-compositionality, Horn and Kroening 2015). Otherwise into windows: where a snapshot
of the whole table overlaps nothing, what came before and what came after meet in that one state,
and can be judged apart. Otherwise in one piece.

Weakly consistent iterations are first replaced by what they claim. A key that was there from start to
end must be yielded, and nothing that was never there; so each key that was yielded was there at some
moment of the iteration, and each other key was absent at some moment of it. That is exactly one
`contains` or `get` for every key, each with the whole interval of the iteration, and each free of
the others.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from concurrent_tables import MISSING

from .errors import ModelError
from .history import FOREVER, History, Raised, Status
from .models.base import WHOLE, Model
from .native import Part

__all__ = ["Prepared", "TwiceYielded", "parts_of", "prepare"]

PINNING = frozenset({"snapshot", "items", "copy"})


class Prepared:
    """A history without what is not judged; `origins[i]`: where operation i comes from."""

    __slots__ = ("history", "origins")

    def __init__(self, history: History, origins: Sequence[int]) -> None:
        self.history = history
        self.origins = origins


class TwiceYielded(Exception):
    """An iteration gave one key twice: no contract allows that."""

    def __init__(self, index: int, key: object) -> None:
        super().__init__(f"the iteration yielded {key!r} twice")
        self.index = index


def prepare(history: History, model: Model, initial: Any) -> Prepared:
    """The operations that can matter, iterations replaced by their claims.

    Raises:
        ModelError: a method that the model does not know.
        TwiceYielded: an iteration gave one key twice.
    """
    used = set(history.methods)
    if model.methods is not None and not used <= model.methods:
        for op in history:
            model.check_method(op)
    weak = used & model.weak
    if not weak and Status.FAIL not in history.statuses:
        return Prepared(history, range(len(history)))
    if not weak:
        kept = [i for i, status in enumerate(history.statuses) if status != Status.FAIL]
        return Prepared(history.select(kept), kept)
    return _without_iterations(history, model, initial)


def _without_iterations(history: History, model: Model, initial: Any) -> Prepared:
    universe = _universe(history, model, initial)
    weak = [i for i, method in enumerate(history.methods) if method in model.weak]
    statuses, chosen = history.statuses.tolist(), set(weak)
    origins = [i for i, s in enumerate(statuses) if i not in chosen and s != Status.FAIL]
    made = history.select(origins)
    for i in weak:
        if statuses[i] != Status.OK:
            continue
        claims = _claims(i, history.methods[i], history.results[i], universe)
        count = len(claims)
        origins += [i] * count
        made.methods += [name for name, _, _ in claims]
        made.args += [args for _, args, _ in claims]
        made.results += [result for _, _, result in claims]
        made.clients.extend([history.clients[i]] * count)
        made.invokes.extend([history.invokes[i]] * count)
        made.responses.extend([history.responses[i]] * count)
        made.statuses.extend([0] * count)
    return Prepared(made, origins)


def _claims(
    index: int, method: str, result: Any, universe: dict[Any, None]
) -> list[tuple[str, tuple[Any, ...], Any]]:
    with_values = method == "iter_items"
    given = list(result.items() if hasattr(result, "items") else result)
    pairs = given if with_values else [(key, True) for key in given]
    found: dict[Any, Any] = {}
    claims: list[tuple[str, tuple[Any, ...], Any]]
    for key, value in pairs:
        if key in found:
            raise TwiceYielded(index, key)
        found[key] = value
    if with_values:
        claims = [("get", (key, MISSING), value) for key, value in found.items()]
    else:
        claims = [("__contains__", (key,), True) for key in found]
    return claims + [("__contains__", (key,), False) for key in universe if key not in found]


def _universe(history: History, model: Model, initial: Any) -> dict[Any, None]:
    """Every key that the history mentions, in order of appearance."""
    found: dict[Any, None] = {}
    for one in initial or ():
        found[one[0] if isinstance(one, tuple) and model.name.startswith("dict") else one] = None
    for i, method in enumerate(history.methods):
        if method in model.keyed:
            found[history.args[i][0]] = None
        elif method in model.weak and not isinstance(history.results[i], Raised):
            for one in history.results[i] or ():
                found[one[0] if method == "iter_items" else one] = None
        elif method in ("update", "update_many", "__ior__", "symmetric_difference_update"):
            for argument in history.args[i]:
                found.update(
                    dict.fromkeys(argument if _is_keys(argument, model) else dict(argument))
                )
    return found


def _is_keys(argument: Any, model: Model) -> bool:
    return isinstance(argument, dict) or not model.name.startswith("dict")


def parts_of(history: History, model: Model, initial: Any) -> list[Part]:
    """The parts of a prepared history."""
    keys = _keys(history, model)
    if keys is None:
        return _windows(history, model, initial)
    members: dict[Hashable, list[int]] = {}
    try:
        for i, key in enumerate(keys):
            if key in members:
                members[key].append(i)
            else:
                members[key] = [i]
    except TypeError as error:
        raise ModelError(f"a key of the history is not hashable: {error}") from error
    alone = _initial_by_key(model, initial, members)
    return [Part(key, chosen, alone[key], True) for key, chosen in members.items()]


def _keys(history: History, model: Model) -> list[Hashable] | None:
    if type(model).key is not Model.key:  # a model with a key function of its own
        own = [model.key(op) for op in history]
        return None if any(key is WHOLE for key in own) else own
    if not set(history.methods) <= model.keyed:
        return None
    return [args[0] for args in history.args]


def _initial_by_key(
    model: Model, initial: Any, members: dict[Hashable, list[int]]
) -> dict[Hashable, Any]:
    """What each key's part begins with: of a dict or set, its own entry; else the initial state."""
    if initial == model.initial or not isinstance(initial, (tuple, frozenset)):
        return dict.fromkeys(members, initial)
    if model.name == "set":
        return {key: model.state_of({key} & initial) for key in members}  # type: ignore[operator]
    content = dict(initial)
    return {key: model.state_of({key: content[key]} if key in content else {}) for key in members}


def _windows(history: History, model: Model, initial: Any) -> list[Part]:
    """Cut at snapshots that overlap nothing. The snapshot closes its window: it is judged there."""
    invokes, responses, methods = history.invokes, history.responses, history.methods
    order: Sequence[int] = range(len(history))
    if any(map(int.__gt__, invokes, invokes[1:])):
        order = sorted(order, key=invokes.__getitem__)
    parts, window, latest = [], list[int](), -FOREVER
    for place, i in enumerate(order):
        window.append(i)
        pins = (
            methods[i] in PINNING
            and latest < invokes[i]
            and responses[i] != FOREVER
            and not isinstance(history.results[i], Raised)
            and (place + 1 == len(order) or responses[i] < invokes[order[place + 1]])
        )
        latest = max(latest, responses[i])
        if pins:
            try:
                state = model.state_of(history.results[i])
            except (TypeError, ValueError):  # an answer that is no content: no state is like it
                continue
            parts.append(Part(WHOLE, window, initial, False))
            initial, window = state, []
    if window:
        parts.append(Part(WHOLE, window, initial, False))
    return parts
