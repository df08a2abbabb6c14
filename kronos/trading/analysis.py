"""Everything that is said about a run at its end, in one value: what tear sheet, artifacts and notebook show."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import numpy as np

from kronos.trading.ledger import Ledger
from kronos.trading.money import from_money
from kronos.trading.recosting import CostLevel, break_even_bps, cost_levels
from kronos.trading.shortfall import Shortfall, shortfall
from kronos.trading.stats import DAY_NS, YEAR_DAYS, Floats, Statistics, statistics
from kronos.trading.stats_risk import RiskFigures, risk_figures
from kronos.trading.stats_trades import TradeFigures, trade_figures

__all__ = ["Analysis", "StrategyFigures", "analyse", "held_benchmark"]


class StrategyFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The part of one strategy, over the cash of all: profits sum to that of the whole."""

    strategy: str
    profit: Decimal
    statistics: Statistics
    trades: TradeFigures
    shortfall: Shortfall


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a run; `costs` is the run at other fees and slippage, `break_even_bps` the fee that eats it up,
    `strategies` the parts where there are several.
    """

    statistics: Statistics
    risk: RiskFigures
    trades: TradeFigures
    shortfall: Shortfall
    costs: list[CostLevel]
    break_even_bps: float
    strategies: list[StrategyFigures] = []


def held_benchmark(ledger: Ledger) -> Floats:
    """Return the worth of buying equal amounts of every instrument at its first open and holding, splits followed
    (shape (rows + 1,); begins at 1).
    """
    held = ledger.pricing.held(ledger.first_row, ledger.stop_row)
    return np.concatenate(([1.0], np.mean(held, axis=0) if held else np.ones(len(ledger.rows))))


def analyse(ledger: Ledger, calendar: str = "24x7", benchmark: Floats | None = None) -> Analysis:
    """Return all figures of a run; `benchmark` is a curve of shape (rows + 1,) that begins before the first bar."""
    figures = statistics(ledger, calendar)
    curve = np.concatenate(([ledger.initial_cash / 10**8], ledger.equity()))
    times = ledger.times
    years = float(times[-1] - times[0] + ledger.pricing.interval_ns) / (DAY_NS * YEAR_DAYS)
    other = held_benchmark(ledger) if benchmark is None else benchmark
    return Analysis(
        statistics=figures,
        risk=risk_figures(curve, other, figures.periods_per_year),
        trades=trade_figures(ledger, years),
        shortfall=shortfall(ledger),
        costs=cost_levels(ledger, figures.periods_per_year),
        break_even_bps=break_even_bps(ledger),
        strategies=_parts(ledger, calendar, years),
    )


def _parts(ledger: Ledger, calendar: str, years: float) -> list[StrategyFigures]:
    """Return the parts of the strategies of a whole ledger, none where one strategy is all of it."""
    if ledger.strategy is not None or len(ledger.strategies) == 1:
        return []
    return [
        StrategyFigures(
            strategy=name,
            profit=from_money(int(part.equity_units()[-1]) - part.initial_cash),
            statistics=statistics(part, calendar),
            trades=trade_figures(part, years),
            shortfall=shortfall(part),
        )
        for name in ledger.strategies
        for part in (ledger.of(name),)
    ]
