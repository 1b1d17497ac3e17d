"""The measured loops: source text, generated and compiled for each contestant and cell.

How a table is reached costs as much as looking something up in it, so a loop must name its table as
users do: `TABLE[k]`, `here.table[k]` or `here[k]`, not through a function that is handed in. The
empty loop has the same heads and no body; what it costs is subtracted.

A loop is called with

    here    the table (local), its holder (attribute), or nothing (global)
    passes  what the outer loop walks: work lists, or (work list, value to store)
    clock   wall clock in nanoseconds
    cpu     CPU clock of the thread in nanoseconds

and returns begin, end, nanoseconds in the measured part, CPU nanoseconds in it. Insertions and
deletions are measured in the same loop, which does both and adds up the times of one of them; while
one thread is in its insertions, the others are wherever they happen to be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .space import EMPTY_LOOP, READS, TWO_PHASES, Cell

__all__ = ["Loop", "compile_loop", "loop_source"]

Loop = Callable[..., tuple[int, int, int, int]]

_TABLE = {"global": "TABLE", "attribute": "here.table", "local": "here"}

PHRASES: dict[str, dict[str, str]] = {
    "dict": {
        "getitem": "{t}[k]",
        "get": "{t}.get(k)",
        "in": "k in {t}",
        "write": "{t}[k] = v",
        "delete": "del {t}[k]",
        "items": "{t}",
    },
    "set": {
        "getitem": "k in {t}",
        "in": "k in {t}",
        "write": "{t}.discard(k) if v else {t}.add(k)",
        "insert": "{t}.add(k)",
        "delete": "{t}.discard(k)",
        "items": "{t}",
    },
}
PHRASES["record"] = PHRASES["dict"]

_ONE_PHASE = """\
def loop(here, passes, clock, cpu):
    used = cpu()
    begin = clock()
    for {outer} in passes:
        for {inner} in {items}:
            {body}
    end = clock()
    return begin, end, end - begin, cpu() - used
"""

_TWO_PHASES = """\
def loop(here, passes, clock, cpu):
    busy = used = 0
    first = clock()
    for {outer} in passes:
        insert_cpu = cpu()
        insert = clock()
        for {inner} in work:
            {insert}
        insert_end = clock()
        insert_cpu_end = cpu()
        delete_cpu = cpu()
        delete = clock()
        for {inner} in work:
            {delete}
        delete_end = clock()
        delete_cpu_end = cpu()
        busy += {measured}_end - {measured}
        used += {measured}_cpu_end - {measured}_cpu
    return first, clock(), busy, used
"""


def loop_source(cell: Cell, contestant: str, special: Mapping[str, str] | None = None) -> str:
    """The text of a loop; `special` phrases are those that only this contestant needs."""
    empty = contestant == EMPTY_LOOP
    phrases = {**PHRASES[cell.family], **(special or {})}
    phrases.setdefault("insert", phrases["write"])
    table = _TABLE[cell.reach]

    def phrase(name: str) -> str:
        return "pass" if empty else phrases[name].format(t=table)

    outer, inner = _heads(cell)
    if cell.operation in TWO_PHASES:
        return _TWO_PHASES.format(
            outer=outer,
            inner=inner,
            insert=phrase("insert"),
            delete=phrase("delete"),
            measured=cell.operation,
        )
    items = "work" if empty or cell.operation != "iterate" else phrase("items")
    return _ONE_PHASE.format(outer=outer, inner=inner, items=items, body=_body(cell, phrase))


def compile_loop(source: str, name: str, table: Any) -> Loop:
    """The function, in a module of its own where the table is a global."""
    namespace: dict[str, Any] = {"TABLE": table}
    exec(compile(source, f"<loop of {name}>", "exec"), namespace)
    loop: Loop = namespace["loop"]
    return loop


def _heads(cell: Cell) -> tuple[str, str]:
    """What the outer and the inner loop bind: passes bring the value unless each key has its own."""
    names = ["k"]
    writing = cell.operation not in (*READS, "iterate")
    if writing and cell.values == "per-key":
        names.append("v")
    if cell.operation.startswith("mixed"):
        names.append("w")
    outer = "work, v" if writing and cell.values != "per-key" else "work"
    return outer, ", ".join(names)


def _body(cell: Cell, phrase: Callable[[str], str]) -> str:
    if cell.operation.startswith("mixed"):
        return (
            f"if w:\n                {phrase('write')}\n"
            f"            else:\n                {phrase('getitem')}"
        )
    if cell.operation == "iterate":
        return "pass"
    return phrase("write" if cell.operation.startswith("overwrite") else cell.operation)
