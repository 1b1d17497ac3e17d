"""Loading from coroutines: the same flights, with the loader in a task of the first caller's loop.

The task is not the caller's: a caller that is cancelled leaves it running for the others. When the task
itself is cancelled (its loop shuts down), or its loop is closed, the flight is void, and those who wait
in other loops and threads look again; one of them loads.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Hashable, Iterable
from contextvars import copy_context
from time import monotonic
from typing import TYPE_CHECKING, Any

from .. import _hooks
from .._missing import MISSING, MissingType
from .._pure.hit_path import NEVER_AGAIN
from .base import Loaded
from .flights import Flight, Outcome, await_end, innermost, loading
from .loading import AGAIN, Call
from .loading_many import ManyLoading

if TYPE_CHECKING:
    from .._pure.hit_path import Entry

__all__ = ["AsyncLoading"]


class AsyncLoading(ManyLoading):
    """`aget_or_load`."""

    async def aget_or_load(
        self,
        key: Any,
        loader: Callable[[Any], Awaitable[Any] | Any],
        *,
        ttl: float | MissingType | None = MISSING,
        tags: Iterable[Hashable] = (),
    ) -> Any:
        """`get_or_load` for coroutines: `loader(key)` is awaited in the loop of the first caller.

        Threads and other event loops that ask for the key meanwhile share that one load. A caller
        that is cancelled does not disturb the others. Everything else is as for `get_or_load`.
        """
        entry = None
        if self._settings.refresh_after is None:
            value = self.get(key, MISSING)
            if value is not MISSING:
                return value
        else:
            entry = self._find(key)
        return await self._afound_or_load(
            key, entry, Call(loader, ttl, self._as_tags(tags), (key,))
        )

    async def _afound_or_load(self, key: Any, entry: Entry | None, call: Call) -> Any:
        if entry is None:
            return await self._aload(key, call)
        if self._timer() >= entry.refresh_at:
            self._arefresh(entry, call)
        return entry.value

    async def _aload(self, key: Any, call: Call) -> Any:
        began = monotonic()
        while True:
            mine = self._new_flight(key, call)
            flight = self._abegin(mine, call)
            if flight is None:
                return await self._alead_alone(key, call)
            if not isinstance(flight, Flight):
                return flight.value
            stale, until = self._patience(flight, began)
            ended = await await_end(flight, until)
            value = self._after_wait(flight, mine.epoch, stale, ended)
            if value is not AGAIN:
                return value
            if flight is mine and flight.outcome is Outcome.VOID:
                raise asyncio.CancelledError(f"the loader of key {key!r} was cancelled")

    def _abegin(self, mine: Flight, call: Call) -> Flight | Entry | None:
        """The flight to wait for, or an entry that came meanwhile; None: to be loaded alone."""
        try:
            flight = self._register(mine)
            if flight is mine:
                entry, wanted = self._look_again(mine)
                if not wanted:
                    return entry
                mine.joined += 1  # by this caller, even if the task ends at once
                self._depart(mine, call)
            return flight
        except BaseException:
            mine.forsaken, mine.cells[0].fallen = True, NEVER_AGAIN  # see `_load`
            raise

    def _depart(self, flight: Flight, call: Call) -> None:
        """Start the task that runs the loader."""
        coroutine = None
        try:
            loop = asyncio.get_running_loop()
            flight.loop = loop
            flight.owner = threading.get_ident()
            flight.outer = innermost()
            context = copy_context()
            context.run(loading.set, flight)
            coroutine = self._fly(flight, call)
            # The flight keeps the task alive: loops only know theirs weakly.
            task = loop.create_task(coroutine, context=context)
        except BaseException as error:
            if coroutine is not None:
                coroutine.close()
            self._crash(flight, error)
            raise
        if not flight.released.is_set():
            flight.task = task
        task.add_done_callback(lambda _: self._arrived(flight))

    def _arrived(self, flight: Flight) -> None:
        flight.task = None
        if not flight.released.is_set():  # cancelled, perhaps before it ran
            self._abandon(flight)

    async def _fly(self, flight: Flight, call: Call) -> None:
        loaded = None
        try:
            loaded = await _awaited(call.loader(*call.args, **call.kwargs))
            self._tallies.increment("load_successes")
            self._land(flight, loaded, call)
        except asyncio.CancelledError:
            self._tallies.increment("load_failures")
            raise
        except BaseException as error:
            flight.forsaken = True
            self._crash(flight, error, counts=loaded is None)
            if not isinstance(error, Exception):
                raise
            if not flight.joined:
                _hooks.report_unraisable("Exception ignored in a refresh of a cache", call.loader)

    async def _alead_alone(self, key: Any, call: Call) -> Any:
        try:
            loaded = await _awaited(call.loader(*call.args, **call.kwargs))
        except BaseException as error:
            self._tallies.increment("load_failures")
            stale = self._instead(key, error)
            if stale is None:
                raise
            return stale.value
        self._tallies.increment("load_successes")
        self._tallies.increment("load_discards")
        return loaded.value

    def _arefresh(self, entry: Entry, call: Call) -> None:
        entry.refresh_at = self._timer() + (self._settings.refresh_after or 0.0)
        flight = self._new_flight(entry.key, call)
        try:
            if self._register(flight) is not flight:
                return
            if self._unsettled():
                self._abandon(flight)
            else:
                self._depart(flight, call)
        except BaseException:
            flight.forsaken, flight.cells[0].fallen = True, NEVER_AGAIN
            raise


async def _awaited(result: Any) -> Loaded:
    if inspect.isawaitable(result):
        result = await result
    return result if isinstance(result, Loaded) else Loaded(result)
