"""Small charts as inline SVG: thin lines, few grid lines, figures at the edge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final, NamedTuple

__all__ = ["Line", "Mark", "chart", "day"]

LEFT: Final = 64
BELOW: Final = 24
ABOVE: Final = 8
TICKS: Final = 4


class Line(NamedTuple):
    """Points (ns, value) in time order, drawn in a class of the page's style."""

    points: Sequence[tuple[int, float]]
    style: str
    filled: bool = False


class Mark(NamedTuple):
    """A triangle at an instant: kind "buy" points up, "sell" down."""

    time_ns: int
    value: float
    kind: str


def day(ns: int) -> str:
    """Return the date of an instant (ns, UTC)."""
    return datetime.fromtimestamp(ns // 1_000_000_000, UTC).strftime("%Y-%m-%d")


def chart(
    lines: Sequence[Line],
    *,
    label: str,
    unit: str,
    marks: Sequence[Mark] = (),
    rules: Sequence[int] = (),
    width: int = 1032,
    height: int = 280,
) -> str:
    """Return an SVG of `lines` over a common axis; `rules` are instants at which a vertical line stands."""
    times = [at for line in lines for at, _ in line.points]
    values = [value for line in lines for _, value in line.points] + [mark.value for mark in marks]
    start, stop = min(times), max(times)
    ticks = _ticks(min(values), max(values))
    low, high = ticks[0], ticks[-1]

    def x(at: int) -> float:
        return round(LEFT + (at - start) / max(1, stop - start) * (width - LEFT - 8), 1)

    def y(value: float) -> float:
        return round(ABOVE + (high - value) / ((high - low) or 1.0) * (height - ABOVE - BELOW), 1)

    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">']
    for tick in ticks:
        parts.append(f'<path class="grid" d="M{LEFT} {y(tick)}H{width - 8}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(tick) + 4}" text-anchor="end">{_short(tick, high - low)}</text>')
    parts.append(f'<text x="{LEFT - 8}" y="{height - 6}" text-anchor="end">{escape(unit)}</text>')
    parts += [_year(at, min(x(at), width - 20), height) for at in _years(start, stop, width)]
    parts += [f'<path class="split" d="M{x(at)} {ABOVE}V{height - BELOW}"/>' for at in rules]
    for line in lines:
        path = "L".join(f"{x(at)} {y(value)}" for at, value in line.points)
        if line.filled:
            zero = y(max(low, min(high, 0.0)))
            parts.append(f'<path class="area" d="M{x(start)} {zero}L{path}L{x(stop)} {zero}Z"/>')
        parts.append(f'<path class="line {line.style}" d="M{path}"/>')
    parts += [_triangle(mark, x(mark.time_ns), y(mark.value)) for mark in marks]
    return "".join([*parts, "</svg>"])


def _short(value: float, span: float) -> str:
    """Return a figure that fits the edge: 950,000 or 1.25M; decimals where the axis spans little."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:,.2f}".rstrip("0").rstrip(".") + "M"
    return f"{value:,.{0 if span >= TICKS else 2}f}"


def _ticks(low: float, high: float) -> list[float]:
    """Return round values from below `low` to above `high`, about TICKS of them."""
    span = (high - low) or abs(high) or 1.0
    step = 10.0 ** math.floor(math.log10(span / TICKS))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= TICKS)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [number * step for number in range(first, last + 1)]


def _years(start: int, stop: int, width: int) -> list[int]:
    first = datetime.fromtimestamp(start // 1_000_000_000, UTC).year + 1
    last = datetime.fromtimestamp(stop // 1_000_000_000, UTC).year
    stride = max(1, math.ceil((last - first + 1) / (width / 80)))
    return [
        int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000_000 for year in range(first, last + 1, stride)
    ]


def _year(at: int, place: float, height: int) -> str:
    return f'<text x="{place}" y="{height - 6}" text-anchor="middle">{day(at)[:4]}</text>'


def _triangle(mark: Mark, x: float, y: float) -> str:
    tip = 5 if mark.kind == "buy" else -5
    return f'<path class="{mark.kind}" d="M{x} {y}l-4 {tip * 1.6:.0f}h8Z"/>'
