"""A session of several datasets and strategies as a durable run: what `kronos backtest` starts for more than one.

Rule 1: what the step returns follows from its input alone; its journal goes to the recorder while it runs.
Rule 2: the result keeps totals and the first fills; everything else is read off the journal.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from kronos.core.decorators import step, workflow
from kronos.engine.context import StepContext
from kronos.market.dataset import Dataset
from kronos.market.session_plans import SessionPlan, prepare_session
from kronos.trading.events import OrderFilled
from kronos.trading.instruments import Instrument
from kronos.trading.journal import MemoryRecorder, decode_segment
from kronos.trading.money import from_money
from kronos.trading.results import Result

__all__ = ["SessionFill", "SessionRequest", "SessionResult", "find_datasets", "run_session", "session"]

FILLS_SHOWN_MAX: Final = 1_000


class SessionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`datasets` are names or ids of the catalog, in the order of their streams."""

    datasets: tuple[str, ...]
    plan: SessionPlan


class SessionFill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution: who, where, what; `row` is that of the merged timeline."""

    row: int
    sub: int
    strategy: str
    route: str
    instrument: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    assumption: str


class SessionResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a session: totals, how many fills each strategy had, the first 1,000 of them."""

    result: Result
    fill_counts: dict[str, int]
    fills: list[SessionFill]


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
    counts, fills = _fills((each.data for each in recorder.segments), list(run.instruments.values()))
    plain = msgspec.structs.replace(outcome, checkpoints=0)  # how many caches there are is the clock's doing
    return SessionResult(result=plain, fill_counts=counts, fills=fills)


def _fills(segments: Iterable[bytes], traded: list[Instrument]) -> tuple[dict[str, int], list[SessionFill]]:
    counts: Counter[str] = Counter()
    shown: list[SessionFill] = []
    for data in segments:
        segment = decode_segment(data)
        for record in segment.decode():
            if isinstance(record, OrderFilled):
                origin, instrument = segment.origins[record.origin], traded[record.instrument]
                counts[origin.strategy_id] += 1
                if len(shown) < FILLS_SHOWN_MAX:
                    shown.append(
                        SessionFill(
                            row=record.row,
                            sub=record.sub,
                            strategy=origin.strategy_id,
                            route=origin.route_id,
                            instrument=instrument.symbol,
                            quantity=instrument.quantity(record.quantity),
                            price=instrument.price(record.price),
                            fee=from_money(record.fee),
                            assumption=record.assumption,
                        )
                    )
    return dict(counts), shown


@workflow(name="session", version="1")
def run_session(request: SessionRequest) -> SessionResult:
    """Find the data, run the strategies over it."""
    return session(find_datasets(request.datasets), request.plan)
