"""Recorded histories, judged for linearizability: 16 threads, 200 operations each, 10 keys.

Every call goes through the recorder (check/recorder.py). Rounds take turns. In one, all threads work on
single keys of one container, and the whole history is judged key by key. In the other, groups of four
threads run windows of eight operations each, also on the whole container (`len`, `clear`,
`popitem`, `copy`), between barriers; each window is judged in one piece.

Called is only what the profile promises to be atomic, or to be of one moment. A container that
is no plain dict or set even with one thread (one that forgets, or makes up values) is left alone.
"""

from __future__ import annotations

import contextlib
import os
import threading
from random import Random
from typing import Any, ClassVar

from ..arena import Arena, Worker
from ..check import Outcome, Recorder, Verdict, judge, judge_windows
from ..check.history import History
from ..check.ledger import Ledger
from ..check.recorder import seconds_per_call
from ..histories import history_of_verdict
from ..keys import make_key
from ..moments import Moments
from ..profiles import Effect, Profile, Result, profile_of
from ..targets import Kind, Target
from .base import Round, workload

__all__ = ["LEDGER"]

LEDGER = "CT_STRESS_LEDGER"  # environment: the file of a parent that wants to see the history
_KEYS = 10
_GROUP = 4
_WINDOW = 8
_DEADLINE_SECONDS = 10.0
_MEMORY_BYTES = 256 << 20

# method -> (whether it writes, how its arguments are drawn)
_KEYED = {
    Kind.DICT: {
        "get": (False, "k"), "__getitem__": (False, "k"), "__contains__": (False, "k"),
        "__setitem__": (True, "kv"), "__delitem__": (True, "k"), "pop": (True, "kn"),
        "setdefault": (True, "kv"), "compare_and_set": (True, "kov"),
        "compare_and_delete": (True, "ko"), "swap": (True, "kv"),
    },
    Kind.SET: {
        "__contains__": (False, "k"), "add": (True, "k"), "discard": (True, "k"),
        "remove": (True, "k"),
    },
}  # fmt: skip
_WHOLE = {
    Kind.DICT: {
        "__len__": (False, ""), "clear": (True, ""), "popitem": (True, ""), "copy": (False, ""),
        "snapshot": (False, ""),
    },
    Kind.SET: {
        "__len__": (False, ""), "clear": (True, ""), "pop": (True, ""), "copy": (False, ""),
    },
}  # fmt: skip


