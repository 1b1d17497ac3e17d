"""`cached` on everything that can be called, and the helpers for people who come from elsewhere."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import inspect
import pickle
import sys
import threading
import time
import weakref
from typing import Any

import pytest

from concurrent_tables.cache import Cache, Loaded, cached
from concurrent_tables.cache.compat import MappingView, lru_cache
from tests.cache.conftest import GIVE_UP_SECONDS
from tests.support import run_threads


def test_functions_share_a_cache(cache_type: Any) -> None:
    cache, calls = cache_type(100), []

    @cached(cache)
    def first(x: int, y: int = 1) -> int:
        """Its docstring."""
        calls.append(("first", x, y))
        return x * y

    @cached(cache)
    def second(x: int) -> int:
        calls.append(("second", x))
        return -x

    assert [first(2), first(2), second(2), second(2), first(2, y=5)] == [2, 2, -2, -2, 10]
    assert calls == [("first", 2, 1), ("second", 2), ("first", 2, 5)]
    assert first.__name__ == "first" and first.__doc__ == "Its docstring."
    assert first.__wrapped__(3) == 3
    assert first.cache is cache and first.cache_info() == (2, 3, 100, 3)
    assert first.cache_key(2) in cache and first.cache_key(2) != second.cache_key(2)
    assert first.cache_invalidate(2) and not first.cache_invalidate(2)
    first.cache_clear()
    assert len(cache) == 1 and second(2) == -2
    assert first(2) == 2 and calls.count(("first", 2, 1)) == 2


def test_typed(cache_type: Any) -> None:
    @cached(cache_type(), typed=True)
    def name(x: Any) -> str:
        return type(x).__name__

    assert [name(1), name(1.0), name(True), name(x=1)] == ["int", "float", "bool", "int"]


def test_a_key_of_ones_own(cache_type: Any) -> None:
    cache = cache_type()

    @cached(cache, key=lambda row: row["id"], ttl=50, tags=["rows"])
    def render(row: dict[str, Any]) -> str:
        return f"row {row['id']} {row['text']}"

    assert render({"id": 1, "text": "a"}) == render({"id": 1, "text": "b"}) == "row 1 a"
    assert cache.keys() == [1] and 0 < cache.expires_in(1) <= 50
    cache.invalidate_tag("rows")
    assert render({"id": 1, "text": "b"}) == "row 1 b"


def test_errors_are_not_kept(cache_type: Any) -> None:
    results = iter([ZeroDivisionError(), 5])

    @cached(cache_type())
    def once() -> Any:
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return result

    with pytest.raises(ZeroDivisionError):
        once()
    assert once() == once() == 5
    with pytest.raises(TypeError, match="unhashable"):
        once([])


class Example:
    """Every kind of method; `calls` counts what really ran."""

    calls: list[Any] = []  # noqa: RUF012

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return True  # keys go by identity all the same

    __hash__ = None  # type: ignore[assignment]


def make_methods(cache: Any) -> type:
    class Methods(Example):
        @cached(cache)
        def plain(self, x: int) -> str:
            self.calls.append("plain")
            return f"{self.name}{x}"

        @cached(cache)
        async def coroutine(self, x: int) -> str:
            self.calls.append("coroutine")
            return f"{self.name}{x}"

        @cached(cache)
        @staticmethod
        def static_inside(x: int) -> int:
            return x

        @staticmethod
        @cached(cache)
        def static_outside(x: int) -> int:
            return x

        @cached(cache)
        @classmethod
        def class_inside(cls, x: int) -> Any:
            return cls, x

        @classmethod
        @cached(cache)
        def class_outside(cls, x: int) -> Any:
            return cls, x

    return Methods


def test_methods(cache_type: Any) -> None:
    cache = cache_type(100)
    kind = make_methods(cache)
    kind.calls = []
    a, b = kind("a"), kind("b")
    assert [a.plain(1), a.plain(1), b.plain(1), kind.plain(a, 1)] == ["a1", "a1", "b1", "a1"]
    assert kind.calls == ["plain", "plain"]
    assert a.plain.cache_key(1) in cache and a.plain.cache_invalidate(1)
    assert a.plain.__self__ is a and a.plain.__name__ == "plain"

    async def both() -> list[str]:
        return [await a.coroutine(1), await a.coroutine(1), await kind.coroutine(a, 1)]

    assert asyncio.run(both()) == ["a1"] * 3
    assert kind.calls == ["plain", "plain", "coroutine"]
    tells = inspect if sys.version_info >= (3, 12) else asyncio  # 3.11 knows no other mark
    assert tells.iscoroutinefunction(kind.coroutine) and tells.iscoroutinefunction(a.coroutine)
    assert a.static_inside(1) == kind.static_inside(1) == a.static_outside(1) == 1
    assert a.class_inside(1) == kind.class_inside(1) == kind.class_outside(1) == (kind, 1)


def test_methods_do_not_keep_their_object(ct: Any, cache_type: Any) -> None:
    cache = cache_type()
    kind = make_methods(cache)
    a, b = kind("a"), kind("b")
    gone = weakref.ref(a)
    a.plain(1), a.plain(2), b.plain(1)
    assert len(cache) == 3
    del a
    ct.reclaim.flush()
    gc.collect()
    assert gone() is None and len(cache) == 1


def test_one_call_at_a_time(cache_type: Any) -> None:
    calls = []

    @cached(cache_type())
    async def slow(x: int) -> int:
        calls.append(x)
        await asyncio.sleep(0)
        return x

    async def many() -> list[int]:
        return await asyncio.gather(*[slow(number % 3) for number in range(30)])

    assert asyncio.run(many()) == [number % 3 for number in range(30)]
    assert sorted(calls) == [0, 1, 2]


def test_refreshing_results(cache_type: Any, timer: Any) -> None:
    cache = cache_type(refresh_after=10, timer=timer)
    numbers = iter(range(10))

    @cached(cache)
    def number() -> Any:
        return Loaded(next(numbers), ttl=None)

    assert [number(), number()] == [0, 0]
    timer.forward(10)
    assert number() == 0  # and the next one is made meanwhile
    end = time.monotonic() + GIVE_UP_SECONDS
    while number() == 0:
        assert time.monotonic() < end
        time.sleep(0.001)
    assert number() == 1


def test_what_cannot_be_decorated(cache_type: Any) -> None:
    with pytest.raises(TypeError, match=r"write @cached\(Cache\(maxsize\)\)"):
        cached(lambda: 1)
    with pytest.raises(TypeError, match=r"write @cached\(Cache\(maxsize\)\)"):
        cached(cache_type)
    with pytest.raises(TypeError, match="decorates a callable"):
        cached(cache_type())(5)


def test_lru_cache() -> None:
    calls = []

    @lru_cache
    def plain(x: int) -> int:
        calls.append(x)
        return x

    @lru_cache(maxsize=2, typed=True)
    def small(x: Any) -> Any:
        return x

    assert [plain(1), plain(1)] == [1, 1] and calls == [1]
    assert plain.cache_info() == (1, 1, 128, 1)
    plain.cache_clear()
    assert plain.cache_info().currsize == 0
    assert [small(1), small(1.0), small(1)] == [1, 1.0, 1]
    assert small.cache_info().hits == 1 and small.cache_info().maxsize == 2

    @lru_cache(maxsize=None)
    def fibonacci(n: int) -> int:
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    assert fibonacci(60) == 1548008755920
    assert fibonacci.cache_parameters() == {"maxsize": None, "typed": False}
    with pytest.raises(TypeError, match="an int, a callable or None first"):
        lru_cache("10")  # type: ignore[arg-type]


@lru_cache
def doubled(x: int) -> int:
    return 2 * x


class Numbers:
    @cached(Cache(10))
    def double(self, x: int) -> int:
        return 2 * x


def deepest(decorate: Any) -> int:
    """How often a function that calls itself, decorated, can do so in a fresh thread."""
    found = []

    def run() -> None:
        depth = 0

        @decorate
        def descend(argument: int) -> None:
            nonlocal depth
            depth = argument
            descend(argument + 1)

        with pytest.raises(RecursionError):
            descend(1)
        found.append(depth)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def test_a_function_that_calls_itself_goes_deep(ct: Any, cache_type: Any) -> None:
    known = deepest(functools.lru_cache(None))
    limit = sys.getrecursionlimit()
    reached = deepest(cached(cache_type()))
    assert reached >= (known - 40 if ct.IMPLEMENTATION == "c" else limit // 5)

    def method(function: Any) -> Any:
        kind = type("Kind", (), {"function": cached(cache_type())(function_of_self(function))})
        return kind().function

    def function_of_self(function: Any) -> Any:
        return lambda self, argument: function(argument)

    assert deepest(method) >= limit // 6  # one frame more is that of the lambda


def test_copies_and_pickles() -> None:
    assert copy.copy(doubled) is copy.deepcopy(doubled) is doubled
    assert pickle.loads(pickle.dumps(doubled)) is doubled
    numbers = Numbers()
    bound = numbers.double
    assert copy.copy(bound) == bound == numbers.double != Numbers().double
    assert hash(bound) == hash(numbers.double)
    assert pickle.loads(pickle.dumps(bound))(4) == 8


def test_class_methods_know_their_class(cache_type: Any) -> None:
    calls: list[Any] = []

    class Base:
        @cached(cache_type(10))
        @classmethod
        def name(cls, x: int) -> str:
            calls.append(x)
            return f"{cls.__name__} {x}"

    class Derived(Base):
        pass

    assert [Base.name(1), Derived.name(1), Base().name(1)] == ["Base 1", "Derived 1", "Base 1"]
    assert Base.name.cache_invalidate(1) and not Base.name.cache_invalidate(1)
    assert Derived().name(1) == "Derived 1" and calls == [1, 1]


def test_callables_that_are_no_functions_as_methods(cache_type: Any) -> None:
    class Sized:
        size = cached(cache_type(10))(len)

        def __len__(self) -> int:
            return 3

    sized = Sized()
    assert sized.size() == sized.size() == 3 and Sized.size.cache_info().hits == 1


def test_mapping_view(cache_type: Any) -> None:
    view = MappingView(cache_type(3, policy="lru"))
    view["a"] = 1
    view.update(b=2, c=None)
    assert dict(view) == {"a": 1, "b": 2, "c": None} and len(view) == 3
    assert view.setdefault("a", 5) == 1 and view.get("z", 9) == 9
    assert view.pop("b") == 2 and view.pop("b", 0) == 0
    with pytest.raises(KeyError):
        view["b"]
    with pytest.raises(KeyError):
        del view["b"]
    assert "c" in view and (view.maxsize, view.currsize) == (3, 2)
    view.clear()
    assert not view and MappingView(cache_type()).maxsize == float("inf")


def test_a_mapping_view_that_others_write(cache_type: Any) -> None:
    view = MappingView(cache_type())
    view.update(dict.fromkeys(range(200), 0))
    done = threading.Event()
    popped: list[Any] = []

    def write() -> None:
        for _ in range(20):
            for key in range(200):
                popped.append(view.pop(key, 0))
                view[key] = key
        done.set()

    def read() -> None:
        while not done.is_set():
            assert all(value in (0, key) for key, value in view.items())
            assert len(list(view.values())) <= 200

    def take() -> list[Any]:
        return [view.pop(key, None) for _ in range(20) for key in range(200)]

    run_threads(write, read, take, take)
    view.clear()
    values = run_threads(*[lambda n=n: view.setdefault("key", n) for n in range(4)])
    assert set(values) == {view["key"]}
    assert view.popitem() == ("key", values[0])
    with pytest.raises(KeyError):
        view.popitem()


def test_mapping_view_that_makes_what_is_missing(cache_type: Any) -> None:
    class Squares(MappingView):
        def __missing__(self, key: int) -> int:
            self[key] = key * key
            return self[key]

    assert Squares(cache_type())[7] == 49
