"""Which operations a type has: found by trying templates on an instance of it.

Every public method and special method of the class is tried with the templates of its name, or with
guessed arguments when the table has none; operators, functions, views and iterators likewise. What
raises TypeError or AttributeError for every argument is not an operation of the type. Whether an
operation changes the container is seen, not declared.
"""

from __future__ import annotations

import string
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .subject import Subject
from .templates import GENERAL, GUESSES, ITERATOR_MAKERS, ITERATORS, METHODS, SKIPPED, VIEWS

__all__ = ["OPERANDS", "Catalogue", "Op", "catalogue_of", "compile_call"]

# What may stand for {o}, as source; `contents` of the operand are bound to O when it is used.
OPERANDS: dict[str, str] = {
    "set": "set({keys})",
    "frozenset": "frozenset({keys})",
    "dict": "dict({pairs})",
    "list": "list({keys})",
    "pairs": "list({pairs})",
    "pair lists": "[list(pair) for pair in {pairs}]",
    "iterator": "iter(dict({pairs}))",
    "items iterator": "iter(dict({pairs}).items())",
    "deque": "deque({keys})",
    "OrderedDict": "OrderedDict({pairs})",
    "Counter": "Counter({keys})",
    "keys view": "dict({pairs}).keys()",
    "items view": "dict({pairs}).items()",
    "own": "own({keys}, {values})",
}
_ITERABLES = ("list", "set", "dict", "generator")
_REFUSALS = (TypeError, AttributeError, NotImplementedError)


@dataclass(frozen=True)
class Op:
    """One operation of a type: its name for profiles and coverage, its source, what fits it.

    `operands` are the kinds (of `OPERANDS`, and "self") that {o} may be; `writes`: it was seen to
    change the container, or an iterator its own position; `python`: the class defines it in Python.
    """

    name: str
    template: str
    writes: bool = False
    operands: tuple[str, ...] = ()
    python: bool = False
    on: str = "a"  # the container, "w" a shared view, "i" a shared iterator

    @property
    def fields(self) -> frozenset[str]:
        return _fields(self.template)

    @property
    def bulk(self) -> bool:
        """Whether it changes many keys, one after the other."""
        return self.writes and bool(self.fields & {"o", "ks", "m", "p"})


@dataclass
class Catalogue:
    """All operations of one type, and the makers of views and iterators that it has."""

    ops: list[Op] = field(default_factory=list)
    view_ops: list[Op] = field(default_factory=list)
    iterator_ops: list[Op] = field(default_factory=list)
    views: list[str] = field(default_factory=list)
    iterators: list[str] = field(default_factory=list)


def catalogue_of(subject: Subject, beat: Callable[[], None] = lambda: None) -> Catalogue:
    """Try everything; `beat` is called after every trial. See the module's text."""
    trial = _Trial(subject, beat)
    found = Catalogue()
    for name, template in _candidates(subject.type):
        if "[{n}]" in template and subject.shape != "sequence":
            continue
        if _dismantles(name, template, subject):
            continue
        op = trial.examine(name, template)
        if op is not None:
            found.ops.append(op)
    found.views = [
        text for text in ("{a}.keys()", "{a}.values()", "{a}.items()") if trial.runs(text)
    ]
    for view in found.views:
        kind = view.removeprefix("{a}.").removesuffix("()")
        for name, template in VIEWS:
            inline = template.replace("{w}", view)
            op = trial.examine(f"{kind}.{name}", inline)
            if op is not None:
                found.ops.append(op)
                found.view_ops.append(Op(op.name, template, False, op.operands, on="w"))
    found.iterators = [text for text in ITERATOR_MAKERS if trial.shares(text)]
    if found.iterators:
        for name, template in ITERATORS:
            if trial.runs(template.replace("{i}", found.iterators[0])):
                found.iterator_ops.append(Op(f"iterator.{name}", template, True, on="i"))
    return found


def _candidates(cls: type) -> Iterator[tuple[str, str]]:
    known = {name for name, _ in GENERAL}
    yield from GENERAL
    for name in dir(cls):
        if name in SKIPPED or name in known:
            continue
        if name in METHODS:
            for template in METHODS[name]:
                yield name, template
            continue
        attribute = getattr(cls, name, None)
        if isinstance(
            attribute, types.GetSetDescriptorType | types.MemberDescriptorType | property
        ):
            yield name, f"{{a}}.{name}"
            if not name.startswith("_"):
                yield name, f"!{{a}}.{name} = {{f}}; r = None"
        elif callable(attribute) and (not name.startswith("_") or _special(name)):
            for guess in GUESSES:
                yield name, guess.replace("{name}", name)


def _dismantles(name: str, template: str, subject: Subject) -> bool:
    """Whether it replaces what a container of somebody else is made of: its lock, above all."""
    if subject.stateless or subject.target.native:
        return "__dict__ =" in template and not subject.stateless
    if name in ("__init__", "__setstate__"):
        return isinstance(getattr(subject.type, name, None), types.FunctionType)
    slot = isinstance(getattr(subject.type, name, None), types.MemberDescriptorType)
    return "__dict__ =" in template or (slot and f".{name} = " in template)


