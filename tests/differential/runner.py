"""The seeded random runner: one operation on a builtin and on a table of ours, then compare.

An operation is a method of `MappingRunner` or `SetRunner` named `op_*`; it returns a callable of
one table. The runner calls it on the model and on the table under test and compares the results,
the types of errors, and the state: identity of keys and values, and the order where there is one.
Arbitrary choices (`popitem` of an unordered table, `pop` of a set) are made by the table under test
and then forced upon the model.
"""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Callable, Mapping, Set
from typing import Any

from tests.differential.pools import KEYS, Pool
from tests.support import new

Operation = Callable[[Any], Any]


class Difference(AssertionError):
    """The table under test did something that the builtin does not."""


def plain(operand: Any) -> Any:
    """The builtin counterpart of an operand of ours: what the model is given instead."""
    name = type(operand).__name__
    if name in ("ConcurrentDict", "SplitDict", "ShardedDict", "FrozenDict"):
        return dict(operand)
    if name == "ConcurrentSet":
        return set(operand)
    return frozenset(operand) if name == "FrozenSet" else operand


def attempt(operation: Operation, table: Any) -> tuple[str, Any]:
    try:
        return "value", operation(table)
    except Exception as error:  # the comparison is about which error
        return "error", error


class Runner:
    """What mappings and sets have in common."""

    ordered = True

    def __init__(self, ct: Any, name: str, seed: int) -> None:
        self.ct, self.name, self.seed = ct, name, seed
        self.rng = random.Random(f"{name} {seed}")
        self.pool = Pool(self.rng, str_only=name == "SplitDict" and seed % 2 == 0)
        self.operations = [
            getattr(self, name) for name in sorted(dir(self)) if name.startswith("op_")
        ]
        self.weights = [4 if op.__name__.startswith("op_x_") else 1 for op in self.operations]
        self.done = 0
        self.reset()

    table: Any
    model: Any

    def reset(self) -> None:
        raise NotImplementedError

    def run(self, count: int) -> None:
        for _ in range(count):
            (make,) = self.rng.choices(self.operations, self.weights)
            operation = make()
            self.step(make.__name__, operation)
            self.done += 1
            if self.rng.random() < 0.002 or len(self.model) > 120:
                self.reset()

    def step(self, name: str, operation: Operation) -> None:
        ours, theirs = attempt(operation, self.table), attempt(operation, self.model)
        where = f"{self.name} seed {self.seed} operation {self.done}, {name}"
        if ours[0] != theirs[0]:
            raise Difference(f"{where}: {ours[1]!r} instead of {theirs[1]!r}; state {self.model!r}")
        if ours[0] == "error":
            if not isinstance(ours[1], type(theirs[1])):
                raise Difference(f"{where}: {ours[1]!r} instead of {theirs[1]!r}")
        elif not self.same(ours[1], theirs[1]):
            raise Difference(f"{where}: {ours[1]!r} instead of {theirs[1]!r}; state {self.model!r}")
        if not self.same_state():
            raise Difference(f"{where}: state {self.table!r} instead of {self.model!r}")
        if self.done % 400 == 0 and not name.startswith("op_frozen"):
            self.ct.inspect_table(self.table).check()

    def same_state(self) -> bool:
        raise NotImplementedError

    def fit(self, table: Any, operand: Any) -> Any:
        """The operand for this table: as it is for ours, a builtin for the model."""
        return operand if table is self.table else plain(operand)

    def same(self, ours: Any, theirs: Any) -> bool:
        """Whether two results are the same, down to the identity of keys and values."""
        if isinstance(theirs, tuple | list) and type(ours) is type(theirs):
            if not self.ordered and isinstance(theirs, list):
                ours, theirs = sorted(ours, key=_rank), sorted(theirs, key=_rank)
            return len(ours) == len(theirs) and all(map(self.same, ours, theirs))
        if isinstance(theirs, Mapping):
            return isinstance(ours, Mapping) and self.same([*ours.items()], [*theirs.items()])
        if isinstance(theirs, Set):
            return isinstance(ours, Set) and same_members(ours, theirs)
        return ours is theirs or (type(ours) is type(theirs) and bool(ours == theirs))


def _rank(thing: Any) -> tuple[str, int]:
    if isinstance(thing, tuple):
        return repr(thing), id(thing[0]) if thing else 0
    return repr(thing), id(thing)


def same_members(ours: Any, theirs: Any) -> bool:
    """The same objects, or for objects made anew (tuples of items) equal ones."""
    left, right = sorted(ours, key=repr), sorted(theirs, key=repr)
    return len(left) == len(right) and all(
        a is b or repr(a) == repr(b) for a, b in zip(left, right, strict=True)
    )


