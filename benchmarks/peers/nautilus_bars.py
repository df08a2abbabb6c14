"""NautilusTrader on the same bars: its engine, its own compiled moving averages, a Python `on_bar` on every bar.

    python nautilus_bars.py CLOSES.npy FAST SLOW

Prints one JSON object: bars a second of `engine.run()`, and the orders.
"""

import json
import sys
import time
from decimal import Decimal

import numpy as np
import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.objects import Money
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy


class CrossConfig(StrategyConfig, frozen=True):
    bar_type: BarType
    fast: int
    slow: int


class Cross(Strategy):
    def __init__(self, config):
        super().__init__(config)
        self.fast, self.slow = SimpleMovingAverage(config.fast), SimpleMovingAverage(config.slow)
        self.above = False
        self.orders = 0

    def on_start(self):
        self.instrument = self.cache.instrument(self.config.bar_type.instrument_id)
        self.register_indicator_for_bars(self.config.bar_type, self.fast)
        self.register_indicator_for_bars(self.config.bar_type, self.slow)
        self.subscribe_bars(self.config.bar_type)

    def on_bar(self, bar):
        if not self.slow.initialized:
            return
        above = self.fast.value > self.slow.value
        if above is not self.above:
            self.above = above
            side = OrderSide.BUY if above else OrderSide.SELL
            quantity = self.instrument.make_qty(1)
            self.submit_order(self.order_factory.market(self.config.bar_type.instrument_id, side, quantity))
            self.orders += 1


def main():
    frame = pd.DataFrame(np.load(sys.argv[1]) / 100, columns=["open", "high", "low", "close", "volume"])
    frame["volume"] *= 100
    frame.index = pd.date_range("2020-01-01", periods=len(frame), freq="min", tz="UTC")
    instrument = TestInstrumentProvider.equity(symbol="WALK", venue="SIM")
    kind = BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        Venue("SIM"), OmsType.NETTING, AccountType.MARGIN, [Money(10**9, USD)], USD, default_leverage=Decimal(1)
    )
    engine.add_instrument(instrument)
    engine.add_data(BarDataWrangler(kind, instrument).process(frame))
    strategy = Cross(CrossConfig(bar_type=kind, fast=int(sys.argv[2]), slow=int(sys.argv[3])))
    engine.add_strategy(strategy)
    began = time.perf_counter()
    engine.run()
    seconds = time.perf_counter() - began
    print(json.dumps({"bars_per_s": len(frame) / seconds, "orders": strategy.orders}))


main()
