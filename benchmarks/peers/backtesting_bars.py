"""backtesting.py on the same bars: its vectorised means, `next` on every bar, written as its documentation does.

python backtesting_bars.py CLOSES.npy FAST SLOW
"""

import json
import sys
import time
import warnings

import numpy as np
import pandas as pd

warnings.simplefilter("ignore")
from backtesting import Backtest, Strategy  # noqa: E402
from backtesting.lib import crossover  # noqa: E402

FAST, SLOW = int(sys.argv[2]), int(sys.argv[3])


def mean(values, period):
    return pd.Series(values).rolling(period).mean()


class Cross(Strategy):
    def init(self):
        self.fast, self.slow = self.I(mean, self.data.Close, FAST), self.I(mean, self.data.Close, SLOW)
        self.asked = 0

    def next(self):
        if crossover(self.fast, self.slow):
            self.asked += 1
            self.buy(size=1)
        elif crossover(self.slow, self.fast):
            self.asked += 1
            self.position.close()


class Lean(Cross):
    """The same rule with one comparison a bar."""

    def init(self):
        super().init()
        self.above = False

    def next(self):
        above = self.fast[-1] > self.slow[-1]
        if above is not self.above:
            self.above = above
            self.asked += 1
            if above:
                self.buy(size=1)
            else:
                self.position.close()


def measure(strategy):
    began = time.perf_counter()
    found = Backtest(frame, strategy, cash=10**9, commission=0.001).run()
    return len(frame) / (time.perf_counter() - began), int(found["_strategy"].asked)


frame = pd.DataFrame(np.load(sys.argv[1]) / 100, columns=["Open", "High", "Low", "Close", "Volume"])
frame.index = pd.date_range("2020-01-01", periods=len(frame), freq="min")
rate, orders = measure(Cross)
lean, _ = measure(Lean)
print(json.dumps({"bars_per_s": rate, "orders": orders, "lean_bars_per_s": lean}))
