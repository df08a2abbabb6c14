"""The demo: three moving-average crosses over four real stocks, 2000 to 2013, and a report on the best.

load_bars → 12 backtests side by side → one set of metrics a parameter set → choose_best → report
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from kronos.core.decorators import step, workflow
from kronos.engine.context import StepContext
from kronos.flows.portfolio import BestSet, SetMetrics, best_of, combine
from kronos.flows.report import render
from kronos.flows.steps import BacktestResult, backtest
from kronos.market.dataset import Dataset, Dividend, Jump, Manifest
from kronos.market.plans import BacktestPlan
from kronos.market.sample import SYMBOLS, import_sample
from kronos.trading.bars import Split
from kronos.trading.config import BacktestConfig

__all__ = ["DemoReport", "DemoRequest", "sma_research"]

PARAMETER_SETS: Final = ((10, 30), (20, 50), (50, 200))
STRATEGY: Final = "kronos.trading.sma_cross:SmaCross"


class DemoRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cash and shares an order for each stock, fee a side as a fraction of the value traded."""

    cash: Decimal = Decimal(100_000)
    size: Decimal = Decimal(100)
    fee_rate: Decimal = Decimal("0.001")


class SampleBars(msgspec.Struct, frozen=True, kw_only=True):
    """One stock's bars, and what its import found."""

    bars: Dataset
    splits: list[Split]
    dividends: list[Dividend]
    jumps: list[Jump]


class DemoReport(msgspec.Struct, frozen=True, kw_only=True):
    """A page that shows every parameter set, the best one stock by stock."""

    title: str
    html: str


@step(effect="read")
def load_bars(ctx: StepContext) -> dict[str, SampleBars]:
    """Import the sample bars; importing them again gives the same datasets."""
    return {symbol: _sample(import_sample(ctx.datasets, symbol)) for symbol in SYMBOLS}


def _sample(manifest: Manifest) -> SampleBars:
    return SampleBars(bars=manifest.dataset, splits=manifest.splits, dividends=manifest.dividends, jumps=manifest.jumps)


@step
def plan(request: DemoRequest, fast: int, slow: int) -> BacktestPlan:
    """Return what a parameter set means for one stock."""
    return BacktestPlan(
        strategy=STRATEGY,
        params={"fast": fast, "slow": slow, "size": str(request.size)},
        config=BacktestConfig(cash=request.cash, fee_rate=request.fee_rate),
    )


@step
def metrics(name: str, results: list[BacktestResult]) -> SetMetrics:
    """Add the stocks of one parameter set up to a portfolio and measure it."""
    return combine(name, results)


@step
def choose_best(sets: list[SetMetrics]) -> BestSet:
    """Return the set with the highest Sharpe ratio."""
    return best_of(sets)


@step
def report(
    best: BestSet, sets: list[SetMetrics], results: list[BacktestResult], market: dict[str, SampleBars]
) -> DemoReport:
    """Draw equity, drawdown and trades of every set, the best one first."""
    actions = {symbol: [each.row for each in found.splits] for symbol, found in market.items()}
    return DemoReport(title=best.name, html=render(best, sets, results, splits=actions))


@workflow(version="1")
def sma_research(request: DemoRequest) -> BestSet:
    """Compare three parameter sets over four stocks, report on them, and return the best."""
    market = load_bars()
    sets, everything = [], []
    for fast, slow in PARAMETER_SETS:
        name = f"sma-{fast}-{slow}"
        chosen = plan.named(f"plan-{fast}-{slow}")(request, fast, slow)
        results = [backtest.named(f"{symbol.lower()}-{fast}-{slow}")(market[symbol].bars, chosen) for symbol in SYMBOLS]
        sets.append(metrics.named(f"metrics-{fast}-{slow}")(name, results))
        everything += results
    best = choose_best(sets)
    report(best, sets, everything, market)
    return best
