"""Re-entrant keys on mappings: the operation ends, tells the truth, and loses no other item."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest

from tests.reentrancy.hostile import HashActs, Probe
from tests.support import MUTABLE_MAPPINGS, Boom, new

READS = {
    "getitem": lambda table, key: table[key],
    "get": lambda table, key: table.get(key),
    "contains": lambda table, key: key in table,
}
WRITES = {
    "setitem": lambda table, key: table.__setitem__(key, "written"),
    "delitem": lambda table, key: table.__delitem__(key),
    "pop": lambda table, key: table.pop(key, None),
    "setdefault": lambda table, key: table.setdefault(key, "default"),
    "swap": lambda table, key: table.swap(key, "swapped"),
    "compute": lambda table, key: table.compute(key, lambda old: "computed"),
    "compute_if_absent": lambda table, key: table.compute_if_absent(key, lambda: "computed"),
    "update": lambda table, key: table.update({key: "updated"}),
    "update_many": lambda table, key: table.update_many([(key, "updated")]),
    "pop_many": lambda table, key: table.pop_many([key]),
    "compare_and_set": lambda table, key: table.compare_and_set(key, "probe value", "set"),
    "compare_and_delete": lambda table, key: table.compare_and_delete(key, "probe value"),
}
OPERATIONS = {**READS, **WRITES}
ACTIONS = {
    "insert": lambda table: table.__setitem__("inserted", 1),
    "insert many": lambda table: table.update((n, n) for n in range(300)),
    "delete another": lambda table: table.pop("a", None),
    "delete the compared": lambda table: [
        table.pop(key, None) for key in list(table) if isinstance(key, Probe) and key.action is None
    ],
    "clear": lambda table: table.clear(),
    "clear and refill": lambda table: (table.clear(), table.update(refilled=1)),
    "read": lambda table: (table.get("a"), len(table), list(table.items()), repr(table)),
    "snapshot": lambda table: table.snapshot(),
    "overwrite": lambda table: table.__setitem__("a", "overwritten"),
    "popitem": lambda table: table.popitem() if table else None,
}


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
@pytest.mark.parametrize(("operation", "action"), [*itertools.product(OPERATIONS, ACTIONS)])
def test_eq_that_acts_once(ct: Any, name: str, operation: str, action: str) -> None:
    """The table ends as a dict would that ran the action first and then the operation, or after."""
    table = new(ct, name, a="value a", b="value b")
    resident = Probe("resident")
    table[resident] = "probe value"
    asked = Probe("resident", lambda: ACTIONS[action](table), limit=1)
    try:
        OPERATIONS[operation](table, asked)
    except KeyError:
        assert operation in ("getitem", "delitem")
    assert asked.ran == 1
    state = dict(table.snapshot().items())
    assert len(table) == len(state)
    assert len({id(key) for key in table}) == len(state)
    kept = {"a": "value a", "b": "value b"}
    if action in ("insert", "read", "snapshot"):
        assert kept.items() <= state.items()
    if action in ("delete another", "overwrite"):
        assert state["b"] == "value b"
    if action == "overwrite":
        assert state["a"] == "overwritten"
    if action == "delete another":
        assert "a" not in state
    if action == "insert":
        assert state["inserted"] == 1
    if action == "insert many":
        assert all(state[n] == n for n in range(300))
        assert kept.items() <= state.items()
    if action in ("clear", "clear and refill"):
        assert "a" not in state
        assert "b" not in state
    if action == "clear and refill":
        assert state["refilled"] == 1
    if operation in WRITES and operation not in ("delitem", "pop", "pop_many", "compare_and_delete",
                                                 "compare_and_set"):  # fmt: skip
        assert asked in table
    if operation in ("delitem", "pop", "pop_many"):
        assert asked not in table


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_eq_that_raises(ct: Any, name: str, operation: str) -> None:
    def fail() -> None:
        raise Boom

    table = new(ct, name, a=1)
    resident = Probe("resident")
    table[resident] = "probe value"
    version = table.version
    with pytest.raises(Boom):
        OPERATIONS[operation](table, Probe("other", fail))
    assert table.version == version
    assert len(table) == 2
    assert table[resident] == "probe value"


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_eq_that_changes_the_table_at_every_comparison(ct: Any, name: str, operation: str) -> None:
    """It must end: with the answer, or with a RuntimeError that names the trouble."""
    table = new(ct, name, a="value a")
    table[Probe("resident")] = "probe value"
    counter = itertools.count()

    def change() -> None:
        number = next(counter)
        table[("new", number)] = number
        table.pop(("new", number - 3), None)

    asked = Probe("absent", change, limit=10**9)
    try:
        OPERATIONS[operation](table, asked)
    except KeyError:
        assert operation in ("getitem", "delitem")
    except RuntimeError as error:
        assert isinstance(error, ct.TableMutationError)
        assert name in str(error)
    asked.limit = 0
    assert table["a"] == "value a"
    assert table[Probe("resident")] == "probe value"
    last = next(counter) - 1
    assert all(table.get(("new", number)) == number for number in range(max(0, last - 2), last + 1))


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_eq_that_moves_the_compared_entry_at_every_comparison(ct: Any, name: str) -> None:
    table = new(ct, name)
    resident = Probe("resident")
    table[resident] = 0

    def move() -> None:
        table.pop(resident)
        table[resident] = 0

    asked = Probe("absent", move, limit=10**9)
    try:
        assert table.get(asked) is None
    except ct.TableMutationError:
        pass
    asked.limit = 0
    assert list(table.items()) == [(resident, 0)]


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_eq_that_recurses_into_the_same_operation(ct: Any, name: str, operation: str) -> None:
    table = new(ct, name, a=1)
    table[Probe("resident")] = "probe value"
    depth = [0]

    def recurse() -> None:
        depth[0] += 1
        if depth[0] < 5:
            try:
                OPERATIONS[operation](table, Probe("resident", recurse))
            except KeyError:
                pass

    try:
        OPERATIONS[operation](table, Probe("resident", recurse))
    except KeyError:
        assert operation in ("getitem", "delitem")
    assert table["a"] == 1
    assert len(table) in (1, 2)


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_endless_recursion_is_a_recursion_error(ct: Any, name: str) -> None:
    table = new(ct, name)
    table[Probe("resident")] = 1
    asked = Probe("resident")
    asked.action, asked.limit = (lambda: table.get(asked)), 10**9
    with pytest.raises(RecursionError):
        table.get(asked)
    asked.limit = 0
    assert table[asked] == 1


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_hash_that_acts(ct: Any, name: str, operation: str) -> None:
    table = new(ct, name, a=1)
    key = HashActs("k", lambda: table.__setitem__("from hash", 1))
    table[key] = "probe value"
    try:
        OPERATIONS[operation](table, HashActs("k", lambda: (table.clear(), table.update(b=2))))
    except KeyError:
        pass
    assert table["b"] == 2
    assert "a" not in table


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_eq_that_lets_another_thread_write(ct: Any, name: str, operation: str) -> None:
    """No lock is held while user code runs: the other thread gets through inside of it."""
    table = new(ct, name, a=1)
    table[Probe("resident")] = "probe value"
    finished: list[bool] = []

    def switch() -> None:
        thread = threading.Thread(
            target=lambda: (table.update(other=1), table.pop("a", None)), daemon=True
        )
        thread.start()
        thread.join(30)
        finished.append(not thread.is_alive())

    try:
        OPERATIONS[operation](table, Probe("resident", switch))
    except KeyError:
        pass
    assert finished == [True]
    assert table["other"] == 1
    assert "a" not in table


class EqualValue:
    """A value whose `__eq__` acts; what `compare_and_set` and `==` compare."""

    def __init__(self, action: Any) -> None:
        self.action = action

    def __eq__(self, other: object) -> bool:
        self.action()
        return True

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_compare_and_set_whose_comparison_changes_the_value(ct: Any, name: str) -> None:
    table = new(ct, name)
    table["k"] = EqualValue(lambda: table.__setitem__("k", "changed meanwhile"))
    assert table.compare_and_set("k", "expected", "new") is False
    assert table["k"] == "changed meanwhile"


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_compare_and_delete_whose_comparison_deletes(ct: Any, name: str) -> None:
    table = new(ct, name, other=1)
    table["k"] = EqualValue(lambda: table.pop("k", None))
    assert table.compare_and_delete("k", "expected") is False
    assert table == {"other": 1}


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_equality_whose_comparison_clears(ct: Any, name: str) -> None:
    table = new(ct, name, a=1)
    table["k"] = EqualValue(lambda: table.clear())
    assert (table == {"a": 1, "k": 5}) in (True, False)
    assert len(table) == 0


class ActsWhenDropped:
    def __init__(self, action: Any) -> None:
        self.action = action

    def __del__(self) -> None:
        self.action()


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
@pytest.mark.parametrize("operation", ["overwrite", "delete", "pop", "popitem", "clear", "update", "swap",
                                       "pop_many"])  # fmt: skip
@pytest.mark.parametrize("action", ACTIONS)
def test_finalizers_that_use_the_table(ct: Any, name: str, operation: str, action: str) -> None:
    table = new(ct, name, a="value a")
    ran: list[int] = []

    def act() -> None:
        ran.append(1)
        ACTIONS[action](table)

    table["k"] = ActsWhenDropped(act)
    {
        "overwrite": lambda: table.__setitem__("k", 1),
        "delete": lambda: table.__delitem__("k"),
        "pop": lambda: table.pop("k"),
        "popitem": lambda: [table.popitem() for _ in range(2)],
        "clear": lambda: table.clear(),
        "update": lambda: table.update(k=1),
        "swap": lambda: table.swap("k", 1),
        "pop_many": lambda: table.pop_many(["k"]),
    }[operation]()
    ct.reclaim.flush()
    assert ran == [1]
    assert len(table) == len(list(table))
    if operation in ("overwrite", "update", "swap") and action in ("insert", "read", "insert many"):
        assert table["k"] == 1
        assert table["a"] == "value a"
    if action == "insert":
        assert table["inserted"] == 1


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_finalizers_that_raise(ct: Any, name: str, unraisable: list[Any]) -> None:
    def fail() -> None:
        raise Boom

    table = new(ct, name, {n: ActsWhenDropped(fail) for n in range(10)})
    table.clear()
    ct.reclaim.flush()
    assert len(unraisable) == 10
    assert len(table) == 0


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_compute_functions_that_use_the_table(ct: Any, name: str) -> None:
    for action in ACTIONS.values():
        table = new(ct, name, a=1, k=2)
        ran: list[int] = []

        def once(old: Any, action: Any = action, table: Any = table, ran: Any = ran) -> str:
            if not ran:
                ran.append(1)
                action(table)
            return "computed"

        assert table.compute("k", once) == "computed"
        assert table["k"] == "computed"


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_update_from_a_source_that_changes_the_table(ct: Any, name: str) -> None:
    table = new(ct, name, a=1)

    def source() -> Any:
        yield "x", 1
        table.clear()
        table["during"] = 2
        yield "y", 3

    table.update(source())
    assert table["during"] == 2
    assert table["y"] == 3
    assert "a" not in table


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_repr_of_values_that_change_the_table(ct: Any, name: str) -> None:
    class Nosy:
        def __repr__(self) -> str:
            table.clear()
            return "nosy"

    table = new(ct, name, a=Nosy(), b=2)
    text = repr(table)
    assert "nosy" in text
    assert "'b': 2" in text
    assert len(table) == 0


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_keys_iterable_that_changes_the_table(ct: Any, name: str) -> None:
    table = new(ct, name, a=1, b=2)

    def keys() -> Any:
        yield "a"
        table["c"] = 3
        yield "c"

    assert table.get_many(keys()) == {"a": 1, "c": 3}
    assert table.pop_many(keys()) == {"a": 1, "c": 3}
    assert table == {"b": 2}
