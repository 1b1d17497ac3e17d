"""Coverage as drawings: operation beside operation, operation with type, target with type."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from ..profiles.base import names_of
from ..report import unmet_pairs

__all__ = ["pair_matrix", "type_matrix", "type_table"]

_CELL, _LABEL = 9, 170
_STEPS = (1, 100, 10_000, 1_000_000)  # samples from which on a pair is drawn darker
_OPERATORS = names_of(
    "__or__ __and__ __sub__ __xor__ __add__ __ror__ __rand__ __rsub__ __rxor__ __radd__ __ior__ "
    "__iand__ __isub__ __ixor__ __iadd__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__"
)


def pair_matrix(target: str, coverage: dict[str, Any]) -> str:
    """Which operations met on one instance, and how often: the lower half of a square."""
    names = sorted(coverage["operations"])
    if not names:
        return ""
    counts = {(x, y): count for x, y, count in coverage["pairs"]}
    missing = unmet_pairs(coverage)
    rows = [
        [counts.get((names[column], name), 0) for column in range(row + 1)]
        for row, name in enumerate(names)
    ]
    size = len(names) * _CELL
    buckets: list[list[str]] = [[] for _ in range(len(_STEPS) + 1)]
    for row, line in enumerate(rows):
        for column, count in enumerate(line):
            bucket = sum(count >= step for step in _STEPS)
            buckets[bucket].append(f"M{_LABEL + column * _CELL} {row * _CELL}h8v8h-8z")
    paths = "".join(
        f'<path class="met{number}" d="{"".join(cells)}"/>'
        for number, cells in enumerate(buckets)
        if cells
    )
    labels = "".join(
        f'<text x="{_LABEL - 4}" y="{row * _CELL + 7.5}">{escape(name[:30])}</text>'
        for row, name in enumerate(names)
    )
    data = escape(json.dumps({"names": names, "counts": rows}, separators=(",", ":")))
    total = len(names) * (len(names) + 1) // 2
    return (
        f'<figure class="matrix"><figcaption>{escape(target)}: {total - len(missing):,} of {total:,} pairs '
        f"of {len(names)} operations met on one instance. A row and a column are operations; darker cells "
        "met in more samples, empty ones never."
        "</figcaption>"
        f'<div class="scroll"><svg class="pairs" tabindex="0" role="img" width="{_LABEL + size}" '
        f'height="{size + 4}" data-cell="{_CELL}" data-left="{_LABEL}" data-pairs="{data}" '
        f'aria-label="{escape(target)}: {total - len(missing)} of {total} pairs met">'
        f'{paths}{labels}<rect class="cursor" width="{_CELL}" height="{_CELL}" visibility="hidden"/>'
        "</svg></div>"
        '<div class="panel" aria-live="polite"><p>Point at a cell, or go to it with Tab and the arrow keys.'
        f"</p></div>{_missing(missing)}</figure>"
    )


def _missing(missing: list[tuple[str, str]]) -> str:
    if not missing:
        return ""
    items = []
    for first in sorted({x for x, _ in missing}):
        others = ", ".join(y for x, y in missing if x == first)
        items.append(f"<li><b>{escape(first)}</b> with {escape(others)}</li>")
    return f"<details><summary>never met: {len(missing):,}</summary><ul>{''.join(items)}</ul></details>"


def type_matrix(target: str, coverage: dict[str, Any]) -> str:
    """Operations with an operand, and the kinds of it."""
    counts = {(x, y): count for x, y, count in coverage["operand_types"]}
    taken = {(x, y) for x, y in coverage.get("operand_types_in_all", ())} | set(counts)
    if not taken:
        return ""
    kinds = sorted({kind for _, kind in taken})
    names = sorted({name for name, _ in taken})
    never = sum(1 for pair in taken if not counts.get(pair))
    head = "".join(f'<th scope="col">{escape(kind)}</th>' for kind in kinds)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(_cell(counts.get((name, kind), 0), (name, kind) in taken) for kind in kinds)
        + "</tr>"
        for name in names
    )
    return (
        f"<details><summary>{escape(target)}: {len(taken) - never} of {len(taken)} operations with kinds of "
        'operands were sampled</summary><div class="scroll"><table class="types"><tr><th>operation</th>'
        f"{head}</tr>{body}</table></div></details>"
    )


def type_table(sampling: dict[str, dict[str, Any]]) -> str:
    """Target beside type of operand, in samples of binary operators."""
    kinds: set[str] = set()
    rows = {}
    for target, each in sampling.items():
        row: dict[str, int] = {}
        for name, kind, count in each["coverage"]["operand_types"]:
            if name in _OPERATORS:
                row[kind] = row.get(kind, 0) + count
        if row:
            rows[target] = row
            kinds |= set(row)
    if not rows:
        return ""
    order = sorted(kinds)
    head = "".join(f'<th scope="col">{escape(kind)}</th>' for kind in order)
    body = "".join(
        f'<tr><th scope="row">{escape(target)}</th>'
        + "".join(_cell(row.get(kind, 0), True) for kind in order)
        + "</tr>"
        for target, row in rows.items()
    )
    return (
        '<div class="scroll"><table class="types"><caption>Samples of binary operators, by the type of the '
        f"other operand</caption><tr><th>type</th>{head}</tr>{body}</table></div>"
    )


def _cell(count: int, possible: bool) -> str:
    if not possible:
        return '<td class="none">\u00b7</td>'
    level = sum(count >= step for step in _STEPS)
    text = f"{count:,}" if count else "never"
    return f'<td class="met{level}">{text}</td>'
