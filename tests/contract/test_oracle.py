"""`inspect_table(t).check()` must find a damaged table: each damage here breaks one invariant.

The layouts are real ones, of tables with deleted entries; the damage is done to the copy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from concurrent_tables.inspection import InvariantError, Layout, TableInfo


def a_table(ct: Any, kind: str) -> Any:
    name: Callable[[int], Any] = str if kind == "unicode" else int
    table = ct.ConcurrentDict((name(number), number) for number in range(10))
    for number in (0, 4, 9):
        del table[name(number)]
    assert ct.inspect_table(table).kind == kind
    return table


def changed(sequence: Any, *changes: tuple[int, Any]) -> list[Any]:
    items = list(sequence)
    for place, item in changes:
        items[place] = item
    return items


def slot(layout: Layout, number: int) -> int:
    return list(layout.index).index(number)


def other_hashes(layout: Layout) -> Layout:
    if layout.hashes is None:
        return replace(layout, keys=changed(layout.keys, (5, "7")))
    return replace(layout, hashes=changed(layout.hashes, (5, 77)))


DAMAGES: dict[str, tuple[Callable[[Layout], Layout], str]] = {
    "used": (lambda x: replace(x, used=x.used + 1), "I4"),
    "value lost": (lambda x: replace(x, values=changed(x.values, (5, x.null))), "I4"),
    "value of a dead entry": (lambda x: replace(x, values=changed(x.values, (4, "risen"))), "I4"),
    "slot lost": (lambda x: replace(x, index=changed(x.index, (slot(x, 5), -1))), "I3"),
    "slot of a dead entry": (
        lambda x: replace(x, index=changed(x.index, (slot(x, -2), 4))),
        "I2: index slots of dead entries",
    ),
    "slot emptied again": (
        lambda x: replace(x, index=changed(x.index, (slot(x, -2), -1))),
        "I2: 2 slots are DUMMY",
    ),
    "two slots": (lambda x: replace(x, index=changed(x.index, (slot(x, -1), 5))), "several index"),
    "slot out of range": (
        lambda x: replace(x, index=changed(x.index, (slot(x, -1), 99))),
        "out of range",
    ),
    "index cut": (lambda x: replace(x, index=list(x.index)[:-1] + [-1, -1]), "I1"),
    "index width": (lambda x: replace(x, index_width=8), "instead of 1"),
    "filled too far": (lambda x: replace(x, filled=x.capacity + 1), "entry slots used"),
    "filled too little": (lambda x: replace(x, filled=5), "beyond the filled"),
    "key lost": (lambda x: replace(x, keys=changed(x.keys, (5, x.null))), "no key"),
    "key twice": (lambda x: replace(x, keys=changed(x.keys, (5, x.keys[6]))), "two live entries"),
    "another hash": (other_hashes, "not reachable|two live entries"),
    "live below the bottom": (lambda x: replace(x, live_range=(3, 9)), "outside of 3..8"),
    "live above the top": (lambda x: replace(x, live_range=(1, 7)), "outside of 1..6"),
    "commit half done": (lambda x: replace(x, at_rest=False), "half done"),
    "own report": (lambda x: replace(x, problems=("I9: odd",)), "I9: odd"),
}


@pytest.mark.parametrize("kind", ["unicode", "general"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found(ct: Any, damage: str, kind: str) -> None:
    layout = ct.inspect_table(a_table(ct, kind))._layout
    TableInfo(layout).check()
    breaking, words = DAMAGES[damage]
    with pytest.raises(InvariantError, match=words):
        TableInfo(breaking(layout)).check()


def test_a_key_of_another_type_in_a_unicode_table_is_found(ct: Any) -> None:
    layout = ct.inspect_table(a_table(ct, "unicode"))._layout
    with pytest.raises(InvariantError, match="has the key 5"):
        TableInfo(replace(layout, keys=changed(layout.keys, (5, 5)))).check()


def test_a_damaged_shard_is_named(ct: Any) -> None:
    layout = ct.inspect_table(ct.ShardedDict({1: 1, 2: 2}, shards=2))._layout
    parts = (replace(layout.parts[0], used=7), *layout.parts[1:])
    with pytest.raises(InvariantError, match="shard 0: I4: used is 7"):
        TableInfo(replace(layout, parts=parts)).check()


def test_every_problem_is_listed(ct: Any) -> None:
    layout = ct.inspect_table(a_table(ct, "general"))._layout
    with pytest.raises(InvariantError, match=r"^3 invariants broken \(general\)"):
        TableInfo(replace(layout, used=0, at_rest=False, index_width=2)).check()


@pytest.mark.parametrize("kind", ["unicode", "general"])
def test_the_layout_is_that_of_the_table(ct: Any, kind: str) -> None:
    """What the oracle walks comes from the table itself: keys, values, hashes, order, figures."""
    table = a_table(ct, kind)
    layout = ct.inspect_table(table)._layout
    live = [ix for ix in layout.order if layout.values[ix] is not layout.null]
    assert live == [1, 2, 3, 5, 6, 7, 8]
    assert [(layout.keys[ix], layout.values[ix]) for ix in live] == list(table.items())
    if layout.hashes is not None:
        assert [layout.hashes[ix] for ix in live] == [hash(key) for key in table]
    assert sorted(ix for ix in layout.index if ix >= 0) == live
    assert (layout.used, layout.filled, list(layout.index).count(-2)) == (7, 10, 3)
    assert layout.live_range == (1, 9)
    assert (layout.version, layout.keys_version) == (table.version, table.keys_version)
