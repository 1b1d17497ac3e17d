"""`invalidate_on`: a write to a table, or to a builtin dict, drops what depends on it."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from typing import Any

import pytest

from concurrent_tables import Event, EventKind, WatchError
from concurrent_tables.cache import following
from tests.support import MUTABLE_MAPPINGS, new

BUILTIN = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="builtin dicts can be watched from Python 3.12 on"
)
FOLLOWED = [*MUTABLE_MAPPINGS, pytest.param("dict", marks=BUILTIN)]


def make(ct: Any, name: str) -> Any:
    return {} if name == "dict" else new(ct, name)


@pytest.mark.parametrize("name", FOLLOWED)
def test_keys_of_the_event(ct: Any, cache_type: Any, name: str) -> None:
    cache, table = cache_type(), make(ct, name)
    with cache.invalidate_on(table) as followed:
        for key in "abc":
            cache.set(key, key)
        table["a"] = 1
        assert sorted(cache.keys()) == ["b", "c"]
        cache.set("a", "a")
        table["a"] = 2
        assert sorted(cache.keys()) == ["b", "c"]
        cache.set("a", "a")
        del table["a"]
        assert sorted(cache.keys()) == ["b", "c"]
        assert followed.active
    table["b"] = 1
    assert sorted(cache.keys()) == ["b", "c"]
    assert not followed.active and cache._followings == ()
    assert cache.stats().invalidated == 3


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_function_names_the_dependents(ct: Any, cache_type: Any, name: str) -> None:
    cache, table = cache_type(), make(ct, name)
    cache.invalidate_on(table, keys=lambda event: [("user", event.key), ("list",)])
    for key in [("user", "ann"), ("user", "bob"), ("list",)]:
        cache.set(key, 1)
    table["ann"] = "new"
    assert cache.keys() == [("user", "bob")]


@pytest.mark.parametrize("name", FOLLOWED)
def test_clearing_drops_everything(ct: Any, cache_type: Any, name: str) -> None:
    cache, table = cache_type(), make(ct, name)
    table["x"] = 1
    cache.invalidate_on(table)
    cache.set("a", 1)
    table.clear()
    assert len(cache) == 0
    assert cache.stats().invalidated == 1


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_function_that_raises_drops_everything(
    ct: Any, cache_type: Any, name: str, unraisable: list[Any]
) -> None:
    cache, table = cache_type(), make(ct, name)
    cache.invalidate_on(table, keys=lambda event: 1 / 0)
    cache.set("a", 1)
    table["b"] = 1
    assert len(cache) == 0 and table["b"] == 1
    assert type(unraisable[0].exc_value) is ZeroDivisionError


@pytest.mark.parametrize("name", FOLLOWED)
def test_one_key_is_no_iterable_of_keys(
    ct: Any, cache_type: Any, name: str, unraisable: list[Any]
) -> None:
    """Taken apart into letters, "user" would stay in the cache."""
    cache, table = cache_type(), make(ct, name)
    cache.invalidate_on(table, keys=lambda event: event.key)
    cache.set("user", 1)
    table["user"] = 1
    assert cache.get("user") is None
    assert "return [key]" in str(unraisable[0].exc_value)


@BUILTIN
@pytest.mark.parametrize("change", ["add", "modify", "delete", "clear", "clone"])
def test_a_load_in_the_middle_of_a_write_to_a_dict(cache_type: Any, change: str) -> None:
    """The interpreter reports before the change: what is loaded then is old, and must not stay."""
    cache = cache_type()
    table: dict[str, Any] = {} if change in ("add", "clone") else {"k": "old"}
    seen: list[Any] = []

    def dependents(event: Any) -> list[Any]:
        return ["k"]

    def load(key: Any) -> Any:
        return table.get("k")

    from concurrent_tables import watch

    cache.invalidate_on(table, keys=dependents)
    # Watches of one dict are called in the order of their registration: this one comes later.
    with watch(table, lambda event: seen.append(cache.get_or_load("k", load))):
        if change == "delete":
            del table["k"]
        elif change == "clear":
            table.clear()
        elif change == "clone":
            table.update({"k": "new"})
        else:
            table["k"] = "new"
    assert seen[0] == (None if change in ("add", "clone") else "old")
    assert cache.get_or_load("k", load) == table.get("k")
    assert "k" in cache  # and from now on it is kept


@BUILTIN
def test_nobody_joins_a_load_of_many_from_the_middle_of_a_write(cache_type: Any) -> None:
    """Its value is old once the write is done: who comes then must not wait for it."""
    cache = cache_type()
    table = {"k": "old"}
    has_read, others_are_done = threading.Event(), threading.Event()
    brought: list[Any] = []

    def load_many(keys: list[Any]) -> dict[Any, Any]:
        values = {key: table.get(key) for key in keys}
        has_read.set()
        others_are_done.wait(10)  # for ever, if they wait for this load
        return values

    def in_the_middle(_: Any) -> None:
        loading.start()
        assert has_read.wait(60)

    from concurrent_tables import watch

    loading = threading.Thread(
        target=lambda: brought.append(cache.load_many(["k"], load_many)), daemon=True
    )
    cache.invalidate_on(table)
    with watch(table, in_the_middle):
        table["k"] = "new"
    value = cache.get_or_load("k", table.get)
    others_are_done.set()
    loading.join(60)
    assert (value, brought) == ("new", [{"k": "old"}])
    assert cache.get("k") == "new"
    assert cache.stats().load_discards == 1


@BUILTIN
def test_a_change_once_seen_stays_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads look at once, and the one that looked before the change finishes last."""
    table = {"k": "old"}
    report = following._Report(Event(EventKind.MODIFIED, table, "k", "old", "new", 0))

    class Late(dict[str, Any]):
        """Its `get` answers, and only then lets the other thread look."""

        @staticmethod
        def get(of: dict[str, Any], key: str, default: Any) -> Any:
            answer = dict.get(of, key, default)
            monkeypatch.undo()
            of[key] = "new"
            assert report.visible()
            return answer

    monkeypatch.setattr(following, "dict", Late, raising=False)
    assert not report.visible()  # as it was when this one looked
    assert report.visible()


