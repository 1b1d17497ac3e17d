"""What is measured: the axes, the cells that they span, and how many threads share a table.

A *cell* fixes family, operation, kind of keys, kind of values and the way the table is reached.
Every contestant is measured in it under several *settings*: so many threads, one table for all of
them or a table each. All of a cell is measured in the same interleaved rounds, because the figures
that matter compare its settings and contestants with one another.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = [
    "EMPTY_LOOP",
    "FAMILIES",
    "KEYS",
    "NO_VALUES",
    "OPERATIONS",
    "REACHES",
    "READS",
    "TWO_PHASES",
    "VALUES",
    "Cell",
    "Setting",
    "available_cpus",
    "fits",
    "settings_for",
]

EMPTY_LOOP = "(empty loop)"

FAMILIES = {
    "dict": "mappings of a thousand keys, against dict",
    "set": "sets of a thousand items, against set",
    "record": "mappings of ten str keys, against dict",
}
OPERATIONS = {
    "getitem": "t[k] of a present key",
    "get": "t.get(k) of a present key",
    "in": "k in t, present",
    "overwrite": "t[k] = v of a present key; each thread its own block of neighbouring keys",
    "overwrite-scattered": "the same; the threads' keys alternate, and share cache lines",
    "insert": "t[k] = v of a fresh key, growth included; distinct keys per thread",
    "delete": "del t[k] of a present key; distinct keys per thread",
    "iterate": "for k in t, per item",
    "mixed-95-5": "95 % t[k], 5 % overwrites",
    "mixed-50-50": "half t[k], half overwrites",
}
READS = ("getitem", "get", "in")
TWO_PHASES = ("insert", "delete")
KEYS = {
    "str": "interned str; looked up by the identical object, as interned ones are",
    "heap-str": "str that is not interned; looked up by an equal, distinct object",
    "small-int": "int that the interpreter keeps; identical object",
    "big-int": "int above a machine word's half; equal, distinct object",
    "tuple": "tuple of two int; equal, distinct object",
    "object": "object with hash and equality in Python; equal, distinct object",
    "heap-str-same": "str that is not interned; looked up by the identical object",
    "object-same": "object with hash and equality in Python; identical object",
}
VALUES = {
    "immortal": "None, True and small int: never counted",
    "per-key": "a heap object for each key",
    "hot": "one heap object everywhere",
}
REACHES = {
    "global": "the table is a module global",
    "attribute": "the table is an attribute of an instance in a local variable",
    "local": "the table is a local variable",
}
NO_VALUES = "-"  # of a set

_LACKING = {
    "set": frozenset({"getitem", "get", "overwrite", "overwrite-scattered"}),
    "record": frozenset(TWO_PHASES),
}


@dataclass(frozen=True, order=True)
class Cell:
    """One combination of the axes."""

    family: str
    operation: str
    keys: str
    values: str
    reach: str

    @property
    def name(self) -> str:
        """As `--only` patterns see it: `dict/getitem/str/immortal/global`."""
        return f"{self.family}/{self.operation}/{self.keys}/{self.values}/{self.reach}"


@dataclass(frozen=True, order=True)
class Setting:
    """How many threads, and whether they share `"one"` table or have one `"each"`."""

    threads: int
    tables: str

    @property
    def made_by_main(self) -> bool:
        """Tables of several threads come from the main thread, as module globals do, shared or
        not: a table each then differs from one table in nothing but the sharing."""
        return self.threads > 1

    @property
    def name(self) -> str:
        if self.threads == 1:
            return "1 thread"
        return f"{self.threads} threads, {'one table' if self.tables == 'one' else 'a table each'}"


def available_cpus() -> int:
    """CPUs that this process may use: what `all` threads means."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def fits(cell: Cell) -> bool:
    """Whether the family has that operation with such keys and values."""
    if cell.operation in _LACKING.get(cell.family, ()):
        return False
    if cell.family == "record" and cell.keys not in ("str", "heap-str", "heap-str-same"):
        return False
    return (cell.values == NO_VALUES) == (cell.family == "set")


def settings_for(threads: tuple[int, ...]) -> list[Setting]:
    """One thread has a table of its own; more threads have one table, and a table each."""
    chosen = []
    for count in sorted(set(threads)):
        chosen += [Setting(count, "each")]
        chosen += [Setting(count, "one")] if count > 1 else []
    return chosen
