"""Programs of specimens in real threads: `python -m ... selftest.parallel`, orders as JSON on stdin.

Many fresh containers in a row. The threads meet at each and run their calls, a random moment before
each call; answers, content at rest and real-time order are judged as in the serialised mode. Threads that all
stand still are a finding; they stay behind, which is why this is a process of its own.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from random import Random
from typing import Any

from .. import environment
from ..check.history import Raised
from ..check.models.base import freeze
from ..serial.judging import Judge, at_rest, call_on
from ..serial.runs import Run
from ..serial.session import Session
from ..zoo import ZOO, Specimen

__all__ = ["main"]

_BATCH = 128  # containers
_STILL_SECONDS = 3.0  # without any step of any thread: they wait for each other
_SPINS = 64  # looks at the others before giving the processor away
_LONG_WAIT = 1000  # looks after which a thread sleeps: real-time priority would keep all others out
_NAP_SECONDS = 5e-5
_LONGEST = 5000  # turns of an empty loop before a call; short ones are as frequent as long ones


def main() -> int:
    """Read the orders; one JSON document a line for each specimen."""
    orders = json.load(sys.stdin)
    if environment.gil_enabled():
        sys.setswitchinterval(1e-6)
    for number, (name, side) in enumerate(orders["specimens"]):
        specimen = next(each for each in ZOO if each.name == name)
        trial = _Trial(specimen, side, Random(f"{orders['seed']}/{number}"))
        print(json.dumps({"name": name, "side": side, **trial.run(orders["seconds"])}), flush=True)
    os._exit(0)  # threads of deadlocked specimens never end


class _Trial:
    def __init__(self, specimen: Specimen, side: str, rng: Random) -> None:
        self._make = specimen.broken if side == "broken" else specimen.correct
        self._programs = specimen.programs
        self._rng = rng
        self._session: Session | None = None
        self._known: dict[Any, tuple[str, str] | None] = {}
        self._samples = 0
        with self._serialised():
            self._judge = Judge(self._fresh, self._programs)

    def _serialised(self) -> Session:
        """Sequential runs have modelled locks, so that one that would wait for ever is seen."""
        self._session = Session(self._make, self._programs, "line", 1000)
        return self._session

    def _fresh(self) -> Any:
        assert self._session is not None
        return self._session.fresh()

    def run(self, seconds: float) -> dict[str, Any]:
        """Until something is found or the time is over."""
        began = time.monotonic()
        found: tuple[str, str] | None = None
        while found is None and time.monotonic() - began < seconds:
            found = self._batch()
        calls = sum(map(len, self._programs))
        return {
            "kind": found[0] if found else "",
            "message": found[1] if found else "",
            "samples": self._samples,
            "operations": self._samples * calls,
            "seconds": round(time.monotonic() - began, 2),
        }

    def _batch(self) -> tuple[str, str] | None:
        batch = _Batch(self._make, self._programs, self._rng)
        done = batch.run()
        for run, container in done:
            self._samples += 1
            problem = self._problem(run, at_rest(container))
            if problem is not None:
                return problem
        if batch.still:
            return "deadlock", batch.still
        return None

    def _problem(self, run: Run, state: Any) -> tuple[str, str] | None:
        ends = sorted([edge for spans in run.spans for span in spans for edge in span])
        order = {edge: place for place, edge in enumerate(ends)}
        run.spans = [[(order[a], order[b]) for a, b in spans] for spans in run.spans]
        key = (self._judge.outcome(run, state), tuple([tuple(spans) for spans in run.spans]))
        if key not in self._known:
            with self._serialised():
                self._known[key] = self._judge.problem(run, state)
        return self._known[key]


class _Batch:
    """Fresh containers, and threads that meet at one after the other."""

    def __init__(self, make: Any, programs: Any, rng: Random) -> None:
        self._containers = [make() for _ in range(_BATCH)]
        self._programs = programs
        self._arrived = [0] * len(programs)
        self._answers: list[list[Any]] = [[] for _ in programs]
        self._spans: list[list[Any]] = [[] for _ in programs]
        self._waits = [
            [[int(_LONGEST ** rng.random()) for _ in calls] for _ in range(_BATCH)]
            for calls in programs
        ]
        self._steps = [0] * len(programs)
        self._over = False
        self.still = ""

    def run(self) -> list[tuple[Run, Any]]:
        """Runs that came to their end."""
        threads = [
            threading.Thread(target=self._work, args=(number,), daemon=True)
            for number in range(len(self._programs))
        ]
        for thread in threads:
            thread.start()
        self._watch(threads)
        whole = min(map(len, self._answers))
        runs = [
            Run([each[at] for each in self._answers], [each[at] for each in self._spans])
            for at in range(whole)
        ]
        return list(zip(runs, self._containers, strict=False))

    def _watch(self, threads: list[threading.Thread]) -> None:
        seen, since = -1, time.monotonic()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.1)
                now = sum(self._steps)
                if now != seen:
                    seen, since = now, time.monotonic()
                elif time.monotonic() - since > _STILL_SECONDS:
                    self.still = self._where(threads)
                    self._over = True
                    return

    def _where(self, threads: list[threading.Thread]) -> str:
        frames = sys._current_frames()
        places = []
        for number, thread in enumerate(threads):
            frame = frames.get(thread.ident or 0)
            while frame is not None and not self._ours(frame.f_code.co_filename):
                frame = frame.f_back
            if frame is not None:
                file = os.path.basename(frame.f_code.co_filename)
                places.append(f"thread {number} stands at {file}:{frame.f_lineno}")
        return f"no thread goes on: {'; '.join(places)}"

    @staticmethod
    def _ours(file: str) -> bool:
        return os.path.basename(os.path.dirname(file)) == "zoo"

    def _work(self, number: int) -> None:
        arrived, waits = self._arrived, self._waits[number]
        others = [thread for thread in range(len(arrived)) if thread != number]
        for at, container in enumerate(self._containers):
            arrived[number] = at + 1
            spins = 0
            while any(arrived[other] <= at for other in others):
                spins += 1
                if spins > _SPINS:
                    time.sleep(0 if spins < _LONG_WAIT else _NAP_SECONDS)
                if self._over:
                    return
            self._call(number, container, waits[at])
            self._steps[number] += 1

    def _call(self, number: int, container: Any, waits: list[int]) -> None:
        answers, spans = [], []
        for call, turns in zip(self._programs[number], waits, strict=True):
            for _ in range(turns):
                pass
            began = time.perf_counter_ns()
            try:
                answer = call_on(container, call)
            except Exception as error:
                answer = Raised(type(error).__name__)
            spans.append((began, time.perf_counter_ns()))
            answers.append(answer)
        self._answers[number].append([freeze(answer) for answer in answers])
        self._spans[number].append(spans)


if __name__ == "__main__":
    sys.exit(main())
