"""Sets under threads: conservation, atomic in-place operators, no torn length."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.support import Named, numbered, run_threads

THREADS = 4
STEPS = 300


@pytest.fixture
def table(ct: Any) -> Any:
    return ct.ConcurrentSet()


@pytest.mark.parametrize("make", [int, str, Named])
def test_every_added_item_is_there(table: Any, make: Any) -> None:
    steps = STEPS if make is not Named else 60

    def work(number: int) -> None:
        for step in range(steps):
            table.add(make(number * steps + step))

    run_threads(*numbered(work, THREADS))
    assert table == {make(n) for n in range(THREADS * steps)}


def test_remove_has_one_winner(table: Any) -> None:
    table.update(range(STEPS))

    def work() -> list[int]:
        won = []
        for item in range(STEPS):
            try:
                table.remove(item)
                won.append(item)
            except KeyError:
                pass
        return won

    assert sorted(sum(run_threads(work, count=THREADS), [])) == list(range(STEPS))
    assert len(table) == 0


def test_pop_gives_each_item_once(table: Any) -> None:
    table.update(range(THREADS * STEPS))

    def work() -> list[int]:
        items = []
        while True:
            try:
                items.append(table.pop())
            except KeyError:
                return items

    assert sorted(sum(run_threads(work, count=THREADS), [])) == list(range(THREADS * STEPS))


def test_add_and_discard_of_own_items(table: Any) -> None:
    def work(number: int) -> set[Any]:
        model: set[Any] = set()
        for step in range(STEPS * 2):
            item = (number, step % 31)
            if step % 3:
                table.add(item)
                model.add(item)
            else:
                table.discard(item)
                model.discard(item)
            assert (item in table) == (item in model)
        return model

    models = run_threads(*numbered(work, THREADS))
    assert table == set().union(*models)
    assert len(table) == sum(map(len, models))


def test_in_place_operators_lose_nothing(table: Any) -> None:
    """`|=` and `-=` of disjoint parts: a two-step operator would drop another thread's items."""

    def work(number: int) -> None:
        nonlocal table
        for step in range(60):
            mine = {(number, step, n) for n in range(5)}
            table |= mine
            assert mine <= table
            if step % 2:
                table -= mine
                assert table.isdisjoint(mine)

    same = table
    run_threads(*numbered(work, THREADS))
    assert table is same
    assert table == {(t, s, n) for t in range(THREADS) for s in range(0, 60, 2) for n in range(5)}


def test_intersection_update_keeps_others_adds_whole(table: Any) -> None:
    keep = set(range(50))
    table.update(keep)
    stop = threading.Event()

    def intersect() -> None:
        for _ in range(100):
            table.intersection_update(keep)
        stop.set()

    def add() -> None:
        while not stop.is_set():
            table.update({"x", "y"})

    run_threads(intersect, add)
    assert keep <= table
    assert table - keep in (set(), {"x", "y"})


def test_xor_flips_whole_groups(table: Any) -> None:
    """Symmetric differences of one group: every snapshot holds all of it or nothing."""
    group = frozenset(range(20))
    flips = 60

    def flip() -> None:
        nonlocal table
        for _ in range(flips):
            table ^= group

    def look() -> None:
        for _ in range(flips):
            assert table.snapshot() in (set(), group)
            assert len(table.copy()) in (0, 20)

    run_threads(flip, flip, look)
    assert table == set()


def test_length_is_never_torn(table: Any) -> None:
    """While whole groups come and go at once, a length between is a lie."""
    base, group = set(range(100)), set(range(100, 130))
    table.update(base)
    stop = threading.Event()
    lengths: set[int] = set()

    def look() -> None:
        while not stop.is_set():
            lengths.add(len(table))

    reader = threading.Thread(target=look, daemon=True)
    reader.start()

    def change() -> None:
        for _ in range(150):
            table.update(group)
            table.difference_update(group)

    run_threads(change)
    stop.set()
    reader.join(30)
    assert lengths <= {100, 130}


def test_clear_and_update_cross(table: Any) -> None:
    def work(number: int) -> None:
        for step in range(100):
            table.update((number, n) for n in range(5))
            if step % 10 == 0:
                table.clear()

    def look() -> None:
        for _ in range(200):
            per_thread: dict[int, int] = {}
            for number, _ in table.snapshot():
                per_thread[number] = per_thread.get(number, 0) + 1
            assert set(per_thread.values()) <= {5}

    run_threads(*numbered(work, 3), look)


def test_operators_of_a_set_with_itself_see_one_moment(table: Any) -> None:
    table.update(range(5))
    stop = threading.Event()
    group = set(range(5, 40))

    def change() -> None:
        while not stop.is_set():
            table.update(group)
            table.difference_update(group)

    def look() -> None:
        try:
            for _ in range(300):
                assert table - table == set() == table.difference(table)
                assert table ^ table == set() == table.symmetric_difference(table)
                assert table <= table <= table
                assert not table < table and not table > table and not table.isdisjoint(table)
                assert table.issubset(table) and table.issuperset(table)
                assert len(table & table) in (5, 40) and len(table | table) in (5, 40)
        finally:
            stop.set()

    run_threads(change, look)


