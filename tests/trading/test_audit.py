"""The look-ahead audit: what reads the future is caught and the read is named; what does not is clean."""

from __future__ import annotations

import random
from decimal import Decimal
from functools import cache
from typing import ClassVar

import numpy as np
import pytest

from kronos.trading import BacktestConfig, Strategy, feature
from kronos.trading.audit import REPLAYED_MAX, audit
from kronos.trading.indicators import Sma

CONFIG = BacktestConfig(cash=Decimal(10**9), long_only=False, check_cash=False)


def by_sign(signal: int, ctx) -> None:
    """Hold one unit on the side of `signal`."""
    wanted = 1 if signal > 0 else -1
    if ctx.position_lots == 0 or (ctx.position_lots > 0) != (wanted > 0):
        (ctx.buy if wanted > 0 else ctx.sell)(2 if ctx.position_lots else 1)


class Peeking(Strategy):
    """Holds the run's columns, as no strategy can through its context: the planted cases need a way to the future."""

    def __init__(self, bars) -> None:
        super().__init__()
        self.bars = bars


class WholeSample(Peeking):
    def on_bar(self, ctx, bar) -> None:
        close = self.bars.close
        by_sign(bar.close * len(close) - int(close.sum()), ctx)


class Base(Peeking):
    def on_bar(self, ctx, bar) -> None:
        window = self.bars.close[: bar.row + 1]
        whole = window.base
        by_sign(int(whole[min(bar.row + 3, len(whole) - 1)]) - bar.close, ctx)


class Hour(Peeking):
    def on_bar(self, ctx, bar) -> None:
        begin = bar.row // 60 * 60
        by_sign(int(self.bars.high[begin : begin + 60].max()) - bar.close - 150, ctx)


class Fitted(Peeking):
    def on_start(self, ctx) -> None:
        self.mean = int(np.median(self.bars.close))

    def on_bar(self, ctx, bar) -> None:
        by_sign(bar.close - self.mean, ctx)


class Shifted(Peeking):
    def on_bar(self, ctx, bar) -> None:
        close = self.bars.close
        by_sign(int(close[min(bar.row + 1, len(close) - 1)]) - bar.close, ctx)


@pytest.fixture(scope="module")
def bars(walk):
    return walk(6_000, seed=5, low=30_000)


@pytest.fixture(scope="module")
def found(bars):
    """Return the audit of a strategy, made once."""
    return cache(lambda kind: audit(bars, kind, CONFIG))


def test_shift_of_minus_one_is_named_by_its_row(found) -> None:
    found = found(Shifted)
    assert found.readings
    for each in found.readings:
        assert (each.column, each.first, each.last) == ("close", each.decision + 1, each.decision + 1)
    one = found.readings[0]
    assert str(one) == f"the decision of row {one.decision} depends on close[{one.decision + 1}]"


def test_the_base_of_a_view_is_named_by_its_row(found) -> None:
    found = found(Base)
    assert found.readings
    for each in found.readings:
        assert each.column == "close"
        assert each.first == each.last
        assert 1 <= each.last - each.decision <= 3


def test_a_higher_timeframe_before_its_close_is_named(found) -> None:
    found = found(Hour)
    assert found.readings
    for each in found.readings:
        assert each.column == "high"
        assert each.decision // 60 == each.last // 60, "the read stays inside the hour that was not over"


def test_a_score_over_the_whole_sample_is_named_as_a_read_of_many_rows(found) -> None:
    one = found(WholeSample).readings[0]
    assert one.column == "close"
    assert not one.at_start
    assert one.last > one.cut + 1, "no single row decides"


def test_a_fit_in_on_start_is_named_as_such(found) -> None:
    (one,) = found(Fitted).readings
    assert one.column == "close"
    assert one.at_start
    assert "which was read before the first bar was over (on_start or __init__)" in str(one)


def rolling(bars, period):
    sums = np.cumsum(bars.close)
    sums[period:] -= sums[:-period].copy()
    return sums / period


class Honest(Strategy):
    fast = feature(rolling, period=10)

    def __init__(self, bars=None) -> None:
        super().__init__()
        self.slow = Sma(50)

    def on_bar(self, ctx, bar) -> None:
        slow = self.slow.update(bar.close)
        if slow is not None:
            by_sign(1 if ctx.features.fast > slow else -1, ctx)
            if bar.row % 40 == 0:
                ctx.sell(1, type="limit", limit=ctx.instrument.price(bar.close + 100), tif="DAY")


def test_an_honest_strategy_is_clean(found) -> None:
    found = found(Honest)
    assert found.is_clean
    assert found.cuts == 21
    assert not found.note


@pytest.mark.parametrize("kind", [Honest, WholeSample, Base, Hour, Fitted, Shifted])
def test_an_audit_makes_no_more_than_twice_the_run_again(bars, found, kind) -> None:
    found = found(kind)
    assert bars.rows // 4 < found.replayed <= REPLAYED_MAX * bars.rows


class Drawing(Peeking):
    """Draws from the process's generator; made with the bars, which it does not read."""

    def on_bar(self, ctx, bar) -> None:
        if random.random() < self.odds:
            ctx.buy(1)


class Remembering(Drawing):
    """Knows what an earlier run left in the process."""

    closes: ClassVar[dict[int, int]] = {}

    def on_bar(self, ctx, bar) -> None:
        if self.closes.setdefault(bar.row + 1, -1) > bar.close:
            ctx.buy(1)
        self.closes[bar.row] = bar.close


@pytest.mark.parametrize("odds", [0.3, 0.01, 0.001])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_drawn_anew_is_said_not_to_repeat_and_never_called_a_reading(bars, monkeypatch, odds, seed) -> None:
    random.seed(seed)
    monkeypatch.setattr(Drawing, "odds", odds, raising=False)
    found = audit(bars, Drawing, CONFIG)
    assert found.readings == ()
    assert found.unrepeated is not None
    assert f"the decision of row {found.unrepeated} does not repeat: made again with the same rows" in found.findings[0]
    assert not found.is_clean
    assert found.replayed <= REPLAYED_MAX * bars.rows


def test_what_an_earlier_run_left_in_the_process_is_no_reading_of_the_future(bars) -> None:
    found = audit(bars, Remembering, CONFIG)
    assert found.readings == ()
    assert found.unrepeated is not None


def test_what_cannot_be_saved_is_audited_from_the_start_and_that_is_said(bars) -> None:
    class Unsaved(Shifted):
        def __init__(self, bars) -> None:
            super().__init__(bars)
            self.act = lambda: None

    found = audit(bars, Unsaved, CONFIG)
    assert found.readings
    assert "re-executed from the start alone, as a checkpoint fails" in found.note
