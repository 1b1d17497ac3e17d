"""Classes of keys that change, and unusual `__eq__` and `__hash__`: what counts is what the class says now.

The builtin `dict` is the oracle: the same class, the same steps, the same answers.
"""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import implementation_environment, new, run_child, run_threads
from tests.support import outcome as outcome_of

TABLES = ("ConcurrentDict", "ShardedDict", "ConcurrentSet")


def outcome(call: Callable[[], Any]) -> tuple[str, str]:
    """What a call returned, or the type of what it raised: to be compared."""
    said, what = outcome_of(call)
    return said, repr(what if said == "value" else type(what))


def key_class(name: str = "Key", bases: tuple[type, ...] = (), **more: Any) -> type:
    """A class of its own for each test: keys are equal when their numbers are."""

    def __init__(self: Any, number: int) -> None:
        self.number = number

    def __hash__(self: Any) -> int:
        return 11

    def __eq__(self: Any, other: Any) -> bool:
        return bool(self.number == other.number)

    body = {"__init__": __init__, "__hash__": __hash__, "__eq__": __eq__}
    return type(name, bases, {**body, **more})


def filled(ct: Any, name: str, keys: list[Any]) -> Any:
    if name == "ConcurrentSet":
        return ct.ConcurrentSet(keys)
    table = new(ct, name)
    for key in keys:
        table[key] = None
    return table


def never(self: Any, other: Any) -> bool:
    return False


def always(self: Any, other: Any) -> bool:
    return True


def raising(self: Any, other: Any) -> bool:
    raise ZeroDivisionError("in __eq__")


def by_number(self: Any, other: Any) -> bool:
    return bool(self.number == other.number)


def another_hash(self: Any) -> int:
    return 12


def no_hash(self: Any) -> int:
    raise ZeroDivisionError("in __hash__")


class Callable2:
    def __call__(self, *given: Any) -> Any:
        return len(given) == 1  # not bound: it is no descriptor


