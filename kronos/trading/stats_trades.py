"""Figures of trades and of how much was in the market, each with its formula.

Rule 1: closed trades alone are counted, net of fees; sums are exact before the one conversion to float.
Rule 2: an undefined figure is NaN, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby

import msgspec
import numpy as np

from kronos.trading.ledger import Ledger, Trade
from kronos.trading.money import from_money

__all__ = ["TradeFigures", "gross_exposure", "trade_figures", "turnover"]


class TradeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Money in the account's currency; bars are rows between entry and exit.

    `expectancy` is the mean profit of a trade, `payoff` mean win over mean loss, `quality` the system quality number
    √n · mean / s (Tharp 2008).  `exposure_gross` is the mean of |holding| / equity over all bars; `turnover` the value
    traded a year over mean equity.
    """

    expectancy: float
    average_win: float
    average_loss: float
    payoff: float
    best: float
    worst: float
    wins_in_a_row: int
    losses_in_a_row: int
    bars_held_mean: float
    bars_held_longest: int
    longs: int
    shorts: int
    quality: float
    fees: float
    exposure_gross: float
    turnover: float


def trade_figures(ledger: Ledger, years: float) -> TradeFigures:
    """Return the figures of a run that lasted `years`."""
    closed = [trade for trade in ledger.trades() if not trade.open]
    profits = [trade.pnl for trade in closed]
    wins, losses = [p for p in profits if p > 0], [p for p in profits if p < 0]
    held = [trade.exit_row - trade.entry_row for trade in closed if trade.exit_row is not None]
    average_win, average_loss = _mean(wins), _mean(losses)
    return TradeFigures(
        expectancy=_mean(profits),
        average_win=average_win,
        average_loss=average_loss,
        payoff=average_win / -average_loss if average_loss < 0 else math.nan,
        best=float(max(profits)) if profits else math.nan,
        worst=float(min(profits)) if profits else math.nan,
        wins_in_a_row=_run([p > 0 for p in profits]),
        losses_in_a_row=_run([p < 0 for p in profits]),
        bars_held_mean=sum(held) / len(held) if held else math.nan,
        bars_held_longest=max(held, default=0),
        longs=sum(trade.quantity > 0 for trade in closed),
        shorts=sum(trade.quantity < 0 for trade in closed),
        quality=_quality(closed),
        fees=float(sum((trade.fees for trade in ledger.trades()), Decimal(0))),
        exposure_gross=gross_exposure(ledger),
        turnover=turnover(ledger, years),
    )


def gross_exposure(ledger: Ledger) -> float:
    """Return the mean of |worth of the holding| / equity over all bars: 1 is fully invested."""
    equity = ledger.equity()
    if not len(equity) or (equity <= 0).any():
        return math.nan
    return float(np.mean(ledger.gross() / equity))


def turnover(ledger: Ledger, years: float) -> float:
    """Return Σ |value of a fill| / mean equity / years: how often a year the account was traded through."""
    equity = ledger.equity()
    traded = from_money(
        sum(abs(ledger.instruments[r.instrument].value(r.price, r.quantity)) for r in ledger.executions)
    )
    if not len(equity) or years <= 0 or float(np.mean(equity)) <= 0:
        return math.nan
    return float(traded) / float(np.mean(equity)) / years


def _mean(values: Sequence[Decimal]) -> float:
    return float(sum(values, Decimal(0)) / len(values)) if values else math.nan


def _run(flags: Sequence[bool]) -> int:
    return max((len(list(group)) for flag, group in groupby(flags) if flag), default=0)


def _quality(closed: Sequence[Trade]) -> float:
    profits = np.array([float(trade.pnl) for trade in closed])
    deviation = float(np.std(profits, ddof=1)) if len(profits) > 1 else 0.0
    return math.sqrt(len(profits)) * float(np.mean(profits)) / deviation if deviation > 0 else math.nan
