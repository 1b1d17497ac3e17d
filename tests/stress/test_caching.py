"""Every cache workload sees a cache with a bug of its kind, and says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from concurrent_tables.cache.clock import Due, watch_over
from concurrent_tables.cache.following import Following
from concurrent_tables.cache.removal import RemovalCause
from concurrent_tables.cache.storing import Storing
from concurrent_tables.cache.tags import Tags
from stress import Options, run_campaign
from stress.targets import default_targets
from stress.workloads import caching_base, caching_events, caching_time
from tests.cache.conftest import no_thread_stays

__all__ = ["no_thread_stays"]

SECONDS = 60.0  # at most; it ends with the first violation


def find(ct: Any, workload: str, *, seconds: float = SECONDS) -> set[str]:
    """The checks that failed."""
    (target,) = [target for target in default_targets(ct) if target.name == "ConcurrentDict"]
    result = run_campaign([target], Options(seed=3, seconds=seconds, only=(workload,)))
    return {violation.check for violation in result.violations}


def nothing(*_: Any, **__: Any) -> None:
    """In place of a step that is forgotten."""


def forget_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Storing, "_ground", nothing)
    monkeypatch.setattr(Storing, "_ground_all", nothing)


def forget_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tags, "fall", nothing)


def forget_the_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Storing, "_fell", lambda self, entry: False)


def follow_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Following, "_changed", nothing)


def keep_after_predicate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Storing, "invalidate_where", nothing)


STALE = [
    forget_the_load,
    forget_tags,
    forget_the_second_look,
    follow_nothing,
    keep_after_predicate,
]


@pytest.mark.usefixtures("as_active")
@pytest.mark.parametrize("plant", STALE)
def test_a_stale_value_is_seen(
    ct: Any, monkeypatch: pytest.MonkeyPatch, plant: Callable[[Any], None]
) -> None:
    plant(monkeypatch)
    assert "stale" in find(ct, "cache-invalidate")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[type], None]]:
    """Mixes a class into the cache under test, before everything else."""
    make = caching_base.cache_type

    def mix(mixin: type) -> None:
        def cache_type(package: Any) -> Any:
            return type("Cache", (mixin, make(package)), {})

        for module in (caching_base, caching_time, caching_events):
            monkeypatch.setattr(module, "cache_type", cache_type)

    yield mix


class TwiceTheRoom:
    def __init__(self, maxsize: Any = None, **options: Any) -> None:
        super().__init__(None if maxsize is None else 20 * maxsize, **options)  # type: ignore[call-arg]


class WeighsAllAlike:
    def __init__(self, *arguments: Any, weigher: Any = None, **options: Any) -> None:
        weigher = None if weigher is None else lambda key, value: 1
        super().__init__(*arguments, weigher=weigher, **options)  # type: ignore[call-arg]


class LoadsForEveryone:
    def _register(self, flight: Any) -> Any:
        return flight


class KeepsErrors:
    """A load that failed once is not tried again."""

    def get_or_load(self, key: Any, loader: Any, **options: Any) -> Any:
        errors = self.__dict__.setdefault("errors", {})
        if key in errors:
            raise errors[key]
        try:
            return super().get_or_load(key, loader, **options)  # type: ignore[misc]
        except Exception as error:
            errors[key] = error
            raise


class EndsEarly:
    def _deadline(self, ttl: Any) -> Any:
        deadline = super()._deadline(ttl)  # type: ignore[misc]
        return None if deadline is None else deadline - 0.5


class EndsLate:
    def _deadline(self, ttl: Any) -> Any:
        deadline = super()._deadline(ttl)  # type: ignore[misc]
        return None if deadline is None else deadline + 0.5


class WillNotBeTouched:
    def _reschedule(self, entry: Any, deadline: float, now: float) -> bool:
        return True


class SleepsThrough:
    """What has ended stays until somebody asks for it."""

    def _expire_due(self) -> int:
        return 0

    def expire(self) -> int:
        return 0


class TakesOutUnseen:
    """Tells no listener of what expired."""

    def _tell(self, entry: Any, cause: str) -> None:
        if cause != "expired":
            super()._tell(entry, cause)  # type: ignore[misc]


class TellsTwice:
    def _tell(self, entry: Any, cause: str) -> None:
        super()._tell(entry, cause)  # type: ignore[misc]
        super()._tell(entry, cause)  # type: ignore[misc]


class TellsWrongCause:
    def _tell(self, entry: Any, cause: str) -> None:
        super()._tell(entry, "size" if cause == "replaced" else cause)  # type: ignore[misc]


class TellsOfWhatNeverWas:
    """A load that was not kept is told to have left, invalidated, which need not have been."""

    def _exchange(self, entry: Any) -> Any:
        old = super()._exchange(entry)  # type: ignore[misc]
        if old is None:
            self._tell(entry, "invalidated")  # type: ignore[attr-defined]
        return old


class CallsExpiredReplaced:
    """Listener and counts agree on a cause that nobody brought about."""

    wrong = "REPLACED"

    def _left(self, entry: Any, cause: RemovalCause, *counted: RemovalCause) -> None:
        if cause is RemovalCause.EXPIRED:
            cause = RemovalCause[self.wrong]
        super()._left(entry, cause, *counted)  # type: ignore[misc]


class CallsExpiredInvalidated(CallsExpiredReplaced):
    wrong = "INVALIDATED"


class AnswersForOthers:
    """Gives the value that was asked for before."""

    def get_or_load(self, key: Any, loader: Any, **options: Any) -> Any:
        value = super().get_or_load(key, loader, **options)  # type: ignore[misc]
        latest, self.latest = getattr(self, "latest", value), value
        return latest


class LosesKeys:
    """Drops one of several."""

    def load_many(self, keys: Any, loader: Any, **options: Any) -> dict[Any, Any]:
        found: dict[Any, Any] = super().load_many(keys, loader, **options)  # type: ignore[misc]
        found.popitem()
        return found


class ForgetsWhatItLoaded:
    """Its own caller gets nothing."""

    def _land(self, flight: Any, loaded: Any, call: Any) -> Any:
        super()._land(flight, loaded, call)  # type: ignore[misc]


class CountsNoMisses:
    def _counts(self) -> tuple[int, int]:
        return super()._counts()[0], 0  # type: ignore[misc]


@pytest.mark.usefixtures("as_active")
@pytest.mark.parametrize(
    ("workload", "mixin", "checks"),
    [
        ("cache-bounded", TwiceTheRoom, {"bound"}),
        ("cache-weighed", TwiceTheRoom, {"bound"}),
        ("cache-weighed", WeighsAllAlike, {"bound", "weight"}),
        ("cache-bounded", EndsEarly, {"early"}),
        ("cache-bounded", EndsLate, {"late"}),
        ("cache-invalidate", CountsNoMisses, {"lookups"}),
        ("cache-invalidate", AnswersForOthers, {"mixed", "stale"}),
        ("cache-invalidate", LosesKeys, {"lost"}),
        ("cache-invalidate", ForgetsWhatItLoaded, {"lost"}),
        ("cache-herd", LoadsForEveryone, {"flight", "flights", "lost", "exception"}),
        ("cache-herd", KeepsErrors, {"error"}),
        ("cache-expiry", EndsEarly, {"early", "ends"}),
        ("cache-expiry", EndsLate, {"late", "ends"}),
        ("cache-expiry", WillNotBeTouched, {"early", "late", "ends"}),
        ("cache-expiry", SleepsThrough, {"late"}),
        ("cache-events", TakesOutUnseen, {"told", "counts", "listener"}),
        ("cache-events", TellsTwice, {"told", "counts", "listener"}),
        ("cache-events", TellsWrongCause, {"cause", "counts"}),
        ("cache-events", TellsOfWhatNeverWas, {"told", "counts", "listener", "cause"}),
        ("cache-events", CallsExpiredReplaced, {"cause"}),
        ("cache-events", CallsExpiredInvalidated, {"cause"}),
        ("cache-events", AnswersForOthers, {"mixed"}),
    ],
)
def test_a_broken_cache_is_seen(
    ct: Any, broken: Callable[[type], None], workload: str, mixin: type, checks: set[str]
) -> None:
    broken(mixin)
    found = find(ct, workload)
    assert found and found <= checks


@pytest.mark.usefixtures("as_active")
def test_a_sleeping_clock_is_seen(
    ct: Any, broken: Callable[[type], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody tells the clock: what has ended stays."""

    class TellsNoClock:
        def _call_clock(self) -> None:
            pass

    monkeypatch.setattr(caching_time, "_TURNS", 20)
    broken(TellsNoClock)
    assert find(ct, "cache-clock") == {"late"}


