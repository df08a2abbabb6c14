"""How gains compare with losses.

Rule: Wilder's smoothing (New Concepts in Technical Trading Systems, 1978), begun with plain means of integers.
"""

from __future__ import annotations

from kronos.trading.indicators.periods import whole_period

__all__ = ["Rsi"]


class Rsi:
    """The relative strength index, 100 · gain / (gain + loss) of smoothed changes; 50 where nothing has moved."""

    __slots__ = ("changes", "gain", "last", "loss", "period", "value")

    def __init__(self, period: int = 14) -> None:
        self.period = whole_period(period, "Rsi")
        self.last: int | None = None
        self.changes = 0
        self.gain: float = 0
        self.loss: float = 0
        self.value: float | None = None

    def update(self, value: int) -> float | None:
        """Take the newest value (ticks); return 0..100, None until there are `period` changes."""
        last, self.last = self.last, value
        if last is None:
            return None
        period, change = self.period, value - last
        gain, loss = (change, 0) if change > 0 else (0, -change)
        if self.changes < period:
            self.changes += 1
            self.gain += gain
            self.loss += loss
            if self.changes < period:
                return None
            self.gain /= period
            self.loss /= period
        else:
            self.gain = (self.gain * (period - 1) + gain) / period
            self.loss = (self.loss * (period - 1) + loss) / period
        both = self.gain + self.loss
        self.value = 100 * self.gain / both if both else 50.0
        return self.value
