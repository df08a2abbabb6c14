"""Strategies for the tests of sessions: one that follows a single instrument, one that fades both."""

from __future__ import annotations

from kronos.trading import SmaCross, Strategy
from kronos.trading.views import bars


class CrossOne(SmaCross):
    subscribes = (bars("ONE"),)


class Fading(Strategy):
    def __init__(self, params=None) -> None:
        super().__init__(params)
        self.last: dict[str, int] = {}
        self.falls: dict[str, int] = {}

    def on_bar(self, ctx, bar):
        fell = bar.close < self.last.get(bar.instrument, bar.close)
        self.last[bar.instrument] = bar.close
        self.falls[bar.instrument] = self.falls.get(bar.instrument, 0) + 1 if fell else 0
        if self.falls[bar.instrument] == 3:
            ctx.buy(1, instrument=bar.instrument)


class Faltering(Strategy):
    """Names no instrument where there are two, and raises at row 300 of the first."""

    def on_bar(self, ctx, bar):
        if bar.row < 5:
            ctx.buy(1)
        if bar.row == 300:
            raise LookupError(f"no price of {bar.instrument} yesterday")


class Misspelt(Strategy):
    def on_bars(self, ctx, bars):
        ctx.buy(1)