CHANGES: dict[str, Callable[[type], Any]] = {
    "eq: never": lambda cls: setattr(cls, "__eq__", never),
    "eq: always": lambda cls: setattr(cls, "__eq__", always),
    "eq: raises": lambda cls: setattr(cls, "__eq__", raising),
    "eq: not implemented": lambda cls: setattr(cls, "__eq__", lambda a, b: NotImplemented),
    "eq: a list": lambda cls: setattr(cls, "__eq__", lambda a, b: [a.number == b.number] * 0),
    "eq: a true list": lambda cls: setattr(cls, "__eq__", lambda a, b: [b.number]),
    "eq: static": lambda cls: setattr(cls, "__eq__", staticmethod(lambda b: b.number == 3)),
    "eq: of the class": lambda cls: setattr(cls, "__eq__", classmethod(always)),
    "eq: callable": lambda cls: setattr(cls, "__eq__", Callable2()),
    "eq: builtin": lambda cls: setattr(cls, "__eq__", object.__eq__),
    "eq: gone": lambda cls: delattr(cls, "__eq__"),
    "eq: two arguments too many": lambda cls: setattr(cls, "__eq__", lambda a, b, c, d: True),
    "hash: another": lambda cls: setattr(cls, "__hash__", another_hash),
    "hash: raises": lambda cls: setattr(cls, "__hash__", no_hash),
    "hash: None": lambda cls: setattr(cls, "__hash__", None),
    "hash: text": lambda cls: setattr(cls, "__hash__", lambda self: "11"),
    "hash: huge": lambda cls: setattr(cls, "__hash__", lambda self: 11 + 5 * (2**61 - 1)),
    "hash: true": lambda cls: setattr(cls, "__hash__", lambda self: True),
    "hash: -1": lambda cls: setattr(cls, "__hash__", lambda self: -1),
    "hash: minus huge": lambda cls: setattr(cls, "__hash__", lambda self: -(2**200)),
    "hash: gone": lambda cls: delattr(cls, "__hash__"),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("inherited", [False, True])
def test_a_class_that_changes_between_lookups(ct: Any, name: str, inherited: bool) -> None:
    def answers(make: Callable[[list[Any]], Any], change: str) -> list[Any]:
        base = key_class()
        cls = type("Child", (base,), {}) if inherited else base
        table = make([cls(number) for number in range(4)])
        look = [cls(number) for number in range(6)]
        before = [outcome(lambda key=key: key in table) for key in look]
        CHANGES[change](base)
        after = [outcome(lambda key=key: key in table) for key in look]
        base.__eq__ = by_number  # type: ignore[assignment]
        base.__hash__ = lambda self: 11  # type: ignore[assignment]
        return [*before, *after, *[outcome(lambda key=key: key in table) for key in look]]

    builtin = set if name == "ConcurrentSet" else dict.fromkeys
    for change in CHANGES:
        ours = answers(lambda keys: filled(ct, name, keys), change)
        assert ours == answers(builtin, change), change


@pytest.mark.parametrize("name", TABLES)
def test_a_class_that_gets_other_bases(ct: Any, name: str) -> None:
    one, two = key_class("One"), key_class("Two", __eq__=never)
    cls: Any = type("Key", (one,), {})
    table = filled(ct, name, [cls(1)])
    assert cls(1) in table
    cls.__bases__ = (two,)
    assert cls(1) not in table
    cls.__bases__ = (one,)
    assert cls(1) in table


@pytest.mark.parametrize("name", TABLES)
def test_an_eq_that_replaces_itself(ct: Any, name: str) -> None:
    def once(self: Any, other: Any) -> bool:
        cls.__eq__ = by_number  # type: ignore[assignment]
        gc.collect()
        return False

    cls: Any = key_class()
    table = filled(ct, name, [cls(1)])
    cls.__eq__ = once
    assert cls(1) not in table
    assert cls(1) in table


@pytest.mark.parametrize("name", TABLES)
def test_different_classes_ask_the_reflected_method(ct: Any, name: str) -> None:
    asked = []

    def tells(self: Any, other: Any) -> Any:
        asked.append(type(self).__name__)
        return NotImplemented if type(self).__name__ == "Stored" else self.number == other.number

    stored: Any = key_class("Stored", __eq__=tells)
    other: Any = key_class("Other", __eq__=tells)
    child: Any = type("Child", (stored,), {"__eq__": tells, "__hash__": stored.__hash__})
    table = filled(ct, name, [stored(1)])
    assert other(1) in table
    assert asked == ["Stored", "Other"]
    del asked[:]
    assert child(1) in table  # a subclass is asked first
    assert asked == ["Child"]


@pytest.mark.parametrize("name", TABLES)
def test_many_classes_in_one_table(ct: Any, name: str) -> None:
    classes: list[Any] = [key_class(f"Key{n}", __eq__=[by_number, never][n % 2]) for n in range(20)]
    table = filled(ct, name, [cls(number) for number, cls in enumerate(classes)])
    for _ in range(3):
        found = [cls(number) in table for number, cls in enumerate(classes)]
        # All hashes are equal, so each is compared with those of other classes too.
        assert found[::2] == [True] * 10


@pytest.mark.parametrize("name", TABLES)
def test_a_class_is_not_kept_alive(ct: Any, name: str) -> None:
    cls: Any = key_class()
    table = filled(ct, name, [cls(1)])
    assert cls(1) in table
    gone = weakref.ref(cls)
    table.clear()
    ct.reclaim.flush()
    del cls
    for _ in range(5):
        gc.collect()
    assert gone() is None


def test_classes_that_come_and_go(ct: Any) -> None:
    """A new class may get the address of a dead one; it has its own methods."""
    for number in range(60):
        cls: Any = key_class(__eq__=[by_number, never, always][number % 3])
        table = ct.ConcurrentDict({cls(1): None})
        expected = {cls(1): None}
        for key in (cls(1), cls(2)):
            found = {key in table for _ in range(600)}  # often enough to be remembered again
            assert found == {key in expected}
        del cls, table, expected, key
        ct.reclaim.flush()
        gc.collect()


def test_a_class_that_changes_more_often_than_the_interpreter_tells(ct: Any) -> None:
    """CPython gives one class a thousand version tags, then tells nobody of its changes."""
    cls: Any = key_class()
    table = ct.ConcurrentDict({cls(1): None})
    for number in range(1500):
        cls.__eq__ = [by_number, never][number % 2]
        assert (cls(1) in table) == (number % 2 == 0)
    for number in range(4):
        cls.__eq__ = [by_number, never][number % 2]
        assert {cls(1) in table for _ in range(1200)} == {number % 2 == 0}


NO_WATCHER = """
import ctypes
TOLD = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.py_object)(lambda cls: 0)
add = ctypes.pythonapi.PyType_AddWatcher
while True:
    try:
        add(TOLD)
    except RuntimeError:
        break
from concurrent_tables import *
from tests.reentrancy.test_key_classes import key_class, never
cls = key_class()
table = ConcurrentDict({cls(1): None})
assert {cls(1) in table for _ in range(50)} == {True}
cls.__eq__ = never
assert {cls(1) in table for _ in range(50)} == {False}
print("end")
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the interpreter has no type watchers")
def test_no_type_watcher_is_left(ct: Any) -> None:
    done = run_child(NO_WATCHER, **implementation_environment(ct))
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stdout + done.stderr


@pytest.mark.parametrize("name", TABLES)
def test_a_class_that_changes_under_its_readers(ct: Any, name: str) -> None:
    """Each reader gets the answer of an `__eq__` that the class had while it asked."""
    cls: Any = key_class()
    answers: list[Any] = []
    keys = [cls(number) for number in range(8)]
    table = filled(ct, name, keys)
    done = []

    def write() -> None:
        try:
            for number in range(150):
                # Closures that nothing else refers to: the one before goes when it is replaced.
                cls.__eq__ = lambda self, other, number=number: self.number == other.number
                cls.__hash__ = lambda self, number=number: 11
                if number % 50 == 0:
                    gc.collect()
        finally:
            done.append(None)

    def read() -> None:
        wrong = 0
        while not done:
            wrong += sum(cls(number) not in table for number in range(8))
            wrong += cls(9) in table
        answers.append(wrong)

    run_threads(write, read, read)
    assert answers == [0, 0]
