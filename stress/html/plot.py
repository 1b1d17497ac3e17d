"""Throughput over time as a drawing."""

from __future__ import annotations

import math
from html import escape
from typing import Any

__all__ = ["segments_of", "throughput"]

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _BOTTOM = 900, 190, 76, 24, 24
Segment = tuple[float, float, float, str]  # from and to in seconds, operations a second, what


def segments_of(document: dict[str, Any]) -> list[Segment]:
    """What ran when, and how fast: of a soak the minutes, of a run its workloads one by one."""
    minutes = document.get("minutes") or ()
    if minutes:
        return [
            (
                60.0 * (each["minute"] - 1),
                60.0 * each["minute"],
                float(each["rate"]),
                f"minute {each['minute']}",
            )
            for each in minutes
        ]
    segments: list[Segment] = []
    at = 0.0
    for done in document.get("workloads", ()):
        name = f"{done['target']}/{done['workload']}"
        paces = (document.get("sampling") or {}).get(done["target"], {}).get("paces", [])
        if done["workload"] == "scenarios" and paces:
            before, sofar = 0.0, 0
            for seconds, operations in paces:
                if seconds > before:
                    rate = (operations - sofar) / (seconds - before)
                    segments.append((at + before, at + seconds, rate, name))
                    before, sofar = seconds, operations
        elif done["seconds"] > 0:
            rate = done["operations"] / done["seconds"]
            segments.append((at, at + done["seconds"], rate, name))
        at += done["seconds"]
    return segments


def throughput(document: dict[str, Any]) -> str:
    """Operations a second on a logarithmic axis."""
    segments = [each for each in segments_of(document) if each[2] > 0]
    if not segments:
        return ""
    end = max(each[1] for each in segments)
    low = math.floor(math.log10(min(each[2] for each in segments)))
    high = max(low + 1, math.ceil(math.log10(max(each[2] for each in segments))))

    def x(seconds: float) -> float:
        return _LEFT + seconds / end * (_WIDTH - _LEFT - _RIGHT)

    def y(rate: float) -> float:
        return (
            _HEIGHT - _BOTTOM - (math.log10(rate) - low) / (high - low) * (_HEIGHT - _BOTTOM - 12)
        )

    grid = "".join(
        f'<path class="grid" d="M{_LEFT} {y(10**power):.1f}H{_WIDTH - _RIGHT}"/>'
        f'<text x="{_LEFT - 6}" y="{y(10**power) + 4:.1f}" text-anchor="end">{10**power:,}</text>'
        for power in range(low, high + 1)
    )
    marks = "".join(
        f'<text x="{x(end * part / 4):.1f}" y="{_HEIGHT - 6}" text-anchor="middle">'
        f"{_time(end * part / 4)}</text>"
        for part in range(5)
    )
    base = _HEIGHT - _BOTTOM
    bars = "".join(
        f'<rect x="{x(begin):.1f}" y="{y(rate):.1f}" width="{max(0.6, x(until) - x(begin) - 0.4):.1f}" '
        f'height="{base - y(rate):.1f}"><title>{escape(what)}: {rate:,.0f} operations a second</title></rect>'
        for begin, until, rate, what in segments
    )
    fastest, slowest = max(each[2] for each in segments), min(each[2] for each in segments)
    text = f"between {slowest:,.0f} and {fastest:,.0f} operations a second in {_time(end)}"
    return (
        f'<figure class="plot"><figcaption>Operations a second, {text}; each bar is what ran then, named '
        f'when pointed at.</figcaption><div class="scroll"><svg width="{_WIDTH}" height="{_HEIGHT}" '
        f'role="img" aria-label="throughput {text}">{grid}{marks}<g class="bars">{bars}</g></svg></div>'
        "</figure>"
    )


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
