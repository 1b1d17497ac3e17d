"""Structural checks of our own tables at rest."""

from __future__ import annotations

from typing import Any

from .arena import Arena

__all__ = ["check_layout"]


def check_layout(arena: Arena, *tables: Any) -> None:
    """At rest: every structural invariant of our tables."""
    if not arena.target.native:
        return
    for table in tables:
        try:
            arena.target.package.inspect_table(table).check()
        except Exception as error:
            arena.fail("invariants", f"inspect_table(...).check() fails: {error!r}")
