"""User hash and compare functions of `HashTable` that change the table they work for."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.support import Boom

OPERATIONS = {
    "set": lambda table: table.set("k", "new"),
    "get": lambda table: table.get("k"),
    "steal": lambda table: table.steal("k"),
    "contains": lambda table: "k" in table,
}
ACTIONS = {
    "set": lambda table: table.set("x", 1),
    "set many": lambda table: [table.set(f"x{n}", n) for n in range(100)],
    "steal": lambda table: table.steal("k"),
    "clear": lambda table: table.clear(),
    "foreach": lambda table: table.foreach(lambda key, value: None),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("where", ["hash", "compare"])
def test_functions_that_act_once(ct: Any, operation: str, action: str, where: str) -> None:
    armed: list[str] = []

    def act(here: str) -> None:
        if armed and armed[0] == here:
            armed.clear()
            ACTIONS[action](table)

    def hashed(key: str) -> int:
        act("hash")
        return 1

    def compared(a: str, b: str) -> bool:
        act("compare")
        return a == b

    table = ct.HashTable(hashed, compared)
    table.set("a", "value a")
    table.set("k", "value k")
    armed.append(where)
    OPERATIONS[operation](table)
    assert not armed
    if action != "clear":
        assert table.get("a") == "value a"
    if action == "set":
        assert table.get("x") == 1
    if action == "set many":
        assert all(table.get(f"x{n}") == n for n in range(100))
    if operation == "set":
        assert table.get("k") == "new"
    if operation == "steal":
        assert table.get("k") is None
    seen: list[str] = []
    table.foreach(lambda key, value: seen.append(key))
    assert len(seen) == len(set(seen)) == table.size()


def test_compare_that_changes_the_table_every_time(ct: Any) -> None:
    counter = [0]
    armed = [False]

    def compared(a: Any, b: Any) -> bool:
        if armed[0]:
            armed[0] = False
            counter[0] += 1
            table.set(("new", counter[0]), 1)
            table.steal(("new", counter[0] - 2))
            armed[0] = True
        return bool(a == b)

    table = ct.HashTable(lambda key: 1, compared)
    table.set("a", 1)
    armed[0] = True
    try:
        assert table.get("absent") is None
    except ct.TableMutationError:
        pass
    armed[0] = False
    assert table.get("a") == 1


def test_compare_that_lets_another_thread_write(ct: Any) -> None:
    armed = [False]
    finished: list[bool] = []

    def compared(a: Any, b: Any) -> bool:
        if armed[0]:
            armed[0] = False
            thread = threading.Thread(target=table.set, args=("other", 1), daemon=True)
            thread.start()
            thread.join(30)
            finished.append(not thread.is_alive())
        return bool(a == b)

    table = ct.HashTable(lambda key: 1, compared)
    table.set("a", 1)
    armed[0] = True
    table.set("b", 2)
    assert finished == [True]
    assert [table.get(key) for key in ("a", "b", "other")] == [1, 2, 1]


def test_compare_that_raises_half_way(ct: Any) -> None:
    armed = [False]

    def compared(a: Any, b: Any) -> bool:
        if armed[0] and a != b:
            raise Boom
        return bool(a == b)

    table = ct.HashTable(lambda key: 1, compared)
    for number in range(5):
        table.set(number, number)
    armed[0] = True
    with pytest.raises(Boom):
        table.set("new", 1)
    with pytest.raises(Boom):
        table.steal("absent")
    armed[0] = False
    assert table.size() == 5
    assert [table.get(number) for number in range(5)] == list(range(5))
