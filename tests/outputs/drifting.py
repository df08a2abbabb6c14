"""A strategy that is not deterministic when it is told so: it also listens to the environment."""

from __future__ import annotations

import os

from kronos.trading import SmaCross


class Drifting(SmaCross):
    def on_bar(self, ctx, bar):
        super().on_bar(ctx, bar)
        if bar.row == 28_000 and os.environ.get("KRONOS_TEST_DRIFT"):
            ctx.buy(1)
