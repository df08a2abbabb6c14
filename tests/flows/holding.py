"""A strategy that buys once and holds: what splits do to it can be told by hand."""

from __future__ import annotations

from decimal import Decimal

from kronos.trading.bars import Bar
from kronos.trading.context import Context
from kronos.trading.strategy import NoParams, Strategy


class Hold(Strategy):
    """Buys `size` after the first bar."""

    class Params(NoParams, frozen=True):
        """Units to buy."""

        size: Decimal = Decimal(1)

    params: Params

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        if bar.row == 0:
            ctx.buy(self.params.size)
