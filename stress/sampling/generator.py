"""Draws scenarios: pairs of operations that met least often first, everything else at random."""

from __future__ import annotations

from collections import Counter, deque
from random import Random

from ..profiles import Effect, Result
from .catalogue import Catalogue, Op
from .filling import Filler
from .parts import PEER_CALLS, peers_of, weakened
from .scenario import Call, Scenario
from .subject import Subject
from .values import Values

__all__ = ["Generator"]

_TRIES = 8  # pairs that are drawn, of which the least met is taken
# Shares of pairs, added up: an operation that writes beside itself (what callers do most), beside
# another one that writes, beside one of which something exact is promised, beside anything that is
# not an operator of views, beside anything.
_ITSELF = 0.18
_WRITERS = 0.42
_PROMISED = 0.58
_PLAIN = 0.87
_SURE = 0.5  # of the operations that write are drawn among those that promise something
_ONE_OPERAND = 0.6
_FURTHER = 0.5  # of further calls are of promised operations too


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
        self._sure = [name for name in self._writers if self._is_promised(name)] or self._writers
        self._promised = [name for name in self._plain if self._is_promised(name)] or self._plain
        self._unmet: deque[tuple[str, str]] | None = None  # made when it is first asked for

    def universe(self) -> list[tuple[str, str]]:
        """Every pair of names that can meet on one instance."""
        return [(x, y) for x in self.names for y in self.names if x <= y]

    def _is_promised(self, name: str) -> bool:
        """Whether something follows from what it returns, or from what it leaves behind."""
        writes = name in self._writers
        promise = self._subject.profile.promise(name, writes=writes)
        return promise.effect is not Effect.UNKNOWN and (
            writes or promise.result is not Result.LOOSE
        )

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
        peers = peers_of(stranger=not self._subject.stateless, python_keys=values.python_keys)
        peer = rng.choice(peers) if rng.random() < 0.22 else ""
        self._filler = Filler(self._subject, rng, values, peer)
        self._iterator = self._view = ""
        shared = rng.random()
        if shared < 0.16 and self._catalogue.iterators:
            self._iterator = rng.choice(self._catalogue.iterators).format(a="a")
        elif shared < 0.24 and self._catalogue.views:
            self._view = rng.choice(self._catalogue.views).format(a="a")
        threads = self._threads(*pair)
        b = self._filler.operand_source(peer) if peer else ""
        scenario = Scenario(
            number,
            self._subject.name,
            values,
            self._filler.container(),
            tuple([tuple(calls) for calls in threads]),
            b,
            self._view,
            self._iterator,
            (*self._filler.contents.items(),),
            (*self._filler.operands.items(),),
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
        for _ in range(_TRIES):
            first = self._name(self._firsts() or self.names)
            second = first if kind < _ITSELF else self._name(self._seconds(kind))
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

    def _never_met_with(self, first: str, second: str) -> list[str]:
        """Up to three more names that `first` never met, when it never met `second` either."""
        if self.met[min(first, second), max(first, second)]:
            return []
        found = []
        for name in self._rng.sample(self.names, len(self.names)):
            pair = (min(first, name), max(first, name))
            if not self.met[pair] and pair not in self.banned and name != second:
                found.append(name)
                if len(found) == 3:
                    break
        return found

    def _firsts(self) -> list[str]:
        """Changes, more often those of which something is promised."""
        return self._sure if self._rng.random() < _SURE else self._writers

    def _seconds(self, kind: float) -> list[str]:
        """Changes meet changes, and every read, often; operators of views are very many."""
        if kind < _WRITERS and self._writers:
            return self._writers
        if kind < _PROMISED:
            return self._promised
        return self._plain if kind < _PLAIN else self.names

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
            threads[0] = [self._filler.call(op)]
            if rng.random() < 0.7:
                threads[1] = [self._filler.call(rng.choice(self._catalogue.iterator_ops))]
        if self._view and self._catalogue.view_ops:
            threads[0] = [self._filler.call(self._view_op())]
        peer = self._filler.peer
        if peer == "own" and rng.random() < 0.6:
            name = rng.choice(self._writers or self.names)
            threads[1] = [self._filler.call(rng.choice(self._by_name[name]), "b")]
        elif peer in PEER_CALLS and rng.random() < 0.6:
            threads[1] = [self._filler.peer_call()]
        if self.sweep and threads[0][0].name == first:
            more = self._never_met_with(first, second)
            if more:  # several pairs that never met in one scenario
                threads[1] += [self._call(name) for name in more]
                return threads
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
        from_all = self._rng.random() >= _FURTHER
        for _ in range(8):
            name = self._name(self.names if from_all else self._promised)
            if not any((min(name, n), max(name, n)) in self.banned for n in names):
                return name
        return self._rng.choice(self.names)

    def _call(self, name: str) -> Call:
        ops = self._by_name[name]
        if self._rng.random() < _ONE_OPERAND:  # of several operands at once nothing is promised
            ops = [op for op in ops if not {"o", "ks"} <= op.fields] or ops
        return self._filler.call(self._rng.choice(ops))
