"""Room for many new elements at once: slots of removed ones count only in the block that they are in."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize("kept", range(4))
@pytest.mark.parametrize("back", range(1, 12))
def test_elements_that_come_back_with_others(ct: Any, kept: int, back: int) -> None:
    for others in range(12):
        first = set(range(kept + back))
        table = ct.ConcurrentSet(first)
        table.difference_update(range(kept, kept + back))
        added = set(range(kept, kept + back)) | set(range(100, 100 + others))
        table.update(added)
        assert table == first | added
        ct.inspect_table(table).check()
