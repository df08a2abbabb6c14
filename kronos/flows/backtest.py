"""One backtest as a durable run: what `kronos backtest` starts."""

from __future__ import annotations

import msgspec

from kronos.core.decorators import step, workflow
from kronos.engine.context import StepContext
from kronos.flows.steps import BacktestResult, backtest
from kronos.market.dataset import Dataset
from kronos.market.plans import BacktestPlan

__all__ = ["BacktestRequest", "single_backtest"]


class BacktestRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`dataset` is a name or an id of the catalog."""

    dataset: str
    plan: BacktestPlan


@step(effect="read")
def find_dataset(ctx: StepContext, dataset: str) -> Dataset:
    """Return the dataset of that name or id; what a name stands for is recorded."""
    found: Dataset = ctx.call(ctx.datasets.find, dataset)
    return found


@workflow(name="backtest", version="1")
def single_backtest(request: BacktestRequest) -> BacktestResult:
    """Find the data, run the strategy over it."""
    return backtest(find_dataset(request.dataset), request.plan)
