"""The goals: how fast, how small and how flat our tables are meant to be, and where.

This file is data; judge.py compares a result with it. Two sorts of goals: those about times of cells,
which compare a contestant with another one, or with itself without sharing, within the same rounds;
and those about further measurements.
"""

from __future__ import annotations

from dataclasses import dataclass

from .space import READS

__all__ = ["GOALS", "MEASURE_GOALS", "RIVALLED", "Goal", "MeasureGoal"]

_EXACT = ("str", "heap-str", "small-int", "big-int", "tuple")
_ANY: tuple[str, ...] = ()
# Who meets the rivals: in each cell the faster of the two that a user would choose from. (ft_utils'
# ConcurrentDict is many locked dicts behind one mapping, as ShardedDict is; cereggii's is one table.)
RIVALLED = ("ConcurrentDict", "ShardedDict")


@dataclass(frozen=True)
class Goal:
    """A limit on a ratio of times. An empty tuple of names selects all.

    `against`: "builtin"; "own tables" (the same contestant with a table for each thread); "rivals"
    (each of them that was measured there). `builds`: "free-threaded", "gil" or "any".
    """

    name: str
    limit: float
    against: str = "builtin"
    contestants: tuple[str, ...] = ("ConcurrentDict",)
    families: tuple[str, ...] = ("dict",)
    operations: tuple[str, ...] = _ANY
    keys: tuple[str, ...] = _ANY
    values: tuple[str, ...] = ("immortal", "-")
    reaches: tuple[str, ...] = _ANY
    threads: tuple[int, ...] = (1,)
    builds: str = "free-threaded"


@dataclass(frozen=True)
class MeasureGoal:
    """A limit on a figure of a further measurement, or on its ratio to another contestant's."""

    name: str
    limit: float
    measure: str
    figures: tuple[str, ...]
    contestants: tuple[str, ...]
    against: str = ""
    cases: tuple[str, ...] = _ANY
    unit: str = "x"


_SHARED = ("global", "attribute")

GOALS = (
    Goal(
        "reads, global or attribute, 1 thread", 0.95, operations=READS, reaches=_SHARED, keys=_EXACT
    ),
    Goal(
        "reads, global or attribute, 2 threads on one table",
        0.35,
        operations=READS,
        reaches=_SHARED,
        keys=_EXACT,
        threads=(2,),
    ),
    Goal(
        "the same with keys whose __eq__ is Python, 1 thread",
        0.95,
        operations=READS,
        reaches=_SHARED,
        keys=("object",),
    ),
    Goal(
        "the same with keys whose __eq__ is Python, 2 threads",
        0.35,
        operations=READS,
        reaches=_SHARED,
        keys=("object",),
        threads=(2,),
    ),
    Goal("reads, local variable, 1 thread", 1.0, operations=READS, reaches=("local",), keys=_EXACT),
    Goal(
        "reads, local variable, 2 threads, interned str and small int keys",
        1.0,
        operations=READS,
        reaches=("local",),
        keys=("str", "small-int"),
        threads=(2,),
    ),
    Goal(
        "reads, local variable, 2 threads, heap str, big int and tuple keys",
        0.45,
        operations=READS,
        reaches=("local",),
        keys=("heap-str", "big-int", "tuple"),
        threads=(2,),
    ),
    Goal(
        "sharing costs nothing: 2 threads reading one table, to a table each",
        1.1,
        "own tables",
        operations=READS,
        keys=_EXACT,
        threads=(2,),
    ),
    Goal(
        "2 threads overwriting distinct keys of one table, to a table each",
        1.3,
        "own tables",
        contestants=("ConcurrentDict", "ShardedDict"),
        operations=("overwrite",),
        values=_ANY,
        threads=(2,),
    ),
    Goal("overwrite, 1 thread", 1.2, operations=("overwrite",), values=_ANY),
    Goal("insert and delete, 1 thread", 1.5, operations=("insert", "delete")),
    Goal("iteration, 1 thread", 1.5, operations=("iterate",)),
    Goal("reads with the GIL, 1 thread", 1.25, operations=READS, keys=_EXACT, builds="gil"),
    Goal(
        "faster than rivals in every cell",
        1.0,
        "rivals",
        contestants=RIVALLED,
        values=_ANY,
        threads=(),
        builds="any",
    ),
)

_BYTES = ("getsizeof", "traced", "resident")

MEASURE_GOALS = (
    MeasureGoal(
        "bytes per item at a million entries, to the builtin",
        1.2,
        "memory",
        _BYTES,
        ("ConcurrentDict",),
        "dict",
    ),
    MeasureGoal(
        "bytes of 100,000 SplitDict records of 10 str keys, to plain dicts",
        0.5,
        "records",
        _BYTES,
        ("SplitDict",),
        "dict",
    ),
    MeasureGoal(
        "growth over 10 million insert+delete pairs at 100 live keys, 2 threads",
        5.0,
        "growth",
        ("growth_mib",),
        ("ConcurrentDict", "ShardedDict", "ConcurrentSet"),
        cases=("pairs",),
        unit="MiB",
    ),
    MeasureGoal(
        "growth over 10 million popitem+insert pairs at 100 live keys, 2 threads",
        5.0,
        "growth",
        ("growth_mib",),
        ("ConcurrentDict", "ShardedDict", "ConcurrentSet"),
        cases=("popitem",),
        unit="MiB",
    ),
    MeasureGoal(
        "snapshot() repeated without a write between",
        1000.0,
        "snapshot",
        ("repeated",),
        ("ConcurrentDict", "ShardedDict", "ConcurrentSet"),
        unit="ns",
    ),
    MeasureGoal(
        "snapshot() after a write, to dict.copy(), 1,000 and 100,000 keys",
        1.3,
        "snapshot",
        ("after_write_to_copy",),
        ("ConcurrentDict",),
        cases=("1,000 keys", "100,000 keys"),
    ),
)
