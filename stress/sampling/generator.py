"""Draws scenarios: pairs of operations that met least often first, everything else at random."""

from __future__ import annotations

from collections import Counter, deque
from random import Random

from ..profiles import Effect, Result
from .catalogue import OPERANDS, Catalogue, Op, iterable_text
from .parts import (
    KEYS,
    MAPPINGS,
    MOST_STEPS,
    PEER_CALLS,
    PEERS,
    pairs_of,
    split,
    weakened,
)  # fmt: skip
from .scenario import Call, Scenario
from .subject import Subject
from .values import HOT_KEYS, Values

__all__ = ["Generator"]


class Generator:
    """Scenarios for one subject. `banned` pairs of names are not drawn any more, names to `avoid` rarely.

    `sweep` is the share of scenarios for pairs that never met, as long as there are any: random
    draws alone would need very long for the last of them.
    """

    sweep = 0.0

    def __init__(self, subject: Subject, catalogue: Catalogue, rng: Random) -> None:
        self._subject = subject
        self._catalogue = catalogue
        self._rng = rng
        self.met: Counter[tuple[str, str]] = Counter()
        self.types: Counter[tuple[str, str]] = Counter()
        self.banned: set[tuple[str, str]] = set()
        self.avoid: set[str] = set()
        self._by_name: dict[str, list[Op]] = {}
        for op in catalogue.ops:
            self._by_name.setdefault(op.name, []).append(op)
        self.names = sorted(self._by_name)
        self._plain = [name for name in self.names if "." not in name]
        self._writers = [n for n in self.names if any(op.writes for op in self._by_name[n])]
        self._unmet: deque[tuple[str, str]] | None = None  # made when it is first asked for

    def universe(self) -> list[tuple[str, str]]:
        """Every pair of names that can meet on one instance."""
        return [(x, y) for x in self.names for y in self.names if x <= y]

    # -- drawing ---------------------------------------------------------------------------------

    def draw(self, number: int) -> Scenario:
        """A scenario in which no banned pair meets (or the last of many tries)."""
        pair = self._pair()
        for attempt in range(40):
            scenario = self._draw(number, pair)
            if attempt < 3 and not scenario.judged and self._rng.random() < 0.8:
                continue  # other arguments may let more be judged
            pair = self._pair()
            bad = len(self.banned & scenario.pairs()) + sum(
                call.name in self.avoid for call in scenario.calls
            )
            if not bad:
                break
        return scenario

    def _draw(self, number: int, pair: tuple[str, str]) -> Scenario:
        rng = self._rng
        large = rng.random() < 0.12
        values = Values.draw(
            rng,
            counts=self._subject.counts,
            large=large,
            hostile=sorted(self._subject.profile.hostile),
        )
        self._operands: dict[str, str] = {}
        self._contents: dict[str, str] = {}
        self._elements: dict[str, tuple[list[str], list[tuple[str, str]]]] = {}
        self._b = ""
        self._values = values
        self._iterator = self._view = ""
        shared = rng.random()
        if shared < 0.16 and self._catalogue.iterators:
            self._iterator = rng.choice(self._catalogue.iterators).format(a="a")
        elif shared < 0.24 and self._catalogue.views:
            self._view = rng.choice(self._catalogue.views).format(a="a")
        if rng.random() < 0.22:
            self._b = rng.choice(PEERS)
        threads = self._threads(*pair)
        b = self._operand_source(self._b) if self._b else ""
        scenario = Scenario(
            number,
            self._subject.name,
            values,
            self._container(),
            tuple([tuple(calls) for calls in threads]),
            b,
            self._view,
            self._iterator,
            tuple(self._contents.items()),
            tuple(self._operands.items()),
        )
        return weakened(scenario)

    def count(self, scenario: Scenario, samples: int) -> None:
        for pair in scenario.pairs():
            self.met[pair] += samples
        for kind in scenario.types():
            self.types[kind] += samples

    def _pair(self) -> tuple[str, str]:
        """Two names, at least one of which writes where there are any; rarely met ones first."""
        rng = self._rng
        if rng.random() < self.sweep and (unmet := self._never_met()):
            return unmet if rng.random() < 0.5 else (unmet[1], unmet[0])
        best = None
        kind = rng.random()
        for _ in range(6):
            first = self._name(self._writers or self.names)
            second = first if kind < 0.12 else self._name(self._seconds(kind))
            pair = (min(first, second), max(first, second))
            if pair in self.banned:
                continue
            if best is None or self.met[pair] < self.met[best]:
                best = pair
        if best is None:
            best = (rng.choice(self.names), rng.choice(self.names))
        return best if rng.random() < 0.5 else (best[1], best[0])

    def _never_met(self) -> tuple[str, str] | None:
        """The next pair that did not meet yet; it stays at the end of the queue until it did."""
        if self._unmet is None:
            pairs = self.universe()
            self._rng.shuffle(pairs)
            self._unmet = deque(pairs)
        while self._unmet:
            pair = self._unmet.popleft()
            if not self.met[pair] and pair not in self.banned:
                self._unmet.append(pair)
                return pair
        return None

    def _seconds(self, kind: float) -> list[str]:
        """Changes meet changes, and every read, often; operators of views are very many."""
        if kind < 0.5 and self._writers:
            return self._writers
        return self._plain if kind < 0.8 else self.names

    def _name(self, names: list[str]) -> str:
        """One of them; rarely one that has killed several processes."""
        for _ in range(4):
            name = self._rng.choice(names)
            if name not in self.avoid:
                return name
        return name

    def _threads(self, first: str, second: str) -> list[list[Call]]:
        rng = self._rng
        threads = [[self._call(first)], [self._call(second)]]
        if self._iterator:
            op = rng.choice(self._catalogue.iterator_ops)
            threads[0] = [self._filled(op)]
            if rng.random() < 0.7:
                threads[1] = [self._filled(rng.choice(self._catalogue.iterator_ops))]
        if self._view and self._catalogue.view_ops:
            threads[0] = [self._filled(self._view_op())]
        if self._b and (self._b == "own" or self._b in PEER_CALLS) and rng.random() < 0.6:
            threads[1] = [self._peer_call()]
        size = rng.random()
        if size > 0.6:
            threads[rng.randrange(2)].append(self._call(self._partner(threads)))
        if size > 0.8:
            threads[rng.randrange(2)].append(self._call(self._partner(threads)))
        if size > 0.94:
            threads.append([self._call(self._partner(threads))])
        return threads

    def _view_op(self) -> Op:
        kind = self._view.removeprefix("a.").removesuffix("()")
        fitting = [op for op in self._catalogue.view_ops if op.name.startswith(kind + ".")]
        return self._rng.choice(fitting)

    def _partner(self, threads: list[list[Call]]) -> str:
        """A name that may stand beside everything drawn so far."""
        names = [call.name for calls in threads for call in calls]
        for _ in range(8):
            name = self._name(self.names)
            if not any((min(name, n), max(name, n)) in self.banned for n in names):
                return name
        return self._rng.choice(self.names)

    # -- filling templates -----------------------------------------------------------------------

    def _call(self, name: str) -> Call:
        return self._filled(self._rng.choice(self._by_name[name]))

    def _filled(self, op: Op, container: str = "a") -> Call:
        rng, profile = self._rng, self._subject.profile
        kind = rng.choice(op.operands) if op.operands else ""
        shared = False
        operand = ""
        if kind == "self":
            operand, shared = container, True
        elif op.operands and "o" in op.fields:
            if self._b and self._b in op.operands and rng.random() < 0.6:
                kind, shared = self._b, True
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
            return tuple(
                [f"{container}.update({{{key}: {value}}})" for key, value in dict(pairs).items()]
            )
        return ()

    def _part(self) -> tuple[str, str]:
        """Some keys, and pairs of them with values, as source: `K1, K3,` and `(K1, V0), ...`."""
        rng = self._rng
        size = rng.choice((0, 1, 2, 2, 3, 4))
        keys = [self._one("K") for _ in range(size)]
        if rng.random() < 0.8:
            keys = list(dict.fromkeys(keys))
        values = [self._one("V") for _ in keys]
        pairs = [f"({key}, {value})" for key, value in zip(keys, values, strict=True)]
        return (
            "".join(f"{key}, " for key in keys).strip(),
            "".join(f"{pair}, " for pair in pairs).strip(),
        )

    def _operand(self, kind: str) -> str:
        """The name of a fresh operand of this kind."""
        name = f"O{len(self._operands)}"
        self._operands[name] = self._operand_source(kind)
        self._elements[name] = self._latest
        return name

    def _operand_source(self, kind: str) -> str:
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

    def _peer_call(self) -> Call:
        rng = self._rng
        if self._b == "own":
            name = rng.choice(self._writers or self.names)
            return self._filled(rng.choice(self._by_name[name]), "b")
        template = rng.choice(PEER_CALLS[self._b])
        lists = self._part()
        names = {
            "k": self._one("K"), "v": self._one("V"), "n": "1",
            "ks": f"({lists[0]})", "p": f"[{lists[1]}]",
        }  # fmt: skip
        source = template.format(**names)
        name = f"{self._b} operand: {template.lstrip('!').split('(')[0].split(' =')[0]}"
        atomic = self._b in ("set", "dict") and "update" not in name
        effect = Effect.ATOMIC if atomic and not self._values.python_keys else Effect.UNKNOWN
        return Call(name, source, effect, Result.LOOSE, "an operand", True, on="b")

    def _container(self) -> str:
        rng = self._rng
        makers = self._subject.makers
        maker = makers[0] if rng.random() < 0.7 else rng.choice(makers)
        size = self._values.size
        count = size if size > 12 else rng.choice((0, 1, 2, 3, 3, 4, 5, 6, size))
        start = rng.choice((0, 0, 0, 1, 2))
        return self._made(maker, f"K[{start}:{start + count}]", f"V[{start}:]")

    def _made(self, maker: str, keys: str, values: str) -> str:
        """The source of an instance; its contents are bound to a name once."""
        name = f"C{len(self._contents)}"
        self._contents[name] = f"contents({keys}, {values})"
        return maker.format(contents=f"renewed({name})" if self._values.dying else name)

    def _one(self, letter: str) -> str:
        """The source of a hot key or of a value."""
        name = f"{letter}{self._rng.randrange(HOT_KEYS)}"
        return f"({name} + 0.0)" if self._values.dying else name
