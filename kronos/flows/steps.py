"""The backtest as a step: the same one for every flow, for replay and for the time machine.

Rule 1: what it returns follows from its input alone: no time, no path, nothing that a cache could change.
Rule 2: its journal goes to the recorder while it runs; the result keeps only what a person looks at first.
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from kronos.core.decorators import step
from kronos.engine.context import StepContext
from kronos.flows.sinks import deliver
from kronos.market.dataset import Dataset
from kronos.market.plans import BacktestPlan, prepare
from kronos.trading.analysis import Analysis, analyse
from kronos.trading.journal import MemoryRecorder
from kronos.trading.ledger import Ledger, Trade, read_ledger
from kronos.trading.refusals import Refused, refused_of
from kronos.trading.stats import Statistics

__all__ = ["TRADES_SHOWN_MAX", "BacktestResult", "CurvePoint", "backtest", "curve_of"]

CURVE_POINTS_MAX: Final = 400
TRADES_SHOWN_MAX: Final = 1_000


class CurvePoint(msgspec.Struct, frozen=True, array_like=True):
    """Equity and drawdown at the close of a row: (row, ns, currency, fraction ≤ 0)."""

    row: int
    time_ns: int
    equity: float
    drawdown: float


class BacktestResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one backtest; `curve` has at most 400 points, `trades` the first 1,000 of `trade_count`.

    `core_chain` is equal on every machine; `user_chain` only under an equal fingerprint.
    """

    dataset: str
    instrument: str
    strategy: str
    params: dict[str, Any]
    rows: int
    currency: str
    initial_cash: Decimal
    final_equity: Decimal
    cash: Decimal
    position: Decimal
    fees: Decimal
    orders: int
    open_orders: int
    trade_count: int
    open_trade_count: int
    statistics: Statistics
    curve: list[CurvePoint]
    trades: list[Trade]
    core_chain: str
    user_chain: str
    analysis: Analysis | None = None
    """Risk against buying and holding, trades, implementation shortfall, the run at other costs."""
    refused: list[Refused] = []
    """Orders that risk or the venue refused, counted by reason."""


@step(executor="process")
def backtest(ctx: StepContext, bars: Dataset, plan: BacktestPlan) -> BacktestResult:
    """Run `plan` over `bars`, recording every decision."""
    recorder = MemoryRecorder(forward=ctx.recorder)
    run = prepare(
        ctx.datasets,
        bars,
        plan,
        recorder=recorder,
        clock=time.perf_counter_ns,  # decides how often caches are made, nothing else
        key=ctx.checkpoint_key,
        progress=ctx.progress,
    )
    outcome = run.run()
    ledger = read_ledger([segment.data for segment in recorder.segments], run.bars, run.instrument)
    deliver(ctx, plan.sinks, ledger.fills() if plan.sinks else ())
    trades = ledger.trades()
    analysis = analyse(ledger, bars.calendar)
    open_trades = sum(trade.open for trade in trades)
    return BacktestResult(
        dataset=outcome.dataset,
        instrument=outcome.instrument,
        strategy=plan.strategy,
        params=plan.params,
        rows=outcome.rows,
        currency=outcome.currency,
        initial_cash=outcome.initial_cash,
        final_equity=outcome.equity,
        cash=outcome.cash,
        position=outcome.positions[outcome.instrument],
        fees=outcome.fees,
        orders=outcome.orders,
        open_orders=outcome.open_orders,
        trade_count=len(trades) - open_trades,
        open_trade_count=open_trades,
        statistics=analysis.statistics,
        curve=curve_of(ledger),
        trades=trades[:TRADES_SHOWN_MAX],
        core_chain=outcome.core_chain,
        user_chain=outcome.user_chain,
        analysis=analysis,
        refused=refused_of(ledger),
    )


def curve_of(ledger: Ledger) -> list[CurvePoint]:
    """Return the equity curve thinned to what a chart can show, ends, peak and trough included."""
    equity, drawdown = ledger.equity(), ledger.drawdown()
    rows = _thinned(len(equity), (int(np.argmax(equity)), int(np.argmin(drawdown))))
    times = ledger.times
    return [
        CurvePoint(int(ledger.rows[row]), int(times[row]), float(equity[row]), float(drawdown[row])) for row in rows
    ]


def _thinned(count: int, kept: tuple[int, ...]) -> list[int]:
    even: npt.NDArray[np.int64] = np.unique(
        np.linspace(0, count - 1, min(count, CURVE_POINTS_MAX - len(kept))).astype(int)
    )
    return sorted({*(int(row) for row in even), *kept})
