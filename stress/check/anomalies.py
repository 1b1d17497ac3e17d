"""Polynomial checks: what is wrong, by name; and verdicts where values are unique.

A search says that no order exists; these say why, in the terms of the field: a stale read, a lost
update, a key that came back, an order cycle. Each is a proof by itself (none can be seen in a
linearizable history), but a history without any may still be illegal.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from .effects import ABSENT, NOTHING, RULES, Effect, effect_of
from .fifo import fifo_conflict
from .history import FOREVER, History, Operation
from .models.base import Model
from .native import Part
from .search import Code, Found
from .zones import zone_conflict

__all__ = ["anomalies", "decide", "find_anomalies"]

READS = frozenset({"read", "get", "__getitem__"})
WRITES = frozenset({"write", "put", "set", "__setitem__"})
MOST = 5  # of one kind: the first ones tell enough


def anomalies(history: History, model: Model | str, *, initial: Any = None) -> list[str]:
    """Every part's anomalies by name, without a search: O(n log n).

    Parameters:
        initial: content before the first operation, as for `judge`.

    >>> history = History("register")
    >>> history.append(0, "write", (1,), None, 1, 2)
    >>> history.append(0, "write", (2,), None, 3, 4)
    >>> history.append(1, "read", (), 1, 5, 6)
    >>> anomalies(history, "register")[0]
    'stale read: client 1: read() -> 1 [5, 6] came after client 0: write(2) -> None [3, 4]'
    """
    from .models import model_named  # the models' package needs this one's neighbours
    from .partition import parts_of, prepare

    if isinstance(model, str):
        model = model_named(model)
    state = model.initial if initial is None else model.state_of(initial)
    prepared = prepare(history, model, state).history
    found = []
    for part in parts_of(prepared, model, state):
        found += find_anomalies(prepared, model, part)
    return found


def decide(history: History, model: Model, part: Part) -> bool:
    """Judge a part exactly, if its values are unique and a rule applies; whether it did."""
    wrong = _conflict(history, model, part)
    if wrong is None:
        return False
    if wrong is False:
        part.found = None
    elif part.found is not None:  # the search that gave up has the longest prefix that it saw
        part.found = Found(Code.ILLEGAL, part.found.path, part.found.blocked, part.found.steps)
    else:
        part.found = Found(Code.ILLEGAL)
    return True


def find_anomalies(history: History, model: Model, part: Part) -> list[str]:
    """The anomalies of one part by name."""
    found: list[str] = []
    effects = _effects(history, model, part)
    if effects:
        written = Counter(e.left for e in effects if e.left is not NOTHING)
        initial = _initial_value(model, part)
        for check in (_from_nowhere, _stale, _lost):
            for number, text in enumerate(check(effects, written, initial)):
                if number == MOST:
                    break
                found.append(text)
    if not found:  # nothing more telling: what the exact rules say, where they apply
        conflict = _conflict(history, model, part)
        found = [conflict] if isinstance(conflict, str) else []
    return list(dict.fromkeys(found))


def _operations(history: History, part: Part) -> Iterator[Operation]:
    return (history[index] for index in part.members)


def _conflict(history: History, model: Model, part: Part) -> str | bool | None:
    try:
        if model.name == "queue" and not part.initial:
            return fifo_conflict(_operations(history, part))
        if model.name in RULES and (part.keyed or model.name.endswith("register")):
            effects = _plain_effects(history, model, part)
            if effects is not None:
                return zone_conflict(effects, _initial_value(model, part))
    except TypeError:  # unhashable values
        pass
    return None


def _plain_effects(history: History, model: Model, part: Part) -> list[Effect] | None:
    """The part as pure reads and writes of known values; None if it has anything else."""
    found = []
    for op in _operations(history, part):
        if op.unknown and op.method in READS:
            continue
        effect = effect_of(model.name, op) if op.method in READS | WRITES else None
        if effect is None or (effect.saw is NOTHING and effect.left is NOTHING):
            return None
        found.append(effect)
    return found


def _effects(history: History, model: Model, part: Part) -> list[Effect]:
    """What can be said of the part's operations, if its writes are all known; else nothing."""
    if model.name not in RULES or not (part.keyed or model.name.endswith("register")):
        return []
    try:
        found = [effect_of(model.name, op) for op in _operations(history, part)]
        hash(tuple([e.left for e in found if e]))
        hash(tuple([e.saw for e in found if e]))
    except TypeError:
        return []
    pairs = zip(found, part.members, strict=True)
    if any(effect is None and _may_write(history, index) for effect, index in pairs):
        return []
    return [effect for effect in found if effect is not None]


def _may_write(history: History, index: int) -> bool:
    return history.methods[index] not in READS | {"__contains__", "contains"}


def _initial_value(model: Model, part: Part) -> Any:
    if not model.name.startswith("dict"):
        return part.initial
    return next((value for _, value in part.initial), ABSENT)


def _from_nowhere(effects: Sequence[Effect], written: Counter[Any], initial: Any) -> Iterator[str]:
    for effect in effects:
        if effect.saw is not NOTHING and effect.saw not in written and effect.saw != initial:
            yield f"value from nowhere: {effect.op} saw a value that nobody wrote"


def _stale(effects: Sequence[Effect], written: Counter[Any], initial: Any) -> Iterator[str]:
    """Reads of a value that another write had surely replaced before they began."""
    certain = sorted(
        (e for e in effects if e.left is not NOTHING and not e.op.unknown),
        key=lambda e: e.response,
    )
    responses = [e.response for e in certain]
    latest: list[Effect] = []  # of all that ended by then, the one that began last
    for effect in certain:
        later = not latest or effect.invoke > latest[-1].invoke
        latest.append(effect if later else latest[-1])
    writers = {e.left: e for e in effects if e.left is not NOTHING and written[e.left] == 1}
    for effect in effects:
        writer = writers.get(effect.saw)
        place = bisect_left(responses, effect.invoke)
        if effect.saw is NOTHING or not place or (writer is None and written[effect.saw]):
            continue
        if writer is None and effect.saw != initial:
            continue
        over = latest[place - 1]
        ended = -FOREVER if writer is None else writer.response
        if over.invoke > ended and over.left != effect.saw:
            if over.left is ABSENT and writer is not None:
                yield f"resurrected key: {effect.op} came after {over.op}"
            else:
                yield f"stale read: {effect.op} came after {over.op}"


def _lost(effects: Sequence[Effect], written: Counter[Any], initial: Any) -> Iterator[str]:
    """Two operations that both replaced the one value that was written once."""
    replaced: dict[Any, Effect] = {}
    for effect in effects:
        if NOTHING in (effect.saw, effect.left) or effect.saw == effect.left:
            continue
        if written[effect.saw] > 1 or (effect.saw == initial and written[effect.saw]):
            continue
        other = replaced.setdefault(effect.saw, effect)
        if other is not effect:
            yield f"lost update: {other.op} and {effect.op} both replaced {effect.saw!r}"
