"""Epochs and tags: what fell, by numbers, not by search.

`Tags.next()` numbers the beginnings of loads and the invalidations of one cache in one row. A tag has a
*cell*; entries and loads carry the cells of their tags. Invalidating a tag makes its cell fall for ever
and puts a new one in its place, which knows the number of that invalidation: a load whose tags are
known only when it returns looks their cells up then, and is refused when one fell after it began.

A cell lives as long as an entry or a load carries it, and the last thousand that fell a little longer.
`floor` is the highest number that a forgotten cell knew; cells made later begin with it. It rises
before a cell is forgotten, and who makes one looks at it again afterwards: no invalidation is lost.
"""

from __future__ import annotations

import itertools
import weakref
from collections import deque
from collections.abc import Hashable, Iterable
from typing import Any

from .._missing import MISSING
from .._pure.hit_path import NEVER_AGAIN

__all__ = ["Tags", "fallen"]

_REMEMBERED = 1024  # cells that fell


def fallen(cells: Iterable[Any], epoch: int) -> bool:
    """Whether something that began at `epoch` and carries `cells` has been invalidated."""
    for cell in cells:  # noqa: SIM110  (a generator would cost a function call more)
        if cell.fallen > epoch:
            return True
    return False


class _Place(weakref.ref[Any]):
    """Where the cell of a tag is; goes out of its table when the cell has died."""

    __slots__ = ("__weakref__", "home", "number", "tag")
    home: weakref.ref[Tags]
    number: int
    tag: Hashable


class Tags:
    """The cells of one cache's tags. Thread-safety: every method is atomic."""

    __slots__ = (
        "__weakref__",
        "_cell_type",
        "_floor",
        "_last",
        "_places",
        "_remembered",
        "counter",
    )

    def __init__(self, table_type: Any, cell_type: Any) -> None:
        self._places = table_type()
        self._floor = table_type({"floor": 0})
        self._cell_type = cell_type
        self.counter = itertools.count(1)
        self._last: tuple[Any, tuple[Any, ...]] = (None, ())  # tags, and what `cells` gave
        self._remembered: deque[tuple[int, Hashable, Any]] = deque(maxlen=_REMEMBERED)

    def __len__(self) -> int:
        return len(self._places)

    def next(self) -> int:
        """The next number; atomic, since the counter is."""
        return next(self.counter)

    def cell(self, tag: Hashable) -> Any:
        """The cell that entries with `tag` carry from now on."""
        while True:
            place = self._places.get(tag)
            cell = None if place is None else place()
            # One that fell for ever stays in its place only where `fall` had no memory for another.
            if cell is not None and cell.fallen != NEVER_AGAIN:
                return cell
            floor = self._floor["floor"]
            cell = self._cell_type(max(floor, 0 if place is None else place.number))
            mine = self._place(tag, cell)
            if self._places.compare_and_set(tag, MISSING if place is None else place, mine):
                if self._floor["floor"] == floor:
                    return cell
                cell.fallen = NEVER_AGAIN  # a cell of this tag may have been forgotten meanwhile
                self._raise_floor(mine.number)  # which the place knew that `mine` has replaced
                self._places.compare_and_delete(tag, mine)

    def cells(self, tags: Iterable[Hashable]) -> tuple[Any, ...]:
        """The cells of several tags, each once.

        For the same tuple the same result, as long as it holds: the entries of one function share it.
        """
        asked, cells = self._last
        if asked is tags and NEVER_AGAIN not in [cell.fallen for cell in cells]:
            return cells
        if isinstance(tags, str):
            raise TypeError(
                f"tags must be an iterable of tags, not the str {tags!r}: use [{tags!r}]"
            )
        cells = tuple([self.cell(tag) for tag in dict.fromkeys(tags)])
        if cells and type(tags) is tuple:
            self._last = (tags, cells)
        return cells

    def fall(self, tag: Hashable) -> None:
        """What carries `tag` and began before this call will not be served after it."""
        made: list[Any] = []

        def renew(old: Any) -> Any:
            before = None if old is MISSING else old()
            number = next(self.counter)
            cell = self._cell_type(number)
            made[:] = number, cell
            place = self._place(tag, cell)
            if before is not None:
                # Before the exchange: whoever comes later, and finds the new cell, returns without
                # knowing about this one.
                before.fallen = NEVER_AGAIN
            return place

        self._places.compute(tag, renew)
        number, cell = made
        self._remembered.append((number, tag, cell))

    def fell_between(self, tags: Iterable[Hashable], after: int, until: int) -> bool:
        """Whether one of `tags` was invalidated in that time; True when that is not known any more."""
        remembered = self._remembered.copy()
        if len(remembered) == _REMEMBERED and remembered[0][0] > after:
            return True
        wanted = set(tags)
        return any(after < number <= until and tag in wanted for number, tag, _ in remembered)

    def _place(self, tag: Hashable, cell: Any) -> _Place:
        place = _Place(cell, _forget)
        place.tag, place.number, place.home = tag, cell.fallen, weakref.ref(self)
        return place

    def _raise_floor(self, number: int) -> None:
        if number > self._floor["floor"]:
            self._floor.compute("floor", lambda floor: max(floor, number))


def _forget(place: Any) -> None:
    tags = place.home()
    # What has another cell in its place by now, or never got there, is not forgotten: the other knows a
    # number at least as high.
    if tags is not None and tags._places.get(place.tag) is place:
        tags._raise_floor(place.number)
        tags._places.compare_and_delete(place.tag, place)