def _special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _fields(template: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in string.Formatter().parse(template) if name)


def compile_call(template: str, names: dict[str, str], function: str, argument: str) -> str:
    """The source of a function of one container that runs a template and returns its result."""
    text = template.lstrip("!").format(**names)
    body = text.replace("; ", "\n    ") if template.startswith("!") else f"r = {text}"
    return f"def {function}({argument}):\n    {body}\n    return r\n"


class _Trial:
    """Runs templates on fresh instances of a subject."""

    def __init__(self, subject: Subject, beat: Callable[[], None]) -> None:
        self._subject = subject
        self._beat = beat
        self._keys = [f"key {number}" for number in range(6)]
        self._values = [10, 20, 30, 40, 50, 60]
        self._guessed: set[str] = set()

    def runs(self, template: str) -> bool:
        return self._run(template, {})[0]

    def shares(self, maker: str) -> bool:
        """Whether threads may share the iterators that this makes.

        What the type itself promises is judged. An iterator of the interpreter that a container of
        somebody else hands out is not that container's: generators, above all, cannot be shared.
        """
        subject = self._subject
        names = subject.namespace()
        a = self._make(names, self._keys[:4], self._values[:4])
        try:
            kind = type(eval(maker.format(a="a"), {**names, "a": a}))
        except Exception:
            return False
        own = subject.type.__module__ in ("builtins", "collections")
        return own or kind.__module__ not in ("builtins", "itertools")

    def examine(self, name: str, template: str) -> Op | None:
        """The operation, or None when the type does not answer to it."""
        names = _fields(template)
        if "o" in names:
            kinds = [*OPERANDS, "self"]
            if template.startswith(
                "{o}"
            ):  # the operators of a dict's view walk what they are given
                kinds = [kind for kind in kinds if not kind.endswith(" view")]
        elif "ks" in names:
            kinds = list(_ITERABLES)
        else:
            kinds = [""]
        accepted = []
        writes = False
        for kind in kinds:
            ran, wrote = self._run(template, {"kind": kind})
            if ran:
                accepted.append(kind)
                writes |= wrote
        if not accepted:
            return None
        own = getattr(self._subject.type, name, None)
        python = isinstance(own, types.FunctionType)
        return Op(name, template, writes, tuple([kind for kind in accepted if kind]), python)

    def _run(self, template: str, choice: dict[str, str]) -> tuple[bool, bool]:
        """Whether it ran for some arguments, and whether any of them changed the container."""
        ran = wrote = False
        for key in (0, 5):  # one that is there, one that is not
            for value in ("10", "0"):
                outcome = self._once(template, choice.get("kind", ""), key, value)
                if outcome is None:
                    return False, False
                ran |= outcome[0]
                wrote |= outcome[1]
        return ran, wrote

    def _once(self, template: str, kind: str, key: int, value: str) -> tuple[bool, bool] | None:
        subject = self._subject
        names = subject.namespace()
        names["own"] = lambda ks, vs: self._make(names, ks, vs)
        a = self._make(names, self._keys[:4], self._values[:4])
        lists = {"keys": "KS", "pairs": "PS", "values": "VS"}
        operand = "a" if kind == "self" else OPERANDS.get(kind, "list({keys})").format(**lists)
        places = {
            "a": "a", "k": "K", "v": value, "n": "1", "f": "Fresh", "g": "id", "o": operand,
            "ks": iterable_text(kind, "KS", "PS"), "m": "dict(PS)", "p": "list(PS)",
        }  # fmt: skip
        part = self._keys[2:6]
        numbers = [1, 2, 3, 4]
        names |= {
            "K": self._keys[key],
            "KS": part,
            "VS": numbers,
            "PS": list(zip(part, numbers, strict=True)),
        }
        before = self._state(a)
        self._beat()
        try:
            exec(compile_call(template, places, "call", "a"), names)
            names["call"](a)
        except _REFUSALS:
            return None
        except SyntaxError:
            return None
        except Exception:
            pass  # it answers, with an error of its own: a missing key, an index out of range
        except BaseException:
            return None
        return True, self._state(a) != before

    def _state(self, a: Any) -> Any:
        try:
            return self._subject.reader(self._keys)(a)
        except Exception:
            return None

    def _make(self, names: dict[str, Any], keys: Iterable[Any], values: Iterable[Any]) -> Any:
        contents = self._subject.contents(list(keys), list(values))
        return eval(
            self._subject.makers[0].format(contents="contents"), {**names, "contents": contents}
        )


def iterable_text(kind: str, keys: str, pairs: str) -> str:
    """The source of an iterable of keys of some kind."""
    return {
        "list": f"list({keys})",
        "set": f"set({keys})",
        "dict": f"dict({pairs})",
        "generator": f"(x for x in {keys})",
    }.get(kind, keys)
