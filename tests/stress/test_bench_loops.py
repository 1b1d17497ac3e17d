"""The generated loops of the benchmark: that they do what their cells say, counted by the table."""

from __future__ import annotations

import gc
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from stress.bench.contestants import Contestant
from stress.bench.crew import Crew
from stress.bench.laps import sample_of
from stress.bench.loops import compile_loop, loop_source
from stress.bench.material import lookup_keys, make_keys, make_values
from stress.bench.rounds import measure_cell
from stress.bench.space import (
    EMPTY_LOOP,
    FAMILIES,
    KEYS,
    OPERATIONS,
    REACHES,
    VALUES,
    Cell,
    Setting,
    fits,
    settings_for,
)
from stress.bench.stands import Lap, Material, Stand, Switches


class Calls:
    """A counter that threads share."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, name: str, count: int = 1) -> None:
        with self._lock:
            self.counts[name] += count


class CountingDict(dict[Any, Any]):
    """Counts what is called, and sees that no write is a no-op."""

    def __init__(self, pairs: Any = ()) -> None:
        self.calls = Calls()
        super().__init__(pairs)

    def __getitem__(self, key: Any) -> Any:
        self.calls.add("getitem")
        return super().__getitem__(key)

    def get(self, key: Any, default: Any = None) -> Any:
        self.calls.add("get")
        assert super().__contains__(key)
        return super().get(key, default)

    def __contains__(self, key: Any) -> bool:
        self.calls.add("in")
        assert super().__contains__(key)
        return True

    def __setitem__(self, key: Any, value: Any) -> None:
        fresh = not super().__contains__(key)
        self.calls.add("insert" if fresh else "overwrite")
        assert fresh or super().__getitem__(key) is not value, "storing the same again is a no-op"
        super().__setitem__(key, value)

    def __delitem__(self, key: Any) -> None:
        self.calls.add("delete")
        super().__delitem__(key)

    def __iter__(self) -> Iterator[Any]:
        self.calls.add("iterate", len(self))
        return super().__iter__()


class CountingSet(set[Any]):
    def __init__(self, items: Any = ()) -> None:
        self.calls = Calls()
        super().__init__(items)

    def __contains__(self, item: Any) -> bool:
        self.calls.add("in")
        return super().__contains__(item)

    def add(self, item: Any) -> None:
        self.calls.add("insert")
        super().add(item)

    def discard(self, item: Any) -> None:
        self.calls.add("delete")
        super().discard(item)

    def __iter__(self) -> Iterator[Any]:
        self.calls.add("iterate", len(self))
        return super().__iter__()


class Recorder:
    """Makes counting tables and keeps them."""

    def __init__(self) -> None:
        self.tables: list[Any] = []

    def contestant(self, family: str) -> Contestant:
        def make(pairs: Any) -> Any:
            pairs = list(pairs)
            made: Any = CountingSet(k for k, _ in pairs) if family == "set" else CountingDict(pairs)
            self.tables.append(made)
            return made

        return Contestant("counting", family, lambda: make, "builtin")

    @property
    def calls(self) -> Counter[str]:
        return sum((table.calls.counts for table in self.tables), Counter())


@pytest.fixture
def crew() -> Iterator[Crew]:
    with Crew(3) as crew:
        yield crew


def visit(cell: Cell, setting: Setting, crew: Crew, passes: int = 2) -> tuple[Counter[str], int]:
    """The calls that one visit of one lap makes, and the operations that it claims."""
    recorder = Recorder()
    stand = Stand(recorder.contestant(cell.family), Material(cell, setting, crew), crew)
    before = recorder.calls
    laps = stand.visit(passes, 1)
    after = recorder.calls
    after.subtract(before)
    return after, sum(lap.operations for thread in laps for lap in thread)


def _cells(**fixed: str) -> list[Cell]:
    made = [
        Cell(
            family,
            operation,
            fixed.get("keys", "str"),
            "-" if family == "set" else fixed.get("values", "immortal"),
            fixed.get("reach", "local"),
        )
        for family in FAMILIES
        for operation in OPERATIONS
    ]
    return [cell for cell in made if fits(cell)]


@pytest.mark.parametrize("cell", _cells(), ids=lambda cell: cell.name)
def test_a_visit_makes_the_operations_that_it_claims(cell: Cell, crew: Crew) -> None:
    calls, operations = visit(cell, Setting(1, "each"), crew)
    if cell.operation in ("insert", "delete"):
        assert calls["insert"] == calls["delete"] == operations
    elif cell.operation.startswith("overwrite"):
        assert calls["overwrite"] == operations
    elif cell.operation.startswith("mixed"):
        assert sum(calls.values()) == operations
        writes = calls["overwrite"] + calls["delete"] + calls["insert"]
        few = cell.operation == "mixed-95-5"
        assert 0 <= writes <= operations / 5 if few else 0 < writes < operations
    else:
        assert calls[cell.operation] == operations
        assert sum(calls.values()) == operations


@pytest.mark.parametrize("reach", REACHES)
@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("operation", ["getitem", "overwrite", "insert", "mixed-50-50", "iterate"])
def test_every_way_of_reaching_and_every_kind_of_value(
    operation: str, values: str, reach: str, crew: Crew
) -> None:
    cell = Cell("dict", operation, "str", values, reach)
    calls, operations = visit(cell, Setting(1, "each"), crew)
    wanted = calls[operation] if operation in calls else sum(calls.values())
    assert wanted == operations > 0


@pytest.mark.parametrize("keys", KEYS)
def test_every_kind_of_key_is_found(keys: str, crew: Crew) -> None:
    for operation in ("in", "delete", "overwrite"):
        calls, operations = visit(
            Cell("dict", operation, keys, "immortal", "local"), Setting(2, "one"), crew
        )
        assert calls[operation] == operations > 0


@pytest.mark.parametrize("tables", ["one", "each"])
def test_all_threads_work(tables: str, crew: Crew) -> None:
    cell = Cell("dict", "getitem", "str", "immortal", "global")
    calls, operations = visit(cell, Setting(3, tables), crew)
    assert calls["getitem"] == operations >= 3 * 2 * 1000


@pytest.mark.parametrize("operation", ["overwrite", "overwrite-scattered"])
@pytest.mark.parametrize("tables", ["one", "each"])
def test_threads_overwrite_distinct_keys_that_cover_the_table(
    operation: str, tables: str, crew: Crew
) -> None:
    cell = Cell("dict", operation, "heap-str", "immortal", "local")
    shares = Material(cell, Setting(3, tables), crew).shares
    parts = [set(share.works[0][0]) for share in shares]
    assert sum(map(len, parts)) == len(set().union(*parts)) == len(shares[0].stored)


def test_one_table_is_one_and_a_table_each_are_many(crew: Crew) -> None:
    for tables, count in (("one", 1), ("each", 3)):
        recorder = Recorder()
        cell = Cell("dict", "get", "str", "immortal", "attribute")
        Stand(recorder.contestant("dict"), Material(cell, Setting(3, tables), crew), crew)
        assert len(recorder.tables) == count


def test_a_single_thread_makes_its_own_table(crew: Crew) -> None:
    makers = []

    def make(pairs: Any) -> Any:
        makers.append(threading.get_ident())
        return dict(pairs)

    one = Contestant("dict", "dict", lambda: make, "builtin")
    cell = Cell("dict", "get", "str", "immortal", "local")
    for setting in settings_for((1, 2)):
        Stand(one, Material(cell, setting, crew), crew)
    assert [maker == threading.get_ident() for maker in makers] == [False, True, True, True]


@pytest.mark.parametrize("kind", KEYS)
def test_lookups_are_identical_or_equal_as_the_kind_says(kind: str) -> None:
    stored = make_keys(kind, 0, 50)
    looked_up = lookup_keys(kind, stored, seed=1, part=slice(None))
    assert set(looked_up) == set(stored)
    identical = {id(key) for key in looked_up} & {id(key) for key in stored}
    assert len(identical) == (50 if "identical object" in KEYS[kind] else 0)


def test_heap_strings_are_not_interned_and_interned_ones_are() -> None:
    for kind, interned in (("str", True), ("heap-str", False)):
        (key,) = make_keys(kind, 12345, 1)
        copy = key.encode().decode()
        assert (sys.intern(copy) is key) is interned


def test_values_are_of_their_kinds() -> None:
    assert all(value is None or isinstance(value, int) for value in make_values("immortal", 99))
    assert len({id(value) for value in make_values("per-key", 99)}) == 99
    assert len({id(value) for value in make_values("hot", 99)}) == 1


@pytest.mark.parametrize(
    ("reach", "name"), [("global", "TABLE"), ("attribute", "here.table"), ("local", "here")]
)
def test_the_source_names_the_table_as_users_do(reach: str, name: str) -> None:
    source = loop_source(Cell("dict", "getitem", "str", "immortal", reach), "dict")
    assert f"            {name}[k]\n" in source


def test_the_empty_loop_has_the_same_heads_and_no_table() -> None:
    for cell in _cells(reach="global"):
        full, empty = loop_source(cell, "x"), loop_source(cell, EMPTY_LOOP)
        assert "TABLE" in full
        assert "TABLE" not in empty
        heads = [line for line in full.splitlines() if " for " in line and "TABLE" not in line]
        assert all(line in empty.splitlines() for line in heads)
        compile_loop(empty, "empty", None)


def _lap(begin: int, end: int, cpu: int | None = None, switches: tuple[int, int] = (0, 0)) -> Lap:
    busy = end - begin
    return Lap(begin, end, busy, busy if cpu is None else cpu, 10, Switches(*switches))


def test_laps_count_only_while_every_thread_runs() -> None:
    first = [_lap(0, 100), _lap(100, 200), _lap(200, 300)]
    second = [_lap(0, 100), _lap(100, 300, cpu=100, switches=(0, 1))]
    sample = sample_of([first, second])
    assert sample.wall_ns == 10.0  # the later laps ran beside a thread without a CPU
    assert sample.clean == pytest.approx(2 / 5)


def test_waiting_for_a_lock_is_part_of_the_time() -> None:
    waited = [_lap(0, 200, cpu=100, switches=(1, 0))]
    assert sample_of([waited]).wall_ns == 20.0
    assert sample_of([waited]).clean == 1.0


def test_a_few_laps_that_wait_are_not_lost_among_many_that_do_not() -> None:
    laps = [_lap(100 * number, 100 * number + 100) for number in range(9)]
    laps.append(_lap(900, 2000, cpu=100, switches=(1, 0)))
    assert sample_of([laps]).wall_ns == 20.0


def test_without_clean_laps_overlapping_ones_count_and_the_sample_says_so() -> None:
    preempted = [_lap(0, 100, cpu=50, switches=(0, 1)), _lap(100, 400, cpu=50, switches=(0, 2))]
    sample = sample_of([preempted, [_lap(0, 100)]])
    assert sample.clean == 0.0
    assert sample.wall_ns == 10.0


def test_errors_drop_a_contestant_and_not_the_cell(crew: Crew) -> None:
    def broken(pairs: Any) -> Any:
        raise RuntimeError("cannot be made")

    class Reluctant(dict[Any, Any]):
        def __getitem__(self, key: Any) -> Any:
            raise LookupError("not today")

    contestants = [
        Contestant("dict", "dict", lambda: dict, "builtin"),
        Contestant("broken", "dict", lambda: broken, "rival"),
        Contestant("reluctant", "dict", lambda: Reluctant, "rival"),
        Contestant("without", "dict", lambda: dict, "rival", lacks=frozenset({"getitem"})),
    ]
    cell = Cell("dict", "getitem", "str", "immortal", "global")
    result = measure_cell(cell, contestants, settings_for((1, 2)), crew, rounds=2, seconds=0.01)
    assert {series.contestant for series in result.series} == {"dict", EMPTY_LOOP}
    (rounds,) = {len(series.wall_ns) for series in result.series}
    assert 2 <= rounds <= 4  # more where the machine is busy
    assert len(result.errors) == 6
    assert "cannot be made" in result.errors[0]
    assert "not today" in result.errors[-1]
    assert gc.isenabled()