class Loose:
    """A result of which only equality matters: which of two equal keys it names is open."""

    def __init__(self, contents: dict[Any, Any]) -> None:
        self.contents = contents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Loose) and self.contents == other.contents

    __hash__ = None  # type: ignore[assignment]


class MappingRunner(Runner):
    """Operations of every mapping; the writing ones are in `MutableMappingRunner`."""

    def __init__(self, ct: Any, name: str, seed: int) -> None:
        self.ordered = name != "ShardedDict"
        super().__init__(ct, name, seed)

    def reset(self) -> None:
        start = self.pool.good_dict(self.rng.choice((1, 6, 20)))
        self.model = dict(start)
        if self.name == "SplitDict":
            shared = self.ct.SharedKeys(self.rng.sample(("a", "k1", "k2", "k3", "k4"), 3))
            self.table = self.ct.SplitDict(shared, start)
        else:
            self.table = new(self.ct, self.name, start)

    def same_state(self) -> bool:
        ours, theirs = list(self.table.items()), list(self.model.items())
        if len(self.table) != len(theirs):
            return False
        if not self.ordered:
            ours.sort(key=lambda pair: id(pair[0]))
            theirs.sort(key=lambda pair: id(pair[0]))
        # A record uses the str objects of its SharedKeys, which are equal to the given ones.
        by_value = self.name == "SplitDict"
        return len(ours) == len(theirs) and all(
            (a is c or (by_value and a == c and type(a) is str)) and b is d
            for (a, b), (c, d) in zip(ours, theirs, strict=True)
        )

    def other(self) -> Any:
        """A mapping operand: a dict or a table of ours with the same contents."""
        contents = self.pool.good_dict()
        kind = self.rng.choice(("dict", "ConcurrentDict", "ShardedDict", "FrozenDict"))
        if kind == "dict":
            return contents
        if kind == "ShardedDict":
            contents = dict(list(contents.items())[:1])  # one item has one order
        return new(self.ct, kind, contents)

    # -- reads -----------------------------------------------------------------------------------

    def op_getitem(self) -> Operation:
        key = self.pool.key()
        return lambda t: t[key]

    def op_get(self) -> Operation:
        key, default = self.pool.key(), self.pool.value()
        return lambda t: (t.get(key), t.get(key, default))

    def op_contains(self) -> Operation:
        key = self.pool.key()
        return lambda t: (key in t, key in t.keys())

    def op_len_and_bool(self) -> Operation:
        return lambda t: (len(t), bool(t), len(t.keys()), len(t.items()), len(t.values()))

    def op_lists(self) -> Operation:
        return lambda t: (list(t), list(t.keys()), list(t.values()), list(t.items()), [*t])

    def op_reversed(self) -> Operation:
        if not self.ordered:
            return self.op_lists()
        return lambda t: (list(reversed(t)), list(reversed(t.items())), list(reversed(t.values())))

    def op_value_in_values(self) -> Operation:
        value = self.pool.value()
        return lambda t: value in t.values()

    def op_item_in_items(self) -> Operation:
        item = (self.pool.key(), self.pool.value())
        return lambda t: item in t.items()

    def op_equal(self) -> Operation:
        other = self.rng.choice((self.other(), 5, None, [], dict(self.model)))
        return lambda t: (t == (o := self.fit(t, other)), t != o, o == t, o != t)

    def op_or(self) -> Operation:
        other = self.rng.choice((self.other(), self.other(), 5, [], None))
        return lambda t: t | self.fit(t, other)

    def op_ror(self) -> Operation:
        other = self.pool.good_dict()
        return lambda t: other | t

    def op_copy(self) -> Operation:
        return lambda t: (t.copy(), copy.copy(t))

    def op_keys_algebra(self) -> Operation:
        other = self.rng.choice((self.pool.good_set(), self.pool.keys(), self.other(), 5))
        name = self.rng.choice(("__and__", "__or__", "__sub__", "__xor__"))

        def operate(t: Any) -> Any:
            import operator

            return getattr(operator, name)(t.keys(), self.fit(t, other))

        return operate

    def op_keys_comparisons(self) -> Operation:
        other = self.rng.choice(
            (self.pool.good_set(), set(self.model), self.pool.good_dict().keys())
        )
        return lambda t: (
            t.keys() == other, t.keys() <= other, t.keys() < other, t.keys() >= other,
            t.keys() > other, t.keys().isdisjoint(other), other == t.keys(), other <= t.keys(),
        )  # fmt: skip

    def op_items_algebra(self) -> Operation:
        other = {("a", 1), ("k1", 2), (1, 0)}
        return lambda t: (t.items() & other, t.items().isdisjoint(other))

    def op_repr_of_dict(self) -> Operation:
        if not self.ordered:
            return self.op_len_and_bool()
        return lambda t: repr(dict(t))

    def op_fromkeys(self) -> Operation:
        keys, value = self.pool.keys(), self.pool.value()
        return lambda t: type(t).fromkeys(keys, value)

    def op_iterate_partly(self) -> Operation:
        count = self.rng.randrange(4)

        def operate(t: Any) -> Any:
            iterator = iter(t.items())
            return [pair for _, pair in zip(range(count), iterator, strict=False)] + list(iterator)

        return operate


