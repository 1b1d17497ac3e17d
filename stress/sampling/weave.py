"""Makes code of a scenario: straight-line functions without a call too many.

A thread's function walks along the containers of a batch. At each it says in the journal that it
has arrived, waits for the others, lets a few turns of an empty loop pass (different for each sample),
and does its operations; before each it writes into the journal which one it is. Everything is a
local variable, and errors cost nothing until they happen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .faults import INSIDE
from .freeze import caught
from .hostile import HERE
from .interrupts import Interrupted, close, open_
from .pool import patience
from .scenario import Call, Scenario
from .subject import Subject

try:
    from .. import _search
except ImportError:  # not built
    _search = None  # type: ignore[assignment]

__all__ = ["Woven", "weave"]

_FAILING = tuple([1 + 7 * n % 11 for n in range(64)])  # which allocation fails, sample by sample
_SPINS = 300  # turns of waiting before the processor is offered to others


class Woven:
    """The functions of one scenario.

    `build(count)` makes that many sets of shared objects as lists; `threads[t]` is the loop of a
    thread; `calls[t][c]` runs one call on (a, b, w, i), `steps[t][c]` its parts.
    """

    def __init__(self, scenario: Scenario, names: dict[str, Any]) -> None:
        self.scenario = scenario
        self.names = names
        self.build = names["build"]
        self.threads = [names[f"thread_{t}"] for t in range(len(scenario.threads))]
        self.calls = [
            [names[f"call_{t}_{c}"] for c in range(len(calls))]
            for t, calls in enumerate(scenario.threads)
        ]
        self.steps = [
            [
                [names[f"step_{t}_{c}_{s}"] for s in range(len(call.steps))]
                for c, call in enumerate(calls)
            ]
            for t, calls in enumerate(scenario.threads)
        ]


def weave(
    scenario: Scenario, subject: Subject, *, spinning: bool, faults: Iterable[str] = ()
) -> Woven:
    """Compile a scenario; raises what its operands raise when they are made."""
    names = {**subject.namespace(), **scenario.values.namespace(), "caught": caught}
    names["patience"] = patience
    names["here"] = HERE
    names["contents"] = subject.contents
    trouble = INSIDE.intersection(faults)
    names |= {"Interrupted": Interrupted, "open_": open_, "close": close}
    names |= {"fail": getattr(_search, "fail_allocation", None), "N": _FAILING}
    for name, source in (*scenario.contents, *scenario.operands):
        names[name] = eval(source, names)
    lines = _build(scenario)
    for number, calls in enumerate(scenario.threads):
        lines += _interruptible(_thread(number, calls, scenario, spinning, trouble), trouble)
        for index, call in enumerate(calls):
            lines += _single(f"call_{number}_{index}", call.source)
            for step, source in enumerate(call.steps):
                lines += _single(f"step_{number}_{index}_{step}", source)
    exec("\n".join(lines), names)
    return Woven(scenario, names)


def _build(scenario: Scenario) -> list[str]:
    """Each kind of shared object is made in a loop of its own; those before it may be part of it."""
    lines = ["def build(count):"]
    for name, source in zip("abwi", _sources(scenario), strict=True):
        many = name.upper()
        if not source:
            lines.append(f"    {many} = [None] * count")
        elif name in "ab":
            lines.append(f"    {many} = [{source} for _ in range(count)]")
        else:
            lines.append(f"    {many} = [{source} for a in A]")
    return [*lines, "    return A, B, W, I"]


def _sources(scenario: Scenario) -> tuple[str, str, str, str]:
    return scenario.a, scenario.b, scenario.view, scenario.iterator


def _thread(
    number: int,
    calls: tuple[Call, ...],
    scenario: Scenario,
    spinning: bool,
    trouble: frozenset[str],
) -> list[str]:
    memory = "allocation failures" in trouble
    others = [t for t in range(len(scenario.threads)) if t != number]
    used = _used(calls)
    results = ", ".join(f"R{c}" for c in range(len(calls)))
    waits = ", ".join(f"T{t}" for t in others)
    lines = [
        f"def thread_{number}(count, A, B, W, I, J, rows, D, R):",
        f"    {waits}, = rows",
        f"    {results}, = R",
        "    for n in range(count):",
        *(f"        {name} = {name.upper()}[n]" for name in used),
        "        J[0] = n + 1",
    ]
    if scenario.values.hostile:
        lines.append(f"        here.container = {used[0] if used[0] in 'ab' else 'A[n]'}")
    if spinning:
        condition = " or ".join(f"T{t}[0] <= n" for t in others)
        lines += [
            "        spins = 0",
            f"        while {condition}:",
            "            spins += 1",
            f"            if spins > {_SPINS}: patience(spins)",
            "        for _ in D[n & 63]: pass",
        ]
    for index, call in enumerate(calls):
        failing = memory and _direct(call)
        lines += [
            f"        J[1] = {index + 1}",
            "        try:",
            *["            fail(N[n & 63])"] * failing,
            *("            " + line for line in _statements(call.source)),
            *["            fail(0)"] * failing,
            f"            R{index}[n] = r",
            "        except BaseException as error:",
            *["            fail(0)"] * failing,
            f"            R{index}[n] = caught(error)",
        ]
    if scenario.values.hostile:
        lines.append("        here.container = None")
    lines += ["        J[1] = 0", f"    {' = '.join(used)} = r = None"]
    return lines


def _direct(call: Call) -> bool:
    """Whether it is one call of a method of the container, with nothing made on the way.

    Elsewhere the failure would mostly strike the interpreter, of which nothing is to be said here.
    """
    source = call.source
    return source.startswith("a.") and source.count("(") == 1 and "a.__" not in source


def _interruptible(lines: list[str], trouble: frozenset[str]) -> list[str]:
    """The same thread function, when an exception may arrive anywhere: it goes on at its sample.

    The loop becomes a function of its own, since `try` has holes: the compiler leaves out jumps.
    """
    if "async exceptions" not in trouble:
        return lines
    outer, loop = lines[0], lines.index("    for n in range(count):")
    inner = outer.replace("def thread_", "def inner_")
    return [
        inner,
        *lines[1:loop],
        "    for n in range(max(J[0] - 1, 0), count):",
        *lines[loop + 1 :],
        outer,
        "    begun = False",
        "    while True:",
        "        try:",
        "            if not begun:",
        "                begun = True",
        "                open_()",
        f"            {inner.removeprefix('def ').removesuffix(':')}",
        "            close()",
        "            break",
        "        except Interrupted:",
        "            J[1] = 0",
    ]


def _used(calls: tuple[Call, ...]) -> list[str]:
    """Which shared objects the calls speak of; at least one, so that code can end uniformly."""
    import re

    text = " ".join(call.source for call in calls)
    found = [name for name in "abwi" if re.search(rf"\b{name}\b", text)]
    return found or ["a"]


def _statements(source: str) -> list[str]:
    if source.startswith("!"):
        return source[1:].split("; ")
    return [f"r = {source}"]


def _single(name: str, source: str) -> list[str]:
    return [
        f"def {name}(a, b, w, i):",
        "    try:",
        *("        " + line for line in _statements(source)),
        "        return r",
        "    except BaseException as error:",
        "        return caught(error)",
    ]