def test_what_cannot_be_followed(cache_type: Any) -> None:
    cache = cache_type()
    with pytest.raises(TypeError, match="watch"):
        cache.invalidate_on([])
    with pytest.raises(TypeError, match="keys must be callable"):
        cache.invalidate_on({}, keys="a")
    if sys.version_info < (3, 12):
        with pytest.raises(WatchError, match=r"3\.12"):
            cache.invalidate_on({})
    assert cache._followings == ()


def test_it_keeps_neither_side_alive(ct: Any, cache_type: Any) -> None:
    cache, table = cache_type(), ct.ConcurrentDict()
    cache.invalidate_on(table)
    gone = weakref.ref(cache)
    del cache
    gc.collect()
    assert gone() is None
    table["a"] = 1
    cache = cache_type()
    cache.invalidate_on(table)
    cache.set("a", 1)
    ended: list[Any] = []
    table.watch(ended.append, kinds=EventKind.DEALLOCATED)
    del table
    gc.collect()
    assert ended and cache.get("a") == 1


@pytest.mark.parametrize("name", FOLLOWED)
def test_an_owner_of_both_sides_is_collected(ct: Any, cache_type: Any, name: str) -> None:
    """Though the keys function knows it, and watches of builtin dicts belong to the process."""

    class Owner:
        def __init__(self) -> None:
            self.table, self.cache = make(ct, name), cache_type()
            self.cache.invalidate_on(self.table, keys=lambda event: self.keys)
            self.keys: tuple[str, ...] = ("b",)

    owner = Owner()
    owner.cache.set("b", 1)
    owner.table["a"] = 1
    assert "b" not in owner.cache
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None