class MutableMappingRunner(MappingRunner):
    """The writing operations; those named `op_x_` are drawn more often."""

    def op_x_setitem(self) -> Operation:
        key, value = self.pool.key(), self.pool.value()
        return lambda t: t.__setitem__(key, value)

    def op_x_setitem_again(self) -> Operation:
        key, first, second = self.pool.good_key(), self.pool.value(), self.pool.value()
        return lambda t: (t.__setitem__(key, first), t.__setitem__(key, second))

    def op_x_delitem(self) -> Operation:
        key = self.pool.key()
        return lambda t: t.__delitem__(key)

    def op_x_pop(self) -> Operation:
        arguments = (self.pool.key(), self.pool.value())[: self.rng.randrange(1, 3)]
        return lambda t: t.pop(*arguments)

    def op_popitem(self) -> Operation:
        if self.ordered:
            return lambda t: t.popitem()
        chosen: list[Any] = []

        def operate(t: Any) -> Any:
            if t is self.table:
                chosen.append(pair := t.popitem())
                return pair
            return (chosen[0][0], t.pop(chosen[0][0])) if chosen else t.popitem()

        return operate

    def op_setdefault(self) -> Operation:
        arguments = (self.pool.key(), self.pool.value())[: self.rng.randrange(1, 3)]
        return lambda t: t.setdefault(*arguments)

    def op_update(self) -> Operation:
        source = self.rng.choice((self.other(), self.pool.good_dict(), None, 5, (), ["ab"], [1]))
        extra = self.rng.choice(({}, {}, {"a": 1, "new": 2}))
        return lambda t: t.update(self.fit(t, source), **extra)

    def op_update_pairs(self) -> Operation:
        pairs = [(self.pool.good_key(), self.pool.value()) for _ in range(self.rng.randrange(6))]
        kind = self.rng.choice((list, tuple, iter))
        return lambda t: t.update(kind(pairs))

    def op_update_bad_pairs(self) -> Operation:
        pairs = self.pool.pairs(3) + [self.rng.choice(((), (1,), (1, 2, 3), 5))]
        return lambda t: t.update(pairs) if isinstance(t, dict) else bad_update(t, pairs)

    def op_ior(self) -> Operation:
        other = self.rng.choice((self.other(), self.pool.good_dict(), [], 5))

        def operate(t: Any) -> None:
            same = t
            t |= self.fit(t, other)
            assert t is same

        return operate

    def op_clear(self) -> Operation:
        if self.rng.random() < 0.8:
            return self.op_x_pop()
        return lambda t: t.clear()

    def op_self_update(self) -> Operation:
        return lambda t: t.update(t)

    def op_delete_all(self) -> Operation:
        if self.rng.random() < 0.9:
            return self.op_x_delitem()

        def operate(t: Any) -> None:
            for key in list(t):
                del t[key]

        return operate

    def op_churn(self) -> Operation:
        key, count = self.pool.good_key(), self.rng.randrange(12)

        def operate(t: Any) -> None:
            for number in range(count):
                t[key] = number
                del t[key]

        return operate

    # -- the added operations, against their definition in terms of a dict --------------------------

    def added(self, ours: Operation, theirs: Operation, key: Any = None) -> Operation:
        """Ours always hashes `key`, which some methods of an empty dict do not."""
        return lambda t: (hash(key), theirs(t))[1] if t is self.model else ours(t)

    def op_added_swap(self) -> Operation:
        key, value, missing = self.pool.key(), self.pool.value(), self.ct.MISSING

        def theirs(t: Any) -> Any:
            old = t.get(key, missing)
            t[key] = value
            return old

        return self.added(lambda t: t.swap(key, value), theirs)

    def op_added_compare_and_set(self) -> Operation:
        key, value, missing = self.pool.key(), self.pool.value(), self.ct.MISSING
        expected = self.rng.choice((self.pool.value(), missing))

        def theirs(t: Any) -> Any:
            old = t.get(key, missing)
            if old is expected or (missing not in (old, expected) and old == expected):
                t[key] = value
                return True
            return False

        return self.added(lambda t: t.compare_and_set(key, expected, value), theirs)

    def op_added_compare_and_delete(self) -> Operation:
        key, missing = self.pool.key(), self.ct.MISSING
        expected = self.rng.choice((self.pool.value(), missing))

        def theirs(t: Any) -> Any:
            old = t.get(key, missing)
            if old is expected or (missing not in (old, expected) and old == expected):
                t.pop(key, None)
                return True
            return False

        return self.added(lambda t: t.compare_and_delete(key, expected), theirs, key)

    def op_added_increment(self) -> Operation:
        key, delta = self.pool.key(), self.rng.randrange(5)
        made: list[Any] = []  # the sum that ours stored: the state is compared by identity

        def ours(t: Any) -> Any:
            made.append(t.increment(key, delta, 10))
            return made[0]

        def theirs(t: Any) -> Any:
            expected = t.get(key, 10) + delta
            t[key] = made[0] if made and repr(made[0]) == repr(expected) else expected
            return t[key]

        return self.added(ours, theirs)

    def op_added_compute(self) -> Operation:
        key, result, missing = self.pool.key(), self.pool.value(), self.ct.MISSING
        result = self.rng.choice((result, missing))

        def theirs(t: Any) -> Any:
            if result is missing:
                t.pop(key, None)
            else:
                t[key] = result
            return result

        return self.added(lambda t: t.compute(key, lambda old: result), theirs, key)

    def op_added_compute_if_absent(self) -> Operation:
        key, value = self.pool.key(), self.pool.value()
        return self.added(
            lambda t: t.compute_if_absent(key, lambda: value), lambda t: t.setdefault(key, value)
        )

    def op_added_get_many(self) -> Operation:
        keys = self.pool.keys()
        return self.added(
            lambda t: Loose(t.get_many(keys)), lambda t: Loose({k: t[k] for k in keys if k in t})
        )

    def op_added_pop_many(self) -> Operation:
        keys = [self.pool.good_key() for _ in range(self.rng.randrange(5))]
        return self.added(
            lambda t: Loose(t.pop_many(keys)),
            lambda t: Loose({k: t.pop(k) for k in keys if k in t}),
        )

    def op_added_update_many(self) -> Operation:
        pairs = [(self.pool.good_key(), self.pool.value()) for _ in range(self.rng.randrange(6))]
        return self.added(lambda t: t.update_many(pairs), lambda t: t.update(pairs))

    def op_added_snapshot(self) -> Operation:
        return self.added(lambda t: t.snapshot(), dict)

    def op_added_guard(self) -> Operation:
        keys = [self.pool.good_key() for _ in range(2)]
        missing = self.ct.MISSING
        return self.added(
            lambda t: t.guard(*keys)(), lambda t: tuple(t.get(key, missing) for key in keys)
        )


