"""The load protocol: one flight per key, and an invalidation beats it.

The steps of a load, in this order:

1. Take the cells of the tags, then the epoch.
2. Register the flight. Who finds one registered that is still good waits for it; one that fell (its
   key or tag was invalidated, the cache cleared) is put aside, and a new one takes its place.
3. Look at the table again: another flight may have landed before this one was registered.
4. Run the loader, with nothing held.
5. Exchange the entry that is there now for the new one, unless the load has fallen.
6. Leave the registry.
7. Look whether it has fallen: if so, take the entry out again; else drop the flight's own cell.
8. Wake those who wait; they get the value either way, since their calls began before the invalidation.

`storing` says why no invalidation can slip between two of these steps.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextvars import copy_context
from time import monotonic
from types import CoroutineType
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import _hooks
from .._missing import MISSING, MissingType
from .._pure.hit_path import NEVER_AGAIN
from . import background
from .base import Loaded
from .flights import Flight, Outcome, innermost, loading, wait_for_end
from .removal import RemovalCause
from .storing import Storing
from .tags import fallen

if TYPE_CHECKING:
    from .._pure.hit_path import Entry

__all__ = ["AGAIN", "Call", "Loading"]

AGAIN = object()  # the flight brought nothing: look again
LEAD = object()  # the caller is to run the loader


class Call(NamedTuple):
    """What a caller asks of a load: the value is `loader(*args, **kwargs)`."""

    loader: Callable[..., Any]
    ttl: float | MissingType | None
    tags: tuple[Hashable, ...]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = {}


class Loading(Storing):
    """`get_or_load`, and what `load_many` and the coroutines of `aloading` share with it."""

    def get_or_load(
        self,
        key: Any,
        loader: Callable[[Any], Any],
        *,
        ttl: float | MissingType | None = MISSING,
        tags: Iterable[Hashable] = (),
    ) -> Any:
        """The value of `key`, made by `loader(key)` when there is none.

        However many threads and event loops ask, one loader runs at a time per key, with nothing
        held; the others wait for it. What it raises reaches them all, and the next call loads
        again. `loader` may return a `Loaded` to tell ttl, tags and weight; returning MISSING
        stores nothing.

        Parameters: `ttl` and `tags` as for `set`.
        Errors: those of the loader; RecursiveComputeError when the loader asks for its own key;
        DeadlockError when waiting would close a cycle of loaders; TimeoutError after the cache's
        `hard_timeout`.
        Thread-safety: a hit is lock-free; a miss waits for the loader only.

        >>> from concurrent_tables.cache import Cache
        >>> cache = Cache(100)
        >>> cache.get_or_load(3, lambda key: key * 2), cache.get(3)
        (6, 6)
        """
        entry = None
        if self._settings.refresh_after is None:
            value = self.get(key, MISSING)
            if value is not MISSING:
                return value
        else:
            entry = self._find(key)
        return self._found_or_load(key, entry, Call(loader, ttl, self._as_tags(tags), (key,)))

    _get_or_load = get_or_load  # for the method of C, which leaves unusual calls to it

    def _load_or_refresh(
        self,
        key: Any,
        loader: Callable[[Any], Any],
        entry: Entry | None,
        *,
        ttl: float | MissingType | None = MISSING,
        tags: Iterable[Hashable] = (),
    ) -> Any:
        """The rest of the method of C, which has found no entry, or one that may have to be refreshed."""
        return self._found_or_load(key, entry, Call(loader, ttl, self._as_tags(tags), (key,)))

    def _found_or_load(self, key: Any, entry: Entry | None, call: Call) -> Any:
        if entry is None:
            return self._load(key, call)
        if self._timer() >= entry.refresh_at:
            self._refresh(entry, call)
        return entry.value

    def get_many(self, keys: Iterable[Any]) -> dict[Any, Any]:
        """The values of those `keys` that are there; each counts. Weakly consistent."""
        found = {}
        for key in keys:
            entry = self._find(key)
            if entry is not None:
                found[key] = entry.value
        return found

    # -- one load ---------------------------------------------------------------------------------

    def _load(self, key: Any, call: Call) -> Any:
        """The value of a key that is absent. The loader runs in here: functions that call themselves
        go deep, so every frame between two calls counts.
        """
        began = monotonic()
        while True:
            mine = self._new_flight(key, call)
            try:
                step = self._set_out(mine, call)
                if step is LEAD:
                    return self._arrive(mine, call.loader(*call.args, **call.kwargs), call)
            except BaseException as error:
                try:
                    stale = self._failed(mine, error)
                finally:  # stores, not calls: an interrupt may come at any line, the stack may be full
                    mine.forsaken, mine.cells[0].fallen = True, NEVER_AGAIN
                if stale is None:
                    raise
                return stale[0]
            value = self._wait(step, mine, began)
            if value is not AGAIN:
                return value

    def _begin(self, key: Any, call: Call) -> tuple[Any, ...]:
        """`_load` for a caller in C, up to the loader: (flight, call) if it is to run that, else (value,).

        What it returns then goes to `_arrive`, and every error to `_failed`; no interrupt comes between.
        """
        began = monotonic()
        while True:
            mine = self._new_flight(key, call)
            try:
                step = self._set_out(mine, call)
                if step is LEAD:
                    return mine, call
            except BaseException as error:
                try:
                    stale = self._failed(mine, error)
                finally:
                    mine.forsaken, mine.cells[0].fallen = True, NEVER_AGAIN
                if stale is None:
                    raise
                return stale
            value = self._wait(step, mine, began)
            if value is not AGAIN:
                return (value,)

    def _set_out(self, mine: Flight, call: Call) -> Any:
        """Register: LEAD if the caller is to run the loader, a flight to wait for, or (value,)."""
        flight = self._register(mine)
        if flight is not mine:
            return flight
        entry, wanted = self._look_again(mine)
        if entry is not None:
            return (entry.value,)
        if not wanted:
            return (self._lead_alone(mine.key, call),)
        if not self._timed():
            mine.led = True
            _embark(mine)
            return LEAD
        mine.joined += 1  # by this caller, even if the thread is done at once
        self._launch((mine,), lambda: self._lead(mine, call), call)
        return mine

    def _wait(self, step: Flight | tuple[Any], mine: Flight, began: float) -> Any:
        """What `_set_out` leaves to be done; AGAIN when that brings nothing."""
        if type(step) is tuple:
            return step[0]
        value = self._share(step, mine.epoch, began)  # type: ignore[arg-type]
        if value is AGAIN and mine.outcome is Outcome.VOID and mine.result is not MISSING:
            raise mine.result  # its loader, in another thread, raised SystemExit or the like
        return value

    def _failed(self, mine: Flight, error: BaseException) -> tuple[Any] | None:
        """An error came to a caller: end its flight; (a stale value,) if there is one to give instead."""
        if mine.led:
            loading.set(mine.outer)
            self._crash(mine, error, counts=not mine.returned)
        entry = self._instead(mine.key, error)
        return None if entry is None else (entry.value,)

    def _timed(self) -> bool:
        """Whether loaders run in threads that their callers can leave behind."""
        settings = self._settings
        return settings.soft_timeout is not None or settings.hard_timeout is not None

    def _new_flight(self, key: Any, call: Call) -> Flight:
        cells = self._tags.cells(call.tags) if call.tags else ()
        flight = Flight(type(self).__name__, key, self._tags.next(), self._parts.Cell(), cells)
        if self._settings.hard_timeout is not None:
            flight.ends_at = monotonic() + self._settings.hard_timeout
        return flight

    def _register(self, flight: Flight) -> Flight:
        """The flight to wait for: `flight` itself when it is to be run."""
        key = flight.key
        while True:
            standing: Flight = self._flights.setdefault(key, flight)
            if standing is flight:
                return flight
            if standing.outcome is not Outcome.PENDING or standing.void:
                self._flights.compare_and_delete(key, standing)
                continue
            if monotonic() >= standing.ends_at:
                self._give_up(standing)
                continue
            if not self._grounded(standing):
                return standing
            if self._flights.compare_and_set(key, standing, flight):
                return flight

    def _look_again(self, flight: Flight) -> tuple[Entry | None, bool]:
        """What came before `flight` was registered, and whether that is to be run; else it ends."""
        wanted = False
        try:
            entry = self._peek_entry(flight.key)
            wanted = entry is None and not self._unsettled()
        finally:
            if not wanted:  # an error, too: nobody may wait for it
                self._abandon(flight)
        return entry, wanted

    def _grounded(self, flight: Flight) -> bool:
        return flight.epoch < self._cleared or fallen(flight.cells, flight.epoch)

    def _unsettled(self) -> bool:
        """Whether a builtin dict that is followed is in the middle of a write."""
        followings = self._followings
        return bool(followings) and any(following.unsettled() for following in followings)

    def _lead(self, flight: Flight, call: Call) -> Any:
        """Run the loader and land; errors go to the waiters and to the caller."""
        try:
            _embark(flight)
            return self._arrive(flight, call.loader(*call.args, **call.kwargs), call)
        except BaseException as error:
            self._crash(flight, error, counts=not flight.returned)
            raise
        finally:
            loading.set(flight.outer)

    def _arrive(self, flight: Flight, result: Any, call: Call) -> Any:
        """Land with what the loader has returned."""
        try:
            loaded = self._check(flight.key, result)
            flight.returned = True
            self._tallies.increment("load_successes")
            return self._land(flight, loaded, call)
        finally:
            loading.set(flight.outer)

    def _lead_alone(self, key: Any, call: Call) -> Any:
        """Run the loader for this caller only, and keep nothing."""
        try:
            loaded = self._check(key, call.loader(*call.args, **call.kwargs))
        except BaseException:
            self._tallies.increment("load_failures")
            raise
        self._tallies.increment("load_successes")
        self._tallies.increment("load_discards")
        return loaded.value

    def _check(self, key: Any, result: Any) -> Loaded:
        if isinstance(result, Loaded):
            return result
        if isinstance(result, CoroutineType):
            result.close()
            raise TypeError(
                f"{type(self).__name__}: the loader of key {key!r} is a coroutine function; "
                "await aget_or_load(...) instead"
            )
        return Loaded(result)

    # -- the end of a flight ----------------------------------------------------------------------

    def _land(self, flight: Flight, loaded: Loaded, call: Call) -> Any:
        """Publish what the loader brought, unless it has fallen; end the flight. The value."""
        value = loaded.value
        entry: Entry | None = None
        old: Any = None
        fell = False
        if value is not MISSING:
            cells = flight.cells
            if type(loaded.tags) is not tuple or loaded.tags:
                flight.late_tags = self._as_tags(loaded.tags)
                cells = (*cells, *self._tags.cells(flight.late_tags))
            if loaded.ttl is MISSING and call.ttl is not MISSING:
                loaded = Loaded(value, ttl=call.ttl, weight=loaded.weight)
            entry = self._make_entry(flight.key, loaded, flight.epoch, cells)
        if entry is not None:
            old = self._exchange(entry)
        try:
            self._flights.compare_and_delete(flight.key, flight)
            fell = entry is not None and self._fell(entry)
            if entry is not None and not fell:
                entry.cells = (cells[1:] if flight.late_tags else flight.tag_cells) or None
            flight.end(Outcome.VALUE, value)
        finally:
            if entry is not None and old is not None:
                self._stored(None if old is MISSING else old, entry)
        if entry is not None and fell:
            self._tallies.increment("load_discards")
            if old is not None:
                self._take_out(entry, RemovalCause.INVALIDATED)
        return value

    def _exchange(self, entry: Entry) -> Entry | MissingType | None:
        """Put `entry` where nothing newer is; what was there, MISSING for nothing; None: it is not in."""
        while True:
            old = self._table.get(entry.key, MISSING)
            # A write grounds the flight before it changes the table: the check comes after the look.
            if self._fell(entry):
                return None
            if self._table.compare_and_set(entry.key, old, entry):
                return old  # type: ignore[no-any-return]

    def _crash(self, flight: Flight, error: BaseException, counts: bool = True) -> None:
        """The loader raised, or the landing did: end the flight."""
        try:
            if counts:
                self._tallies.increment("load_failures")
            self._flights.compare_and_delete(flight.key, flight)
        finally:
            if isinstance(error, Exception):
                flight.end(Outcome.ERROR, error, _from_loader(error.__traceback__))
            else:  # an interrupt is for the thread that it came to: the others try themselves
                flight.end(Outcome.VOID, error)

    def _abandon(self, flight: Flight) -> None:
        """End a flight that brings nothing: its callers look again."""
        flight.cells[0].fallen = NEVER_AGAIN  # should its loader run on: no invalidation finds it
        try:
            self._flights.compare_and_delete(flight.key, flight)
        finally:
            flight.end(Outcome.VOID)

    def _give_up(self, flight: Flight) -> None:
        """The hard timeout: its callers get TimeoutError, and what it brings is not kept."""
        flight.cells[0].fallen = NEVER_AGAIN
        error = TimeoutError(
            f"{flight.name}: the loader of key {flight.key!r} takes longer than "
            f"{self._settings.hard_timeout} s"
        )
        try:
            self._flights.compare_and_delete(flight.key, flight)
        finally:
            if flight.end(Outcome.ERROR, error):
                task, loop = flight.task, flight.loop
                if task is not None and loop is not None and not loop.is_closed():
                    loop.call_soon_threadsafe(task.cancel)

    # -- sharing a flight -------------------------------------------------------------------------

    def _share(self, flight: Flight, arrival: int, began: float) -> Any:
        stale, until = self._patience(flight, began)
        return self._after_wait(flight, arrival, stale, wait_for_end(flight, until))

    def _patience(self, flight: Flight, began: float) -> tuple[Entry | None, float]:
        """A stale entry to serve if it takes too long, and until when to wait."""
        soft = self._settings.soft_timeout
        stale = None if soft is None else self._stale_entry(flight.key)
        if stale is None or soft is None:
            return None, flight.ends_at
        return stale, min(flight.ends_at, began + soft)

    def _after_wait(self, flight: Flight, arrival: int, stale: Entry | None, ended: bool) -> Any:
        if not ended and not flight.released.is_set():
            if flight.void:
                return AGAIN
            if monotonic() >= flight.ends_at:
                self._give_up(flight)
            elif stale is not None and not self._fell(stale):
                self._tallies.increment("stale_served")
                return stale.value
            else:
                return AGAIN
        if flight.outcome is Outcome.VALUE:
            late = flight.late_tags
            if late and self._tags.fell_between(late, flight.epoch, arrival):
                return AGAIN  # it began before an invalidation that this caller came after
            return flight.result
        if flight.outcome is Outcome.VOID:
            return AGAIN
        stale = self._instead(flight.key, flight.result)
        if stale is not None:
            return stale.value
        raise _copy_of(flight.result, flight.traceback)

    def _instead(self, key: Any, error: BaseException) -> Entry | None:
        """An expired entry to serve in place of an error."""
        if self._settings.stale_on_error is None or not isinstance(error, Exception):
            return None
        entry = self._stale_entry(key)
        if entry is not None:
            self._tallies.increment("stale_served")
        return entry

    def _stale_entry(self, key: Any) -> Entry | None:
        entry: Entry | None = self._table.get(key)
        if entry is None or self._fell(entry) or self._end_of(entry) <= self._timer():
            return None
        return entry

    # -- threads of our own -----------------------------------------------------------------------

    def _launch(self, flights: tuple[Flight, ...], lead: Callable[[], object], call: Call) -> None:
        """Run the loader in a thread, so that its callers can leave it behind."""
        for flight in flights:
            flight.owner = 0  # nobody's until the thread runs
        context = copy_context()

        def run() -> None:
            for flight in flights:
                flight.owner = background.me()
            try:
                context.run(lead)
            except BaseException:  # the waiters have it
                for flight in flights:
                    flight.forsaken = True
                if not any(flight.joined for flight in flights):
                    _hooks.report_unraisable(
                        "Exception ignored in a loader of a cache", call.loader
                    )

        try:
            background.start(run, "load")
        except BaseException as error:
            for flight in flights:
                flight.cells[0].fallen = NEVER_AGAIN  # the thread may have been started
                self._crash(flight, error, counts=flight is flights[0])
            raise

    def _refresh(self, entry: Entry, call: Call) -> None:
        """Load a newer value in the background, once; the present one is served meanwhile."""
        entry.refresh_at = self._timer() + (self._settings.refresh_after or 0.0)
        try:
            background.enqueue(lambda: self._refresh_now(entry, call))
        except RuntimeError:  # no thread: the caller has a value all the same
            if threading.main_thread().is_alive():  # else the interpreter ends, which starts none
                _hooks.report_unraisable("Exception ignored starting a refresh of a cache", self)

    def _refresh_now(self, entry: Entry, call: Call) -> None:
        flight = self._new_flight(entry.key, call)
        try:
            self._renew(entry, flight, call)
        except BaseException as error:
            flight.forsaken, flight.cells[0].fallen = True, NEVER_AGAIN
            if not flight.joined or not isinstance(error, Exception):
                raise

    def _renew(self, entry: Entry, flight: Flight, call: Call) -> None:
        standing = self._table.get(entry.key)
        if (
            standing is None
            or standing.epoch != entry.epoch
            or self._register(flight) is not flight
        ):
            return  # it has gone, or somebody loads it already
        if self._unsettled():
            self._abandon(flight)
        else:
            self._lead(flight, call)

    def _as_tags(self, tags: Iterable[Hashable]) -> tuple[Hashable, ...]:
        if isinstance(tags, str):
            raise TypeError(f"tags must be an iterable of tags, not the str {tags!r}")
        return tags if type(tags) is tuple else (*tags,)


def _embark(flight: Flight) -> None:
    """From here on this thread is in the loader."""
    flight.outer = innermost()
    loading.set(flight)


def _from_loader(traceback: Any) -> Any:
    """A traceback without the frames of ours before the loader."""
    inner = traceback
    while inner is not None and inner.tb_frame.f_globals.get("__package__") == __package__:
        inner = inner.tb_next
    return inner or traceback


def _copy_of(error: BaseException, traceback: Any) -> BaseException:
    """The same error for another caller: tracebacks of several threads must not mix in one object."""
    try:
        twin = copy.copy(error)
    except Exception:
        twin = error
    if type(twin) is not type(error) or twin.args != error.args:
        twin = error
    if twin is not error:
        twin.__cause__ = error.__cause__
        twin.__context__ = error.__context__
        twin.__suppress_context__ = error.__suppress_context__
    return twin.with_traceback(traceback)
