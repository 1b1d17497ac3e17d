"""Batches whose keys are compared by user code: nothing is lost when a comparison fails or lies.

`pop_many` returns a dict, and making it compares given keys of one hash with each other. Either the
call fails and nothing was removed, or everything that was removed is returned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support import MUTABLE_MAPPINGS, Boom, new, run_threads

HASHES = (3, 1 << 40)  # in different shards of a ShardedDict
COMPARISONS = 60  # no call here makes more


class Fuse:
    """Counts the comparisons of its keys, and says from when on they answer otherwise."""

    def __init__(self, after: int, answer: Callable[[], bool]) -> None:
        self.left = after
        self.answer = answer

    def lit(self) -> bool:
        self.left -= 1
        return self.left < 0


class Fused:
    """A key that collides with many, and whose comparison may come to fail."""

    def __init__(self, number: int, fuse: Fuse | None) -> None:
        self.number = number
        self.fuse = fuse

    def __hash__(self) -> int:
        return HASHES[self.number % 2]

    def __eq__(self, other: object) -> bool:
        if self.fuse is not None and self.fuse.lit():
            return self.fuse.answer()
        return isinstance(other, Fused) and self.number == other.number


def fails() -> bool:
    raise Boom


def lies() -> bool:
    return True


@pytest.mark.parametrize("answer", [fails, lies])
@pytest.mark.parametrize("same", [True, False], ids=["the keys themselves", "equal keys"])
@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_what_pop_many_removes_is_returned(
    ct: Any, name: str, same: bool, answer: Callable[[], bool]
) -> None:
    failed = 0
    for after in range(COMPARISONS):
        fuse = Fuse(10**9, answer)
        keys = [Fused(number, fuse) for number in range(6)]
        table = new(ct, name)
        for key in keys:
            table[key] = [key.number]
        if after % 2:
            table.watch(lambda event: None)
        asked = keys if same else [Fused(number, fuse) for number in range(6)]
        fuse.left = after
        try:
            removed = table.pop_many(asked)
        except (Boom, RuntimeError):
            failed += 1
            removed = {}
            assert len(table) == 6
        fuse.left = 10**9
        values = [*removed.values(), *table.values()]
        assert sorted(value[0] for value in values) == list(range(6))
        ct.inspect_table(table).check()
    assert 0 < failed < COMPARISONS


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_update_many_is_all_or_nothing_when_a_comparison_fails(ct: Any, name: str) -> None:
    failed = 0
    for after in range(COMPARISONS):
        fuse = Fuse(10**9, fails)
        table = new(ct, name, {Fused(number, fuse): "old" for number in range(4)})
        changes = {Fused(number, fuse): "new" for number in range(6)}
        fuse.left = after
        try:
            table.update_many(changes)
        except Boom:
            failed += 1
            assert list(table.values()) == ["old"] * 4
        else:
            assert list(table.values()) == ["new"] * 6
    assert 0 < failed < COMPARISONS


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_comparison_that_overwrites_what_is_being_popped(ct: Any, name: str) -> None:
    """The dict was made of values that are not there any more: it has to be made anew."""
    table = new(ct, name, victim="first")
    stored: list[Any] = ["first"]
    replaced: list[Any] = []
    calm = True

    class Key(Fused):
        def __hash__(self) -> int:
            return HASHES[self.number % 2]

        def __eq__(self, other: object) -> bool:
            if not calm and len(stored) < 30:
                stored.append(len(stored))
                replaced.append(table.swap("victim", stored[-1]))
            return super().__eq__(other)

    keys = [Key(number, None) for number in range(4)]
    for key in keys:
        table[key] = key.number
    calm = False
    removed = table.pop_many([*keys, "victim"])
    assert len(table) == 0
    assert len(removed) == 5
    assert [*replaced, removed["victim"]] == stored


@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_pop_many_of_colliding_keys_against_overwriters(ct: Any, name: str) -> None:
    table = new(ct, name)
    keys = [Fused(number, None) for number in range(4)]

    def overwrite(number: int) -> list[Any]:
        return [table.swap(keys[step % 4], (number, step)) for step in range(300)]

    def pop() -> list[Any]:
        taken: list[Any] = []
        for _ in range(60):
            taken += table.pop_many(keys).values()
        return taken

    results = run_threads(lambda: overwrite(0), lambda: overwrite(1), pop, pop)
    seen = [value for result in results for value in result if value is not ct.MISSING]
    seen += table.values()
    assert sorted(seen) == sorted((number, step) for number in range(2) for step in range(300))


class TestEndlessFunctions:
    """A function that rewrites its own key every time would run for ever."""

    @pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
    @pytest.mark.parametrize("how", ["overwrite", "toggle"])
    def test_compute(self, ct: Any, name: str, how: str) -> None:
        table = new(ct, name, k=0)
        runs = 0

        def change(old: Any) -> int:
            nonlocal runs
            runs += 1
            if how == "overwrite" or old is ct.MISSING:
                table["k"] = runs
            else:
                del table["k"]
            return -1

        with pytest.raises(ct.TableMutationError, match=rf"{name}.*compute\(\)"):
            table.compute("k", change)
        assert table.get("k", runs) == runs

    @pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
    def test_increment(self, ct: Any, name: str) -> None:
        table = new(ct, name)

        class Growing:
            def __add__(self, other: object) -> str:
                table["k"] = Growing()
                return "sum"

        table["k"] = Growing()
        with pytest.raises(ct.TableMutationError, match=rf"{name}.*increment\(\)"):
            table.increment("k")
        assert isinstance(table["k"], Growing)

    @pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
    @pytest.mark.parametrize("method", ["compare_and_set", "compare_and_delete"])
    def test_compare(self, ct: Any, name: str, method: str) -> None:
        table = new(ct, name)

        class Chameleon:
            __hash__ = None  # type: ignore[assignment]

            def __eq__(self, other: object) -> bool:
                table["k"] = Chameleon()
                return True

        table["k"] = Chameleon()
        arguments = ("k", 1, 2) if method == "compare_and_set" else ("k", 1)
        with pytest.raises(ct.TableMutationError, match=f"{name}.*comparison"):
            getattr(table, method)(*arguments)
        assert isinstance(table["k"], Chameleon)

    @pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
    def test_a_function_that_calms_down_is_answered(self, ct: Any, name: str) -> None:
        table = new(ct, name, k=0)

        def change(old: int) -> int:
            if old < 500:
                table["k"] = old + 1
            return -old

        assert table.compute("k", change) == -500
        assert table["k"] == -500


STORING: dict[str, Callable[[Any, Any, Any], Any]] = {
    "setitem": lambda table, key, value: table.__setitem__(key, value),
    "setdefault": lambda table, key, value: table.setdefault(key, value),
    "swap": lambda table, key, value: table.swap(key, value),
    "compare_and_set": lambda table, key, value: table.compare_and_set(key, 1, value),
    "compare_and_set absent": lambda table, key, value: table.compare_and_set(key, value, value),
    "update": lambda table, key, value: table.update([(key, value)]),
    "update_many": lambda table, key, value: table.update_many([(key, value)]),
    "ior": lambda table, key, value: table.__ior__([(key, value)]),
}


@pytest.mark.parametrize("operation", STORING)
@pytest.mark.parametrize("name", MUTABLE_MAPPINGS)
def test_the_key_is_hashed_before_missing_is_refused(ct: Any, name: str, operation: str) -> None:
    table = new(ct, name, a=1)
    with pytest.raises(TypeError, match="unhashable"):
        STORING[operation](table, [], ct.MISSING)
    with pytest.raises(ValueError, match="MISSING"):
        STORING[operation](table, "a", ct.MISSING)
    assert table == {"a": 1}
