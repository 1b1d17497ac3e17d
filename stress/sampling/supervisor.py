"""The parent of the sampling child: starts it, listens, and turns its death into a finding.

When the child dies or hangs, the journal says which operation each thread was in, faulthandler's file
where the threads were, and a new child goes on behind the deadly scenario without the pair of
operations that met in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from ..children import child_command, child_environment
from ..environment import sanitized
from ..histories import history_of_calls
from ..options import HarnessError, UsageError
from .evidence import Sampling, cause_of, lines_of
from .journal import Journal
from .vigil import TICK, Vigil

__all__ = ["HarnessError", "Sampling", "sample"]

_HANG_SECONDS = 6.0  # without any sign of life
_MOST_HANGS = 8  # each costs seconds
_MOST_BARREN = 20  # deaths in a row without a single sample
_MOST_DEATHS_OF_ONE = 4
# The first child of a run looks at freed memory filled with rubbish, which makes many crashes sure;
# later ones do so by turns, since it also changes how fast everything is.
_SHARE_OF_FIRST = 0.55
_WORTH_PARTS = 6.0  # seconds
_MOST_BROKEN = 3  # errors of the harness; it then says so


def sample(
    target: str,
    seed: int,
    seconds: float,
    *,
    operations: int | None = None,
    stall_seconds: float = _HANG_SECONDS,
    progress: Callable[[float], None] = lambda fraction: None,
    into: Sampling | None = None,
    sweep: float = 0.0,
    enough: int | None = None,
) -> Sampling:
    """Sample `target` (`module:Class`, or the name of one of our tables) for so long.

    `into` is an earlier result to go on with: what it knows is added to, and pairs that met there, or
    showed something, count. `sweep` is the share of scenarios for pairs that never met.
    With `enough`, it ends as soon as there are so many findings.

    Raises UsageError when the target cannot be sampled, and HarnessError when the harness failed and
    there is nothing else to tell; `Sampling.broken` has such failures beside findings.
    """
    supervisor = _Supervisor(target, seed, seconds, operations, stall_seconds, progress, sweep)
    supervisor.enough = enough
    if into is not None:
        supervisor.go_on(into)
    return supervisor.run()


def _never_began(folder: str, hung: bool) -> str:
    lines = lines_of(os.path.join(folder, "errors"))
    return "\n".join(["the process did not start" + (" in time" if hung else ""), *lines])


class _Supervisor:
    def __init__(
        self,
        target: str,
        seed: int,
        seconds: float,
        operations: int | None,
        stall_seconds: float,
        progress: Callable[[float], None],
        sweep: float,
    ) -> None:
        self._target = target
        self._sweep = sweep
        self._seed = seed
        self._budget = seconds
        self._parts = operations is None and seconds > _WORTH_PARTS
        self._operations = operations
        self._stall_seconds = min(stall_seconds, _HANG_SECONDS)
        self._progress = progress
        self._next = 0
        self._banned: set[tuple[str, str]] = set()
        self._deaths: Counter[str] = Counter()
        self._hangs = self._barren = 0
        self._refused = ""
        self._keys: set[Any] = set()
        self._begun = time.monotonic()
        self._before = 0.0  # seconds of the result that this one goes on with
        self.result = Sampling(target)
        self.enough: int | None = None

    def go_on(self, result: Sampling) -> None:
        """Add to this result, and do not repeat what it found."""
        self.result = result
        self._before = result.seconds
        for finding in result.findings:
            self._know(finding)

    def run(self) -> Sampling:
        start = time.monotonic()
        while True:
            left = self._budget - (time.monotonic() - start)
            done = self.result.totals["operations"]
            over = self._operations is not None and done >= self._operations
            if left <= 0.05 or over or self._has_enough():
                break
            with tempfile.TemporaryDirectory(prefix="ct-stress-") as folder:
                ended = self._child(folder, left, start)
            if ended:
                break
        self.result.seconds = self._before + time.monotonic() - start
        if self.result.broken and not self.result.findings:
            raise HarnessError(self.result.broken[0])
        return self.result

    # -- one child -------------------------------------------------------------------------------

    def _child(self, folder: str, seconds: float, start: float) -> bool:
        """Run one child; whether there is nothing more to do."""
        journal = Journal()
        samples = self.result.totals["samples"]
        stacks = os.path.join(folder, "stacks")
        try:
            child = self._start(journal, stacks, seconds, folder)
            listener = threading.Thread(target=self._listen, args=(child,), daemon=True)
            self._ended = False
            broken = len(self.result.broken)
            listener.start()
            hung = self._watch(child, journal, start)
            if hung:
                self._dump(child)
            child.kill()
            status = child.wait()
            listener.join(10)
            if child.stdout is not None:
                child.stdout.close()
            if self._refused:
                raise UsageError(self._refused)
            if self._ended and not hung:
                return self._operations is not None
            described = journal.description()
            if described is None and (hung or status >= 0):
                self.result.broken.append(_never_began(folder, hung))
            if len(self.result.broken) > broken:
                number = ((described or {}).get("scenario") or {}).get("number", self._next)
                self._next = max(self._next, int(number)) + 1
                return len(self.result.broken) >= _MOST_BROKEN
            self._death(status, hung, journal, stacks, folder)
        finally:
            journal.remove()
        self._next += 1
        self._hangs += hung
        barren = self.result.totals["samples"] == samples
        self._barren = self._barren + 1 if barren else 0
        never = not self.result.operations  # it does not even get as far as to begin
        return never or self._hangs >= _MOST_HANGS or self._barren >= _MOST_BARREN

    def _start(
        self, journal: Journal, stacks: str, seconds: float, folder: str
    ) -> subprocess.Popen[str]:
        debugging = self.result.children % 2 == 0
        orders = {
            "target": self._target,
            "seed": self._seed,
            "seconds": seconds * _SHARE_OF_FIRST if self._parts and debugging else seconds,
            "operations": None
            if self._operations is None
            else self._operations - self.result.totals["operations"],
            "first": self._next,
            "journal": journal.path,
            "stacks": stacks,
            "banned": sorted(self._banned),
            "avoid": [name for name, count in self._deaths.items() if count >= _MOST_DEATHS_OF_ONE],
            "met": [[x, y, count] for (x, y), count in self.result.met.items()],
            "sweep": self._sweep,
        }
        self.result.children += 1
        package = __name__.rpartition(".")[0]
        environment = child_environment()
        if debugging and not sanitized():
            environment.setdefault("PYTHONMALLOC", "debug")
        with open(os.path.join(folder, "errors"), "w", encoding="utf-8") as errors:
            child = subprocess.Popen(
                child_command(f"{package}.child"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
            )
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            json.dump(orders, child.stdin)
            child.stdin.close()
        return child

    def _listen(self, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                continue  # cut off by the child's end
            self._hear(said)

    def _hear(self, said: dict[str, Any]) -> None:
        result, what = self.result, said["what"]
        if what == "ready":
            result.operations, result.pairs = said["operations"], said["pairs"]
            result.types_in_all = [(x, y) for x, y in said["types"]]
            result.profile = said["profile"]
        elif what == "progress":
            self._next = max(self._next, said["next"])
            result.totals.update(said["totals"])
            result.pace(self._before + time.monotonic() - self._begun, said["totals"]["operations"])
            result.faults.update(said["faults"])
            result.gil |= said["gil"]
            for x, y, count in said["met"]:
                result.met[x, y] += count
            for x, y, count in said["types"]:
                result.types[x, y] += count
        elif what == "finding":
            self._next = max(self._next, said["number"] + 1)
            self._add(said["finding"])
        elif what == "broken":
            result.broken.append(said["details"])
        elif what == "usage":
            self._refused = said["details"]
        else:
            self._ended = True

    def _watch(self, child: subprocess.Popen[str], journal: Journal, start: float) -> bool:
        """Until the child ends; true when it hangs."""
        vigil = Vigil(child.pid, journal, self._stall_seconds)
        while child.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(TICK)
            self._progress(min(1.0, (time.monotonic() - start) / self._budget))
            if self._has_enough():
                self._ended = True
                return False
            if vigil.hung():
                return True
        return False

    def _has_enough(self) -> bool:
        return self.enough is not None and len(self.result.findings) >= self.enough

    @staticmethod
    def _dump(child: subprocess.Popen[str]) -> None:
        """Ask a hanging child for its stacks."""
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGUSR1)
            time.sleep(0.3)

    # -- evidence --------------------------------------------------------------------------------

    def _death(self, status: int, hung: bool, journal: Journal, stacks: str, folder: str) -> None:
        described = journal.description() or {}
        scenario = described.get("scenario") or {}
        threads = scenario.get("threads", [])
        names = scenario.get("names", [])
        flying, flying_names, progress, flying_threads = [], [], [], set()
        calls: dict[int, int] = {}
        for thread, sample_number, call in journal.in_flight():
            if thread < len(threads) and call < len(threads[thread]):
                flying.append(f"thread {thread}: {threads[thread][call]}")
                flying_names.append(names[thread][call])
                flying_threads.add(thread)
                calls[thread] = call
                progress.append(f"thread {thread} was in call {call} of sample {sample_number}")
        everything = [f"thread {t}: {text}" for t, calls in enumerate(threads) for text in calls]
        kind, message = cause_of(status, hung)
        others = {n for t, each in enumerate(names) if t not in flying_threads for n in each}
        pair = set(flying_names) | (others if len(flying_threads) < 2 else set())
        finding = {
            "kind": kind,
            "message": f"{message} ({described.get('phase', 'starting')})",
            "seen": 1,
            "samples": 0,
            "operations": flying if len(flying) > 1 else everything,
            "names": sorted(pair),
            "scenario": scenario or None,
            "table": [],
            "faults": described.get("faults", []),
            "evidence": {
                "in flight": flying,
                "journal": progress,
                "history": everything,
                "stacks": lines_of(stacks),
                "standard error": lines_of(os.path.join(folder, "errors")),
                "status": status,
                "phase": described.get("phase", ""),
            },
            "timeline": history_of_calls(
                threads,
                in_flight=list(calls.items()),
                returned=[calls.get(t, len(each)) for t, each in enumerate(threads)],
                notes=progress,
            ),
        }
        self._add(finding)
        for one in set(flying_names):
            self._deaths[one] += _MOST_DEATHS_OF_ONE if hung else 1
        for x in pair:
            for y in pair:
                if x <= y and (len(pair) == 1 or x != y):
                    self._banned.add((x, y))
        if scenario:
            self._next = max(self._next, int(scenario["number"]))

    def _add(self, finding: dict[str, Any]) -> None:
        if not self._know(finding):
            self.result.repeated += 1
            return
        finding["seed"] = self._seed
        finding["seconds"] = round(self._before + time.monotonic() - self._begun, 2)
        self.result.findings.append(finding)

    def _know(self, finding: dict[str, Any]) -> bool:
        """Draw these operations together no more; whether the finding is new."""
        key = (finding["kind"], tuple(finding.get("names", ())))
        names = finding.get("names", ())
        for x in names:
            for y in names:
                if x <= y and (len(names) == 1 or x != y):
                    self._banned.add((x, y))
        new = key not in self._keys
        self._keys.add(key)
        return new
