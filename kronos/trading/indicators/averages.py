"""Means: simple, exponential, and by volume.

Rule 1: a simple mean is a sum and a count, both integers; `exceeds` compares two without dividing.
Rule 2: an exponential mean has no finite integer form: it is a float, begun with the simple mean of its first period.
"""

from __future__ import annotations

from collections import deque

from kronos.trading.indicators.periods import whole_period

__all__ = ["Ema", "Sma", "Vwap"]


class Sma:
    """The simple mean of the latest `period` values: `total / period`, rounded once."""

    __slots__ = ("period", "total", "value", "window")

    def __init__(self, period: int) -> None:
        self.period = whole_period(period, "Sma")
        self.window: deque[int] = deque(maxlen=period)
        self.total = 0
        self.value: float | None = None

    def update(self, value: int) -> float | None:
        """Take the newest value (ticks); return the mean in ticks, None until there are `period` values."""
        window = self.window
        if len(window) == self.period:
            self.total += value - window[0]
            window.append(value)
            self.value = mean = self.total / self.period
            return mean
        self.total += value
        window.append(value)
        if len(window) == self.period:
            self.value = self.total / self.period
        return self.value

    def exceeds(self, other: Sma) -> bool:
        """Return whether this mean is greater than `other`'s, compared as integers: never a matter of rounding."""
        return self.total * other.period > other.total * self.period


class Ema:
    """The exponential mean, alpha = 2 / (period + 1), begun with the mean of the first `period` values."""

    __slots__ = ("alpha", "count", "period", "total", "value")

    def __init__(self, period: int) -> None:
        self.period = whole_period(period, "Ema")
        self.alpha = 2 / (period + 1)
        self.total = 0
        self.count = 0
        self.value: float | None = None

    def update(self, value: float) -> float | None:
        """Take the newest value (ticks); return the mean in ticks, None until there are `period` values."""
        before = self.value
        if before is not None:
            self.value = before = before + self.alpha * (value - before)
            return before
        self.total += value  # type: ignore[assignment]  # ticks stay integers, floats are welcome
        self.count += 1
        if self.count == self.period:
            self.value = self.total / self.period
        return self.value


class Vwap:
    """The mean price by volume of the latest `period` bars, or since `reset` where there is no period.

    The price of a bar is (high + low + close) / 3; sums are integers: Σ (h + l + c) · v and 3 · Σ v.
    """

    __slots__ = ("paid", "period", "value", "volume", "window")

    def __init__(self, period: int | None = None) -> None:
        self.period = None if period is None else whole_period(period, "Vwap")
        self.window: deque[tuple[int, int]] = deque()
        self.paid = 0
        self.volume = 0
        self.value: float | None = None

    def update(self, high: int, low: int, close: int, volume: int) -> float | None:
        """Take the newest bar (ticks, volume steps); return ticks, None while nothing was traded or rows are few."""
        paid = (high + low + close) * volume
        self.paid += paid
        self.volume += volume
        known = True
        if self.period is not None:
            self.window.append((paid, volume))
            if len(self.window) > self.period:
                gone, steps = self.window.popleft()
                self.paid -= gone
                self.volume -= steps
            known = len(self.window) == self.period
        self.value = self.paid / (3 * self.volume) if known and self.volume else None
        return self.value

    def reset(self) -> None:
        """Begin anew, as at the start of a trading day."""
        self.window.clear()
        self.paid = self.volume = 0
        self.value = None
