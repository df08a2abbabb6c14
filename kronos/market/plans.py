"""What a backtest step is told, and the runtime that it makes of it: the same for the step, replay and time travel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from kronos.market.catalog import Catalog
from kronos.market.dataset import Dataset
from kronos.market.strategies import find_strategy, load_strategy
from kronos.ports import Recorder
from kronos.trading.backtest import Backtest
from kronos.trading.config import BacktestConfig
from kronos.trading.strategy import params_from_text

__all__ = ["BacktestPlan", "plan_from_text", "prepare"]


class BacktestPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy by name (`module:Class`), its parameters as JSON values, and how it is to be run.

    `sinks` (`module:function`) are given its fills at the end (`kronos.flows.sinks`).
    """

    strategy: str
    params: dict[str, Any] = {}
    config: BacktestConfig = BacktestConfig()
    sinks: tuple[str, ...] = ()


def plan_from_text(
    strategy: str, settings: dict[str, str], config: BacktestConfig, *, sinks: tuple[str, ...] = ()
) -> BacktestPlan:
    """Return the plan of `--strategy module:Class --set name=value …`; raise `InvalidInput` naming what is wrong."""
    params = params_from_text(find_strategy(strategy), settings)
    load_strategy(strategy, params=params)  # its own checks, before a run is on record
    plain = msgspec.to_builtins(params)
    return BacktestPlan(strategy=strategy, params=plain if isinstance(plain, dict) else {}, config=config, sinks=sinks)


def prepare(
    catalog: Catalog,
    dataset: Dataset,
    plan: BacktestPlan,
    *,
    recorder: Recorder | None = None,
    clock: Callable[[], int] | None = None,
    key: bytes | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Backtest:
    """Return the runtime of `plan` over `dataset`, before its first row; raise what loading any of them raises."""
    bars = catalog.open(dataset)
    strategy = load_strategy(plan.strategy, params=plan.params)
    return Backtest(bars, strategy, plan.config, recorder=recorder, clock=clock, key=key, progress=progress)
