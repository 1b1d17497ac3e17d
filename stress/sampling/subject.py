"""The container type of a campaign: how to make it, fill it, freeze it, and whether it is sound.

A subject has one of four *shapes*: mapping, set, sequence, or table (`set`/`get`/`steal`). A mapping
or set that cannot be iterated is known by looking up every key that could be in it.
"""

from __future__ import annotations

import collections
import copy
import itertools
import operator
import pickle
from collections.abc import Callable, Sequence
from typing import Any

from ..options import UsageError
from ..profiles import Profile, profile_of
from ..targets import Kind, Target
from .faults import FAULTS
from .freeze import lookups_of, state_of
from .values import Factory, Fresh

__all__ = ["Subject"]

_SHAPES = {
    Kind.DICT: "mapping",
    Kind.FROZEN_DICT: "mapping",
    Kind.SET: "set",
    Kind.FROZEN_SET: "set",
    Kind.TABLE: "table",
    Kind.SEQUENCE: "sequence",
}
_MISSING = object()


class Subject:
    """One container type under test, with everything the sampler needs to know of it."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.name = target.name
        self.type = target.type
        self.shape = _SHAPES[target.kind]
        self.profile: Profile = profile_of(target.type, target.methods)
        self.walks = hasattr(target.type, "__iter__") or self.shape == "table"
        self.freeze = state_of(self.shape, ordered=self.profile.ordered)
        self.frozen = target.kind in (Kind.FROZEN_DICT, Kind.FROZEN_SET)
        self.counts = issubclass(target.type, collections.Counter)
        self.bears = self._bears()
        self.makers = self._makers()
        self.stateless = target.type.__module__ in ("builtins", "collections")

    def reader(self, keys: Sequence[Any]) -> Callable[[Any], Any]:
        """What gives the whole state of a container at rest that holds none but these keys."""
        return self.freeze if self.walks else lookups_of(self.shape, keys)

    def contents(self, keys: list[Any], values: list[Any]) -> Any:
        """What a maker is given: a dict for mappings and tables, else a list of keys."""
        if self.shape in ("mapping", "table"):
            return dict(zip(keys, values, strict=False))
        return list(keys)

    def namespace(self) -> dict[str, Any]:
        """The names that makers and templates may use."""
        return {
            "T": self.type,
            "make": self._fill,
            "aged": self._aged,
            "watched": watched,
            "instance_dict": _instance_dict,
            "Fresh": Fresh,
            "Factory": Factory,
            "renewed": _renewed,
            "MISSING": getattr(self.target.package, "MISSING", _MISSING),
            "copy": copy,
            "pickle": pickle,
            "length_hint": operator.length_hint,
            "islice": itertools.islice,
            "deque": collections.deque,
            "Counter": collections.Counter,
            "OrderedDict": collections.OrderedDict,
            "defaultdict": collections.defaultdict,
        }

    def _bears(self) -> frozenset[str]:
        """The faults that it is tried with: all of them when it is written in C and promises so."""
        native = self.target.native and self.target.package.IMPLEMENTATION == "c"
        own = self.type.__module__ in ("builtins", "collections")
        subclassed = self.type.__module__ not in ("concurrent_tables", "builtins", "collections")
        return frozenset(FAULTS if (native or own) and not subclassed else ())

    # -- making ----------------------------------------------------------------------------------

    def _makers(self) -> tuple[str, ...]:
        """Expressions that make an instance from `{contents}` and really hold it afterwards."""
        candidates = self.profile.makers or ("T({contents})", "make({contents})")
        names = self.namespace()
        texts = [f"key {number}" for number in range(4)]
        wanted = self.contents(texts, [1, 2, 3, 4])
        found = []
        for maker in candidates:
            try:
                made = eval(maker.format(contents="contents"), {**names, "contents": wanted})
                if self._holds(made, texts) and not isinstance(made, type(None)):
                    found.append(maker)
            except Exception:
                continue
        if not found:
            raise UsageError(f"target {self.name} could not be filled with {wanted!r}")
        return tuple(found[:1] if not self.profile.makers else found)

    def _holds(self, made: Any, keys: list[Any]) -> bool:
        if self.shape == "table":
            return all(made.get(key) is not None for key in keys)
        if not self.walks:
            state = self.reader(keys)(made)
            return bool(state == ((True, True, True, True), (1, 2, 3, 4))[self.shape == "mapping"])
        if self.shape == "mapping":
            return set(made) == set(keys) and [made[key] for key in keys] == [1, 2, 3, 4]
        return set(made) == set(keys)

    def _fill(self, contents: Any) -> Any:
        if self.frozen:
            return self.target.make(contents)
        made = self.target.make()
        if self.shape == "mapping":
            for key, value in contents.items():
                made[key] = value
        elif self.shape == "table":
            for key, value in contents.items():
                made.set(key, value)
        else:
            add = made.add if self.shape == "set" else made.append
            for key in contents:
                add(key)
        return made

    def _aged(self, made: Any) -> Any:
        """Leave the traces of removed keys in it."""
        ghosts = [f"ghost {number}" for number in range(5)]
        for ghost in ghosts:
            if self.shape == "mapping":
                made[ghost] = 0
            else:
                made.add(ghost)
        for ghost in ghosts:
            if self.shape == "mapping":
                del made[ghost]
            else:
                made.discard(ghost)
        return made

    # -- judging at rest -------------------------------------------------------------------------

    def unsound(self, made: Any, known: frozenset[Any]) -> str | None:
        """What is wrong with a container at rest; `known` are all keys that could be in it."""
        try:
            return self._unsound(made, known)
        except Exception as error:
            return f"at rest, looking at every element raises {type(error).__name__}: {error}"

    def _unsound(self, made: Any, known: frozenset[Any]) -> str | None:
        if self.shape == "table" or not (self.walks and hasattr(self.type, "__len__")):
            return None
        size = len(made)
        keys = []
        for key in made:
            keys.append(key)
            if len(keys) > size + 8:
                return f"at rest, iteration goes beyond the {size} elements that len tells"
        if len(keys) != size:
            return f"at rest, len is {size} but iteration yields {len(keys)}"
        if self.shape == "sequence":
            return self._strangers(keys, known)
        if len(set(keys)) != size:
            return f"at rest, iteration yields an element twice: {_short(keys)}"
        for key in keys:
            if key not in made:
                return f"at rest, iteration yields {key!r}, but it is not in the container"
        if self.shape == "mapping" and hasattr(self.type, "items"):
            pairs = list(made.items())
            if len(pairs) != size or any(made[key] is not value for key, value in pairs):
                return f"at rest, items() does not fit what [] gives: {_short(pairs)}"
        return self._strangers(keys, known)

    @staticmethod
    def _strangers(keys: list[Any], known: frozenset[Any]) -> str | None:
        for key in keys:
            if key not in known:
                return f"at rest, it holds {key!r}, which nobody put there"
        return None


def _renewed(contents: Any) -> Any:
    """The same contents as new objects; floats only."""
    if isinstance(contents, dict):
        return {key + 0.0: value + 0.0 for key, value in contents.items()}
    return [item + 0.0 for item in contents]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 200 else text[:197] + "..."


def _instance_dict(contents: dict[Any, Any]) -> dict[Any, Any]:
    """The dict of an instance: a split table while its keys are strings."""
    record = _Record()
    found = record.__dict__
    for key, value in contents.items():
        if type(key) is str:
            setattr(record, key, value)
        else:
            found[key] = value
    return found


def watched(made):  # type: ignore[no-untyped-def]
    """With a watcher that raises whenever it is told of a change."""

    def refuse(event):  # type: ignore[no-untyped-def]
        if event.kind.name != "DEALLOCATED":
            raise LookupError("a watcher that raises")

    made.watch(refuse)
    return made


class _Record:
    """Has nothing but a `__dict__`."""
