"""The same signals on the same real bars, through an independent engine: equal trade for trade."""

from __future__ import annotations

import warnings
from decimal import Decimal

import numpy as np
import pytest

from kronos.trading import Backtest, BacktestConfig, Bars, MemoryRecorder, SmaCross, read_ledger, statistics, verify

pytestmark = pytest.mark.exactness

START_NS = 1_577_836_800_000_000_000  # 2020-01-01 UTC
CASH = Decimal(10_000_000)
FEE = Decimal("0.001")


def test_btc_one_hour_equals_backtesting_trade_for_trade(btc: Bars) -> None:
    first = btc.row_at(START_NS)
    config = BacktestConfig(cash=CASH, fee_rate=FEE, first_row=first)
    recorder = MemoryRecorder()
    backtest = Backtest(btc, SmaCross({"fast": 10, "slow": 30}), config, recorder=recorder)
    result = backtest.run()
    segments = [segment.data for segment in recorder.segments]
    ledger = read_ledger(segments, btc, backtest.instrument)
    trades = ledger.trades()
    closed = [trade for trade in trades if not trade.open]

    assert len(closed) == 760
    assert len(trades) == 761
    assert result.equity == Decimal("10005691.78239")
    assert verify(segments).hex() == result.core_chain

    theirs, their_equity = _backtesting(btc, first)
    assert float(result.equity) == pytest.approx(their_equity[-1], abs=1e-6)
    assert np.abs(ledger.equity() - their_equity).max() < 1e-6
    assert len(theirs) == len(closed)
    for mine, other in zip(closed, theirs.itertuples(), strict=True):
        assert (mine.entry_row - first, mine.exit_row - first) == (other.EntryBar, other.ExitBar)
        assert float(mine.entry_price) == pytest.approx(other.EntryPrice, abs=1e-9)
        assert float(mine.exit_price) == pytest.approx(other.ExitPrice, abs=1e-9)
        assert float(mine.quantity) == other.Size
        assert float(mine.pnl) == pytest.approx(other.PnL, abs=1e-6)


def test_btc_statistics_equal_a_straightforward_computation(btc: Bars) -> None:
    first = btc.row_at(START_NS)
    recorder = MemoryRecorder()
    backtest = Backtest(btc, SmaCross(), BacktestConfig(cash=CASH, fee_rate=FEE, first_row=first), recorder=recorder)
    result = backtest.run()
    ledger = read_ledger([s.data for s in recorder.segments], btc, backtest.instrument)
    figures = statistics(ledger, "24x7")
    theirs, their_equity = _backtesting(btc, first)

    assert figures.total_return == pytest.approx(their_equity[-1] / float(CASH) - 1, rel=1e-12)
    assert figures.max_drawdown == pytest.approx(
        (their_equity / np.maximum.accumulate(their_equity)).min() - 1, rel=1e-9
    )
    assert figures.win_rate == pytest.approx((theirs.PnL > 0).mean(), rel=1e-12)
    gains, losses = theirs.PnL[theirs.PnL > 0].sum(), -theirs.PnL[theirs.PnL < 0].sum()
    assert figures.profit_factor == pytest.approx(gains / losses, rel=1e-9)
    assert float(result.fees) == pytest.approx(
        0.001 * (theirs.EntryPrice.sum() + theirs.ExitPrice.sum() + 64964.1), rel=1e-12
    )


def _backtesting(bars: Bars, first: int):
    pandas = pytest.importorskip("pandas")
    from backtesting import Backtest as Peer
    from backtesting import Strategy as PeerStrategy

    cents = bars.close[first:]
    sums = np.concatenate(([0], np.cumsum(cents)))
    fast = np.full(len(cents), 0)
    slow = np.full(len(cents), 0)
    fast[9:] = 3 * (sums[10:] - sums[:-10])
    slow[29:] = sums[30:] - sums[:-30]
    above = fast > slow
    up = np.zeros(len(cents), bool)
    down = np.zeros(len(cents), bool)
    up[30:] = above[30:] & ~above[29:-1]
    down[30:] = ~above[30:] & above[29:-1]

    class Cross(PeerStrategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            row = len(self.data) - 1
            if up[row] and not self.position:
                self.buy(size=1)
            elif down[row] and self.position:
                self.position.close()

    frame = pandas.DataFrame(
        {name.capitalize(): getattr(bars, name)[first:] / 100 for name in ("open", "high", "low", "close")},
        index=pandas.to_datetime(bars.open_time[first:]),
    )
    peer = Peer(frame, Cross, cash=float(CASH), commission=float(FEE), finalize_trades=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that a trade stays open: that is the point
        stats = peer.run()
    return stats._trades, stats._equity_curve.Equity.to_numpy()
