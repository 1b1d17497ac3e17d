"""A history as an SVG drawing: a lane for each thread, time from left to right.

Time is the order of calls and returns, not seconds: each moment gets the same width. Every operation
can be pointed at or reached with the arrow keys; a panel below then says what it answered and the
state after it. The script finds all it shows in `data-` attributes, so that no text of a container's
ever becomes script.
"""

from __future__ import annotations

from html import escape
from typing import Any

from ..histories import shortened
from ..lanes import ranks_of

__all__ = ["timeline"]

_LANE, _BAR, _TOP = 44, 24, 26
_CHARACTER = 6.7  # pixels of the monospaced font
_MOST_PATH = 3_000
_LEGEND = (
    ("placed", "in the longest order that explains a part (the number is the place in it)"),
    ("illegal", "cannot be placed"),
    ("overlapping", "overlaps it, not placed either"),
    ("flying", "never returned"),
    ("plain", "not in that order"),
)
_ORDERS = {
    "tickets": "Time is the order of calls and returns.",
    "steps": "Time is the steps of the schedule: one thread runs at each.",
    "began": "Time is the order in which operations began.",
    "threads": "Only the order within each thread is known.",
}


def timeline(history: dict[str, Any], name: str) -> str:
    """The drawing with its panel and legend; `name` is unique on the page."""
    operations = history["operations"]
    if not operations:
        return ""
    ranks = ranks_of(history)
    unit = _unit(history, len(ranks))
    width = round((len(ranks) + 1) * unit)
    threads = history["threads"]
    height = _TOP + len(threads) * _LANE + 6
    bars = [_bar(op, ranks, unit, width, name) for op in operations]
    described = f"{len(operations)} operations of {len(threads)} threads"
    return "".join(
        [
            f'<figure class="timeline" id="{name}">',
            f"<figcaption>{escape(_caption(history))}</figcaption>",
            *[f'<p class="note">{escape(note)}</p>' for note in history.get("notes", ())],
            _jump(operations, name),
            f'<div class="scroll"><div class="names" style="height:{height}px">',
            *[
                f'<span style="top:{_TOP + lane * _LANE}px">{escape(shortened(thread, 40))}</span>'
                for lane, thread in enumerate(threads)
            ],
            f'</div><svg class="lanes" width="{width}" height="{height}" role="group" '
            f'aria-label="{escape(described)}">',
            *[
                f'<path class="lane" d="M0 {_TOP + lane * _LANE + _BAR / 2}H{width}"/>'
                for lane in range(len(threads))
            ],
            *[_event(event, ranks, unit, height) for event in history.get("events", ())],
            _path(operations, ranks, unit),
            *bars,
            "</svg></div>",
            f'<div class="panel" aria-live="polite" data-initial="{escape(_initial(history))}">',
            "<p>Point at an operation, or go to it with Tab and the arrow keys.</p></div>",
            _legend(operations),
            "</figure>",
        ]
    )


def _unit(history: dict[str, Any], ticks: int) -> float:
    """Pixels between two moments: enough for the texts of short histories."""
    if ticks <= 24:
        longest = max(
            len(op["text"]) + len(str(op["result"] or "")) for op in history["operations"]
        )
        room = min(380.0, max(90.0, (longest + 8) * _CHARACTER))
        return 0.6 * room if history["order"] == "threads" else max(60.0, room / 2)
    if ticks <= 600:
        return 64.0
    if ticks <= 2_000:
        return 36.0
    return 9.0


def _caption(history: dict[str, Any]) -> str:
    text = _ORDERS.get(history["order"], "")
    if history.get("key") is not None:
        text += f" Only the operations on key {shortened(history['key'], 80)}."
    placed = sum(op["place"] is not None for op in history["operations"])
    if placed:
        text += f" The longest order that explains a part has {placed} operations."
    return text


def _initial(history: dict[str, Any]) -> str:
    return "not known" if history.get("initial") is None else str(history["initial"])


def _jump(operations: list[dict[str, Any]], name: str) -> str:
    if len(operations) < 30 or not any(op["mark"] == "illegal" for op in operations):
        return ""
    return f'<p><button type="button" class="jump" data-figure="{name}">Show the illegal one</button></p>'


