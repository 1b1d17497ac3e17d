"""A key that comes and goes must not lengthen its own probe sequence without bound."""

from __future__ import annotations

from typing import Any


def test_dict_chain_of_one_key_stays_short(ct: Any) -> None:
    table = ct.ConcurrentDict(dict.fromkeys(range(3000)))
    for _ in range(1500):
        table["guest"] = 1
        longest = max(ct.inspect_table(table).probe_lengths) if _ % 100 == 99 else 0
        assert longest <= 300
        del table["guest"]
    assert len(table) == 3000


def test_set_chain_of_one_item_stays_short(ct: Any) -> None:
    table = ct.ConcurrentSet(range(3000))
    for _ in range(1500):
        table.add("guest")
        longest = max(ct.inspect_table(table).probe_lengths) if _ % 100 == 99 else 0
        assert longest <= 300
        table.discard("guest")
    assert len(table) == 3000
