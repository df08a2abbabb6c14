"""What a session step is told, and the session that it makes of it: the same for the step and for time travel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np

from kronos.market.catalog import Catalog
from kronos.market.dataset import Dataset
from kronos.market.plans import BacktestPlan, prepare
from kronos.market.strategies import find_strategy, load_strategy
from kronos.ports import Recorder
from kronos.trading.bars import Bars
from kronos.trading.columns import Int64s
from kronos.trading.session import Session
from kronos.trading.session_config import SessionConfig
from kronos.trading.strategy import params_from_text
from kronos.trading.streams import Stream
from kronos.trading.timeline import Timeline

__all__ = [
    "Plan",
    "SessionPlan",
    "StrategyPlan",
    "prepare_plan",
    "prepare_session",
    "rows_between",
    "strategy_plan_from_text",
]


class StrategyPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy by name (`module:Class`) and its parameters as JSON values."""

    strategy: str
    params: dict[str, Any] = {}


class SessionPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Strategies in the order of their registration, and everything else that decides the session.

    `sinks` (`module:function`) are given its fills at the end (`kronos.flows.sinks`).
    """

    strategies: tuple[StrategyPlan, ...]
    config: SessionConfig = SessionConfig()
    sinks: tuple[str, ...] = ()


Plan: TypeAlias = BacktestPlan | SessionPlan


def strategy_plan_from_text(strategy: str, settings: dict[str, str]) -> StrategyPlan:
    """Return the plan of one `--strategy`, with the settings that its parameters know; raise what loading it raises."""
    params = params_from_text(find_strategy(strategy), settings)
    load_strategy(strategy, params=params)
    plain = msgspec.to_builtins(params)
    return StrategyPlan(strategy=strategy, params=plain if isinstance(plain, dict) else {})


def rows_between(
    streams: Sequence[Stream], since_ns: int | None = None, until_ns: int | None = None
) -> tuple[int, int | None]:
    """Return the rows of the timeline of `streams` (first, before which to stop) that lie in a range of times (ns UTC).

    The range begins with the first bar of any stream that opens, or the first other row that is known, at `since_ns` or
    later, and ends before the first such row of `until_ns`; None is no bound.  (0, 0) where nothing lies in it.
    """
    if since_ns is None and until_ns is None:
        return 0, None
    timeline = Timeline(streams)

    def row_at(time_ns: int) -> int:
        return min(
            timeline.ordinal(place, int(np.searchsorted(_beginnings(stream, timeline, place), time_ns)))
            for place, stream in enumerate(streams)
        )

    first = 0 if since_ns is None else row_at(since_ns)
    stop = None if until_ns is None else row_at(until_ns)
    return (first, stop) if first < (timeline.rows if stop is None else stop) else (0, 0)


def _beginnings(stream: Stream, timeline: Timeline, place: int) -> Int64s:
    return stream.open_time if isinstance(stream, Bars) else timeline.available[place]


def prepare_session(
    catalog: Catalog,
    datasets: Sequence[Dataset],
    plan: SessionPlan,
    *,
    recorder: Recorder | None = None,
    clock: Callable[[], int] | None = None,
    key: bytes | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Session:
    """Return the session of `plan` over `datasets`, before its first row; raise what loading any of them raises."""
    streams = [catalog.stream(each) for each in datasets]
    strategies = [load_strategy(each.strategy, params=each.params) for each in plan.strategies]
    return Session(streams, strategies, plan.config, recorder=recorder, clock=clock, key=key, progress=progress)


def prepare_plan(
    catalog: Catalog,
    datasets: Sequence[Dataset],
    plan: Plan,
    *,
    recorder: Recorder | None = None,
    clock: Callable[[], int] | None = None,
    key: bytes | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Session:
    """Return the session of either plan, before its first row; that of a backtest is a session of one."""
    if isinstance(plan, BacktestPlan):
        return prepare(catalog, datasets[0], plan, recorder=recorder, clock=clock, key=key, progress=progress)
    return prepare_session(catalog, datasets, plan, recorder=recorder, clock=clock, key=key, progress=progress)
