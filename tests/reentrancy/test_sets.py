"""Re-entrant items on sets, and on the frozen tables while they are built."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest

from tests.reentrancy.hostile import HashActs, Probe
from tests.support import Boom

OPERATIONS = {
    "contains": lambda table, item: item in table,
    "add": lambda table, item: table.add(item),
    "discard": lambda table, item: table.discard(item),
    "remove": lambda table, item: table.remove(item),
    "update": lambda table, item: table.update([item]),
    "difference_update": lambda table, item: table.difference_update([item]),
    "intersection": lambda table, item: table.intersection([item]),
    "symmetric_difference_update": lambda table, item: table.symmetric_difference_update([item]),
    "union": lambda table, item: table.union([item]),
    "isdisjoint": lambda table, item: table.isdisjoint([item]),
    "issuperset": lambda table, item: table.issuperset([item]),
}
ACTIONS = {
    "add": lambda table: table.add("added"),
    "add many": lambda table: table.update(range(300)),
    "discard another": lambda table: table.discard("a"),
    "discard the compared": lambda table: [
        table.discard(item)
        for item in list(table)
        if isinstance(item, Probe) and item.action is None
    ],
    "clear": lambda table: table.clear(),
    "clear and refill": lambda table: (table.clear(), table.add("refilled")),
    "read": lambda table: (len(table), list(table), repr(table), table.copy(), "a" in table),
    "freeze": lambda table: table.freeze(),
    "pop": lambda table: table.pop() if table else None,
}


@pytest.mark.parametrize(("operation", "action"), [*itertools.product(OPERATIONS, ACTIONS)])
def test_eq_that_acts_once(ct: Any, operation: str, action: str) -> None:
    table = ct.ConcurrentSet(["a", "b", Probe("resident")])
    asked = Probe("resident", lambda: ACTIONS[action](table), limit=1)
    try:
        OPERATIONS[operation](table, asked)
    except KeyError:
        assert operation == "remove"
    assert asked.ran == 1
    state = list(table)
    assert len(state) == len(set(map(id, state))) == len(table)
    if action in ("add", "add many", "read", "freeze"):
        assert {"a", "b"} <= set(state)
    if action == "add":
        assert "added" in table
    if action == "add many":
        assert set(range(300)) <= set(state)
    if action == "discard another":
        assert "a" not in state
        assert "b" in state
    if action == "clear and refill":
        assert "refilled" in table
        assert "a" not in table
    if operation in ("add", "update"):
        assert asked in table
    if operation in ("discard", "remove", "difference_update"):
        assert asked not in table


@pytest.mark.parametrize("operation", OPERATIONS)
def test_eq_that_raises(ct: Any, operation: str) -> None:
    def fail() -> None:
        raise Boom

    resident = Probe("resident")
    table = ct.ConcurrentSet(["a", resident])
    version = table.version
    with pytest.raises(Boom):
        OPERATIONS[operation](table, Probe("other", fail))
    assert table.version == version
    assert set(map(id, table)) == {id(item) for item in (resident, *(i for i in table if i == "a"))}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_eq_that_changes_the_table_at_every_comparison(ct: Any, operation: str) -> None:
    table = ct.ConcurrentSet(["a", Probe("resident")])
    counter = itertools.count()

    def change() -> None:
        number = next(counter)
        table.add(("new", number))
        table.discard(("new", number - 3))

    asked = Probe("absent", change, limit=10**9)
    try:
        OPERATIONS[operation](table, asked)
    except KeyError:
        assert operation == "remove"
    except RuntimeError as error:
        assert isinstance(error, ct.TableMutationError)
    asked.limit = 0
    assert "a" in table
    assert Probe("resident") in table


@pytest.mark.parametrize("operation", OPERATIONS)
def test_eq_that_recurses(ct: Any, operation: str) -> None:
    table = ct.ConcurrentSet(["a", Probe("resident")])
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
        assert operation == "remove"
    assert "a" in table
    assert len(table) in (1, 2)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_eq_that_lets_another_thread_write(ct: Any, operation: str) -> None:
    table = ct.ConcurrentSet(["a", Probe("resident")])
    finished: list[bool] = []

    def switch() -> None:
        thread = threading.Thread(
            target=lambda: (table.add("other"), table.discard("a")), daemon=True
        )
        thread.start()
        thread.join(30)
        finished.append(not thread.is_alive())

    try:
        OPERATIONS[operation](table, Probe("resident", switch))
    except KeyError:
        pass
    assert finished == [True]
    assert "other" in table
    assert "a" not in table


@pytest.mark.parametrize("operation", OPERATIONS)
def test_hash_that_acts(ct: Any, operation: str) -> None:
    table = ct.ConcurrentSet(["a"])
    try:
        OPERATIONS[operation](table, HashActs("k", lambda: (table.clear(), table.add("b"))))
    except KeyError:
        pass
    assert "b" in table
    assert "a" not in table


@pytest.mark.parametrize("method", ["update", "difference_update", "intersection_update",
                                    "symmetric_difference_update"])  # fmt: skip
def test_bulk_from_a_source_that_changes_the_table(ct: Any, method: str) -> None:
    table = ct.ConcurrentSet(["a", "b"])

    def source() -> Any:
        yield "a"
        table.add("during")
        yield "x"

    getattr(table, method)(source())
    assert ("during" in table) == (method != "intersection_update")


@pytest.mark.parametrize("name", ["FrozenSet", "FrozenDict", "ConcurrentSet", "ConcurrentDict"])
def test_building_with_keys_that_raise(ct: Any, name: str) -> None:
    def fail() -> None:
        raise Boom

    items: list[Any] = [Probe("one"), Probe("two", fail)]
    if name.endswith("Dict"):
        items = [(item, 1) for item in items]
    with pytest.raises(Boom):
        getattr(ct, name)(items)


def test_comparison_of_sets_whose_items_clear_them(ct: Any) -> None:
    left = ct.ConcurrentSet(["a", Probe("resident")])
    right = ct.ConcurrentSet(["a", Probe("resident", lambda: left.clear())])
    assert (left == right) in (True, False)
    assert len(left) == 0


class ActsWhenDropped:
    def __init__(self, action: Any) -> None:
        self.action = action

    def __del__(self) -> None:
        self.action()


@pytest.mark.parametrize("operation", ["discard", "remove", "pop", "clear", "difference_update",
                                       "intersection_update", "isub", "iand", "ixor"])  # fmt: skip
@pytest.mark.parametrize("action", ACTIONS)
def test_finalizers_that_use_the_table(ct: Any, operation: str, action: str) -> None:
    ran: list[int] = []

    def act() -> None:
        ran.append(1)
        ACTIONS[action](table)

    item = ActsWhenDropped(act)
    table = ct.ConcurrentSet([item])
    drop = {
        "discard": lambda item: table.discard(item),
        "remove": lambda item: table.remove(item),
        "pop": lambda item: table.pop(),
        "clear": lambda item: table.clear(),
        "difference_update": lambda item: table.difference_update([item]),
        "intersection_update": lambda item: table.intersection_update([]),
        "isub": lambda item: table.__isub__({item}),
        "iand": lambda item: table.__iand__(set()),
        "ixor": lambda item: table.__ixor__({item}),
    }[operation]
    drop(item)
    del item
    ct.reclaim.flush()
    assert ran == [1]
    assert len(table) == len(list(table))
    if action == "add":
        assert "added" in table


@pytest.mark.parametrize("name", ["FrozenSet", "FrozenDict"])
def test_frozen_lookup_with_a_raising_comparison(ct: Any, name: str) -> None:
    def fail() -> None:
        raise Boom

    items: list[Any] = [Probe("one"), Probe("two")]
    table = getattr(ct, name)([(item, 1) for item in items] if name == "FrozenDict" else items)
    with pytest.raises(Boom):
        Probe("x", fail) in table  # noqa: B015
    assert len(table) == 2
    assert Probe("two") in table
