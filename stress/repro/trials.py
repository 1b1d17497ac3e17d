"""Measures how often a scenario fails: the parent of child.py, which outlives what containers do to it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Collection
from typing import Any

from ..children import child_command, child_environment
from ..environment import slowness
from ..options import UsageError
from ..sampling.evidence import cause_of, lines_of, processor_seconds
from ..sampling.facts import facts_of
from ..sampling.journal import Journal
from ..sampling.scenario import Scenario
from .rates import Rate

__all__ = ["Trial", "Trials", "family_of"]

STALL_SECONDS = 4.0  # without any progress
_STALL_CPU_SECONDS = 2.5  # these two of a release build
_START_SECONDS = 30.0
_TICK = 0.02
# Broken memory shows itself in many ways: any of them is the same trouble.
_MEMORY = frozenset({"crash", "abort", "references", "operand", "memory"})


def family_of(kind: str) -> frozenset[str]:
    """The kinds of findings that count as the same trouble as this one."""
    return _MEMORY if kind in _MEMORY else frozenset({kind})


class Trial:
    """What came of measuring one scenario: its rate, and the first failure as a finding."""

    def __init__(self) -> None:
        self.rate = Rate()
        self.finding: dict[str, Any] = {}
        self.refused = ""
        self.seconds = 0.0


class Trials:
    """Measures scenarios of one target in child processes; a context manager.

    Parameters:
        target: `module:Class`, or the name of one of our tables.
        seed: of the distances at which threads set off.
        stall_seconds: without any progress, after which a process counts as hung.

    Raises:
        UsageError: the target cannot be imported or filled; from the first measurement.
    """

    def __init__(self, target: str, seed: int, *, stall_seconds: float = STALL_SECONDS) -> None:
        self.target = target
        self.environment: dict[str, Any] = {}
        self._seed = seed
        self._stall_seconds = stall_seconds
        self._child: _Child | None = None

    def __enter__(self) -> Trials:
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def measure(
        self,
        scenario: Scenario,
        faults: Collection[str],
        kinds: Collection[str],
        *,
        seconds: float,
        enough: int,
        samples: float = float("inf"),
    ) -> Trial:
        """Sample until so many events, samples or seconds; deaths of the process are events."""
        trial = Trial()
        began = time.monotonic()
        until = began + seconds
        while trial.rate.events < enough and trial.rate.samples < samples:
            left = until - time.monotonic()
            if left <= 0.01:
                break
            orders = {
                "what": "measure",
                "scenario": facts_of(scenario),
                "faults": sorted(faults),
                "kinds": sorted(kinds),
                "seconds": left,
                "enough": enough - trial.rate.events,
                "samples": min(samples - trial.rate.samples, 1e15),
            }
            answer = self._ask(orders, kinds)
            if answer.get("refused"):
                trial.refused = answer["refused"]
                break
            trial.rate += Rate(answer["samples"], answer["events"], answer["failing"])
            trial.finding = trial.finding or answer.get("finding") or {}
        trial.seconds = time.monotonic() - began
        return trial

    def expectation(self, scenario: Scenario) -> dict[str, Any]:
        """What the scenario may give (expected.py); empty when it kills the process even alone."""
        answer = self._ask({"what": "expect", "scenario": facts_of(scenario)}, ())
        return {} if answer.get("refused") or "outcomes" not in answer else answer

    def _ask(self, orders: dict[str, Any], kinds: Collection[str]) -> dict[str, Any]:
        child = self._child
        if child is None:
            child = self._child = _Child(self.target, self._seed, self._stall_seconds)
            self.environment = child.environment
            self._seed += 1
        answer = child.ask(orders)
        if answer is None:
            answer = child.death()
            if answer["kind"] in kinds:
                answer["events"] = answer["failing"] = 1
        elif not answer.get("dirty"):
            return answer
        self._end()
        return answer

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


class _Child:
    def __init__(self, target: str, seed: int, stall_seconds: float) -> None:
        self._stall_seconds = stall_seconds
        self._folder = tempfile.TemporaryDirectory(prefix="ct-stress-")
        self._journal = Journal()
        self._stacks = os.path.join(self._folder.name, "stacks")
        self._errors = os.path.join(self._folder.name, "errors")
        self._hung = False
        self._sampled = 0
        self._process = self._start()
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        ready = self._exchange(
            {"target": target, "seed": seed, "journal": self._journal.path, "stacks": self._stacks},
            _START_SECONDS * slowness(),
        )
        if ready is None or ready.get("what") != "ready":
            text = (ready or {}).get("details") or "\n".join(lines_of(self._errors))
            self.end()
            last = text.strip().rpartition("\n")[2]
            raise UsageError(f"target {target} cannot be sampled: {last or 'the process ended'}")
        self.environment = {key: value for key, value in ready.items() if key != "what"}

    def ask(self, orders: dict[str, Any]) -> dict[str, Any] | None:
        """The answer, or None when the process died or hangs."""
        self._sampled = self._journal.samples
        answer = self._exchange(orders, 0.0)
        if answer is not None and answer.get("what") == "broken":
            raise RuntimeError(f"the harness failed in the child:\n{answer['details']}")
        return answer

    def death(self) -> dict[str, Any]:
        """How the process ended, as an answer."""
        if self._hung:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGUSR1)
                time.sleep(0.2)
        self._process.kill() if self._hung else None
        status = self._process.wait()
        kind, message = cause_of(status, self._hung)
        flying = self._journal.in_flight()
        samples = (self._journal.samples - self._sampled) & 0x7FFFFFFF
        samples += max([sample for _, sample, _ in flying], default=1)
        finding = {
            "kind": kind,
            "message": message,
            "evidence": {
                "in flight": [f"thread {t} was in call {c}" for t, _, c in flying],
                "stacks": lines_of(self._stacks),
            },
        }
        return {
            "kind": kind,
            "samples": samples,
            "events": 0,
            "failing": 0,
            "finding": finding,
        }

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._listener.join(10)
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()
        self._journal.remove()
        self._folder.cleanup()

    # -- talking ---------------------------------------------------------------------------------

    def _start(self) -> subprocess.Popen[str]:
        package = __name__.rpartition(".")[0]
        with open(self._errors, "w", encoding="utf-8") as errors:
            return subprocess.Popen(
                child_command(f"{package}.child"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=child_environment(),
            )

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):  # cut off by the process's end
                self._answers.put(json.loads(line))
        self._answers.put(None)

    def _exchange(self, orders: dict[str, Any], patience: float) -> dict[str, Any] | None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(orders) + "\n")
            self._process.stdin.flush()
        return self._wait(patience)

    def _wait(self, patience: float) -> dict[str, Any] | None:
        """The next answer; None when there will be none. `patience`: for the start."""
        pid = self._process.pid
        circling = _STALL_CPU_SECONDS * slowness()
        seen, since, used = self._journal.progress, time.monotonic(), processor_seconds(pid)
        while True:
            with contextlib.suppress(queue.Empty):
                return self._answers.get(timeout=_TICK)
            if self._journal.progress != seen:
                seen, since, used = self._journal.progress, time.monotonic(), processor_seconds(pid)
                continue
            waited = time.monotonic() - since - patience
            if waited > self._stall_seconds or (
                waited > 2 and processor_seconds(pid) - used > circling
            ):
                self._hung = True
                return None
