"""Limit entries on the same real bars, through two independent engines: equal trade for trade."""

from __future__ import annotations

import warnings
from decimal import Decimal

import numpy as np
import pytest

from kronos.trading import Backtest, BacktestConfig, Bars, MemoryRecorder, Strategy, read_ledger, verify
from tests.trading.test_exactness import CASH, FEE, START_NS

pytestmark = pytest.mark.exactness


def crosses(bars: Bars, first: int):
    """Return where the mean of 10 closes crosses above that of 30 from row `first` on, and where below."""
    cents = bars.close[first:]
    sums = np.concatenate(([0], np.cumsum(cents)))
    fast, slow = np.zeros((2, len(cents)), dtype=np.int64)
    fast[9:] = 3 * (sums[10:] - sums[:-10])
    slow[29:] = sums[30:] - sums[:-30]
    above = fast > slow
    up, down = np.zeros((2, len(cents)), dtype=bool)
    up[30:] = above[30:] & ~above[29:-1]
    down[30:] = ~above[30:] & above[29:-1]
    return up, down


def limit_cents(close: int) -> int:
    return close * 995 // 1000


class LimitCross(Strategy):
    """Enters by a limit half a percent below the close, which the opposite signal cancels; leaves at the market."""

    up = down = None
    first = 0

    def __init__(self, params=None) -> None:
        super().__init__(params)
        self.entry = 0

    def on_bar(self, ctx, bar) -> None:
        row = bar.row - self.first
        if self.up[row] and not ctx.position_lots:
            self.entry = ctx.buy(1, type="limit", limit=ctx.instrument.price(limit_cents(bar.close)))
        elif self.down[row]:
            if self.entry in ctx.open_orders:
                ctx.cancel(self.entry)
            if ctx.position_lots > 0:
                ctx.sell(ctx.position)


def test_btc_limit_entries_equal_two_engines_trade_for_trade(btc: Bars) -> None:
    first = btc.row_at(START_NS)
    up, down = crosses(btc, first)
    ours = type("LimitCross", (LimitCross,), {"up": up, "down": down, "first": first})
    recorder = MemoryRecorder()
    config = BacktestConfig(cash=CASH, fee_rate=FEE, first_row=first)
    backtest = Backtest(btc, ours(), config, recorder=recorder)
    result = backtest.run()
    segments = [segment.data for segment in recorder.segments]
    trades = read_ledger(segments, btc, backtest.instrument).trades()
    closed = [trade for trade in trades if not trade.open]

    assert len(closed) == 591
    assert result.equity == Decimal("9971135.11566")
    assert verify(segments).hex() == result.core_chain

    mine = [
        (t.entry_row - first, t.exit_row - first, float(t.entry_price), float(t.exit_price), float(t.pnl))
        for t in closed
    ]
    for peer in (_backtesting, _backtrader):
        theirs, equity = peer(btc, first, up, down)
        assert equity == pytest.approx(float(result.equity), abs=1e-6), peer.__name__
        assert len(theirs) == len(mine), peer.__name__
        for one, other in zip(mine, theirs, strict=True):
            assert one[:2] == other[:2], peer.__name__
            assert one[2:] == pytest.approx(other[2:], abs=1e-6), peer.__name__


def _frame(bars: Bars, first: int, spelled):
    pandas = pytest.importorskip("pandas")
    columns = {spelled(name): getattr(bars, name)[first:] / 100 for name in ("open", "high", "low", "close")}
    return pandas.DataFrame(columns, index=pandas.to_datetime(bars.open_time[first:]))


def _backtesting(bars: Bars, first: int, up, down):
    from backtesting import Backtest as Peer
    from backtesting import Strategy as PeerStrategy

    cents = bars.close[first:].tolist()

    class Cross(PeerStrategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            row = len(self.data) - 1
            if up[row] and not self.position:
                self.buy(size=1, limit=limit_cents(cents[row]) / 100)
            elif down[row]:
                for order in self.orders:
                    order.cancel()
                self.position.close()

    peer = Peer(
        _frame(bars, first, str.capitalize), Cross, cash=float(CASH), commission=float(FEE), finalize_trades=False
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that a trade stays open: that is the point
        stats = peer.run()
    trades = stats._trades
    columns = (trades.EntryBar, trades.ExitBar, trades.EntryPrice, trades.ExitPrice, trades.PnL)
    return list(zip(*columns, strict=True)), float(stats._equity_curve.Equity.iloc[-1])


def _backtrader(bars: Bars, first: int, up, down):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it predates Python 3.11
        import backtrader as bt

        cents = bars.close[first:].tolist()
        feed = bt.feeds.PandasData(dataname=_frame(bars, first, str.lower))
        closed = []

        class Cross(bt.Strategy):
            def __init__(self) -> None:
                self.entry = None
                self.opened = None

            def next(self) -> None:
                row = len(self) - 1
                if up[row] and not self.position:
                    price = limit_cents(cents[row]) / 100
                    self.entry = self.buy(size=1, exectype=bt.Order.Limit, price=price)
                elif down[row]:
                    if self.entry is not None and self.entry.alive():
                        self.cancel(self.entry)
                    if self.position:
                        self.close()

            def notify_order(self, order) -> None:
                if order.status != order.Completed:
                    return
                done = (len(self) - 1, order.executed.price, order.executed.comm)
                if order.isbuy():
                    self.opened = done
                else:
                    (entry, bought, paid), (exit_, sold, cost) = self.opened, done
                    closed.append((entry, exit_, bought, sold, sold - bought - paid - cost))

        cerebro = bt.Cerebro(stdstats=False)
        cerebro.adddata(feed)
        cerebro.addstrategy(Cross)
        cerebro.broker.setcash(float(CASH))
        cerebro.broker.setcommission(commission=float(FEE))
        cerebro.run(runonce=False, preload=False)
        return closed, cerebro.broker.getvalue()
