"""A strategy for the tests of corporate actions: buys at the first open and holds."""

from __future__ import annotations

from kronos.trading import Strategy


class Holder(Strategy):
    def on_start(self, ctx):
        ctx.buy(10)