def test_a_set_reads_itself_as_an_operand_once(ct: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if ct.IMPLEMENTATION != "python":
        pytest.skip("counts the readings of the Python implementation")
    table = ct.ConcurrentSet(range(5))
    read = ct.ConcurrentSet._frozen_block

    def read_and_change(self: Any) -> Any:
        block = read(self)
        table.add(len(table))  # what another thread might do just then
        return block

    monkeypatch.setattr(ct.ConcurrentSet, "_frozen_block", read_and_change)
    assert len(table - table) == len(table ^ table) == 0
    assert table <= table and table >= table and not table < table and not table > table
    assert table.issubset(table) and table.issuperset(table)
    size = len(table)
    assert len(table & table) == size and len(table | table) == size + 1


def test_a_set_changed_by_itself_loses_and_revives_nothing(table: Any) -> None:
    done = threading.Event()

    def change() -> None:
        try:
            for step in range(400):
                table.add(("kept", step))
                table.add(("gone", step))
                table.remove(("gone", step))
        finally:
            done.set()

    def same() -> None:
        mine = table
        while not done.is_set():
            mine &= table
            mine |= table
            table.intersection_update(table)
            table.update(table)

    run_threads(change, same)
    assert table == {("kept", step) for step in range(400)}
    assert not {item for item in table if item[0] == "gone"}


def test_flipping_a_set_by_itself_revives_nothing(table: Any) -> None:
    done = threading.Event()
    seen: list[Any] = []

    def change() -> None:
        try:
            for step in range(400):
                table.add(step)
                table.discard(step)
                if step in table:
                    seen.append(step)
        finally:
            done.set()

    def flip() -> None:
        while not done.is_set():
            table.symmetric_difference_update(table)

    run_threads(change, flip)
    assert seen == [] and table == set()


def test_operators_between_tables_cross(ct: Any) -> None:
    left, right = ct.ConcurrentSet(range(50)), ct.ConcurrentSet(range(50, 100))

    def first() -> None:
        for _ in range(60):
            left.update(right)

    def second() -> None:
        for _ in range(60):
            right.update(left)

    def compare() -> None:
        for _ in range(60):
            left <= right, left == right, left | right, left & right, left.isdisjoint(right)

    run_threads(first, second, compare, count=2)
    assert left == right == set(range(100))


def test_iterators_beside_writers(table: Any) -> None:
    fixed = {("fixed", n) for n in range(60)}
    table.update(fixed)
    stop = threading.Event()
    errors: list[Any] = []

    def read() -> None:
        while not stop.is_set():
            seen = list(table)
            if len(seen) != len(set(seen)) or not fixed <= set(seen):
                errors.append(seen)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()

    def write(number: int) -> None:
        for step in range(STEPS):
            table.add((number, step))
            table.discard((number, step - 20))

    run_threads(*numbered(write, 3))
    stop.set()
    reader.join(60)
    assert not errors


def test_shared_iterator_gives_each_item_once(table: Any) -> None:
    table.update(range(2000))
    iterator = iter(table)
    parts = run_threads(lambda: list(iterator), count=THREADS)
    assert sorted(sum(parts, [])) == list(range(2000))


def test_freeze_hash_beside_writers(ct: Any, table: Any) -> None:
    def write(number: int) -> None:
        for step in range(100):
            table.symmetric_difference_update({number, step})

    def look() -> None:
        for _ in range(100):
            frozen = table.freeze()
            assert hash(frozen) == hash(frozenset(frozen))

    run_threads(*numbered(write, 3), look)


@pytest.mark.parametrize("size", [2, 25])
def test_lookups_see_all_of_a_change_or_nothing(table: Any, size: int) -> None:
    """Groups are added and then removed, each in one step, once: what a lookup saw stays true."""
    rounds = 150
    table.update(f"base{n}" for n in range(100))
    groups = [[f"{number}.{n}" for n in range(size)] for number in range(rounds)]
    turn: tuple[bool, list[str]] | None = (True, groups[0])

    def change() -> None:
        nonlocal turn
        for group in groups:
            turn = (True, group)
            table.update(group)
        for group in groups:
            turn = (False, group)
            table.difference_update(group)
        turn = None

    def look() -> None:
        while (now := turn) is not None:
            adding, group = now
            seen = [item in table for item in (*group, *reversed(group))]
            if turn is now:  # else the group may have come and gone
                assert seen == sorted(seen, reverse=not adding), (adding, seen)

    run_threads(change, look)
    assert len(table) == 100


def test_a_key_that_comes_and_goes_is_never_confused(table: Any) -> None:
    """Keys of one hash take each other's slots; a lookup finds its own or nothing."""
    stays, guests = Same(0), [Same(n) for n in range(1, 5)]
    table.add(stays)

    def come_and_go() -> None:
        for step in range(200):
            table.add(guests[step % 4])
            table.update([guests[(step + 1) % 4], guests[(step + 2) % 4]])
            table.difference_update(guests)

    def look() -> None:
        for _ in range(200):
            assert stays in table and Same(0) in table
            assert Same(9) not in table
            assert stays in table.snapshot() and list(table).count(stays) == 1

    run_threads(come_and_go, look, look)
    assert table == {stays}


class Same:
    """Equal by number; all instances have one hash."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return 7

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.number == other.number


def test_a_shared_iterator_of_a_changing_set_yields_each_element_once(table: Any) -> None:
    stay, go = [f"stay{n}" for n in range(500)], [f"go{n}" for n in range(500)]
    table.update([*stay, *go])
    for _ in range(5):
        iterator = iter(table)

        def work() -> list[str]:
            return list(iterator)

        def change() -> None:
            for item in go:
                table.discard(item)
                table.add(item)
                table.add("new")

        one, other, _ = run_threads(work, work, change)
        seen = one + other
        assert len(seen) == len(set(seen)) and set(stay) <= set(seen) <= {*stay, *go}
        table.discard("new")
