"""Loading several keys with one call: a flight for each of them, which end one by one.

A caller first runs its loader for the keys that nobody else is loading, then waits for the others; so two
calls whose keys cross do not wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from time import monotonic
from typing import Any

from .._missing import MISSING, MissingType
from .._pure.hit_path import NEVER_AGAIN
from .flights import Flight, Outcome, innermost, loading
from .loading import AGAIN, Call, Loading

__all__ = ["ManyLoading"]


class ManyLoading(Loading):
    """`load_many`."""

    def load_many(
        self,
        keys: Iterable[Any],
        loader: Callable[[list[Any]], Mapping[Any, Any]],
        *,
        ttl: float | MissingType | None = MISSING,
        tags: Iterable[Hashable] = (),
    ) -> dict[Any, Any]:
        """The values of `keys`; one call `loader(list of those absent)` gives a mapping of the rest.

        Keys that others are loading are waited for. Keys that the mapping lacks are absent from
        the result, and not stored. Errors and thread-safety as for `get_or_load`.
        """
        call = Call(_one_of(loader), ttl, self._as_tags(tags), ())
        found: dict[Any, Any] = {}
        mine: dict[Any, Flight] = {}
        others = []
        try:
            for key in dict.fromkeys(keys):
                entry = self._find(key)
                if entry is None:
                    mine[key] = flight = self._new_flight(key, call)  # before others can see it
                    if self._register(flight) is not flight:
                        del mine[key]
                        others.append(key)
                        continue
                    entry = self._peek_entry(key)
                    if entry is None:
                        continue
                    self._abandon(mine.pop(key))
                found[key] = entry.value
            if mine:
                found |= self._run_many(mine, loader, call)
        except BaseException as error:
            for flight in mine.values():
                flight.forsaken, flight.cells[0].fallen = True, NEVER_AGAIN
            self._let_go(mine)
            stale = self._all_instead(mine, error)
            if stale is None:
                raise
            found |= stale
        for key in others:
            value = self._load(key, call._replace(args=(key,)))
            if value is not MISSING:
                found[key] = value
        return found

    def _run_many(
        self, flights: dict[Any, Flight], loader: Callable[[list[Any]], Any], call: Call
    ) -> dict[Any, Any]:
        if not self._timed():
            return self._lead_many(flights, loader, call)
        began = monotonic()
        for flight in flights.values():
            flight.joined += 1
        self._launch(tuple(flights.values()), lambda: self._lead_many(flights, loader, call), call)
        values = {key: self._brought(flight, began) for key, flight in flights.items()}
        return {key: value for key, value in values.items() if value is not MISSING}

    def _brought(self, flight: Flight, began: float) -> Any:
        """What a flight of a `load_many` brings for its own caller; MISSING if its mapping lacks it."""
        while True:
            value = self._share(flight, flight.epoch, began)
            if value is not AGAIN:
                return value
            if flight.outcome is Outcome.VOID and flight.result is not MISSING:
                raise flight.result
            if flight.outcome is not Outcome.PENDING or flight.void:
                return flight.result

    def _lead_many(
        self, flights: dict[Any, Flight], loader: Callable[[list[Any]], Any], call: Call
    ) -> dict[Any, Any]:
        keys = list(flights)
        outer = innermost()
        found: dict[Any, Any] = {}
        ran = False
        try:
            inside = outer
            for flight in flights.values():
                flight.outer, inside = inside, flight
            loading.set(inside)
            if self._unsettled():  # who comes once the change shows must not find these flights
                for flight in flights.values():
                    self._ground_flight(flight)
            result = loader(keys)
            ran = True
            self._tallies.increment("load_successes")
            for key in keys:
                if key not in result:
                    self._abandon(flights[key])
                    continue
                loaded = self._check(key, result[key])
                value = self._land(flights[key], loaded, call)
                if value is not MISSING:
                    found[key] = value
        except BaseException as error:
            for flight in flights.values():
                if flight.outcome is Outcome.PENDING:
                    self._crash(flight, error, counts=not ran and flight.key is keys[0])
            raise
        finally:
            loading.set(outer)
        return found

    def _let_go(self, flights: dict[Any, Flight]) -> None:
        for flight in flights.values():
            if flight.outcome is Outcome.PENDING:
                self._abandon(flight)

    def _all_instead(
        self, flights: dict[Any, Flight], error: BaseException
    ) -> dict[Any, Any] | None:
        """Expired values in place of an error of `load_many`, if there is one for each key."""
        if not flights or self._settings.stale_on_error is None or not isinstance(error, Exception):
            return None
        stale = {}
        for key in flights:
            entry = self._stale_entry(key)
            if entry is None:
                return None
            stale[key] = entry.value
        self._tallies.increment("stale_served", len(stale))
        return stale


def _one_of(loader: Callable[[list[Any]], Mapping[Any, Any]]) -> Callable[[Any], Any]:
    def load(key: Any) -> Any:
        return loader([key]).get(key, MISSING)

    return load
