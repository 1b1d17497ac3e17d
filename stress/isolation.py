"""Workloads in a child process, so that a container that ends the process leaves a report.

The child runs the campaign of one target without scenario sampling (which has children of its own) and
writes one JSON document a line for every workload that begins and ends. When it dies, the workload that
was running gets a violation with the stacks of its threads, and a new child does the rest.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from typing import Any

from .check.ledger import Ledger
from .children import child_command, child_environment
from .options import HarnessError, Options
from .verdicts import Violation, WorkloadResult
from .workloads.histories import LEDGER, Histories

__all__ = ["run_isolated"]

_STACK_LINES = 200
_HUNG = 1  # lastresort.py ended it


def run_isolated(
    target_name: str,
    workloads: list[str],
    options: Options,
    seconds: float | None,
    started: Callable[[str], None],
    progress: Callable[[float], None],
) -> tuple[list[WorkloadResult], bool]:
    """Run these workloads of `options.target_argument`; their results, and whether one stalled."""
    results: list[WorkloadResult] = []
    begun = time.monotonic()
    left = list(workloads)
    while left:
        rest = None if seconds is None else max(0.05, seconds - (time.monotonic() - begun))
        done, running, status, stacks, stalled, history = _child(
            left, options, rest, started, progress
        )
        results += done
        names = {result.workload for result in done}
        left = [name for name in left if name not in names]
        if stalled:
            return results, True
        if status == 0 or not left:
            break
        if status == _HUNG and not any("Timeout (" in line for line in stacks):
            raise HarnessError("\n".join(stacks[-_STACK_LINES:]))  # as when an import fails
        broken = running if running in left else left[0]
        results.append(_died(target_name, broken, options, status, stacks, history))
        if status == _HUNG:
            return results, True
        left.remove(broken)
    return results, False


def _child(
    workloads: list[str],
    options: Options,
    seconds: float | None,
    started: Callable[[str], None],
    progress: Callable[[float], None],
) -> tuple[list[WorkloadResult], str, int, list[str], bool, list[str]]:
    done: list[WorkloadResult] = []
    running, broken, stalled = "", "", False
    orders = {
        **{key: value for key, value in dataclasses.asdict(options).items() if key != "isolate"},
        "only": [f"*/{name}" for name in workloads],
        "seconds": seconds,
    }
    ledger = Ledger()
    environment = child_environment(**{LEDGER: ledger.path})
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        child = subprocess.Popen(
            child_command(__name__),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        )
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(json.dumps(orders))
        child.stdin.close()
        for line in child.stdout:
            try:
                said: dict[str, Any] = json.loads(line)
            except ValueError:
                continue
            if "started" in said:
                running = said["started"]
                started(running)
            elif "progress" in said:
                progress(said["progress"])
            elif "broken" in said:
                broken = said["broken"]
            elif "stalled" in said:
                stalled = bool(said["stalled"])
            else:
                done.append(_result(said))
        status = child.wait()
        child.stdout.close()
        errors.seek(0)
        stacks = errors.read().splitlines()
    history = ledger.lines() if running == Histories.name else []
    ledger.remove()
    if broken:
        raise HarnessError(broken)
    return done, running, status, stacks, stalled, history


def _result(said: dict[str, Any]) -> WorkloadResult:
    said.pop("verdict")
    violations = [
        Violation(**{**each, "operations": tuple(each["operations"])})
        for each in said.pop("violations")
    ]
    return WorkloadResult(**said, violations=violations)


def _died(
    target: str,
    workload: str,
    options: Options,
    status: int,
    stacks: list[str],
    history: list[str],
) -> WorkloadResult:
    try:
        cause = signal.Signals(-status).name if status < 0 else f"status {status}"
    except ValueError:
        cause = f"signal {-status}"
    words = ["ct-stress", "run", "--target", options.target_argument]
    words += ["--only", f"{target}/{workload}", "--seed", str(options.seed)]
    violation = Violation(
        check="crash",
        message=f"the process of the workload died: {cause}",
        target=target,
        workload=workload,
        seed=options.seed,
        round=0,
        rerun=" ".join(words),
        operations=(*history,),
        details="\n".join(stacks[-_STACK_LINES:]),
    )
    return WorkloadResult(target, workload, rounds=1, operations=1, violations=[violation])


def _main() -> int:
    from .campaign import Observer, run_campaign
    from .lastresort import LastResort
    from .targets import resolve

    orders = json.load(sys.stdin)
    orders["only"] = tuple(orders["only"])
    options = Options(**orders)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what containers print must not mix with our lines

    def say(document: Any) -> None:
        out.write(json.dumps(document, default=repr) + "\n")
        out.flush()

    class Telling(Observer):
        said = 0.0

        def started(self, target: str, workload: str, number: int, total: int) -> None:
            say({"started": workload})

        def progress(self, fraction: float) -> None:
            if time.monotonic() - self.said > 0.1:
                self.said = time.monotonic()
                say({"progress": fraction})

        def finished(self, result: WorkloadResult) -> None:
            say(result.as_json())

    guard = LastResort(Telling(), 2 * options.stall_seconds)
    try:
        result = run_campaign([resolve(options.target_argument)], options, guard)
    except Exception:
        say({"broken": traceback.format_exc()})
    else:
        if result.stalled:
            say({"stalled": True})
    guard.cancel()
    os._exit(0)  # threads may hang, containers may be corrupt


if __name__ == "__main__":
    _main()
