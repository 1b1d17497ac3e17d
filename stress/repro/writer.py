"""Writes a minimal scenario as a test file of its own: pytest and the container, nothing else.

The file is assembled from the scenario's own sources. It has plain functions, one per thread, a
function that makes what they share, what every order of the calls may give where that is few enough to
write down (otherwise what must hold at rest), and a runner that lets the threads meet. Findings that
end or block the process run in a process of their own there too.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from textwrap import fill, indent
from typing import Any

from ..options import UsageError
from ..sampling.endings import KIND as ENDING
from ..sampling.facts import facts_of
from .pieces import (
    CHECKS,
    HEAD,
    IN_PROCESS,
    OUT_OF_PROCESS,
    RUNNER,
    helpers,
    imports,
    keys_and_values,
)
from .rates import Rate
from .steps import Case
from .trials import family_of

__all__ = ["Written", "identity_of", "write_test"]

_APART = family_of("crash") | {"hang", "exit"}
_LEAST_RUNS, _MOST_RUNS = 2_000, 400_000
_BATCH = 200
_MISSED = 12  # events that the runs are expected to see: none by chance once in 160,000
_CHECK_SECONDS = 60.0
_REPRODUCED = re.compile(r"reproduced (\d+) of (\d+)")


@dataclass(frozen=True)
class Written:
    """A file that was written, and what it showed when it was run once."""

    path: Path
    rate: Rate


def identity_of(target: str, kind: str, case: Case) -> str:
    """Eight digits that name a scenario: the same for the same target, kind, scenario and faults."""
    facts = facts_of(case.scenario)
    facts.pop("number", None)
    for calls in facts["threads"]:
        for call in calls:
            call.pop("why", None)
    text = json.dumps([target, kind, facts, sorted(case.faults)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def write_test(
    directory: str,
    target: str,
    kind: str,
    message: str,
    case: Case,
    rate: Rate,
    token: str,
    environment: dict[str, Any],
    expected: dict[str, Any],
    *,
    verify: bool = True,
) -> Written:
    """Write `test_repro_<hash>.py` into a directory; with `verify` run it once and say what it showed.

    Raises:
        UsageError: the directory cannot be written to, or what the scenario may give cannot be
            written down as a test.
    """
    if kind == ENDING:
        raise UsageError("what the end of an interpreter shows is not written as a test; replay it")
    identity = identity_of(target, kind, case)
    path = Path(directory) / f"test_repro_{identity}.py"
    runs = _runs(rate)
    author = _Author(target, kind, message, case, token, environment, expected)
    shown = Rate()
    for _ in range(3 if verify else 1):
        _save(path, author.text(identity, runs, rate, shown if shown.samples else None))
        if not verify:
            break
        shown = _run(path, author.apart)
        if shown.failing or runs >= _MOST_RUNS:
            break
        runs = min(_MOST_RUNS, runs * 5)
    if verify:
        _save(path, author.text(identity, runs, rate, shown))
    return Written(path, shown)


def _runs(rate: Rate) -> int:
    """Enough to see the failure again, though it be rarer there."""
    per_event = rate.samples / max(1, rate.events)
    runs = ceil(_MISSED * per_event / _BATCH) * _BATCH
    return max(_LEAST_RUNS, min(_MOST_RUNS, runs))


def _save(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


def _run(path: Path, apart: bool) -> Rate:
    """Run the file as a program: it counts. A process that dies failed in its last sample."""
    paths = [entry or os.getcwd() for entry in sys.path]
    try:
        done = subprocess.run(
            [sys.executable, str(path)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_CHECK_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
        text = output.decode(errors="replace") if isinstance(output, bytes) else output
        return _died(text)
    found = _REPRODUCED.findall(done.stdout)
    if found and done.returncode in (0, 1):
        failing, samples = map(int, found[-1])
        return Rate(samples, min(1, failing), failing)
    return _died(done.stdout) if apart else Rate()


def _died(output: str) -> Rate:
    begun = re.findall(r"batch (\d+)", output)
    samples = (int(begun[-1]) + 1) * _BATCH if begun else _BATCH
    return Rate(samples, 1, 1)


class _Author:
    def __init__(
        self,
        target: str,
        kind: str,
        message: str,
        case: Case,
        token: str,
        environment: dict[str, Any],
        expected: dict[str, Any],
    ) -> None:
        self._target = target if ":" in target else f"concurrent_tables:{target}"
        self._kind = kind
        self._message = message
        self._case = case
        self._scenario = case.scenario
        self._token = token
        self._environment = environment
        self._expected = expected
        self.apart = kind in _APART
        self._class = self._target.partition(":")[2]
        self._given = [
            name
            for name, source in zip("abwi", self._sources(), strict=True)
            if source or name == "a"
        ]
        if kind == "outcome" and expected.get("outcomes") is None:
            raise UsageError(
                "no test was written: what the orders of these calls may give cannot be written down "
                "as literals; the token repeats it"
            )

    def text(self, identity: str, runs: int, rate: Rate, shown: Rate | None) -> str:
        body = [
            *self._constants(),
            *self._expectations(),
            self._shared(),
            *[self._thread(number) for number in range(len(self._scenario.threads))],
            f"THREADS = ({', '.join([f'thread_{n}' for n in range(len(self._scenario.threads))])})",
            self._wrong(),
            self._runner(),
            (OUT_OF_PROCESS if self.apart else IN_PROCESS).format(identity=identity).strip("\n"),
        ]
        code = "\n\n\n".join([part for part in ("\n".join(body[:1]), *body[1:]) if part])
        parts = helpers(code, self._expected, self._class)
        lines = [
            self._docstring(rate, shown),
            HEAD,
            imports("\n".join([code, *parts]), self._target),
            f"RUNS = {runs:_}  # fresh containers; the test ends with the first failure",
            f"BATCH = {_BATCH}",
        ]
        text = "\n".join(lines) + "\n\n\n" + "\n\n\n".join([*parts, code]) + "\n"
        return re.sub(r"\n{4,}", "\n\n\n", text)

    # -- parts -----------------------------------------------------------------------------------

    def _docstring(self, rate: Rate, shown: Rate | None) -> str:
        facts = self._environment
        build = " free-threaded" if facts.get("free_threaded_build") else ""
        gil = "on" if facts.get("gil_enabled") else "off"
        here = f"This file alone: reproduced {shown} when it was written." if shown else ""
        scenario = [*self._scenario.lines()]
        if self._case.faults:
            scenario.append(f"beside it: {', '.join(self._case.faults)}")
        parts = [
            fill(f"{self._class}: {self._message}", 96),
            "The scenario, reduced to what is needed:",
            indent("\n".join(scenario), "    "),
            fill(
                f"Reproduced {rate} samples on CPython {facts.get('python')}{build}, GIL {gil}, "
                f"{facts.get('platform')}, {facts.get('cpus')} CPUs; concurrent_tables "
                f"{facts.get('version')} ({facts.get('implementation')}), flags "
                f"{facts.get('flags') or 'none'}; judged by the profile "
                f"{self._expected.get('profile', '')!r}. {here}",
                96,
            ),
            fill(
                "How the threads meet is up to the machine: a failure shows the defect, a pass "
                "shows nothing.",
                96,
            ),
            f"Written by ct-stress; repeat it with\n    ct-stress replay {self._token}",
        ]
        text = "\n\n".join(parts).replace("\\", "\\\\").replace('"""', "'''")
        return f'"""{text}\n"""\n'

    def _constants(self) -> list[str]:
        scenario = self._scenario
        lines = keys_and_values(scenario, self._used("K"), self._used("V"))
        for name, source in (*scenario.contents, *scenario.operands):
            lines.append(f"{name} = {self._named(self._contents(source))}")
        return ["\n".join(lines)]

    def _expectations(self) -> list[str]:
        if self._kind == "outcome":
            outcomes = "".join([f"    {text},\n" for text in self._expected["outcomes"]])
            return [
                "# Every order of the calls gives one of these: what the calls return, then what is\n"
                "# left, and its length.\n"
                f"EXPECTED = {{\n{outcomes}}}"
            ]
        if self._kind == "error":
            rows = "".join(
                [
                    f"    ({thread}, {index}): {names!r},\n"
                    for thread, index, names in self._expected.get("errors", ())
                ]
            )
            return [f"# What a call may raise, by thread and call.\nALLOWED = {{\n{rows}}}"]
        return []

    def _shared(self) -> str:
        lines = ["def shared():", '    """New objects, which the threads share."""']
        for name, source in zip("abwi", self._sources(), strict=True):
            if source:
                lines.append(f"    {name} = {self._named(source)}")
        lines.append(f"    return {_tuple(self._given)}")
        return "\n".join(lines)

    def _thread(self, number: int) -> str:
        lines = [f"def thread_{number}({', '.join(self._given)}):"]
        if self._scenario.values.hostile:
            lines.append("    HERE.container = a")
        calls = self._scenario.threads[number]
        for index, call in enumerate(calls):
            result = f"r{index}"
            lines.append("    try:")
            if call.source.startswith("!"):
                body = self._named(call.source[1:]).split("; ")
                body = [re.sub(r"\br\b", result, line) for line in body]
            else:
                body = [f"{result} = {self._named(call.source)}"]
            lines += [f"        {line}" for line in body]
            lines += ["    except Exception as error:", f"        {result} = failed(error)"]
        if self._scenario.values.hostile:
            lines.append("    HERE.container = None")
        results = [f"r{index}" for index in range(len(calls))]
        lines.append(f"    return {_tuple(results)}")
        return "\n".join(lines)

    def _wrong(self) -> str:
        """The check of one sample."""
        unpack = _tuple(self._given)
        if self._kind == "outcome":
            return CHECKS["outcome"].format(unpack=unpack, outcome=self._outcome()).strip("\n")
        if self._kind == "unsound":
            return CHECKS[f"unsound {self._expected.get('shape', 'set')}"].strip("\n")
        if self._kind == "error":
            return CHECKS["error"].strip("\n")
        if self._kind in family_of("crash"):
            return CHECKS["references"].strip("\n")
        return CHECKS["nothing"].strip("\n")

    def _outcome(self) -> str:
        """The outcome of a sample as an expression, in the order of `EXPECTED`."""
        plain = {tuple(place) for place in self._expected["plain"]}
        parts = []
        for thread, index in self._expected["exact"]:
            place = f"results[{thread}][{index}]"
            parts.append(place if (thread, index) in plain else f"freeze({place})")
        parts.append(self._content())
        if self._expected["length"]:
            parts.append("len(a)")
        if self._scenario.b:
            parts.append("freeze(b)")
        return _tuple(parts)

    def _content(self) -> str:
        if not self._expected["walks"]:
            return "lookups(a)"
        ordered = self._expected["ordered"]
        return {
            "set": "frozenset(a)",
            "sequence": "tuple(a)",
            "mapping": "tuple(a.items())" if ordered else "frozenset([(key, a[key]) for key in a])",
            "table": "table_items(a)",
        }[self._expected["shape"]]

    def _runner(self) -> str:
        turns = max(6, min(600, int(1.2 * float(self._expected.get("seconds", 0.0)) / 12e-9)))
        text = RUNNER.replace("TURNS", str(turns))
        if self._case.faults:
            text += "\n\nFAULTS = " + repr(tuple(self._case.faults))
        else:
            text = text.replace("    with troubles():\n        walk_all()\n", "    walk_all()\n")
        return text.strip("\n")

    # -- sources ---------------------------------------------------------------------------------

    def _sources(self) -> tuple[str, str, str, str]:
        scenario = self._scenario
        return scenario.a, scenario.b, scenario.view, scenario.iterator

    def _named(self, source: str) -> str:
        """With the class's own name for T."""
        source = re.sub(r"\bT\b", self._class, source)
        return re.sub(r"\bmake\(", "filled(", source)

    def _contents(self, source: str) -> str:
        found = re.match(r"^contents\((.*), (.*)\)$", source)
        if found is None:
            return source
        if self._expected.get("shape", "set") in ("mapping", "table"):
            return f"dict(zip({found[1]}, {found[2]}))"
        return f"list({found[1]})"

    def _used(self, letter: str) -> list[int]:
        """Numbers of the hot keys or values that some source speaks of."""
        scenario = self._scenario
        texts = [call.source for call in scenario.calls]
        texts += [source for _, source in (*scenario.contents, *scenario.operands)]
        texts += [*self._sources(), *(self._expected.get("outcomes") or ())]
        return sorted({int(n) for n in re.findall(rf"\b{letter}(\d)\b", " ".join(texts))})


def _tuple(parts: list[str]) -> str:
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
