"""The journal of a replayed backtest is compared with the recorded one, wherever either was cut."""

from __future__ import annotations

import itertools
from decimal import Decimal

import numpy as np
import pytest

from kronos.debugger.replay_journal import ReplayedJournal
from kronos.kernel.hashing import content_hash
from kronos.ports import SegmentRef
from kronos.trading import Bars
from kronos.trading.backtest import Backtest, BacktestConfig
from kronos.trading.journal import MemoryRecorder
from kronos.trading.sma_cross import SmaCross

ROWS = 20_000


@pytest.fixture(scope="module")
def bars() -> Bars:
    rng = np.random.default_rng(7)
    close = np.cumsum(rng.integers(-50, 51, ROWS)).astype(np.int64)
    close += 10_000 - close.min()
    opening = np.roll(close, 1)
    opening[0] = close[0]
    minute = 60_000_000_000
    return Bars(
        dataset="walk",
        instrument="WALK",
        tick=Decimal("0.01"),
        volume_step=Decimal(1),
        interval_ns=minute,
        open_time=np.arange(ROWS, dtype=np.int64) * minute + 1_600_000_000_000_000_000,
        open=opening,
        high=np.maximum(opening, close),
        low=np.minimum(opening, close),
        close=close,
        volume=np.ones(ROWS, dtype=np.int64),
    )


class Late(SmaCross):
    """Remembers something else from a row on, and decides the same."""

    def on_bar(self, ctx, bar):
        super().on_bar(ctx, bar)
        if ctx.row >= 9_000:
            self.extra = 1


class Loose(SmaCross):
    """Decides otherwise from a row on."""

    def on_bar(self, ctx, bar):
        super().on_bar(ctx, bar)
        if ctx.row == 13_000:
            ctx.buy(1)


class Shelf:
    """Blobs in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        self.kept[content_hash(data)] = data
        return content_hash(data)

    def get(self, blob: str) -> bytes:
        return self.kept[blob]


def replayed(bars: Bars, strategy, recorder, *, step_ns: int) -> None:
    """Run with a clock that moves `step_ns` at each look, which decides where segments are cut."""
    ticks = itertools.count(0, step_ns)
    Backtest(
        bars, strategy, BacktestConfig(cash=Decimal(1_000_000)), recorder=recorder, clock=lambda: next(ticks)
    ).run()


@pytest.fixture(scope="module")
def recorded(bars):
    shelf, memory = Shelf(), MemoryRecorder()
    replayed(bars, SmaCross(), memory, step_ns=2_000_000_000)
    refs = [
        SegmentRef(
            number=i,
            first_row=each.first_row,
            last_row=each.last_row,
            core_chain=each.core_chain,
            user_chain=each.user_chain,
            blob=shelf.put(each.data),
        )
        for i, each in enumerate(memory.segments)
    ]
    assert len(refs) > 1, "the recording is cut somewhere"
    return refs, shelf


def difference(bars, recorded, strategy, *, user: bool = True, step_ns: int = 0):
    journal = ReplayedJournal(*recorded)
    replayed(bars, strategy, journal, step_ns=step_ns)
    return journal.difference(user=user)


@pytest.mark.parametrize("step_ns", [0, 700_000_000, 2_000_000_000])
def test_the_same_code_has_the_same_journal_wherever_it_is_cut(bars, recorded, step_ns):
    assert difference(bars, recorded, SmaCross(), step_ns=step_ns) is None


def test_other_decisions_are_found_within_one_block(bars, recorded):
    found = difference(bars, recorded, Loose())
    assert found is not None
    assert found.chain == "core"
    assert found.first_row <= 13_001 <= found.last_row
    assert found.last_row - found.first_row < 4_096


def test_other_variables_are_found_within_one_block_and_only_when_asked(bars, recorded):
    found = difference(bars, recorded, Late())
    assert found is not None
    assert found.chain == "user"
    assert found.first_row <= 9_000 <= found.last_row
    assert found.last_row - found.first_row < 4_096
    assert difference(bars, recorded, Late(), user=False) is None


def test_a_journal_that_ends_early_differs_in_length(bars, recorded):
    journal = ReplayedJournal(*recorded)
    backtest = Backtest(bars, SmaCross(), BacktestConfig(cash=Decimal(1_000_000), stop_row=8_192), recorder=journal)
    backtest.run()
    found = journal.difference(user=True)
    assert found is not None
    assert (found.chain, found.first_row, found.last_row) == ("length", 8_192, ROWS - 1)
