"""Calls of cached functions: in C, where it can, they have the results and counts of Python."""

from __future__ import annotations

import gc
import itertools
import threading
import weakref
from random import Random
from typing import Any

import pytest

from concurrent_tables.cache.cache import make_cache_type
from concurrent_tables.cache.decorator import cached
from concurrent_tables.cache.parts import parts
from tests.conftest import COLUMNS


@pytest.fixture(params=sorted(COLUMNS, reverse=True))
def make_cache(request: pytest.FixtureRequest) -> Any:
    """What makes a cache of one implementation."""
    own = parts(request.param)
    return make_cache_type(own, None)


def test_results_and_counts(make_cache: Any) -> None:
    calls: list[Any] = []
    cache = make_cache(100)

    @cached(cache)
    def function(*args: Any, **kwargs: Any) -> Any:
        calls.append((args, kwargs))
        return (args, kwargs)

    for args, kwargs in [
        ((), {}),
        ((1,), {}),
        (("a", 2.0, b"c"), {}),
        ((1, 2, 3, 4, 5), {}),
        (((1, 2), None), {}),
        ((1,), {"b": 2}),
    ]:
        for _ in range(3):
            assert function(*args, **kwargs) == (args, kwargs)
        assert calls.pop() == (args, kwargs)
        assert function.cache_key(*args, **kwargs) in cache
    assert not calls
    assert cache.info()[:2] == (12, 6)
    with pytest.raises(TypeError, match="unhashable"):
        function([])
    assert function.cache_invalidate(1)
    assert function(1) == ((1,), {}) and len(calls) == 1


def test_arguments_that_compare_in_python(make_cache: Any) -> None:
    class Key:
        def __init__(self, name: str) -> None:
            self.name = name

        def __hash__(self) -> int:
            return hash(self.name)

        def __eq__(self, other: object) -> bool:
            return self.name == getattr(other, "name", other)

    calls = []

    @cached(make_cache(100))
    def function(key: Any) -> Any:
        calls.append(key)
        return str(len(calls))

    assert function(Key("a")) == "1"
    assert function(Key("a")) == "1"
    assert function("a") == "1"  # a plain key that only user code can compare with the one there
    assert function("b") == "2"
    assert function.cache_info()[:2] == (2, 2)


NAN = float("nan")
PLAIN = [0, 1, -1, True, 1.0, -0.0, 2**64, -(2**64), float(2**64), NAN, b"", b"a", b"key"]
PLAIN += [letter * size for letter in "aé\u20ac\U0001f40d" for size in range(1, 19)]


def fresh(argument: Any) -> Any:
    """An equal object of the same type, where there can be another."""
    if type(argument) is str and len(argument) > 1:
        return argument[:1] + argument[1:]
    if type(argument) is int and abs(argument) > 2**60:
        return argument + 1 - 1
    return argument


@pytest.mark.parametrize("arguments", [1, 2, 3, 4])
def test_arguments_are_equal_when_tuples_of_them_are(make_cache: Any, arguments: int) -> None:
    random = Random(arguments)
    pool = PLAIN if arguments < 3 else PLAIN[:15]
    expected: dict[Any, int] = {}
    made = itertools.count()

    @cached(make_cache(None))
    def function(*args: Any) -> int:
        return next(made)

    for _ in range(4000):
        args = tuple([random.choice(pool) for _ in range(arguments)])
        wanted = expected.setdefault(args, len(expected))
        assert function(*map(fresh, args)) == wanted, args
    assert function.cache_info()[:2] == (4000 - len(expected), len(expected))


def test_a_call_inside_a_call(make_cache: Any) -> None:
    @cached(make_cache(None))
    def fibonacci(n: int) -> int:
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    assert fibonacci(60) == 1548008755920
    assert fibonacci.cache_info()[:2] == (58, 61)


def test_an_error_is_not_kept(make_cache: Any) -> None:
    @cached(make_cache(10))
    def function(n: int) -> int:
        return 1 // n

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            function(0)
    assert function(1) == 1


def test_functions_share_a_cache(make_cache: Any) -> None:
    cache = make_cache(100)
    one, other = (cached(cache)(lambda n, by=by: n * by) for by in (2, 3))
    assert [one(5), other(5), one(5), other(5)] == [10, 15, 10, 15]
    one.cache_clear()
    assert cache.info()[:2] == (2, 2)
    assert [one(5), other(5)] == [10, 15]
    assert cache.info()[:2] == (3, 3)


def test_called_on_the_class(make_cache: Any) -> None:
    class Owner:
        @cached(make_cache(100))
        def method(self, n: int) -> int:
            return n + 1

    owner = Owner()
    assert owner.method(1) == Owner.method(owner, 1) == 2
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None


def test_nothing_is_left_of_a_function(make_cache: Any) -> None:
    def function(n: Any) -> Any:
        return n

    decorated = cached(make_cache(100))(function)
    assert decorated(1) == decorated(1) == 1
    gone = weakref.ref(decorated), weakref.ref(decorated.cache)
    del decorated
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_threads_that_call_the_same_function(make_cache: Any) -> None:
    @cached(make_cache(50))
    def function(n: int, text: str) -> tuple[int, str]:
        return n, text

    barrier = threading.Barrier(4)
    wrong = []

    def call() -> None:
        barrier.wait()
        for number in range(400):
            if function(number % 70, "text") != (number % 70, "text"):
                wrong.append(number)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
