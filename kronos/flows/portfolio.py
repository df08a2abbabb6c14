"""Several backtests added up: one account a stock, one portfolio a parameter set."""

from __future__ import annotations

import math
from decimal import Decimal

import msgspec
import numpy as np

from kronos.errors import InvalidInput
from kronos.flows.steps import BacktestResult
from kronos.trading.stats import cagr

__all__ = ["BestSet", "PortfolioPoint", "SetMetrics", "best_of", "combine"]

YEAR_NS = 365.25 * 86_400e9


class PortfolioPoint(msgspec.Struct, frozen=True, array_like=True):
    """Portfolio equity and drawdown at an instant: (ns, currency, fraction ≤ 0)."""

    time_ns: int
    equity: float
    drawdown: float


class SetMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter set over all stocks.

    `sharpe` is the mean of the stocks' Sharpe ratios and `worst_drawdown` the deepest of theirs; the others are those
    of the accounts added up.  `curve` is for drawing: the sum of thinned curves.
    """

    name: str
    stocks: int
    initial_cash: Decimal
    final_equity: Decimal
    total_return: float
    cagr: float
    sharpe: float
    worst_drawdown: float
    trades: int
    win_rate: float
    fees: Decimal
    curve: list[PortfolioPoint]


class BestSet(msgspec.Struct, frozen=True, kw_only=True):
    """The chosen set's figures, as in `SetMetrics`, and the ranking it came from (name, Sharpe ratio)."""

    name: str
    sharpe: float
    final_equity: Decimal
    total_return: float
    cagr: float
    worst_drawdown: float
    trades: int
    win_rate: float
    ranking: list[tuple[str, float]]


def combine(name: str, results: list[BacktestResult]) -> SetMetrics:
    """Return the figures of the sum of `results`; raise `InvalidInput` for none."""
    if not results:
        raise InvalidInput(f"parameter set {name!r} has no results", field="results")
    initial = sum((each.initial_cash for each in results), Decimal(0))
    final = sum((each.final_equity for each in results), Decimal(0))
    times = np.unique(np.concatenate([[point.time_ns for point in each.curve] for each in results]))
    equity = np.zeros(len(times))
    for each in results:
        known = np.array([point.time_ns for point in each.curve])
        worth = np.array([point.equity for point in each.curve])
        place = np.searchsorted(known, times, side="right") - 1
        equity += np.where(place >= 0, worth[np.maximum(place, 0)], float(each.initial_cash))
    highest = np.maximum.accumulate(np.maximum(equity, float(initial)))
    closed = sum(each.trade_count for each in results)
    wins = sum(each.statistics.win_rate * each.trade_count for each in results if each.trade_count)
    ratios = [each.statistics.sharpe for each in results if math.isfinite(each.statistics.sharpe)]
    return SetMetrics(
        name=name,
        stocks=len(results),
        initial_cash=initial,
        final_equity=final,
        total_return=float(final / initial) - 1.0,
        cagr=cagr(equity, float(initial), float(times[-1] - times[0]) / YEAR_NS),
        sharpe=sum(ratios) / len(ratios) if ratios else math.nan,
        worst_drawdown=min(each.statistics.max_drawdown for each in results),
        trades=closed,
        win_rate=wins / closed if closed else math.nan,
        fees=sum((each.fees for each in results), Decimal(0)),
        curve=[
            PortfolioPoint(int(at), float(worth), float(worth / top - 1.0))
            for at, worth, top in zip(times, equity, highest, strict=True)
        ],
    )


def best_of(sets: list[SetMetrics]) -> BestSet:
    """Return the set with the highest Sharpe ratio, the first of equals; an undefined ratio ranks last."""
    ranked = sorted(sets, key=lambda each: math.inf if math.isnan(each.sharpe) else -each.sharpe)
    best = ranked[0]
    return BestSet(
        name=best.name,
        sharpe=best.sharpe,
        final_equity=best.final_equity,
        total_return=best.total_return,
        cagr=best.cagr,
        worst_drawdown=best.worst_drawdown,
        trades=best.trades,
        win_rate=best.win_rate,
        ranking=[(each.name, each.sharpe) for each in ranked],
    )
