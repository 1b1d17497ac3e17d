"""The parts of a profile: promises about the effect and the result of an operation.

An operation is named as in a class body: `add`, `__contains__` (`k in c`), `__iter__` (`list(c)`, a
comprehension, `next(iter(c))`), `__ior__`; functions of a whole container by the function (`set()`);
of views `items.__len__`, of shared iterators `iterator.__next__`. A profile says for a name

*Effect* - how its change reaches other threads:
    NONE     it changes nothing
    ATOMIC   at one moment
    STEPS    as single-key operations, each of them atomic, in any order with others between them
    UNKNOWN  no more than: what it leaves behind is sound

*Result* - what may be concluded from what it returns or raises:
    EXACT      that of the one moment at which it took effect
    GLIMPSE    exact, but beside an operation on many keys it may see that half done
    LOOSE      nothing beyond: it holds only what was there at some time, and errors are documented
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

__all__ = ["Effect", "Profile", "Promise", "Result"]


class Effect(Enum):
    """How a change reaches other threads."""

    NONE = "no change"
    ATOMIC = "atomic"
    STEPS = "key by key"
    UNKNOWN = "sound at rest"


class Result(Enum):
    """What may be concluded from a result."""

    EXACT = "exact"
    GLIMPSE = "exact, except beside bulk changes"
    LOOSE = "what was there at some time"


@dataclass(frozen=True)
class Promise:
    """What one operation promises, and where that is written."""

    effect: Effect
    result: Result
    source: str = ""


ATOMIC = (Effect.ATOMIC, Result.EXACT)
READ = (Effect.NONE, Result.EXACT)
GLIMPSE = (Effect.NONE, Result.GLIMPSE)
LOOSE_READ = (Effect.NONE, Result.LOOSE)
STEPS = (Effect.STEPS, Result.LOOSE)
UNKNOWN = (Effect.UNKNOWN, Result.LOOSE)


@dataclass(frozen=True)
class Profile:
    """The promises of one type.

    Parameters
    ----------
    name: shown in reports.
    promises: by the operation's name (see the module's text).
    otherwise: of every other operation that changes the container, of one that does not.
    source: where the promises are written.
    ordered: whether the order of a mapping's entries is part of its state.
    arbitrary: operations that may choose what they return: they are judged by conservation.
    python_keys: whether the promises hold for keys that compare in Python code too.
    locked_operands: names of types whose instances an operation on two containers locks as well,
        so that it is atomic although other threads change the operand; "*" for any.
    plain_operands: kinds of operands for which operations keep their promise, "*" for all: others
        run code of their own while they are read.
    hostile: what keys may do while they are compared, without harm to more than the operation itself
        (sampling/hostile.py).
    errors: names of exceptions that operations with a loose result may raise.
    makers: expressions that make an instance, with `T` the type and `{contents}` a dict for
        mappings and a list of keys for all others; the first is used most.

    A class of yours can say what it promises in its own body:

    >>> class Registry(dict):
    ...     __stress_profile__ = Profile.declare(
    ...         "Registry", atomic="__setitem__ __delitem__ pop", exact="__getitem__ get __len__",
    ...         loose="__iter__ items", source="our design notes")
    >>> Registry.__stress_profile__.promise("pop", writes=True).effect.value
    'atomic'
    """

    name: str
    promises: Mapping[str, Promise] = field(default_factory=dict)
    otherwise: tuple[Promise, Promise] = (Promise(*UNKNOWN), Promise(*LOOSE_READ))
    source: str = ""
    ordered: bool = False
    arbitrary: frozenset[str] = frozenset()
    python_keys: bool = True
    locked_operands: frozenset[str] = frozenset()
    plain_operands: frozenset[str] = frozenset({"*"})
    hostile: frozenset[str] = frozenset({"collide", "sleep"})
    errors: frozenset[str] = frozenset()
    makers: tuple[str, ...] = ()

    def promise(self, name: str, *, writes: bool) -> Promise:
        """What the operation promises; `writes`: it was seen to change a container.

        An effect that is declared unknown stays so: it may change what trials do not show.
        """
        found = self.promises.get(name)
        if found is None:
            return self.otherwise[0 if writes else 1]
        if found.effect is Effect.NONE and writes:
            return Promise(Effect.UNKNOWN, found.result, found.source)
        if found.effect in (Effect.ATOMIC, Effect.STEPS) and not writes:
            return Promise(Effect.NONE, found.result, found.source)
        return found

    def locks(self, operand: str) -> bool:
        """Whether an operand of this type is locked too."""
        return "*" in self.locked_operands or operand in self.locked_operands

    def fits(self, operand: str) -> bool:
        """Whether an operation keeps its promise for an operand of this kind."""
        kinds = self.plain_operands
        return "*" in kinds or operand in kinds

    def as_json(self) -> dict[str, Any]:
        """For the report: what was promised."""
        return {
            "name": self.name,
            "source": self.source,
            "otherwise": {
                "changes": _text(self.otherwise[0]),
                "reads": _text(self.otherwise[1]),
            },
            "promises": {name: _text(each) for name, each in sorted(self.promises.items())},
        }

    @staticmethod
    def declare(
        name: str,
        *,
        atomic: str = "",
        exact: str = "",
        glimpse: str = "",
        steps: str = "",
        loose: str = "",
        source: str = "declared by its author",
        **more: Any,
    ) -> Profile:
        """A profile from lists of names, separated by blanks; all else is only sound at rest.

        `atomic` changes, and reads with an `exact` result, take effect at one moment; reads with a
        `glimpse` may see a bulk change half done; `steps` change key by key; `loose` reads promise
        nothing but what was there at some time. `more` are the other parameters of `Profile`.
        """
        promises = {
            **table(atomic, ATOMIC, source),
            **table(exact, READ, source),
            **table(glimpse, GLIMPSE, source),
            **table(steps, STEPS, source),
            **table(loose, LOOSE_READ, source),
        }
        return Profile(name, promises, source=source, **more)


ALL_HOSTILE = frozenset({"collide", "sleep", "raise", "reenter", "clear"})


def table(names: str, levels: tuple[Effect, Result], source: str) -> dict[str, Promise]:
    """The same promise for several names."""
    return {name: Promise(*levels, source) for name in names.split()}


def merged(*tables: Mapping[str, Promise]) -> dict[str, Promise]:
    """One table; later entries win."""
    return {name: promise for each in tables for name, promise in each.items()}


def names_of(names: str) -> frozenset[str]:
    """The names in a text, separated by blanks."""
    return frozenset(names.split())


def _text(promise: Promise) -> str:
    source = f" [{promise.source}]" if promise.source else ""
    return f"{promise.effect.value}; result: {promise.result.value}{source}"