def bad_update(table: Any, pairs: list[Any]) -> Any:
    """`dict.update` keeps what came before the bad pair; ours may keep it or nothing of it.

    The comparison wants one state, so what the dict would have kept is put in here.
    """
    model: dict[Any, Any] = {}
    try:
        table.update(pairs)
    finally:
        with contextlib.suppress(Exception):
            model.update(pairs)
        table.update(model)


class SetRunner(Runner):
    """Operations of both kinds of sets."""

    ordered = False

    def builtin(self) -> Any:
        return frozenset

    def reset(self) -> None:
        items = [self.pool.good_key() for _ in range(self.rng.choice((0, 5, 20)))]
        self.model = self.builtin()(items)
        self.table = new(self.ct, self.name, items)

    def same_state(self) -> bool:
        return len(self.table) == len(self.model) and {id(item) for item in self.table} == {
            id(item) for item in self.model
        }

    def other(self) -> Any:
        contents = self.pool.good_set()
        kind = self.rng.choice(("set", "frozenset", "ConcurrentSet", "FrozenSet"))
        if kind in ("set", "frozenset"):
            return {"set": set, "frozenset": frozenset}[kind](contents)
        return new(self.ct, kind, contents)

    def iterable(self) -> Any:
        draw = self.rng.random()
        if draw < 0.4:
            return self.pool.keys()
        if draw < 0.5:
            return self.rng.choice((5, None, "abc", (), self.pool.good_dict()))
        return self.other()

    def op_contains(self) -> Operation:
        item = self.pool.key()
        return lambda t: item in t

    def op_contains_a_set(self) -> Operation:
        item = self.rng.choice(({1}, {1, 2}, set()))
        return lambda t: item in t

    def op_len(self) -> Operation:
        return lambda t: (len(t), bool(t), len(list(t)))

    def op_operator(self) -> Operation:
        import operator

        op = self.rng.choice((operator.and_, operator.or_, operator.sub, operator.xor))
        other = self.rng.choice((self.other(), self.other(), self.other(), [1], 5))
        return lambda t: op(t, self.fit(t, other))

    def op_reflected(self) -> Operation:
        import operator

        op = self.rng.choice((operator.and_, operator.or_, operator.sub, operator.xor))
        other = self.other()
        return lambda t: op(self.fit(t, other), t)

    def op_comparisons(self) -> Operation:
        other = self.rng.choice((self.other(), set(self.model), 5))
        if isinstance(other, int):
            return lambda t: (t == other, t != other, t < other)
        return lambda t: (
            t == (o := self.fit(t, other)), t != o, t <= o, t < o, t >= o, t > o,
            o == t, o <= t, o < t, o >= t, o > t,
        )  # fmt: skip

    def op_methods(self) -> Operation:
        name = self.rng.choice(("union", "intersection", "difference"))
        others = [self.iterable() for _ in range(self.rng.randrange(3))]
        return lambda t: getattr(t, name)(*(self.fit(t, other) for other in others))

    def op_methods_of_one(self) -> Operation:
        name = self.rng.choice(("symmetric_difference", "isdisjoint", "issubset", "issuperset"))
        other = self.iterable()
        return lambda t: getattr(t, name)(self.fit(t, other))

    def op_copy(self) -> Operation:
        return lambda t: (t.copy(), copy.copy(t))


