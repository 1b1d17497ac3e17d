"""`cached`: results of functions, methods and coroutines in a cache.

Functions may share one cache: a token of the function begins each of its keys (unless `key` makes
them), and a tag of its own lets `cache_clear` drop its results alone. Of a method, the key holds the
object weakly and by identity; its results go when it dies.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable, Hashable, Iterable
from math import inf
from typing import Any

from .._missing import MISSING, MissingType
from .keys import Instance, Token, make_key
from .loading import Call
from .stats import CacheInfo

__all__ = ["CachedFunction", "cached"]


def cached(
    cache: Any,
    *,
    key: Callable[..., Any] | None = None,
    ttl: float | MissingType | None = MISSING,
    tags: Iterable[Hashable] = (),
    typed: bool = False,
) -> Callable[[Callable[..., Any]], Any]:
    """Decorator that keeps the results of a function, method or coroutine function in `cache`.

    A miss is a `get_or_load` (`aget_or_load` for coroutine functions): one call at a time for the same
    arguments, however many threads and event loops ask.

    Parameters: `key(*args, **kwargs)` makes the cache key; without it, the function and its
    arguments are the key, so they must be hashable. `ttl` and `tags` as for `Cache.set`. `typed`:
    arguments of different types are different.
    The decorated function has `cache`, `cache_info()` (counts of the whole cache), `cache_clear()` (its
    own results), `cache_key(*args, **kwargs)`, `cache_invalidate(*args, **kwargs)` and `__wrapped__`.
    Errors: those of the function; TypeError for an unhashable argument.
    Thread-safety: as of `get_or_load`.

    >>> from concurrent_tables import Cache, cached
    >>> @cached(Cache(100))
    ... def square(number):
    ...     return number * number
    >>> square(4), square(4), square.cache_info().hits
    (16, 16, 1)
    """
    if isinstance(cache, type) or not hasattr(cache, "aget_or_load"):
        raise TypeError(f"cached() takes a Cache, not {cache!r}: write @cached(Cache(maxsize))")
    given_tags = cache._as_tags(tags)

    def decorate(function: Callable[..., Any]) -> Any:
        if isinstance(function, classmethod):
            return CachedClassMethod(decorate(function.__func__))
        if isinstance(function, staticmethod):
            return staticmethod(decorate(function.__func__))
        if not callable(function):
            raise TypeError(f"cached() decorates a callable, not {function!r}")
        kind: Any = CachedFunction
        if inspect.iscoroutinefunction(function):
            kind = CachedCoroutineFunction
        elif key is None and not typed and cache._parts.CachedCall is not None:
            kind = _with_fast_call(cache._parts.CachedCall)
        return kind(cache, function, key, ttl, given_tags, typed)

    return decorate


class CachedFunction:
    """A function whose results are cached; a descriptor, as functions are."""

    def __init__(
        self,
        cache: Any,
        function: Callable[..., Any],
        key: Callable[..., Any] | None,
        ttl: float | MissingType | None,
        tags: tuple[Hashable, ...],
        typed: bool,
    ) -> None:
        functools.update_wrapper(self, function)
        self.cache = cache
        self._function = function
        self._token = Token(getattr(function, "__qualname__", repr(function)))
        self._key = key
        self._ttl = ttl
        self._tags = (*tags, self._token)
        self._typed = typed
        self._is_method = False
        self._instances = cache._parts.ConcurrentDict()  # id of an object: its Instance

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        key = self.cache_key(*args, **kwargs)
        call, value = self._look(key, args, kwargs)
        return value if call is None else self.cache._load(key, call)

    _called = __call__  # for the class of C, which calls it where it cannot do it by itself

    def _missed(self, key: Any, entry: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """After a call in C has found no entry, or one that may have to be refreshed: (result,).

        Or what `_begin` says to a caller that is to run the function itself.
        """
        if entry is None:
            begun: tuple[Any, ...] = self.cache._begin(key, self._call(key, args, {}))
            return begun
        if entry.refresh_at == inf:
            return (entry.value,)
        return (self.cache._found_or_load(key, entry, self._call(key, args, {})),)

    def cache_key(self, /, *args: Any, **kwargs: Any) -> Any:
        """The key under which the result of this call is kept."""
        return self._key_of(args, kwargs, self._is_method)

    def _key_of(self, args: tuple[Any, ...], kwargs: dict[str, Any], is_method: bool) -> Any:
        if self._key is not None:
            return self._key(*args, **kwargs)
        if is_method and args:
            args = (self._stand_in(args[0]), *args[1:])
        return make_key(self._token, args, kwargs, self._typed)

    def cache_info(self) -> CacheInfo:
        """Hits, misses, bound and size of the cache, which functions may share."""
        info: CacheInfo = self.cache.info()
        return info

    def cache_clear(self) -> None:
        """Drop the results of this function, those in the making too."""
        self.cache.invalidate_tag(self._token)
        self.cache.expire()

    def cache_invalidate(self, /, *args: Any, **kwargs: Any) -> bool:
        """Drop the result of one call; whether there was one."""
        dropped: bool = self.cache.invalidate(self.cache_key(*args, **kwargs))
        return dropped

    def __set_name__(self, owner: type, name: str) -> None:
        self._is_method = True  # also when it is called on the class, with the object given

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else BoundCall(self, instance)

    def __repr__(self) -> str:
        return f"<cached {self._function!r}>"

    def __reduce__(self) -> str:
        # By name, as functions are pickled; the cache stays here.
        name: str = getattr(self, "__qualname__", self._token.name)
        return name

    def __copy__(self) -> CachedFunction:
        return self

    def __deepcopy__(self, memo: object) -> CachedFunction:
        return self

    def _look(
        self, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Call | None, Any]:
        """None and the result; or the load that is to be made, by the caller: see `_load`."""
        entry = self.cache._find(key)
        if entry is None:
            return self._call(key, args, kwargs), None
        if entry.refresh_at == inf:
            return None, entry.value
        return None, self.cache._found_or_load(key, entry, self._call(key, args, kwargs))

    def _call(self, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """The load of one result."""
        if type(key) is tuple and len(key) > 1 and type(key[1]) is Instance:
            key[1].keys.add(key)
        return Call(self._function, self._ttl, self._tags, args, kwargs)

    def _stand_in(self, instance: Any) -> Any:
        """What stands for an object in keys: weak and by identity; itself where that is impossible."""
        number = id(instance)
        known = self._instances.get(number, MISSING)
        if known is not MISSING and known() is instance:
            return known
        try:
            reference = Instance(instance, _Gone(self, number))
        except TypeError:
            return instance
        reference.keys = set()
        if self._instances.compare_and_set(number, known, reference):
            return reference
        return self._stand_in(instance)


@functools.cache
def _with_fast_call(call: Any) -> type[CachedFunction]:
    """CachedFunction with the calls of the C core: a hit is served without running Python."""

    def __init__(self: Any, cache: Any, *arguments: Any) -> None:
        CachedFunction.__init__(self, cache, *arguments)
        self._arm(cache, self._token)

    def __set_name__(self: Any, owner: type, name: str) -> None:
        CachedFunction.__set_name__(self, owner, name)
        self._disarm()  # called on the class, its first argument is an object: see _stand_in

    methods = {
        "__init__": __init__,
        "__set_name__": __set_name__,
        "__module__": __name__,
        "__doc__": CachedFunction.__doc__,
    }
    return type("CachedFunction", (call, CachedFunction), methods)


class CachedCoroutineFunction(CachedFunction):
    """A coroutine function whose results are cached."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        _mark_coroutine_function(self)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._result(self.cache_key(*args, **kwargs), args, kwargs)

    async def _result(self, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        entry = self.cache._find(key)
        if entry is not None and entry.refresh_at == inf:
            return entry.value
        return await self.cache._afound_or_load(key, entry, self._call(key, args, kwargs))


class CachedClassMethod(classmethod):  # type: ignore[type-arg]
    """A class method; from Python 3.13 on, `classmethod` itself binds no descriptors.

    It would bind a method whose `cache_invalidate` does not know the class.
    """

    def __get__(self, instance: Any, owner: Any = None, /) -> Any:
        return BoundCall(self.__func__, type(instance) if owner is None else owner)  # type: ignore[arg-type]


class BoundCall:
    """A cached function bound to an object, as a method is."""

    def __init__(self, function: CachedFunction, instance: Any) -> None:
        self.__func__ = function
        self.__self__ = instance
        wrapped = function._function
        bind = getattr(type(wrapped), "__get__", None)  # builtins, classes and others have none
        self.__wrapped__ = (
            functools.partial(wrapped, instance)
            if bind is None
            else bind(wrapped, instance, type(instance))
        )
        if isinstance(function, CachedCoroutineFunction):
            _mark_coroutine_function(self)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        key, args = self.cache_key(*args, **kwargs), (self.__self__, *args)
        function = self.__func__
        if isinstance(function, CachedCoroutineFunction):
            return function._result(key, args, kwargs)
        call, value = function._look(key, args, kwargs)
        return value if call is None else function.cache._load(key, call)

    def cache_key(self, /, *args: Any, **kwargs: Any) -> Any:
        """The key under which the result of this call is kept."""
        return self.__func__._key_of((self.__self__, *args), kwargs, True)

    def cache_invalidate(self, /, *args: Any, **kwargs: Any) -> bool:
        """Drop the result of one call; whether there was one."""
        dropped: bool = self.__func__.cache.invalidate(self.cache_key(*args, **kwargs))
        return dropped

    def cache_clear(self) -> None:
        """Drop the results of this function for all objects."""
        self.__func__.cache_clear()

    def cache_info(self) -> CacheInfo:
        """Hits, misses, bound and size of the cache."""
        return self.__func__.cache_info()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__func__, name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BoundCall):
            return NotImplemented
        return self.__func__ is other.__func__ and self.__self__ is other.__self__

    def __hash__(self) -> int:
        return hash((id(self.__func__), id(self.__self__)))

    def __reduce__(self) -> Any:
        return getattr, (self.__self__, getattr(self.__func__, "__name__"))  # noqa: B009

    def __repr__(self) -> str:
        return f"<bound {self.__func__!r} of {self.__self__!r}>"


class _Gone:
    """When an object dies, the results of its methods go."""

    __slots__ = ("function", "number")

    def __init__(self, function: CachedFunction, number: int) -> None:
        self.function = weakref.ref(function)
        self.number = number

    def __call__(self, reference: Any) -> None:
        function = self.function()
        if function is not None:
            function._instances.compare_and_delete(self.number, reference)
            while reference.keys:
                function.cache.invalidate(reference.keys.pop())


def _mark_coroutine_function(function: Any) -> None:
    mark = getattr(inspect, "markcoroutinefunction", None)
    if mark is not None:
        mark(function)
    else:  # Python 3.11
        import asyncio.coroutines

        function._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
