"""A session of several datasets and strategies as a durable run: what `kronos backtest` starts for more than one.

Rule 1: what the step returns follows from its input alone; its journal goes to the recorder while it runs.
Rule 2: the result keeps totals and the first fills; everything else is read off the journal.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Final

import msgspec

from kronos.core.decorators import step, workflow
from kronos.engine.context import StepContext
from kronos.flows.sinks import deliver
from kronos.flows.steps import TRADES_SHOWN_MAX, CurvePoint, curve_of
from kronos.market.dataset import Dataset
from kronos.market.session_plans import SessionPlan, prepare_session
from kronos.trading.analysis import Analysis, analyse
from kronos.trading.journal import MemoryRecorder
from kronos.trading.ledger import FillRow, Trade, ledger_of
from kronos.trading.refusals import Refused, Stopped, refused_of, stopped_of
from kronos.trading.results import Result

__all__ = ["SessionRequest", "SessionResult", "find_datasets", "run_session", "session"]

FILLS_SHOWN_MAX: Final = 1_000


class SessionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`datasets` are names or ids of the catalog, in the order of their streams."""

    datasets: tuple[str, ...]
    plan: SessionPlan


class SessionResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a session: totals, how many fills each strategy had, the first 1,000 fills and trades, the curve of
    equity (at most 400 points), all figures, of the whole and of each strategy, and what did not come to pass.
    """

    result: Result
    fill_counts: dict[str, int]
    fills: list[FillRow]
    trade_count: int
    open_trade_count: int
    trades: list[Trade]
    curve: list[CurvePoint]
    analysis: Analysis
    stopped: list[Stopped] = []
    refused: list[Refused] = []


@step(effect="read")
def find_datasets(ctx: StepContext, datasets: tuple[str, ...]) -> list[Dataset]:
    """Return the datasets of those names or ids; what a name stands for is recorded."""
    return [ctx.call(ctx.datasets.find, each) for each in datasets]


@step(executor="process")
def session(ctx: StepContext, streams: list[Dataset], plan: SessionPlan) -> SessionResult:
    """Run `plan` over `streams`, recording every decision."""
    recorder = MemoryRecorder(forward=ctx.recorder)
    run = prepare_session(
        ctx.datasets,
        streams,
        plan,
        recorder=recorder,
        clock=time.perf_counter_ns,  # decides how often caches are made, nothing else
        key=ctx.checkpoint_key,
        progress=ctx.progress,
    )
    outcome = run.run()
    ledger = ledger_of((each.data for each in recorder.segments), run.pricing)
    fills, trades = ledger.fills(), ledger.trades()
    deliver(ctx, plan.sinks, fills)
    still_open = sum(trade.open for trade in trades)
    return SessionResult(
        result=msgspec.structs.replace(outcome, checkpoints=0),  # how many caches there are is the clock's doing
        fill_counts=dict(Counter(fill.strategy for fill in fills)),
        fills=fills[:FILLS_SHOWN_MAX],
        trade_count=len(trades) - still_open,
        open_trade_count=still_open,
        trades=trades[:TRADES_SHOWN_MAX],
        curve=curve_of(ledger),
        analysis=analyse(ledger, streams[0].calendar),
        stopped=stopped_of(ledger),
        refused=refused_of(ledger),
    )


@workflow(name="session", version="1")
def run_session(request: SessionRequest) -> SessionResult:
    """Find the data, run the strategies over it."""
    return session(find_datasets(request.datasets), request.plan)
