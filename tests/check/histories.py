"""Random histories, and a judge that tries every order: what the checkers are compared with."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from stress.check import FOREVER, REFUSED, History, Model, OneOf, Operation, Status

Draw = Callable[[random.Random], tuple[str, tuple[Any, ...]]]


def _choice(table: dict[str, Callable[[random.Random], tuple[Any, ...]]]) -> Draw:
    names = sorted(table)

    def draw(rng: random.Random) -> tuple[str, tuple[Any, ...]]:
        name = rng.choice(names)
        return name, table[name](rng)

    return draw


def _key(rng: random.Random) -> str:
    return rng.choice("ab")


def _value(rng: random.Random) -> int:
    return rng.randrange(3)


KEYED_DICT = {
    "get": lambda rng: (_key(rng), *rng.choice([(), (1,)])),
    "__getitem__": lambda rng: (_key(rng),),
    "__contains__": lambda rng: (_key(rng),),
    "set": lambda rng: (_key(rng), _value(rng)),
    "__delitem__": lambda rng: (_key(rng),),
    "pop": lambda rng: (_key(rng), *rng.choice([(), (1,)])),
    "setdefault": lambda rng: (_key(rng), _value(rng)),
    "compare_and_set": lambda rng: (_key(rng), _value(rng), _value(rng)),
    "compare_and_delete": lambda rng: (_key(rng), _value(rng)),
    "swap": lambda rng: (_key(rng), _value(rng)),
    "increment": lambda rng: (_key(rng),),
}
WHOLE_DICT = {
    "len": lambda rng: (),
    "clear": lambda rng: (),
    "popitem": lambda rng: (),
    "snapshot": lambda rng: (),
    "keys": lambda rng: (),
    "values": lambda rng: (),
    "__bool__": lambda rng: (),
    "update": lambda rng: ({"a": _value(rng), "b": _value(rng)},),
    "get_many": lambda rng: (("a", "b"),),
    "pop_many": lambda rng: (("b", "a"),),
}
KEYED_SET = {name: lambda rng: (_value(rng),) for name in ("add", "discard", "remove", "contains")}
WHOLE_SET = {
    **{name: lambda rng: () for name in ("pop", "len", "clear", "copy", "__bool__")},
    **{
        name: lambda rng: (frozenset({_value(rng), _value(rng)}),)
        for name in (
            *("update", "difference_update", "intersection_update"),
            *("symmetric_difference_update", "isdisjoint", "issubset"),
        )
    },
}

DRAWS: dict[str, Draw] = {
    "register": _choice({"read": lambda rng: (), "write": lambda rng: (_value(rng),)}),
    "cas-register": _choice(
        {
            "read": lambda rng: (),
            "write": lambda rng: (_value(rng),),
            "cas": lambda rng: (_value(rng), _value(rng)),
        }
    ),
    "keyed dict": _choice(KEYED_DICT),
    "dict": _choice({**KEYED_DICT, **WHOLE_DICT}),
    "dict-unordered": _choice({**KEYED_DICT, **WHOLE_DICT}),
    "keyed set": _choice(KEYED_SET),
    "set": _choice({**KEYED_SET, **WHOLE_SET}),
    "queue": _choice({"put": lambda rng: (_value(rng),), "get": lambda rng: ()}),
    "stack": _choice({"push": lambda rng: (_value(rng),), "pop": lambda rng: ()}),
    "deque": _choice(
        {
            **{name: lambda rng: (_value(rng),) for name in ("append", "appendleft")},
            **{name: lambda rng: () for name in ("pop", "popleft", "len")},
        }
    ),
}


def unique(name: str, rng: random.Random) -> Draw:
    """Calls that write every value once."""
    values = iter(range(1, 1000))
    put, take = {"register": ("write", "read"), "queue": ("put", "get")}[name]

    def draw(rng: random.Random) -> tuple[str, tuple[Any, ...]]:
        return (put, (next(values),)) if rng.random() < 0.5 else (take, ())

    return draw


def linearizable(
    model: Model,
    draw: Draw,
    rng: random.Random,
    length: int,
    *,
    spread: int = 30,
    info: float = 0.1,
) -> History:
    """Operations that took effect one after the other, with intervals that overlap at random.

    Some lose their answer: of those, some took effect and some never did.
    """
    history = History(model.name)
    state = model.initial
    rows = []
    for place in range(length):
        method, args = draw(rng)
        answers = model.answers(state, method, args)
        result, after = rng.choice(sorted(answers, key=repr))
        status = Status.INFO if rng.random() < info else Status.OK
        if status is Status.OK or rng.random() < 0.5:
            state = after
        moment = 10 * place
        begin, end = moment - rng.randrange(spread), moment + rng.randrange(spread)
        rows.append((begin, method, args, result, end, status))
    rng.shuffle(rows)  # the checkers must not depend on the order of the rows
    for client, (begin, method, args, result, end, status) in enumerate(rows):
        history.append(client, method, args, result, begin, end, status)
    return history


def mutated(history: History, rng: random.Random) -> History:
    """The same with an answer or an interval exchanged, or shortened: perhaps legal, perhaps not."""
    made = history.select(range(len(history)))
    one, other = rng.randrange(len(made)), rng.randrange(len(made))
    kind = rng.random()
    if kind < 0.3:
        made.results[one] = rng.choice([0, 1, 2, None, True, False])
    elif kind < 0.6:
        alike = [i for i in range(len(made)) if made.methods[i] == made.methods[one]]
        other = rng.choice(alike)
        made.results[one], made.results[other] = made.results[other], made.results[one]
    else:
        for column in (made.invokes, made.responses, made.statuses):
            column[one], column[other] = column[other], column[one]
    return made


def try_every_order(history: History, model: Model, initial: Any = None) -> bool:
    """Whether an order explains the history: all are tried, nothing is remembered."""
    ops = [op for op in history if op.status != Status.FAIL]
    return _extend(ops, model, model.initial if initial is None else initial)


def _extend(ops: list[Operation], model: Model, state: Any) -> bool:
    if all(op.unknown for op in ops):
        return True
    first_end = min(FOREVER if op.unknown else op.response for op in ops)
    for op in ops:
        if op.invoke > first_end:
            continue
        after = model.step(state, op)
        if after is REFUSED:
            continue
        rest = [other for other in ops if other is not op]
        states = after.states if isinstance(after, OneOf) else (after,)
        if any(_extend(rest, model, one) for one in states):
            return True
    return False
