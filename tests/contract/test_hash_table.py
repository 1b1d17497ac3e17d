"""The generic table: user-given hash and compare, destructors, growth and shrinking."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import Boom, Named


def case_blind(ct: Any, **options: Any) -> Any:
    return ct.HashTable(
        lambda key: hash(key.lower()), lambda a, b: a.lower() == b.lower(), **options
    )


def test_set_get_steal(ct: Any) -> None:
    table = case_blind(ct)
    table.set("Key", 1)
    assert table.get("kEY") == 1
    assert "KEY" in table
    assert table.get("other") is None
    assert table.get("other", 5) == 5
    assert table.steal("key") == 1
    assert table.steal("key") is None
    assert table.steal("key", 7) == 7
    assert len(table) == table.size() == 0


def test_set_replaces(ct: Any) -> None:
    destroyed: list[Any] = []
    table = case_blind(
        ct, destroy_key=lambda key: destroyed.append(("key", key)),
        destroy_value=lambda value: destroyed.append(("value", value)),
    )  # fmt: skip
    table.set("Key", 1)
    table.set("KEY", 2)
    ct.reclaim.flush()
    assert sorted(destroyed) == [("key", "Key"), ("value", 1)]
    assert table.get("key") == 2
    assert table.size() == 1


def test_identity_is_the_default(ct: Any) -> None:
    table = ct.HashTable()
    first, second = Named("same"), Named("same")
    table.set(first, 1)
    assert table.get(second) is None
    table.set(second, 2)
    assert table.get(first) == 1
    assert table.size() == 2


def test_unhashable_keys_by_identity(ct: Any) -> None:
    table, key = ct.HashTable(), [1]
    table.set(key, "list")
    assert table.get(key) == "list"
    assert table.get([1]) is None


def test_ready_made_functions(ct: Any) -> None:
    key, other = object(), object()
    assert ct.hash_identity(key) == ct.hash_identity(key)
    assert isinstance(ct.hash_identity(key), int)
    assert ct.compare_identity(key, key)
    assert not ct.compare_identity(key, other)
    assert ct.hash_str("abc") == ct.hash_str("".join(["a", "bc"]))
    assert ct.compare_str("abc", "".join(["a", "bc"]))
    assert not ct.compare_str("abc", "abd")
    for bad in (lambda: ct.hash_str(5), lambda: ct.compare_str("a", 5), lambda: ct.hash_str(b"a")):
        with pytest.raises(TypeError):
            bad()


def test_str_table(ct: Any) -> None:
    table = ct.HashTable(ct.hash_str, ct.compare_str)
    table.set("a" * 3, 1)
    assert table.get("aaa") == 1
    with pytest.raises(TypeError):
        table.set(5, 1)
    assert table.size() == 1


def test_steal_does_not_destroy(ct: Any) -> None:
    destroyed: list[Any] = []
    table = case_blind(ct, destroy_key=destroyed.append, destroy_value=destroyed.append)
    table.set("k", "v")
    assert table.steal("k") == "v"
    ct.reclaim.flush()
    assert destroyed == []


@pytest.mark.parametrize("method", ["clear", "destroy"])
def test_clear_and_destroy_run_destructors_once(ct: Any, method: str) -> None:
    keys: list[Any] = []
    values: list[Any] = []
    table = ct.HashTable(
        ct.hash_str, ct.compare_str, destroy_key=keys.append, destroy_value=values.append
    )
    for number in range(100):
        table.set(str(number), number)
    getattr(table, method)()
    ct.reclaim.flush()
    assert sorted(values) == list(range(100))
    assert sorted(keys) == sorted(map(str, range(100)))


def test_clear_leaves_a_usable_table(ct: Any) -> None:
    table = ct.HashTable(ct.hash_str, ct.compare_str)
    table.set("a", 1)
    assert table.clear() is None
    assert table.size() == 0
    table.set("a", 2)
    assert table.get("a") == 2


@pytest.mark.parametrize(
    "use",
    [
        lambda table: table.set("a", 1),
        lambda table: table.get("a"),
        lambda table: table.steal("a"),
        lambda table: table.foreach(lambda key, value: None),
        lambda table: table.clear(),
        lambda table: table.size(),
        lambda table: len(table),
        lambda table: "a" in table,
    ],
)
def test_use_after_destroy(ct: Any, use: Any) -> None:
    table = ct.HashTable(ct.hash_str, ct.compare_str)
    table.set("a", 1)
    table.destroy()
    with pytest.raises(ct.TableDestroyedError):
        use(table)


def test_foreach_visits_all(ct: Any) -> None:
    table = ct.HashTable(ct.hash_str, ct.compare_str)
    for number in range(50):
        table.set(str(number), number)
    seen: dict[str, int] = {}
    assert table.foreach(lambda key, value: seen.update({key: value})) is None
    assert seen == {str(number): number for number in range(50)}


def test_foreach_stops_at_the_first_result(ct: Any) -> None:
    table = ct.HashTable(ct.hash_str, ct.compare_str)
    for number in range(50):
        table.set(str(number), number)
    visited: list[str] = []

    def visit(key: str, value: int) -> Any:
        visited.append(key)
        return 0 if len(visited) == 7 else None

    assert table.foreach(visit) == 0
    assert len(visited) == 7


def test_foreach_callback_that_raises(ct: Any) -> None:
    table = ct.HashTable()
    table.set("a", 1)

    def visit(key: Any, value: Any) -> None:
        raise Boom

    with pytest.raises(Boom):
        table.foreach(visit)
    table.set("b", 2)
    assert table.size() == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.set("new", 1),
        lambda table: table.set("1", 1),
        lambda table: table.steal("1"),
        lambda table: table.clear(),
        lambda table: table.destroy(),
    ],
)
def test_foreach_callback_that_mutates(ct: Any, change: Any) -> None:
    table = ct.HashTable(ct.hash_str, ct.compare_str)
    for number in range(5):
        table.set(str(number), number)
    with pytest.raises(ct.TableMutationError):
        table.foreach(lambda key, value: change(table))
    assert table.size() == 5
    assert table.get("1") == 1
    change(table)  # outside of foreach it is allowed


def test_foreach_callback_may_read(ct: Any) -> None:
    table = ct.HashTable(ct.hash_str, ct.compare_str)
    table.set("a", 1)
    assert table.foreach(lambda key, value: table.get(key) + table.size()) == 2


def test_foreach_nested(ct: Any) -> None:
    table = ct.HashTable(ct.hash_str, ct.compare_str)
    table.set("a", 1)
    table.set("b", 2)
    pairs = []
    table.foreach(lambda k, v: table.foreach(lambda k2, v2: pairs.append((k, k2))))
    assert sorted(pairs) == [("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")]
    table.set("c", 3)


def test_growth_and_shrinking(ct: Any) -> None:
    table = ct.HashTable(ct.hash_str, ct.compare_str)
    assert table.stats()["buckets"] == 16
    buckets = 16
    for number in range(1000):
        table.set(str(number), number)
        if table.size() > buckets * 2 / 3:
            buckets *= 2
        assert table.stats()["buckets"] == buckets
    assert buckets == 2048
    for number in range(1000):
        table.steal(str(number))
        assert table.stats()["buckets"] >= 16
        assert table.size() >= 0.1 * table.stats()["buckets"] or table.stats()["buckets"] == 16
    assert table.stats()["buckets"] == 16
    assert table.stats()["size"] == 0


def test_thresholds_are_settable(ct: Any) -> None:
    crowded = ct.HashTable(ct.hash_str, ct.compare_str, grow_at=2.0, shrink_at=0.0)
    for number in range(32):
        crowded.set(str(number), number)
    assert crowded.stats()["buckets"] == 16
    crowded.set("more", 1)
    assert crowded.stats()["buckets"] == 32
    for number in range(32):
        crowded.steal(str(number))
    assert crowded.stats()["buckets"] == 32


@pytest.mark.parametrize("options", [{"grow_at": 0}, {"grow_at": -1}, {"shrink_at": -0.5},
                                     {"grow_at": 0.3, "shrink_at": 0.4}])  # fmt: skip
def test_bad_thresholds(ct: Any, options: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        ct.HashTable(**options)


@pytest.mark.parametrize("function", [None, 5, "hash"])
def test_hash_must_be_callable(ct: Any, function: Any) -> None:
    with pytest.raises(TypeError):
        ct.HashTable(function, ct.compare_str)


def test_hash_must_give_an_int(ct: Any) -> None:
    table = ct.HashTable(lambda key: "no", ct.compare_str)
    with pytest.raises(TypeError):
        table.set("a", 1)


def test_huge_and_negative_hashes(ct: Any) -> None:
    table = ct.HashTable(lambda key: key * 10**30 - 5, lambda a, b: a == b)
    for number in range(-20, 20):
        table.set(number, number)
    assert all(table.get(number) == number for number in range(-20, 20))


def test_errors_of_user_functions(ct: Any) -> None:
    failing: dict[str, bool] = {"hash": False, "compare": False}

    def hashed(key: Any) -> int:
        if failing["hash"]:
            raise Boom
        return 1

    def compared(a: Any, b: Any) -> bool:
        if failing["compare"]:
            raise Boom
        return bool(a == b)

    table = ct.HashTable(hashed, compared)
    table.set("a", 1)
    for what in failing:
        failing[what] = True
        for call in (lambda: table.set("b", 2), lambda: table.get("b"), lambda: table.steal("b"),
                     lambda: "b" in table):  # fmt: skip
            with pytest.raises(Boom):
                call()
        failing[what] = False
    assert table.size() == 1
    assert table.get("a") == 1


def test_destructor_that_raises_goes_to_unraisablehook(ct: Any, unraisable: list[Any]) -> None:
    def destroy(value: Any) -> None:
        raise Boom(value)

    table = ct.HashTable(destroy_value=destroy)
    keys = ["a", "b"]
    for key in keys:
        table.set(key, key)
    table.clear()
    ct.reclaim.flush()
    assert sorted(str(entry.exc_value) for entry in unraisable) == ["a", "b"]
    assert table.size() == 0


def test_destructor_may_use_the_table(ct: Any) -> None:
    table: Any = None
    echoes: list[int] = []

    def destroy(value: int) -> None:
        if not echoes:  # an echo that is destroyed has no echo
            echoes.append(value)
            table.set("echo", value)

    table = ct.HashTable(ct.hash_str, ct.compare_str, destroy_value=destroy)
    table.set("a", 1)
    table.set("a", 2)
    ct.reclaim.flush()
    assert table.get("echo") == 1
    assert table.get("a") == 2


def test_stats(ct: Any) -> None:
    table = ct.HashTable(lambda key: 3, lambda a, b: a == b)
    for number in range(5):
        table.set(number, number)
    stats = table.stats()
    assert stats["size"] == 5
    assert stats["buckets"] == 16


def test_chains_keep_colliding_keys_apart(ct: Any) -> None:
    table = ct.HashTable(lambda key: 1, lambda a, b: a == b)
    for number in range(100):
        table.set(number, number)
    for number in range(0, 100, 3):
        assert table.steal(number) == number
    for number in range(100):
        assert table.get(number) == (None if number % 3 == 0 else number)


def test_functions_are_set_once(ct: Any) -> None:
    """Other threads may be calling them: a second `__init__` would take them away."""
    table = ct.HashTable(ct.hash_str, ct.compare_str)
    table.set("a", 1)
    with pytest.raises(RuntimeError, match="set once"):
        table.__init__(hash=lambda key: 0)
    assert table.get("a") == 1


def test_a_failed_init_may_be_repeated(ct: Any) -> None:
    class Table(ct.HashTable):  # type: ignore[misc]
        def __init__(self) -> None:
            with pytest.raises(TypeError):
                super().__init__(hash=None)
            super().__init__(ct.hash_str, ct.compare_str)

    table = Table()
    table.set("a" * 2, 1)
    assert table.get("".join(["a", "a"])) == 1


@pytest.mark.parametrize("letter", "aé\u20ac\U0001f40d")
def test_strings_of_one_hash_that_differ_in_one_place(ct: Any, letter: str) -> None:
    for size in range(1, 21):
        words = [letter * n + chr(ord(letter) ^ 1) + letter * (size - n - 1) for n in range(size)]
        words.append(letter * size)
        table = ct.HashTable(hash=lambda key: 1, compare=ct.compare_str)
        for number, word in enumerate(words):
            table.set(word, number)
        again = [(word + "x")[:-1] for word in words]  # other objects
        assert [table.get(word) for word in again] == list(range(size + 1))
        assert len(table) == size + 1
