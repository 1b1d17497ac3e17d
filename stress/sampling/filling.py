"""Fills the templates of operations: with keys, values, and operands of every kind.

One instance serves one scenario, and remembers the names that it bound. In most scenarios operations
choose among very few of the hot keys, so that threads meet at the same entry.
"""

from __future__ import annotations

from random import Random

from ..profiles import Effect, Result
from .catalogue import OPERANDS, Op, iterable_text
from .parts import KEYS, MAPPINGS, MOST_STEPS, PEER_CALLS, pairs_of, split
from .scenario import Call
from .subject import Subject
from .values import HOT_KEYS, Values

__all__ = ["Filler"]

_FITTING = 0.5


class Filler:
    """The names and sources of one scenario; `peer` is the kind of the second shared object."""

    def __init__(self, subject: Subject, rng: Random, values: Values, peer: str) -> None:
        self._subject = subject
        self._rng = rng
        self._values = values
        self.peer = peer
        self.operands: dict[str, str] = {}
        self.contents: dict[str, str] = {}
        self._elements: dict[str, tuple[list[str], list[tuple[str, str]]]] = {}
        self._latest: tuple[list[str], list[tuple[str, str]]] = ([], [])
        few = rng.choices((1, 2, 3, HOT_KEYS), (20, 25, 15, 40))[0]
        self._hot = rng.sample(range(HOT_KEYS), few)

    def call(self, op: Op, container: str = "a") -> Call:
        """The operation on the container (or on a second one, "b") with arguments drawn."""
        rng, profile = self._rng, self._subject.profile
        kind = self._kind(op)
        shared = False
        operand = ""
        if kind == "self":
            operand, shared = container, True
        elif op.operands and "o" in op.fields:
            if self.peer and self.peer in op.operands and rng.random() < 0.6:
                kind, shared = self.peer, True
                operand = "b" if container == "a" else "a"
            else:
                operand = self._operand(kind)
        iterable = "list" if "o" in op.fields else kind
        lists = self._part()
        promise = profile.promise(op.name, writes=op.writes and op.on == "a")
        effect, result = promise.effect, promise.result
        uncertain = (
            (shared and not profile.locks(kind))
            or (kind and not profile.fits(kind))
            or {"o", "ks"} <= op.fields
            or (self._values.python_keys and not profile.python_keys)
            or (op.name in profile.arbitrary)
            or self._values.hostile
        )
        if uncertain:
            effect = Effect.UNKNOWN if op.writes and op.on == "a" else Effect.NONE
            result = Result.LOOSE
        names = {
            "a": container, "w": "w", "i": "i", "k": self._one("K"),
            "v": self._one("V"), "n": str(rng.choice((0, 1, 1, 2, 3))),
            "f": rng.choice(("Factory()", "Fresh", "list", "int")), "g": "id",
            "o": operand, "ks": iterable_text(iterable, f"({lists[0]})", f"({lists[1]})"),
            "m": f"dict(({lists[1]}))", "p": f"[{lists[1]}]",
        }  # fmt: skip
        source = op.template.format(**names)
        steps: tuple[str, ...] = ()
        if effect is Effect.STEPS:
            steps = self._steps(op, kind, container, operand, lists)
            if not steps:
                effect, result = Effect.UNKNOWN, Result.LOOSE
        return Call(
            op.name, source, effect, result, promise.source, op.writes, op.bulk, steps,
            op.on if container == "a" else container,
            kind if "o" in op.fields or "ks" in op.fields else "", shared,
        )  # fmt: skip

    def _kind(self, op: Op) -> str:
        """What kind of operand it gets: in half of the draws one for which something is promised."""
        if not op.operands:
            return ""
        profile = self._subject.profile
        if self._rng.random() < _FITTING:
            fitting = [each for each in op.operands if profile.fits(each) or profile.locks(each)]
            return self._rng.choice(fitting or op.operands)
        return self._rng.choice(op.operands)

    def _steps(
        self, op: Op, kind: str, container: str, operand: str, lists: tuple[str, str]
    ) -> tuple[str, ...]:
        """The call key by key, where its operand has few keys."""
        if op.name not in ("update", "__ior__") or not op.template.lstrip("!").find("{a}") >= 0:
            return ()
        keys, pairs = self._elements.get(operand, (split(lists[0]), pairs_of(lists[1])))
        if "o" in op.fields and operand not in self._elements:
            return ()
        if len(keys) > MOST_STEPS or len(pairs) > MOST_STEPS:
            return ()
        if kind in ("set", "frozenset") and self._subject.profile.ordered:
            return ()  # nobody knows in which order it is read
        mapping = kind in MAPPINGS or "m" in op.fields
        if kind == "Counter" and "o" in op.fields:
            pairs = [(key, "1") for key in keys]
        if self._subject.counts:
            if mapping:
                return ()  # a loop in Python
            parts = keys if kind in KEYS else []
            if kind == "pairs" or "p" in op.fields:
                parts = [f"({key}, {value})" for key, value in pairs]
            return tuple([f"{container}.update([{part}])" for part in parts])
        if self._subject.shape != "mapping":
            return tuple([f"{container}.update([{key}])" for key in keys]) if kind in KEYS else ()
        if mapping or kind in ("pairs", "items view") or "p" in op.fields:
            # Of a list each pair is a step, also where its key comes again.
            each = [*dict(pairs).items()] if mapping else pairs
            return tuple([f"{container}.update({{{key}: {value}}})" for key, value in each])
        return ()

    def _part(self) -> tuple[str, str]:
        """Some keys, and pairs of them with values, as source: `K1, K3,` and `(K1, V0), ...`."""
        rng = self._rng
        counts = self._subject.counts  # to count a key several times is what they are for
        size = rng.choice((0, 1, 3, 4, 4, 4) if counts else (0, 1, 2, 2, 3, 4))
        keys = [self._one("K") for _ in range(size)]
        if rng.random() < (0.2 if counts else 0.8):
            keys = list(dict.fromkeys(keys))
        values = [self._one("V") for _ in keys]
        pairs = [f"({key}, {value})" for key, value in zip(keys, values, strict=True)]
        return (
            "".join(f"{key}, " for key in keys).strip(),
            "".join(f"{pair}, " for pair in pairs).strip(),
        )

    def _operand(self, kind: str) -> str:
        """The name of a fresh operand of this kind."""
        name = f"O{len(self.operands)}"
        self.operands[name] = self.operand_source(kind)
        self._elements[name] = self._latest
        return name

    def operand_source(self, kind: str) -> str:
        rng = self._rng
        start = rng.choice((0, 0, 1, 2))
        stop = rng.choice((start, 3, 6, self._values.size, 3000))
        last = min(stop, max(self._values.size, HOT_KEYS))
        names = [f"K[{number}]" for number in range(start, last)][: MOST_STEPS + 1]
        self._latest = (names, [(name, name.replace("K", "V")) for name in names])
        keys = f"K[{start}:{stop}]"
        values = f"V[{start}:{stop}]"
        pairs = f"list(zip({keys}, {values}))"
        if kind == "own":
            return self._made(self._subject.makers[0], keys, values)
        return OPERANDS[kind].format(keys=keys, pairs=pairs, values=values)

    def peer_call(self) -> Call:
        """An operation on the second object that is not one of the type under test."""
        rng = self._rng
        template = rng.choice(PEER_CALLS[self.peer])
        lists = self._part()
        names = {
            "k": self._one("K"), "v": self._one("V"), "n": "1",
            "ks": f"({lists[0]})", "p": f"[{lists[1]}]",
        }  # fmt: skip
        source = template.format(**names)
        name = f"{self.peer} operand: {template.lstrip('!').split('(')[0].split(' =')[0]}"
        atomic = self.peer in ("set", "dict") and "update" not in name
        effect = Effect.ATOMIC if atomic and not self._values.python_keys else Effect.UNKNOWN
        return Call(name, source, effect, Result.LOOSE, "an operand", True, on="b")

    def container(self) -> str:
        rng = self._rng
        makers = self._subject.makers
        maker = makers[0] if rng.random() < 0.7 else rng.choice(makers)
        size = self._values.size
        count = size if size > 12 else rng.choice((0, 1, 2, 3, 3, 4, 5, 6, size))
        start = rng.choice((0, 0, 0, 1, 2))
        return self._made(maker, f"K[{start}:{start + count}]", f"V[{start}:]")

    def _made(self, maker: str, keys: str, values: str) -> str:
        """The source of an instance; its contents are bound to a name once."""
        name = f"C{len(self.contents)}"
        self.contents[name] = f"contents({keys}, {values})"
        return maker.format(contents=f"renewed({name})" if self._values.dying else name)

    def _one(self, letter: str) -> str:
        """The source of a hot key or of a value."""
        numbers = self._hot if letter == "K" else range(HOT_KEYS)
        name = f"{letter}{self._rng.choice(numbers)}"
        return f"({name} + 0.0)" if self._values.dying else name
