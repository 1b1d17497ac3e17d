"""Bars of contestants: what is drawn, and how it is drawn as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from statistics import quantiles
from typing import NamedTuple

__all__ = ["COLOURS", "Bar", "bar_of", "svg_of"]

COLOURS = {"builtin": "#8a8f98", "ours": "#2f6fde", "rival": "#d9822b"}
_BAR, _GAP, _LEFT, _WIDTH = 14, 4, 260, 620


class Bar(NamedTuple):
    """One figure with its quartiles; `side` is "ours", "builtin" or "rival"."""

    label: str
    side: str
    low: float
    median: float
    high: float

    @property
    def colour(self) -> str:
        return COLOURS.get(self.side, "#999999")


def bar_of(label: str, side: str, figures: Sequence[float]) -> Bar:
    """The bar of one figure, or of the median of several."""
    if len(figures) == 1:
        return Bar(label, side, figures[0], figures[0], figures[0])
    return Bar(label, side, *quantiles(figures, n=4, method="inclusive"))


def svg_of(bars: Sequence[Bar], name: str) -> str:
    """Horizontal bars under each other, the quartiles as a line."""
    if not bars:
        return "<p>nothing was measured</p>"
    most = max(max(bar.high, 1e-9) for bar in bars)
    scale = (_WIDTH - 70) / most
    height = len(bars) * (_BAR + _GAP) + _GAP
    drawn = "".join(_drawn(bar, _GAP + n * (_BAR + _GAP), scale) for n, bar in enumerate(bars))
    return (
        f'<svg width="{_LEFT + _WIDTH}" height="{height}" role="img" '
        f'aria-label="{escape(name)}">{drawn}</svg>'
    )


def _drawn(bar: Bar, top: int, scale: float) -> str:
    base, middle, width = top + _BAR - 3, top + _BAR / 2, bar.median * scale
    return (
        f'<text x="{_LEFT - 6}" y="{base}" text-anchor="end" fill="currentColor">'
        f"{escape(bar.label)}</text>"
        f'<rect x="{_LEFT}" y="{top}" width="{max(1.0, width):.1f}" height="{_BAR}" '
        f'fill="{bar.colour}"/>'
        f'<text x="{_LEFT + bar.high * scale + 6:.1f}" y="{base}" fill="currentColor">'
        f"{bar.median:.1f}</text>"
        f'<path d="M{_LEFT + bar.low * scale:.1f} {middle}H{_LEFT + bar.high * scale:.1f}" '
        'stroke="currentColor" stroke-opacity=".7"/>'
    )
