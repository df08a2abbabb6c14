"""The look-ahead audit: what reads the future is caught and the read is named; what does not is clean."""

from __future__ import annotations

import random
from decimal import Decimal
from functools import cache
from typing import ClassVar

import numpy as np
import pytest

from kronos.errors import InvalidInput
from kronos.trading import BacktestConfig, Bars, Latency, SessionConfig, Strategy, feature
from kronos.trading.audit import REPLAYED_MAX, audit, audit_session
from kronos.trading.indicators import Sma
from kronos.trading.streams import ASK, BID, Depth, Quotes, Trades
from kronos.trading.views import quotes, trades

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


ROWS = 900
GRID = {"tick": Decimal(1), "volume_step": Decimal(1)}
SECOND_NS = 10**9


def market() -> tuple[Bars, Trades, Quotes]:
    """Minutes of A, and a second apart: trades of B, and quotes of C that are known half a second later."""
    rng = np.random.default_rng(8)
    close = 5_000 + np.cumsum(rng.integers(-9, 10, ROWS // 60))
    minutes = Bars(
        dataset="A", instrument="A", **GRID, interval_ns=60 * SECOND_NS, volume=np.full(close.shape, 9), open=close,
        open_time=(10**9 + 60 * np.arange(close.shape[0])) * SECOND_NS, high=close + 4, low=close - 4, close=close,
    )  # fmt: skip
    time, price = (10**9 + np.arange(ROWS)) * SECOND_NS, 7_000 + np.cumsum(rng.integers(-9, 10, ROWS))
    rows = {"time": time, "source": np.arange(ROWS)}
    ticks = Trades(
        dataset="B", instrument="B", **GRID, **rows, available=time, price=price,
        quantity=rng.integers(1, 9, ROWS), side=np.where(price % 2 == 0, BID, ASK),
    )  # fmt: skip
    tops = Quotes(
        dataset="C", instrument="B", **GRID, **rows, available=time + SECOND_NS // 2, bid=price - 1, ask=price + 1,
        bid_quantity=np.full(ROWS, 3), ask_quantity=rng.integers(1, 9, ROWS),
    )  # fmt: skip
    return minutes, ticks, tops


class Follows(Strategy):
    """Trades B by what it hears of trades and quotes, and rests an order that later trades fill."""

    subscribes = (trades("B"), quotes("B"))

    def on_trade(self, ctx, trade) -> None:
        if trade.row % 20 == 3:
            ctx.buy(1, type="limit", limit=trade.price - 2)

    def on_quote(self, ctx, quote) -> None:
        if quote.row % 30 == 7 and ctx.position > 0:
            ctx.sell(ctx.position)


class Tomorrow(Follows):
    """Holds the streams, and reads a column of one of them `ahead` rows ahead of the trade."""

    def __init__(self, streams, place: int, column: str, every: int) -> None:
        super().__init__()
        self.values, self.every = getattr(streams[place], column), every

    def on_trade(self, ctx, trade) -> None:
        row = trade.row // self.every + 1
        if trade.row % 10 == 0 and row < len(self.values) and int(self.values[row]) % 2:
            ctx.buy(1)


AT_ONCE = SessionConfig(long_only=False, check_cash=False)
TRAVELS = SessionConfig(long_only=False, check_cash=False, latency=Latency(feed_ns=3 * SECOND_NS, order_ns=SECOND_NS))


@pytest.mark.parametrize("config", [AT_ONCE, TRAVELS], ids=["at once", "travels"])
def test_honest_strategies_in_a_session_of_several_streams_are_clean(config) -> None:
    found = audit_session(market(), lambda _: [Follows(), Honest()], config)
    assert found.is_clean, found.findings
    assert found.rows == 2 * ROWS + ROWS // 60
    assert found.cuts > 10
    assert 0 < found.replayed <= REPLAYED_MAX * found.rows


@pytest.mark.parametrize(
    ("place", "column", "every", "stream"),
    [(1, "price", 1, "the trades of B"), (2, "ask_quantity", 1, "the quotes of B"), (0, "low", 60, "the bars of A")],
)
def test_a_read_of_a_later_row_of_another_stream_is_named_by_stream_and_row(place, column, every, stream) -> None:
    found = audit_session(market(), lambda given: [Honest(), Tomorrow(given, place, column, every)], AT_ONCE)
    assert found.readings, found
    one = found.readings[0]
    assert (one.column, one.stream) == (column, stream)
    assert one.first <= one.last
    assert str(one).endswith(f"depends on {column}[{one.first}] of {stream}") or one.last > one.first


def test_a_book_is_refused_with_what_to_audit_on() -> None:
    flat = np.arange(1, 5)
    book = Depth(
        dataset="D", instrument="D", **GRID, time=flat, available=flat, source=flat, kind=flat * 0, side=flat * 0 + 1,
        price=flat, quantity=flat,
    )  # fmt: skip
    with pytest.raises(InvalidInput, match=r"the book of D cannot be given another future, .*: audit the strategy on"):
        audit_session([book], lambda _: [Follows()], SessionConfig())
