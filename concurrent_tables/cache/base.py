"""The state that the parts of `Cache` share, for readers and type checkers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from .._missing import MISSING, MissingType
from .removal import RemovalCause
from .tags import Tags

if TYPE_CHECKING:
    from .._pure.hit_path import Entry, HitPath
    from .._waits import PerProcess
    from .following import Following
    from .parts import Parts

    Base = HitPath
else:
    Base = object

__all__ = ["DEAD", "LIVE", "NEW", "Loaded", "Settings", "Shared"]

NEW, LIVE, DEAD = 0, 1, 2  # Entry.state: not yet known to the policy, known, gone


class Settings(NamedTuple):
    """The arguments of a cache; seconds where they are times."""

    maxsize: int | None
    ttl: float | None
    tti: float | None
    weigher: Callable[[Any, Any], int] | None
    policy: str
    refresh_after: float | None
    stale_on_error: float | None
    soft_timeout: float | None
    hard_timeout: float | None
    jitter: float
    on_remove: Callable[[Any, Any, RemovalCause], object] | None
    timer: Callable[[], float]


class Loaded:
    """What a loader returns to say more than the value: how long, under which tags, how heavy.

    - `ttl`: seconds until it expires, None for never, 0 to hand it out without keeping it.
    - `tags`: for `invalidate_tag`, beside those of the call.
    - `weight`: in place of the weigher's.

    >>> from concurrent_tables.cache import Cache, Loaded
    >>> cache = Cache(100)
    >>> cache.get_or_load("page", lambda key: Loaded("text", ttl=60, tags=["pages"]))
    'text'
    """

    __slots__ = ("tags", "ttl", "value", "weight")

    def __init__(
        self,
        value: Any,
        *,
        ttl: float | MissingType | None = MISSING,
        tags: Any = (),
        weight: int | None = None,
    ) -> None:
        self.value = value
        self.ttl = ttl
        self.tags = tags
        self.weight = weight


class Shared(Base):
    """Attributes and methods that one part of the cache gives the others."""

    _parts: Parts
    _settings: Settings
    _tags: Tags
    _flights: Any
    _tallies: Any
    _clearing: PerProcess[Any]  # guards _cleared and _followings
    _followings: tuple[Following, ...]

    if TYPE_CHECKING:

        def _submit(self, old: Entry | None, new: Entry | None) -> None: ...
        def _maintain(self) -> None: ...
        def _take_out(self, entry: Entry, cause: RemovalCause) -> bool: ...
        def _take_ended(self, entry: Entry, now: float) -> bool: ...
        def _left(self, entry: Entry, cause: RemovalCause) -> None: ...
        def _why(self, entry: Entry) -> RemovalCause: ...
        def _why_not_valid(self, entry: Entry) -> RemovalCause: ...
        def _make_entry(
            self, key: Any, loaded: Loaded, epoch: int, cells: tuple[Any, ...] | None
        ) -> Entry | None: ...
        def _end_of(self, entry: Entry) -> float: ...
        def _reschedule(self, entry: Entry, deadline: float, now: float) -> bool: ...
        def _tell(self, entry: Entry, cause: RemovalCause) -> None: ...
        def _policy_stats(self) -> tuple[int, dict[str, Any]]: ...
        def _make_table(self, settings: Settings) -> Any: ...
        def _fell(self, entry: Entry) -> bool: ...
