"""What the time machine shows, each part labelled *recorded* or *recomputed*.

Rule: values leave as exact Decimals and JSON-ready builtins; heads of chains as lower-case hex; times are ns UTC.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from kronos.kernel.ids import RunId, StepName
from kronos.trading.bars import Bars
from kronos.trading.instruments import Instrument
from kronos.trading.results import OrderView, Portfolio

__all__ = ["BarView", "CoreView", "Label", "RunCode", "StepView", "Verification", "bar_view"]


class Label(StrEnum):
    """Where a value comes from: the run's own record, or a re-execution."""

    RECORDED = "recorded"
    RECOMPUTED = "recomputed"


class RunCode(StrEnum):
    """Which code was re-executed: as captured with the run, as installed here, or as checked out now."""

    CAPTURED = "captured"
    INSTALLED = "installed"
    WORKING_TREE = "working tree"


class BarView(msgspec.Struct, frozen=True, kw_only=True):
    """One bar in units of money and of the instrument; `time_ns` is its open."""

    row: int
    time_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What the re-execution was held against: `ok` is None where the record has nothing to compare.

    `first_differing_row` begins the first block (of 4,096 rows) whose head differs, `chain` says which: "core"
    (decisions, money) or "user" (strategy variables).
    """

    ok: bool | None
    blocks: int
    detail: str
    chain: str | None = None
    first_differing_row: int | None = None


class CoreView(msgspec.Struct, frozen=True, kw_only=True):
    """A trading step before `row`, folded from its journal without any user code; rows first_row..last_row exist.

    `bar` is the bar that is dispatched next (None after the last, and in a session of several streams); `time_ns` is
    when the latest row became known; `positions` are by account and instrument.
    """

    run_id: RunId
    step: StepName
    attempt: int
    row: int
    first_row: int
    last_row: int
    time_ns: int | None
    bar: BarView | None
    portfolio: Portfolio
    positions: dict[str, dict[str, Decimal]]
    open_orders: list[OrderView]
    records: int
    elapsed_ms: float


class StepView(CoreView, frozen=True, kw_only=True):
    """A trading step before `row`, with the strategy's variables and the heads of both chains.

    `checkpoint_row` is where the re-execution began (None: at the first row), `checkpoint` whose cache that was:
    "recorded", "host" or "none".
    """

    variables: dict[str, Any]
    core_chain: str
    user_chain: str
    labels: dict[str, Label]
    code: RunCode
    checkpoint: str
    checkpoint_row: int | None
    verification: Verification
    notes: list[str]


def bar_view(bars: Bars, instrument: Instrument, row: int) -> BarView | None:
    """Return the bar of `row`, None beyond the last."""
    if not 0 <= row < bars.rows:
        return None
    return BarView(
        row=row,
        time_ns=int(bars.open_time[row]),
        open=instrument.price(int(bars.open[row])),
        high=instrument.price(int(bars.high[row])),
        low=instrument.price(int(bars.low[row])),
        close=instrument.price(int(bars.close[row])),
        volume=int(bars.volume[row]) * bars.volume_step,
    )