def _kind(op: dict[str, Any]) -> str:
    if op["mark"] in ("illegal", "overlapping"):
        return str(op["mark"])
    if op["place"] is not None:
        return "placed"
    return "flying" if op["mark"] == "in flight" else "plain"


def _span(
    op: dict[str, Any], ranks: dict[int, int], unit: float, width: float
) -> tuple[float, float]:
    left = (ranks[op["invoke"]] + 0.15) * unit
    right = width - 4 if op["response"] is None else (ranks[op["response"]] + 0.85) * unit
    if op["response"] is not None and ranks[op["response"]] == ranks[op["invoke"]] + 1:
        right = max(left + 4, right)
    return left, max(left + 3, right)


def _bar(op: dict[str, Any], ranks: dict[int, int], unit: float, whole: float, name: str) -> str:
    left, right = _span(op, ranks, unit, whole)
    top = _TOP + op["thread"] * _LANE
    kind = _kind(op)
    answer = "" if op["result"] is None else f" \u2192 {op['result']}"
    sign = "\u2717 " if kind == "illegal" else ""
    number = "" if op["place"] is None else str(op["place"] + 1)
    data = {
        "text": op["text"],
        "result": _answer(op),
        "thread": str(op["thread"]),
        "kind": kind,
        "mark": op["mark"],
        "place": number,
        "state": "" if op["state"] is None else op["state"],
        "called": str(op["invoke"]),
        "returned": "never" if op["response"] is None else str(op["response"]),
    }
    attributes = "".join(f' data-{key}="{escape(value)}"' for key, value in data.items())
    label = f"thread {op['thread']}: {op['text']}{answer}"
    identity = f' id="{name}-illegal"' if kind == "illegal" else ""
    room = int((right - left - 6) / _CHARACTER)
    text = shortened(f"{sign}{op['text']}{answer}", max(4, room)) if room >= 4 else sign.strip()
    inside = f'<text x="{left + 4:.1f}" y="{top + 16}">{escape(text)}</text>' if text else ""
    badge = (
        f'<text class="place" x="{left:.1f}" y="{top - 4}">{number}</text>'
        if number and unit >= 20
        else ""
    )
    return (
        f'<g class="op {kind}"{identity} role="img" tabindex="-1" aria-label="{escape(label)}"{attributes}>'
        f'<rect x="{left:.1f}" y="{top}" width="{right - left:.1f}" height="{_BAR}" rx="4"/>'
        f"{inside}{badge}</g>"
    )


def _answer(op: dict[str, Any]) -> str:
    if op["result"] is not None:
        return str(op["result"])
    if op["mark"] == "in flight":
        return "never returned"
    return "has not begun" if op["mark"] == "not begun" else "not recorded"


def _path(operations: list[dict[str, Any]], ranks: dict[int, int], unit: float) -> str:
    """A line through the placed operations in their order: each at a moment while it ran."""
    placed = [op for op in operations if op["place"] is not None]
    placed.sort(key=lambda op: int(op["place"]))
    if not 1 < len(placed) <= _MOST_PATH:
        return ""
    points = []
    at = 0.0
    step = min(0.12, 0.5 / len(placed))
    for op in placed:
        at = max(at + step, ranks[op["invoke"]] + 0.3)
        points.append(f"{at * unit:.1f} {_TOP + op['thread'] * _LANE + _BAR + 5}")
    return f'<path class="order" d="M{"L".join(points)}"/>'


def _event(event: dict[str, Any], ranks: dict[int, int], unit: float, height: int) -> str:
    """A resize, a collection or a fault: a line across all lanes."""
    at = sum(ticket <= event["at"] for ticket in ranks) * unit
    text = escape(f"{event['kind']}: {event['text']}")
    return (
        f'<g class="event" role="img" aria-label="{text}"><title>{text}</title>'
        f'<path d="M{at:.1f} 0V{height}"/><text x="{at + 3:.1f}" y="10">{text}</text></g>'
    )


def _legend(operations: list[dict[str, Any]]) -> str:
    kinds = {_kind(op) for op in operations}
    parts = [
        f'<li><i class="{kind}"></i>{escape(text)}</li>' for kind, text in _LEGEND if kind in kinds
    ]
    return f'<ul class="legend">{"".join(parts)}</ul>'
