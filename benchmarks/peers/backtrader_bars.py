"""backtrader on the same bars: its own means and its `CrossOver`, `next` on every bar.

python backtrader_bars.py CLOSES.npy FAST SLOW
"""

import json
import sys
import time
import warnings

import numpy as np
import pandas as pd

warnings.simplefilter("ignore")
import backtrader as bt  # noqa: E402


class Cross(bt.Strategy):
    def __init__(self):
        fast, slow = bt.ind.SMA(period=int(sys.argv[2])), bt.ind.SMA(period=int(sys.argv[3]))
        self.cross = bt.ind.CrossOver(fast, slow)
        self.asked = 0

    def next(self):
        if self.cross > 0:
            self.asked += 1
            self.buy(size=1)
        elif self.cross < 0 and self.position:
            self.asked += 1
            self.close()


frame = pd.DataFrame(np.load(sys.argv[1]) / 100, columns=["open", "high", "low", "close", "volume"])
frame.index = pd.date_range("2020-01-01", periods=len(frame), freq="min")
cerebro = bt.Cerebro(stdstats=False)
cerebro.adddata(bt.feeds.PandasData(dataname=frame))
cerebro.addstrategy(Cross)
cerebro.broker.setcash(10**9)
cerebro.broker.setcommission(0.001)
began = time.perf_counter()
(strategy,) = cerebro.run()
seconds = time.perf_counter() - began
print(json.dumps({"bars_per_s": len(frame) / seconds, "orders": strategy.asked}))
