"""How wide prices move: true range and standard deviation.

Rule 1: the average true range is Wilder's, begun with the plain mean of the first `period` ranges after the first bar.
Rule 2: the variance of a window is one integer, n · Σ x² - (Σ x)², over n²: nothing cancels, only the root rounds.
"""

from __future__ import annotations

from collections import deque
from math import sqrt
from typing import NamedTuple

from kronos.trading.indicators.periods import whole_period

__all__ = ["Atr", "Bands", "Bollinger"]


class Atr:
    """The average true range (Wilder, 1978) in ticks."""

    __slots__ = ("count", "last", "period", "total", "value")

    def __init__(self, period: int = 14) -> None:
        self.period = whole_period(period, "Atr")
        self.last: int | None = None
        self.total = 0
        self.count = 0
        self.value: float | None = None

    def update(self, high: int, low: int, close: int) -> float | None:
        """Take the newest bar (ticks); return ticks, None until there are `period` ranges."""
        last, self.last = self.last, close
        if last is None:
            return None
        reach = max(high, last) - min(low, last)
        if self.value is not None:
            self.value = (self.value * (self.period - 1) + reach) / self.period
            return self.value
        self.total += reach
        self.count += 1
        if self.count == self.period:
            self.value = self.total / self.period
        return self.value


class Bands(NamedTuple):
    """Three prices in ticks."""

    lower: float
    middle: float
    upper: float


class Bollinger:
    """The mean of the latest `period` values and `width` standard deviations (of the population) to either side."""

    __slots__ = ("period", "squares", "total", "value", "width", "window")

    def __init__(self, period: int = 20, width: float = 2.0) -> None:
        self.period = whole_period(period, "Bollinger")
        self.width = width
        self.window: deque[int] = deque(maxlen=period)
        self.total = 0
        self.squares = 0
        self.value: Bands | None = None

    def update(self, value: int) -> Bands | None:
        """Take the newest value (ticks); return the bands, None until there are `period` values."""
        window, period = self.window, self.period
        if len(window) == period:
            gone = window[0]
            self.total -= gone
            self.squares -= gone * gone
        self.total += value
        self.squares += value * value
        window.append(value)
        if len(window) == period:
            middle = self.total / period
            reach = self.width * sqrt(period * self.squares - self.total * self.total) / period
            self.value = Bands(middle - reach, middle, middle + reach)
        return self.value
