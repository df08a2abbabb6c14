"""Indicators beside independent libraries, exact or within 1e-12 of them; and what they promise of themselves."""

from __future__ import annotations

import pickle
from itertools import pairwise
from statistics import pstdev

import numpy as np
import pytest
import talib
from talipp.indicators import BB, VWAP
from talipp.ohlcv import OHLCV

from kronos.errors import InvalidInput
from kronos.trading.indicators import Atr, Bollinger, Ema, Highest, Lowest, Rsi, Sma, Vwap
from kronos.trading.userstate import differing_path, encode_user_state, show

ROWS = 3_000


@pytest.fixture(scope="module")
def bars(walk):
    made = walk(ROWS, seed=7, low=40_000)
    volume = np.random.default_rng(3).integers(1, 10**6, ROWS)
    return {name: getattr(made, name) for name in ("high", "low", "close")} | {"volume": volume}


def fed(indicator, *columns) -> list:
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [indicator.update(*row) for row in rows]


def same(ours: list, theirs, *, within: float = 1e-12) -> None:
    theirs = [None if each is None or np.isnan(each) else float(each) for each in theirs]
    assert [each is None for each in ours] == [each is None for each in theirs]
    known = [(one, other) for one, other in zip(ours, theirs, strict=True) if one is not None]
    assert len(known) > ROWS // 2
    for one, other in known:
        assert one == pytest.approx(other, rel=within, abs=0)


@pytest.mark.parametrize("period", [1, 2, 14, 50])
def test_means_equal_ta_lib(bars, period) -> None:
    close = bars["close"]
    same(fed(Sma(period), close), talib.SMA(close.astype(float), period) if period > 1 else close)
    same(fed(Ema(period), close), talib.EMA(close.astype(float), period) if period > 1 else close)


@pytest.mark.parametrize("period", [2, 14, 50])
def test_extremes_equal_ta_lib_exactly(bars, period) -> None:
    same(fed(Highest(period), bars["high"]), talib.MAX(bars["high"].astype(float), period), within=0)
    same(fed(Lowest(period), bars["low"]), talib.MIN(bars["low"].astype(float), period), within=0)


@pytest.mark.parametrize("period", [2, 14, 50])
def test_strength_and_true_range_equal_ta_lib(bars, period) -> None:
    high, low, close = (bars[name].astype(float) for name in ("high", "low", "close"))
    same(fed(Rsi(period), bars["close"]), talib.RSI(close, period))
    same(fed(Atr(period), bars["high"], bars["low"], bars["close"]), talib.ATR(high, low, close, period))


@pytest.mark.parametrize("period", [2, 20])
def test_bands_equal_talipp_and_the_standard_library(bars, period) -> None:
    close = bars["close"].tolist()
    ours, theirs = fed(Bollinger(period, 2.0), bars["close"]), list(BB(period, 2.0, close))
    for side, name in (("lower", "lb"), ("middle", "cb"), ("upper", "ub")):
        same([band and getattr(band, side) for band in ours], [None if b is None else getattr(b, name) for b in theirs])
    for row in range(period, ROWS, 97):
        reach = (ours[row].upper - ours[row].lower) / 4
        assert reach == pytest.approx(pstdev(close[row - period + 1 : row + 1]), rel=1e-11)


def test_the_mean_by_volume_equals_talipp_and_its_window_a_plain_sum(bars) -> None:
    columns = [bars[name] for name in ("high", "low", "close", "volume")]
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    same(fed(Vwap(), *columns), VWAP([OHLCV(c, h, low, c, v) for h, low, c, v in rows]))
    windowed = fed(Vwap(10), *columns)
    assert windowed[:9] == [None] * 9
    for row in range(9, ROWS, 131):
        seen = rows[row - 9 : row + 1]
        assert windowed[row] == sum((h + low + c) * v for h, low, c, v in seen) / (3 * sum(v for *_, v in seen))


def test_two_means_are_compared_without_rounding() -> None:
    high, low = Sma(3), Sma(2)
    base = 10**17
    for value in (base, base, base + 1):
        high.update(value)
    for value in (base, base):
        low.update(value)
    assert high.value == low.value, "as floats they are equal"
    assert high.exceeds(low)
    assert not low.exceeds(high)


def test_a_day_begins_anew_and_nothing_traded_has_no_mean() -> None:
    vwap = Vwap()
    assert vwap.update(3, 3, 3, 0) is None
    assert vwap.update(4, 2, 3, 5) == 3
    vwap.reset()
    assert vwap.update(9, 9, 9, 1) == 9


def test_what_never_moves_has_no_strength_either_way() -> None:
    rsi = Rsi(3)
    assert [rsi.update(5) for _ in range(5)] == [None, None, None, 50.0, 50.0]


MAKERS = [
    (lambda: Sma(5), 1), (lambda: Ema(5), 1), (lambda: Rsi(5), 1), (lambda: Atr(5), 3), (lambda: Bollinger(5), 1),
    (lambda: Vwap(5), 4), (Vwap, 4), (lambda: Highest(5), 1), (lambda: Lowest(5), 1),
]  # fmt: skip


@pytest.mark.parametrize(("make", "width"), MAKERS)
def test_an_indicator_goes_on_from_its_saved_state_and_shows_every_change_of_it(bars, make, width) -> None:
    columns = [bars[name].tolist()[:400] for name in ("high", "low", "close", "volume")][:width]
    rows = list(zip(*columns, strict=True))
    one = make()
    heads = []
    for row in rows[:200]:
        one.update(*row)
        opaque: list[str] = []
        heads.append(encode_user_state(one, opaque))
        assert not opaque
    assert all(before != after for before, after in pairwise(heads))
    other = pickle.loads(pickle.dumps(one))
    assert [one.update(*row) for row in rows[200:]] == [other.update(*row) for row in rows[200:]]
    assert encode_user_state(one) == encode_user_state(other)
    assert set(show(one)) == {"type", *type(one).__slots__}
    other.period = 6
    assert differing_path(one, other) == "self.period"


@pytest.mark.parametrize("period", [0, -1, 2.5, "14", True, 10**9])
@pytest.mark.parametrize("kind", [Sma, Ema, Rsi, Atr, Bollinger, Vwap, Highest, Lowest])
def test_a_period_that_is_none_is_refused(kind, period) -> None:
    with pytest.raises(InvalidInput, match=rf"{kind.__name__}: period .* is not a whole number from 1"):
        kind(period)
