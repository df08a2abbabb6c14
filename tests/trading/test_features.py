"""Declared features: computed once, shared, vectorised only where that changes nothing, and never from the future."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from kronos.errors import InvalidInput
from kronos.trading import Backtest, BacktestConfig, LookAhead, NoParams, Position, Strategy, feature
from kronos.trading.features import PREFIXES, FeatureStore, Past, prefixes

CONFIG = BacktestConfig(cash=Decimal(10**9))
KEY = b"k" * 32


def mean(bars, period: int):
    sums = np.cumsum(bars.close)
    sums[period:] -= sums[:-period].copy()
    found = sums / period
    found[: period - 1] = np.nan
    return found


def score(bars):
    """A z-score over the whole sample: honest only when it is asked row by row."""
    close = bars.close.astype(float)
    return (close - close.mean()) / (close.std() + 1)


def tomorrow(bars):
    """What `shift(-1)` does."""
    return np.append(bars.close[1:], bars.close[-1])


class Cross(Strategy):
    class Params(NoParams, frozen=True):
        fast: int = 5
        slow: int = 20

    fast = feature(mean, period="fast")
    slow = feature(mean, period="slow")

    def __init__(self, params=None) -> None:
        super().__init__(params)
        self.seen = []

    def on_bar(self, ctx, bar) -> None:
        known = ctx.features
        self.seen.append((known.fast, known.slow))
        if known.fast > known.slow and not ctx.position_lots:
            ctx.buy(1)
        elif known.fast < known.slow and ctx.position_lots:
            ctx.sell(1)


def sees(act, **declared):
    """Return a strategy with features that does `act(ctx)` at each bar."""
    return type("Sees", (Strategy,), {**declared, "on_bar": lambda self, ctx, bar: act(ctx)})()


def test_the_handler_reads_the_value_of_its_row(walk) -> None:
    bars, strategy = walk(300), Cross()
    assert Backtest(bars, strategy, CONFIG).run().orders > 5
    closes = bars.close.tolist()
    for row in range(19, 300):
        fast, slow = strategy.seen[row]
        assert fast == sum(closes[row - 4 : row + 1]) / 5
        assert slow == sum(closes[row - 19 : row + 1]) / 20


def test_a_feature_is_computed_once_a_stream_and_shared_between_strategies(walk) -> None:
    bars, store, calls = walk(300), FeatureStore(), []

    def counted(bars, period: int):
        calls.append(len(bars))
        return mean(bars, period)

    class One(Cross):
        fast = feature(counted, period="fast")
        slow = feature(counted, period=20)

    class Other(Strategy):
        same = feature(counted, period=5)

        def on_bar(self, ctx, bar) -> None: ...

    Backtest(bars, One(), CONFIG, features=store).run()
    assert calls.count(300) == 2, "once for each of two periods"
    assert len(calls) == 2 * (1 + PREFIXES)
    Backtest(bars, Other(), CONFIG, features=store).run()
    assert len(calls) == 2 * (1 + PREFIXES), "the other strategy's is the same column"
    Backtest(bars, One({"fast": 7}), CONFIG, features=store).run()
    assert len(calls) == 3 * (1 + PREFIXES), "another argument is another column"


@pytest.mark.parametrize("function", [score, tomorrow])
def test_what_would_read_the_future_is_computed_row_by_row_from_the_past(walk, function) -> None:
    bars, seen = walk(60), []
    strategy = sees(lambda ctx: seen.append(ctx.features.it), it=feature(function))
    store = FeatureStore()
    Backtest(bars, strategy, CONFIG, features=store).run()
    assert store.of(strategy, 0, bars).columns["it"].mode == "by row"
    assert seen == [float(function(Past(bars, row + 1))[-1]) for row in range(60)]


def test_a_window_bounds_what_a_row_is_computed_from(walk) -> None:
    bars, seen, lengths = walk(80), [], []

    def least(bars):
        lengths.append(len(bars))
        return bars.low.min()

    Backtest(bars, sees(lambda ctx: seen.append(ctx.features.least), least=feature(least, window=10)), CONFIG).run()
    low = bars.low.tolist()
    assert seen == [min(low[max(0, row - 9) : row + 1]) for row in range(80)]
    assert max(lengths) == 10
    assert len(lengths) == 80


def test_functions_are_handed_memory_of_their_own_that_nobody_can_change(walk) -> None:
    bars = walk(50)

    def pry(bars):
        for column in (bars.time, bars.open, bars.high, bars.low, bars.close, bars.volume):
            assert column.base is None
            assert len(column) == len(bars)
            with pytest.raises(ValueError, match="read-only"):
                column[0] = 1
        assert bars.time[0] == 1_600_000_000_000_000_000 + bars.interval_ns
        return bars.close

    seen = []
    Backtest(bars, sees(lambda ctx: seen.append(ctx.features.it), it=feature(pry)), CONFIG).run()
    assert seen == bars.close.tolist()


def test_earlier_values_are_read_and_later_ones_are_not(walk) -> None:
    bars, closes = walk(30), []

    def look(ctx) -> None:
        view = ctx.feature("it")
        closes.append(view[-1])
        assert len(view) == ctx.row + 1
        assert view[0] == int(bars.close[0])
        assert view.last(len(view)).tolist() == bars.close[: ctx.row + 1].tolist()
        for beyond in (ctx.row + 1, -ctx.row - 2):
            with pytest.raises(LookAhead, match=rf"it\[.*\] is not known at row {ctx.row}"):
                view[beyond]
        with pytest.raises(LookAhead):
            view.last(ctx.row + 2)
        with pytest.raises(InvalidInput, match="no feature 'that' is declared; declared: it"):
            ctx.feature("that")

    Backtest(bars, sees(look, it=feature(lambda bars: bars.close)), CONFIG).run()
    assert closes == bars.close.tolist()


def test_a_fill_sees_the_features_of_the_bar_before_and_the_start_sees_none(walk) -> None:
    bars, heard = walk(10), []

    class Hears(Strategy):
        it = feature(lambda bars: bars.close)

        def on_start(self, ctx) -> None:
            with pytest.raises(LookAhead, match="feature it is not known before the first row"):
                ctx.features.it  # noqa: B018

        def on_bar(self, ctx, bar) -> None:
            if bar.row == 3:
                ctx.buy(1)

        def on_fill(self, ctx, fill) -> None:
            heard.append((fill.row, ctx.features.it, ctx.feature("it")[-1]))

    Backtest(bars, Hears(), CONFIG).run()
    assert heard == [(4, bars.close[3], bars.close[3])]


def test_a_restored_run_has_the_same_features_and_ends_in_the_same_chains(walk) -> None:
    bars = walk(500)
    whole = Backtest(bars, Cross(), CONFIG).run()
    half = Backtest(bars, Cross(), CONFIG, key=KEY)
    half.run(Position(217))
    other = Backtest(bars, Cross(), CONFIG, key=KEY)
    other.restore(half.checkpoint())
    found = other.run()
    assert (found.core_chain, found.user_chain) == (whole.core_chain, whole.user_chain)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (mean, {}, "period is no parameter of NoParams"),
        (mean, {"period": "speed"}, "period is no parameter of NoParams"),
        (lambda bars: bars.close[1:], {}, r"expected a number, or numbers of shape \(30,\), got shape \(29,\)"),
        (lambda bars: np.array(["a"] * len(bars)), {}, "got shape .* of <U1"),
        (lambda bars: 1 // 0, {}, "failed on rows 0 to 29: ZeroDivisionError"),
    ],
)
def test_a_feature_that_cannot_be_is_refused_when_the_run_is_built(walk, function, arguments, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        Backtest(walk(30), sees(lambda ctx: None, it=feature(function, **arguments)), CONFIG)


def test_a_window_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="window 0 is not a whole number of rows"):
        feature(mean, window=0)


@pytest.mark.parametrize("rows", [1, 2, 7, 4096, 1_000_000])
def test_prefixes_are_drawn_from_every_magnitude(rows) -> None:
    drawn = list(prefixes(rows, "seed"))
    assert len(drawn) == PREFIXES
    assert all(1 <= k <= max(1, rows - 1) for k in drawn)
    assert drawn == list(prefixes(rows, "seed"))
    if rows == 1_000_000:
        assert min(drawn) < 1_000
        assert max(drawn) > 500_000
