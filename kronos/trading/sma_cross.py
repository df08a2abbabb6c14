"""The built-in example: buy when the fast mean crosses above the slow one, sell when it crosses back.

Rule: means are compared as integers, slow · Σ fast closes against fast · Σ slow closes, so no signal is a rounding.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Any

from kronos.errors import InvalidInput
from kronos.trading.bars import Bar
from kronos.trading.context import Context
from kronos.trading.events import SplitApplied
from kronos.trading.strategy import NoParams, Strategy

__all__ = ["SmaCross"]


class SmaCross(Strategy):
    """Long-only moving-average cross on closes; `size` units are bought, everything held is sold."""

    class Params(NoParams, frozen=True):
        """Bars in the fast and the slow mean (fast < slow), and the units to buy."""

        fast: int = 10
        slow: int = 30
        size: Decimal = Decimal(1)

    params: Params

    def __init__(self, params: Any = None) -> None:
        """Start with empty windows; raise `InvalidInput` unless 0 < fast < slow."""
        super().__init__(params)
        if not 0 < self.params.fast < self.params.slow:
            raise InvalidInput(
                f"SmaCross: fast ({self.params.fast}) must be positive and less than slow ({self.params.slow})",
                field="params.fast",
                value=str(self.params.fast),
            )
        self.closes: deque[int] = deque(maxlen=self.params.slow)
        self.fast_sum = 0
        self.slow_sum = 0
        self.scale = 1
        self.above: bool | None = None

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        """Update both sums by one bar and act on a cross."""
        fast, slow, closes = self.params.fast, self.params.slow, self.closes
        close = bar.close * self.scale
        known = len(closes)
        self.fast_sum += close - closes[-fast] if known >= fast else close
        self.slow_sum += close - closes[0] if known == slow else close
        closes.append(close)
        if known + 1 < slow:
            return
        above = slow * self.fast_sum > fast * self.slow_sum
        if above is not self.above:
            if self.above is not None:
                if above:
                    ctx.buy(self.params.size)
                elif ctx.position_lots > 0:
                    ctx.sell(ctx.position)
            self.above = above

    def on_split(self, ctx: Context, split: SplitApplied) -> None:
        """Keep old and new prices comparable, exactly: old ones times the denominator, new ones times the numerator."""
        self.closes = deque((close * split.denominator for close in self.closes), maxlen=self.params.slow)
        self.fast_sum *= split.denominator
        self.slow_sum *= split.denominator
        self.scale *= split.numerator