@pytest.mark.usefixtures("as_active")
def test_a_clock_that_is_told_too_late_a_time_is_seen(
    ct: Any, broken: Callable[[type], None]
) -> None:
    class LateDue(Due):
        __slots__ = ()

        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value + 0.5 if name == "at" else value)

    class AsksLate:
        def _begin_maintenance(self: Any) -> None:
            super()._begin_maintenance()  # type: ignore[misc]
            if not self._parts.native:
                self._due = LateDue(self)

        def _call_clock(self: Any) -> None:
            if self._parts.native:
                self._due.at = min(self._due.at, self._table._next_due() + 0.5)
                watch_over(self._due)
            else:
                super()._call_clock()  # type: ignore[misc]

    broken(AsksLate)
    assert find(ct, "cache-clock") == {"late"}


def test_nothing_is_said_of_a_sound_cache(ct: Any, as_active: None) -> None:
    assert find(ct, "cache-*", seconds=7.0) == set()


class Expecting:
    """In place of an arena."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def expect(self, holds: bool, check: str, message: str) -> None:
        if not holds:
            self.failed.append(f"{check}: {message}")


def test_a_clock_that_does_not_end_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    arena: Any = Expecting()
    caching_base.wait_for_clock(arena)
    assert arena.failed == []
    monkeypatch.setattr(caching_base, "GIVE_UP_SECONDS", 0.01)
    monkeypatch.setattr(caching_base.clock_thread(), "idle", lambda: False)
    caching_base.wait_for_clock(arena)
    (said,) = arena.failed
    assert said.startswith("clock: the clock has not ended after 0.01 s")
