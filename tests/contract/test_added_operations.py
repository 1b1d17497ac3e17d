"""The operations that `dict` lacks, single-threaded: results, errors, versions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import MUTABLE_MAPPINGS, Boom, Named, new


@pytest.fixture(params=MUTABLE_MAPPINGS)
def table(request: pytest.FixtureRequest, ct: Any) -> Any:
    return new(ct, request.param, a=1, b=2)


class TestCompareAndSet:
    def test_match(self, table: Any) -> None:
        assert table.compare_and_set("a", 1, 10) is True
        assert table["a"] == 10

    def test_no_match(self, table: Any) -> None:
        version = table.version
        assert table.compare_and_set("a", 2, 10) is False
        assert table["a"] == 1
        assert table.version == version

    def test_equal_is_enough(self, table: Any) -> None:
        table["a"] = [1]
        assert table.compare_and_set("a", [1], 5) is True

    def test_identical_is_enough(self, table: Any) -> None:
        nan = float("nan")
        table["a"] = nan
        assert table.compare_and_set("a", float("nan"), 5) is False
        assert table.compare_and_set("a", nan, 5) is True

    def test_missing_means_absent(self, ct: Any, table: Any) -> None:
        assert table.compare_and_set("new", ct.MISSING, 5) is True
        assert table["new"] == 5
        assert table.compare_and_set("new", ct.MISSING, 6) is False
        assert table["new"] == 5
        assert table.compare_and_set("absent", 5, 6) is False
        assert "absent" not in table

    def test_none_is_a_value(self, table: Any) -> None:
        assert table.compare_and_set("absent", None, 6) is False
        table["n"] = None
        assert table.compare_and_set("n", None, 6) is True

    def test_comparison_that_raises(self, table: Any) -> None:
        class Bad:
            def __eq__(self, other: object) -> bool:
                raise Boom

            __hash__ = None  # type: ignore[assignment]

        table["a"] = bad = Bad()
        with pytest.raises(Boom):
            table.compare_and_set("a", 1, 2)
        assert table["a"] is bad


class TestCompareAndDelete:
    def test_match(self, table: Any) -> None:
        assert table.compare_and_delete("a", 1) is True
        assert table == {"b": 2}

    def test_no_match(self, table: Any) -> None:
        assert table.compare_and_delete("a", 2) is False
        assert table.compare_and_delete("zz", 2) is False
        assert table == {"a": 1, "b": 2}

    def test_missing_matches_absence(self, ct: Any, table: Any) -> None:
        version = table.version
        assert table.compare_and_delete("zz", ct.MISSING) is True
        assert table.compare_and_delete("a", ct.MISSING) is False
        assert table == {"a": 1, "b": 2}
        assert table.version == version


class TestSwap:
    def test_old_value_or_missing(self, ct: Any, table: Any) -> None:
        assert table.swap("a", 10) == 1
        assert table.swap("new", 20) is ct.MISSING
        assert table == {"a": 10, "b": 2, "new": 20}


class TestCompute:
    def test_update(self, table: Any) -> None:
        assert table.compute("a", lambda old: old + 1) == 2
        assert table["a"] == 2

    def test_insert(self, ct: Any, table: Any) -> None:
        seen = []
        assert table.compute("new", lambda old: seen.append(old) or 5) == 5
        assert seen == [ct.MISSING]
        assert table["new"] == 5

    def test_missing_deletes(self, ct: Any, table: Any) -> None:
        assert table.compute("a", lambda old: ct.MISSING) is ct.MISSING
        assert "a" not in table
        version = table.version
        assert table.compute("a", lambda old: ct.MISSING) is ct.MISSING
        assert table.version == version

    def test_error_changes_nothing(self, table: Any) -> None:
        def fail(old: Any) -> Any:
            raise Boom

        with pytest.raises(Boom):
            table.compute("a", fail)
        with pytest.raises(Boom):
            table.compute("new", fail)
        assert table == {"a": 1, "b": 2}

    def test_function_may_use_the_table(self, table: Any) -> None:
        assert table.compute("a", lambda old: old + table["b"]) == 3

    def test_runs_again_when_the_value_changed(self, table: Any) -> None:
        seen = []

        def slow(old: int) -> int:
            seen.append(old)
            if len(seen) == 1:
                table["a"] = 100  # as another thread might
            return old + 1

        assert table.compute("a", slow) == 101
        assert seen == [1, 100]
        assert table["a"] == 101

    def test_runs_again_when_the_key_went(self, ct: Any, table: Any) -> None:
        seen = []

        def slow(old: Any) -> int:
            seen.append(old)
            if len(seen) == 1:
                del table["a"]
            return 7

        assert table.compute("a", slow) == 7
        assert seen == [1, ct.MISSING]


class TestComputeIfAbsent:
    def test_present(self, table: Any) -> None:
        assert table.compute_if_absent("a", lambda: pytest.fail("ran")) == 1

    def test_absent(self, table: Any) -> None:
        assert table.compute_if_absent("new", lambda: 5) == 5
        assert table["new"] == 5

    def test_none_is_stored(self, table: Any) -> None:
        assert table.compute_if_absent("new", lambda: None) is None
        assert "new" in table

    def test_missing_stores_nothing(self, ct: Any, table: Any) -> None:
        assert table.compute_if_absent("new", lambda: ct.MISSING) is ct.MISSING
        assert "new" not in table

    def test_error_stores_nothing_and_the_next_call_tries(self, table: Any) -> None:
        def fail() -> Any:
            raise Boom

        with pytest.raises(Boom):
            table.compute_if_absent("new", fail)
        assert table.compute_if_absent("new", lambda: 6) == 6

    def test_recursion_on_the_key_raises(self, ct: Any, table: Any) -> None:
        with pytest.raises(ct.RecursiveComputeError):
            table.compute_if_absent("k", lambda: table.compute_if_absent("k", lambda: 1))
        assert "k" not in table
        assert table.compute_if_absent("k", lambda: 2) == 2

    def test_recursion_on_an_equal_key_raises(self, ct: Any, table: Any) -> None:
        with pytest.raises(ct.RecursiveComputeError):
            table.compute_if_absent(
                Named("k"), lambda: table.compute_if_absent(Named("k"), lambda: 1)
            )

    def test_other_keys_may_nest(self, table: Any) -> None:
        def fib(n: int) -> int:
            return n if n < 2 else (
                table.compute_if_absent(n - 1, lambda: fib(n - 1))
                + table.compute_if_absent(n - 2, lambda: fib(n - 2))
            )  # fmt: skip

        assert table.compute_if_absent(20, lambda: fib(20)) == 6765

    def test_same_key_of_another_table_may_nest(self, ct: Any, table: Any) -> None:
        other = ct.ConcurrentDict()
        assert table.compute_if_absent("k", lambda: other.compute_if_absent("k", lambda: 3)) == 3
        assert table["k"] == other["k"] == 3

    def test_a_value_stored_meanwhile_wins(self, table: Any) -> None:
        def factory() -> str:
            table["k"] = "first"
            return "second"

        assert table.compute_if_absent("k", factory) == table["k"] == "first"


class TestIncrement:
    def test_counts_from_the_default(self, table: Any) -> None:
        assert table.increment("n") == 1
        assert table.increment("n") == 2
        assert table.increment("n", 10) == 12
        assert table.increment("m", 5, 100) == 105
        assert table.increment("m", delta=-5, default=3) == 100
        assert table.increment("a") == 2

    def test_any_addable_values(self, table: Any) -> None:
        assert table.increment("text", "b", "a") == "ab"
        assert table.increment("f", 0.5, 1) == 1.5
        assert table.increment("list", [2], [1]) == [1, 2]

    def test_operand_is_not_changed_in_place(self, table: Any) -> None:
        default: list[int] = [1]
        table.increment("list", [2], default)
        before = table["list"]
        table.increment("list", [3])
        assert default == [1]
        assert before == [1, 2]
        assert table["list"] == [1, 2, 3]

    def test_type_error_changes_nothing(self, table: Any) -> None:
        table["s"] = "text"
        with pytest.raises(TypeError):
            table.increment("s")
        assert table["s"] == "text"


class TestMany:
    def test_get_many(self, table: Any) -> None:
        result = table.get_many(["b", "zz", "a", "a"])
        assert result == {"a": 1, "b": 2}
        assert type(result) is dict
        assert table.get_many([]) == {}
        assert table.get_many(iter("ab")) == {"a": 1, "b": 2}

    def test_pop_many(self, table: Any) -> None:
        result = table.pop_many(iter(["b", "zz", "b"]))
        assert result == {"b": 2}
        assert type(result) is dict
        assert table == {"a": 1}
        version = table.version
        assert table.pop_many(["zz"]) == {}
        assert table.version == version

    @pytest.mark.parametrize("source", [{"a": 5, "n": 6}, [("a", 5), ("n", 6)]])
    def test_update_many(self, table: Any, source: Any) -> None:
        assert table.update_many(source) is None
        assert table == {"a": 5, "b": 2, "n": 6}

    def test_update_many_takes_tables(self, ct: Any, table: Any) -> None:
        table.update_many(ct.ConcurrentDict(a=5))
        table.update_many(ct.FrozenDict(b=6).items())
        assert table == {"a": 5, "b": 6}

    def test_update_many_is_all_or_nothing(self, table: Any) -> None:
        for bad in ([("n", 1), 5], [("n", 1), ([], 2)], [("n", 1), ("x",)]):
            with pytest.raises((TypeError, ValueError)):
                table.update_many(bad)
            assert table == {"a": 1, "b": 2}

    @pytest.mark.parametrize("method", ["get_many", "pop_many"])
    def test_bad_keys_change_nothing(self, table: Any, method: str) -> None:
        with pytest.raises(TypeError):
            getattr(table, method)(["a", []])
        with pytest.raises(TypeError):
            getattr(table, method)(5)
        assert table == {"a": 1, "b": 2}


class TestSnapshot:
    def test_is_frozen_and_separate(self, ct: Any, table: Any) -> None:
        snapshot = table.snapshot()
        assert type(snapshot) is ct.FrozenDict
        table["a"] = 10
        assert snapshot == {"a": 1, "b": 2}
        assert table.snapshot() == {"a": 10, "b": 2}

    def test_is_hashable(self, ct: Any, table: Any) -> None:
        assert hash(table.snapshot()) == hash(ct.FrozenDict(b=2, a=1))

    def test_of_an_empty_table(self, ct: Any, table: Any) -> None:
        table.clear()
        assert table.snapshot() == {}
        assert table.snapshot() == ct.FrozenDict()

    def test_keeps_order(self, table: Any) -> None:
        assert list(table.snapshot()) == list(table)


@pytest.mark.parametrize("method", ["compare_and_set", "compare_and_delete", "swap", "compute",
                                    "compute_if_absent", "increment", "get_many", "pop_many",
                                    "update_many"])  # fmt: skip
def test_wrong_argument_counts(table: Any, method: str) -> None:
    with pytest.raises(TypeError):
        getattr(table, method)()
    with pytest.raises(TypeError):
        getattr(table, method)(1, 2, 3, 4, 5)
