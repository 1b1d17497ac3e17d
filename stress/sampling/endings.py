"""Daemon threads at shutdown: interpreters that end while threads use containers.

`ending` starts a process (exiting.py) in which daemon threads run a scenario on fresh containers, again and
again, until the main thread is over. The interpreter then ends as it does for every program: it stops the
threads wherever they are, and takes down the containers that are left. That it dies by a signal, does
not come to its end, or ends with another status than 0 is a finding, unless threads that use no
container do it too.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

from .. import environment
from ..children import child_command, child_environment
from .evidence import cause_of, lines_of
from .facts import facts_of
from .findings import Finding
from .scenario import Scenario

__all__ = ["KIND", "NAME", "Ending", "Endings", "ending", "finding_of"]

NAME = "daemon threads at shutdown"
KIND = "shutdown"
LIMIT_SECONDS = 10.0  # for the end of the interpreter, of the time in which we are awake
_START_SECONDS = 30.0
_TICK = 0.01
_MOST_OF_A_TICK = 0.05  # what one look counts for at most: the machine may forget us, and the child
_FIRST = 3.0  # seconds of sampling before the first one
_PAUSE = 5.0
_SHARE = 0.04  # of the time, at most
_CONTROLS = 2  # ends without a container, which must all be well


@dataclass(frozen=True)
class Ending:
    """An end that went wrong: what happened, the stacks of the threads, and what the process said."""

    message: str
    stacks: list[str]
    errors: list[str]


class Endings:
    """Ends interpreters now and then beside sampling: `look` is called after every scenario."""

    def __init__(self, target: str, beat: Callable[[], None]) -> None:
        self._target = target
        self._beat = beat
        self._next = time.monotonic() + _FIRST
        self._off = environment.sanitized()  # whose reports at the end are other ones
        self.count = 0

    def look(self, scenario: Scenario) -> Finding | None:
        """What the end of an interpreter showed, when it is time for one; keys that act never do it."""
        began = time.monotonic()
        if self._off or began < self._next or scenario.values.hostile:
            return None
        self.count += 1
        seen = ending(self._target, scenario, self._beat)
        if seen is not None:
            self._off = not all(self._control(scenario) for _ in range(_CONTROLS))
        spent = time.monotonic() - began
        self._next = time.monotonic() + max(_PAUSE, spent / _SHARE)
        return None if seen is None or self._off else finding_of(seen, scenario)

    def _control(self, scenario: Scenario) -> bool:
        """Whether the interpreter ends well while threads use no container."""
        return ending(self._target, scenario, self._beat, alone=True) is None


def finding_of(seen: Ending, scenario: Scenario) -> Finding:
    """As the campaign tells it."""
    evidence = {"stacks": seen.stacks, "standard error": seen.errors, "phase": NAME}
    return Finding(KIND, seen.message, scenario, evidence=evidence, samples=1)


def ending(
    target: str,
    scenario: Scenario,
    beat: Callable[[], None],
    *,
    alone: bool = False,
    seed: int = 0,
    limit: float = LIMIT_SECONDS,
) -> Ending | None:
    """End one interpreter under the scenario; None when it ended well, or did not get so far.

    Parameters:
        target: `module:Class`, or the name of one of our tables. beat: called while we wait.
        alone: with threads that use no container. seed: of the moment. limit: seconds for the end.
    """
    with tempfile.TemporaryDirectory(prefix="ct-stress-") as folder:
        errors = os.path.join(folder, "errors")
        orders = {
            "target": target,
            "scenario": facts_of(scenario),
            "alone": alone,
            "seed": seed,
            "stacks": os.path.join(folder, "stacks"),
            "mark": os.path.join(folder, "mark"),
        }
        with open(errors, "w", encoding="utf-8") as stream:
            child = subprocess.Popen(
                child_command(f"{__name__.rpartition('.')[0]}.exiting"),
                stdin=subprocess.PIPE,
                stdout=stream,
                stderr=stream,
                text=True,
                env=child_environment(),
            )
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            json.dump(orders, child.stdin)
            child.stdin.close()
        hung = _wait(child, str(orders["mark"]), beat, limit)
        if hung:
            _ask_for_stacks(child)
        child.kill() if hung is not False else None
        status = child.wait()
        if hung is None or (not hung and status == 0):
            return None
        if not hung and not os.path.exists(str(orders["mark"])):
            return None  # it did not come to its end: sampling looks at that
        _, message = cause_of(status, hung)
        return Ending(
            f"the interpreter did not end well under daemon threads: {message}",
            lines_of(str(orders["stacks"])),
            lines_of(errors),
        )


def _wait(
    child: subprocess.Popen[str], mark: str, beat: Callable[[], None], limit: float
) -> bool | None:
    """Whether its end hangs; None when it never came so far."""
    waited = ended = 0.0
    latest = time.monotonic()
    while child.poll() is None:
        time.sleep(_TICK)
        beat()
        now = time.monotonic()
        tick, latest = min(now - latest, _MOST_OF_A_TICK), now
        waited += tick
        if os.path.exists(mark):
            ended += tick
            if ended > limit:
                return True
        elif waited > _START_SECONDS:
            return None
    return False


def _ask_for_stacks(child: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(signal.SIGUSR1)
        time.sleep(0.3)