@workload(
    "histories",
    "recorded calls of 16 threads on 10 keys, and windows of whole-table operations, linearizable",
    (Kind.DICT, Kind.SET),
    needs=("__contains__",),
)
class Histories(Round):
    quota = 200
    threads_wanted = 16
    _plain: ClassVar[dict[type, bool]] = {}

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        target = arena.target
        self.profile = profile_of(target.type, target.methods)
        style = arena.style if self.profile.python_keys or arena.style != "object" else "int"
        self.keys = [make_key(style, 0, number) for number in range(_KEYS)]
        self.model = "set" if target.kind is Kind.SET else _dict_model(self.profile)
        self.keyed = _promised(target, self.profile, _KEYED[target.kind])
        self.windows = arena.number % 2 == 1
        self.ledger = _ledger(self.threads)
        if self.ledger is not None:
            self.ledger.keys.update({id(key): number for number, key in enumerate(self.keys)})
        if not arena.number:
            arena.facts["recorder_ns"] = round(seconds_per_call() * 1e9)
        self.plain = self._is_plain()
        if not self.plain:
            arena.facts["left alone"] = 1
        self.recorder = self._recorder()
        # Windows have a container each, and are short.
        whole = None if self.windows else self.recorder.target
        self.moments = Moments(whole, lambda: arena.stopping)
        self.working = [None] * self.threads
        self.moments.begin()
        self.groups = [_Group(self, g) for g in range(-(-self.threads // _GROUP))]
        both = {**self.keyed, **_promised(target, self.profile, _WHOLE[target.kind])}
        self.choices = list((both if self.windows else self.keyed).items())

    def step(self, worker: Worker) -> None:
        if not (self.plain and self.choices):
            return
        if self.windows:
            self.groups[worker.index // _GROUP].window(worker)
            worker.operations += _WINDOW - 1
        else:
            self.call(self.recorder, worker, self.keys)

    def call(self, recorder: Recorder, worker: Worker, keys: list[Any]) -> None:
        """One drawn operation; an error is an answer, and is in the history."""
        method, (_, shape) = worker.rng.choice(self.choices)
        key = worker.rng.choice(keys)
        worker.note(method, key)
        with contextlib.suppress(Exception):
            recorder.call(method, *self._arguments(shape, key, worker))

    def finish(self, worker: Worker) -> None:
        self.groups[worker.index // _GROUP].leave()
        self.working.pop()
        if not self.working:
            self.moments.end()

    def at_rest(self) -> None:
        self.moments.end()
        if not (self.plain and self.choices):
            return
        if self.windows:
            windows = [window for group in self.groups for window in group.windows]
            verdicts = judge_windows(
                windows, self.model, deadline=_DEADLINE_SECONDS, memory=_MEMORY_BYTES
            )
        else:
            self.look(self.recorder)
            windows = [(self.recorder.history(), None)]
            verdicts = [self._judge(windows[0][0])]
        for (history, _), verdict in zip(windows, verdicts, strict=True):
            self._count(verdict)
            if verdict.outcome is Outcome.ILLEGAL:
                events = self.moments.events
                timeline = history_of_verdict(history, verdict, self.model, events)
                self.arena.fail(
                    "linearizability", verdict.reason, verdict.explanation(), timeline=timeline
                )
                return

    def look(self, recorder: Recorder) -> None:
        """What there is at rest becomes the end of the history."""
        for key in self.keys:
            with contextlib.suppress(KeyError):
                recorder.call("__getitem__" if "__getitem__" in self.keyed else "__contains__", key)

    def fresh(self) -> Recorder:
        """A recorder of a new container, for one window."""
        return self._recorder()

    def _recorder(self) -> Recorder:
        return Recorder(self.arena.make(), self.model, ledger=self.ledger)

    def _judge(self, history: History) -> Verdict:
        return judge(history, deadline=_DEADLINE_SECONDS, memory=_MEMORY_BYTES)

    def _count(self, verdict: Verdict) -> None:
        facts = self.arena.facts
        for name, number in ((f"judged {verdict.outcome}", 1), ("judged", verdict.operations)):
            facts[name] = facts.get(name, 0) + number

    def _arguments(self, shape: str, key: Any, worker: Worker) -> tuple[Any, ...]:
        value = worker.operations * self.threads + worker.index  # nobody else's
        drawn = {
            "": (), "k": (key,), "kv": (key, value), "kn": (key, None), "ko": (key, value - 1),
            "kov": (key, worker.rng.randrange(value + 1), value),
        }  # fmt: skip
        return drawn[shape]

    def _is_plain(self) -> bool:
        """Whether one thread alone finds a dict or set; a table of ours is held to it anyway."""
        kind = self.arena.target.type
        if kind not in self._plain:
            recorder = Recorder(self.arena.make(), self.model)
            worker = Worker(self.arena, 0)
            worker.rng = Random(1)
            self.choices = list(self.keyed.items())
            for _ in range(150 if self.choices else 0):
                self.call(recorder, worker, self.keys)
                worker.operations += 1
            legal = self._judge(recorder.history()).outcome is not Outcome.ILLEGAL
            self._plain[kind] = legal or self.native
        return self._plain[kind]


class _Group:
    """Threads that run windows together."""

    def __init__(self, round_: Histories, number: int) -> None:
        self.round = round_
        size = min(_GROUP, round_.threads - number * _GROUP)
        self.windows: list[tuple[History, Any]] = []
        self._recorder = round_.fresh()
        self._barrier = threading.Barrier(size, self._turn)

    def window(self, worker: Worker) -> None:
        for _ in range(_WINDOW):
            self.round.call(self._recorder, worker, self.round.keys[:3])
        self._barrier.wait()

    def leave(self) -> None:
        """A thread has done all; the others cannot go on without it."""
        self._barrier.abort()

    def _turn(self) -> None:
        """In one of the threads, while the others wait."""
        self.round.look(self._recorder)
        self.windows.append((self._recorder.history(), None))
        self._recorder = self.round.fresh()


def _dict_model(profile: Profile) -> str:
    return "dict" if profile.ordered else "dict-unordered"


def _promised(
    target: Target, profile: Profile, methods: dict[str, tuple[bool, str]]
) -> dict[str, tuple[bool, str]]:
    kept = {}
    for name, (writes, shape) in methods.items():
        promise = profile.promise(name, writes=writes)
        effect = Effect.ATOMIC if writes else Effect.NONE
        if target.has(name) and promise.effect is effect and promise.result is not Result.LOOSE:
            kept[name] = (writes, shape)
    return kept


def _ledger(threads: int) -> Ledger | None:
    path = os.environ.get(LEDGER)
    if not path:
        return None
    ledger = Ledger(path)
    ledger.clear()
    return ledger