class FrozenSetRunner(SetRunner):
    def op_hash(self) -> Operation:
        return lambda t: hash(t)

    def op_reset(self) -> Operation:
        self.reset()
        return lambda t: len(t)


class FrozenMappingRunner(MappingRunner):
    def op_reset(self) -> Operation:
        self.reset()
        return lambda t: len(t)


class MutableSetRunner(SetRunner):
    def builtin(self) -> Any:
        return set

    def op_x_add(self) -> Operation:
        item = self.pool.key()
        return lambda t: t.add(item)

    def op_x_discard(self) -> Operation:
        item = self.pool.key()
        return lambda t: t.discard(item)

    def op_x_remove(self) -> Operation:
        item = self.pool.key()
        return lambda t: t.remove(item)

    def op_pop(self) -> Operation:
        chosen: list[Any] = []

        def operate(t: Any) -> Any:
            if t is self.table:
                chosen.append(item := t.pop())
                return item
            if chosen:
                t.remove(chosen[0])
                return chosen[0]
            return t.pop()

        return operate

    def op_in_place(self) -> Operation:
        import operator

        op = self.rng.choice((operator.iand, operator.ior, operator.isub, operator.ixor))
        other = self.rng.choice((self.other(), self.other(), [1], 5))

        def operate(t: Any) -> None:
            assert op(t, self.fit(t, other)) is t

        return operate

    def op_updates(self) -> Operation:
        name = self.rng.choice(("update", "difference_update", "intersection_update"))
        others = [self.other() for _ in range(self.rng.randrange(3))]
        return lambda t: getattr(t, name)(*(self.fit(t, other) for other in others))

    def op_symmetric_update(self) -> Operation:
        other = self.rng.choice((self.other(), list(self.other())))
        return lambda t: t.symmetric_difference_update(self.fit(t, other))

    def op_self_operations(self) -> Operation:
        name = self.rng.choice(("update", "intersection_update", "symmetric_difference_update"))
        return lambda t: getattr(t, name)(t)

    def op_clear(self) -> Operation:
        if self.rng.random() < 0.8:
            return self.op_x_discard()
        return lambda t: t.clear()

    def op_freeze(self) -> Operation:
        return lambda t: frozenset(t) if isinstance(t, set) else t.freeze()


RUNNERS: dict[str, type[Runner]] = {
    "ConcurrentDict": MutableMappingRunner,
    "SplitDict": MutableMappingRunner,
    "ShardedDict": MutableMappingRunner,
    "FrozenDict": FrozenMappingRunner,
    "ConcurrentSet": MutableSetRunner,
    "FrozenSet": FrozenSetRunner,
}
assert NotImplemented not in KEYS
