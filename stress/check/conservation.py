"""Conservation: what must add up when all threads have ended and the object is at rest.

No order is searched for. Every value that was read must have been written by somebody; what was put
and not taken must be inside; each key must hold what a write left that no other surely replaced.
Linear in the history, and each finding is a proof that the object is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from .anomalies import find_anomalies
from .effects import ABSENT, NOTHING, Effect, effect_of
from .history import History, Operation, Raised, Status
from .models import model_named
from .models.base import Model
from .models.sequences import Deque, Queue, Stack

__all__ = ["conservation"]

_PUTS = {"queue": set(Queue.puts), "stack": set(Stack.puts), "deque": set(Deque.puts)}
_TAKES = {"queue": set(Queue.takes), "stack": set(Stack.takes), "deque": set(Deque.takes)}

SAW_MEMBER = (("__contains__", True), ("contains", True), ("remove", None))


def conservation(
    history: History, model: Model | str, final: Any = None, *, initial: Any = None
) -> list[str]:
    """What does not add up; an empty list when all does.

    Parameters:
        final: the content at rest, after every operation: a mapping, a set, the items of a queue, the
            value of a counter or register. None: nobody looked, and only provenance is checked.
        initial: content before the first operation.

    >>> history = History("counter")
    >>> history.append(0, "increment", (), None, 1, 4)
    >>> history.append(1, "increment", (), None, 2, 3)
    >>> conservation(history, "counter", final=1)
    ['total: 2 was to be expected, 1 is there']
    """
    if isinstance(model, str):
        model = model_named(model)
    operations = [op for op in history if op.status != Status.FAIL]
    if model.name in _PUTS:
        return _items(operations, model.name, final, initial)
    if model.name == "counter":
        return _total(operations, final, initial)
    if model.name == "set":
        return _members(operations, final, initial)
    return _values(history, operations, model, final, initial)


def _items(operations: list[Operation], name: str, final: Any, initial: Any) -> list[str]:
    inside = Counter(initial or ())
    maybe: Counter[Any] = Counter()
    taken: Counter[Any] = Counter()
    lost = False  # an unknown take, or a clear: items may have left unseen
    for op in operations:
        if op.method in _PUTS[name]:
            (maybe if op.unknown else inside)[op.args[0]] += 1
        elif op.method == "clear" or (op.method in _TAKES[name] and op.unknown):
            lost = True
        elif op.method in _TAKES[name] and not isinstance(op.result, Raised):
            taken[op.result] += 1
    gone = taken + Counter(final or ())
    found = [
        f"item from nowhere or twice: {item!r} was put {inside[item] + maybe[item]} times, and "
        f"came out or is inside {number} times"
        for item, number in gone.items()
        if number > inside[item] + maybe[item]
    ]
    if final is not None and not lost:
        found += [f"item lost: {item!r}" for item in inside - gone]
    return found


def _total(operations: list[Operation], final: Any, initial: Any) -> list[str]:
    if final is None:
        return []
    low = high = initial or 0
    for op in operations:
        if op.method == "read":
            continue
        delta = op.args[0] if op.args else 1
        delta = -delta if op.method == "decrement" else delta
        low += min(delta, 0) if op.unknown else delta
        high += max(delta, 0) if op.unknown else delta
    if low <= final <= high:
        return []
    wanted = str(low) if low == high else f"{low} to {high}"
    return [f"total: {wanted} was to be expected, {final} is there"]


def _members(operations: list[Operation], final: Any, initial: Any) -> list[str]:
    keyed = {"add", "discard", "remove", "__contains__", "contains"}
    added = set(initial or ())
    for op in operations:
        if op.method == "add":
            added.add(op.args[0])
        elif op.method not in keyed and op.args:
            added.update(*op.args)
    found = []
    for op in operations:
        seen: Iterable[Hashable] = ()
        if (op.method, op.result) in SAW_MEMBER and not op.unknown:
            seen = op.args
        elif op.method == "pop" and not op.unknown and not isinstance(op.result, Raised):
            seen = (op.result,)
        found += [f"item from nowhere: {op}" for item in seen if item not in added]
    if final is not None:
        found += [f"item from nowhere: {item!r} is inside" for item in set(final) - added]
        if all(op.method in keyed for op in operations):
            found += _at_rest(operations, dict.fromkeys(final, True), set(initial or ()), _mark)
    return found


def _mark(op: Operation) -> Effect | None:
    left = {"add": True, "discard": ABSENT, "remove": ABSENT}.get(op.method, NOTHING)
    if op.method == "remove" and isinstance(op.result, Raised):
        left = NOTHING
    return Effect(op, NOTHING, left)


def _values(
    history: History, operations: list[Operation], model: Model, final: Any, initial: Any
) -> list[str]:
    from .partition import parts_of, prepare

    state = model.initial if initial is None else model.state_of(initial)
    prepared = prepare(history, model, state).history
    found = []
    for part in parts_of(prepared, model, state):
        texts = find_anomalies(prepared, model, part)
        found += [text for text in texts if text.startswith("value from nowhere")]
    if isinstance(final, Mapping) and all(op.method in model.keyed for op in operations):

        def effect(op: Operation) -> Effect | None:
            return effect_of(model.name, op)

        found += _at_rest(operations, final, initial or {}, effect)
    return found


def _at_rest(
    operations: list[Operation], final: Mapping[Any, Any], initial: Any, effect: Any
) -> list[str]:
    """Each key holds what a write left that no other write surely replaced."""
    by_key: dict[Any, list[Effect | None]] = {}
    for op in operations:
        by_key.setdefault(op.args[0], []).append(effect(op))
    found = []
    for key in {*final, *by_key}:
        effects = by_key.get(key, [])
        if any(one is None for one in effects):
            continue  # a write whose outcome is not known in itself
        writes = [one for one in effects if one is not None and one.left is not NOTHING]
        certain = max((one.invoke for one in writes if not one.op.unknown), default=None)
        possible = [one.left for one in writes if certain is None or one.response >= certain]
        if certain is None:
            before = initial[key] if isinstance(initial, Mapping) and key in initial else ABSENT
            possible.append(True if isinstance(initial, set) and key in initial else before)
        held = final.get(key, ABSENT)
        if not any(held is one or held == one for one in possible):
            found.append(f"at rest: {key!r} has {held!r}, which no last write left")
    return found
