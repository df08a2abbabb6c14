"""The fast loop equals the plain one record by record, over random orders and data; faults in it are caught."""

from __future__ import annotations

from collections import deque
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kronos.trading import Backtest, BacktestConfig, Bars, NoParams, Strategy, feature
from kronos.trading.bars import Bar
from kronos.trading.features import FeatureRows
from kronos.trading.plain import PlainBacktest
from kronos.trading.venue.bars import BarVenue
from kronos.trading.venue.exchange import Exchange
from kronos.trading.venue.wakes import NEVER, Wakes

MINUTE_NS = 60_000_000_000
FREE = {"cash": Decimal(10**9), "long_only": False, "check_cash": False, "fee_rate": Decimal("0.001")}


def bars_of(rows: int, seed: int) -> Bars:
    rng = np.random.default_rng(seed)
    close = 10_000 + np.cumsum(rng.integers(-9, 10, rows))
    opening = np.roll(close, 1) + rng.integers(-3, 4, rows)
    opening[0] = close[0]
    reach = rng.integers(0, 6, (2, rows))
    return Bars(
        dataset=f"random-{rows}-{seed}",
        instrument="X",
        tick=Decimal(1),
        volume_step=Decimal(1),
        interval_ns=MINUTE_NS,
        open_time=1_600_041_600 * 10**9 + np.arange(rows) * 7 * MINUTE_NS,
        open=opening,
        high=np.maximum(opening, close) + reach[0],
        low=np.minimum(opening, close) - reach[1],
        close=close,
        volume=rng.integers(0, 9, rows),
    )


class Random(Strategy):
    """Draws what it asks for from its parameters, the row and what it sees."""

    class Params(NoParams, frozen=True):
        seed: int = 1
        every: int = 11

    latest = feature(lambda bars: bars.close - bars.open)

    def __init__(self, params=None) -> None:
        super().__init__(params)
        self.seen = 0

    def on_bar(self, ctx, bar) -> None:
        self.seen = (self.seen * 31 + hash((bar.time, bar.open, bar.high, bar.low, bar.close, bar.volume))) % 2**61
        self.seen = (self.seen * 31 + ctx.features.latest + ctx.close[-1]) % 2**61
        if (bar.row * 7 + self.params.seed) % self.params.every == 0:
            self.ask(ctx, bar, np.random.default_rng(self.params.seed * 100_003 + bar.row))

    def ask(self, ctx, bar, rng) -> None:
        buys, far = bool(rng.integers(2)), int(rng.integers(1, 25))
        side, sign, other = (ctx.buy, 1, ctx.sell) if buys else (ctx.sell, -1, ctx.buy)
        near, beyond = bar.close - sign * far, bar.close + sign * far
        life = [{}, {"tif": "DAY"}, {"tif": "GTD", "until": bar.time + far * 5 * MINUTE_NS}, {"tif": "IOC"}]
        match int(rng.integers(10)):
            case 0:
                side(int(rng.integers(1, 5)))
            case 1 | 2:
                side(2, type="limit", limit=near, **life[int(rng.integers(4))])
            case 3:
                side(1, type="stop", stop=beyond, **life[int(rng.integers(3))])
            case 4:
                side(1, type="stop_limit", stop=beyond, limit=beyond + sign * int(rng.integers(0, 4)))
            case 5:
                side(1, type="trailing", trail=far)
            case 6:
                begins = ({}, {"type": "limit", "limit": near}, {"type": "stop", "stop": beyond})
                entry, at = begins[far % 3], (bar.close, near, beyond)[far % 3]
                stop, target = at - sign * (far % 6 + 1), at + sign * (far % 5 + 1)
                ctx.bracket("buy" if buys else "sell", 1, stop=stop, target=target, entry=entry)
            case 7 if ctx.open_orders:
                ctx.cancel(ctx.open_orders[int(rng.integers(len(ctx.open_orders)))])
            case 8 if ctx.open_orders:
                ctx.modify(ctx.open_orders[0], 3)
            case 9:
                first = side(1, type="limit", limit=near if far % 2 else beyond)
                other(1, type="trailing", trail=far % 4 + 1, parent=first)
                other(1, parent=first)

    def on_fill(self, ctx, fill) -> None:
        if fill.order_id % 5 == 0:
            ctx.sell(1, type="limit", limit=fill.price + 4) if fill.quantity > 0 else ctx.buy(1)


def played(kind: type[Backtest], bars: Bars, seed: int, every: int, **config) -> tuple[list, str, str]:
    run = kind(bars, Random({"seed": seed, "every": every}), BacktestConfig(**{**FREE, **config}))
    result = run.run()
    return run.take(), result.core_chain, result.user_chain


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    every=st.sampled_from([1, 3, 11, 60]),
    rows=st.integers(2, 500),
    share=st.sampled_from([None, Decimal("0.5")]),
    path=st.sampled_from(["nearest", "low_first", "high_first"]),
    slippage=st.sampled_from([Decimal(0), Decimal("0.3"), Decimal(7)]),
)
def test_the_fast_loop_equals_the_plain_one_record_by_record(seed, every, rows, share, path, slippage) -> None:
    bars, config = bars_of(rows, seed), {"volume_share": share, "path": path, "slippage_bps": slippage}
    assert played(Backtest, bars, seed, every, **config) == played(PlainBacktest, bars, seed, every, **config)


def test_they_are_equal_beyond_a_block(monkeypatch) -> None:
    bars = bars_of(9_000, 4)
    records, *chains = played(Backtest, bars, 4, 60)
    assert [records, *chains] == [*played(PlainBacktest, bars, 4, 60)]
    assert len({type(record) for record in records}) >= 8


def test_takers_pay_and_own_orders_are_kept_apart_as_the_plain_venue_says() -> None:
    bars = bars_of(400, 3)
    runs = [
        [played(kind, bars, 3, 1, slippage_bps=bps) for kind in (Backtest, PlainBacktest)]
        for bps in (Decimal(0), Decimal(4))
    ]
    assert all(fast == plain for fast, plain in runs)
    assert runs[0] != runs[1]
    assert any(getattr(record, "reason", "") == "self_trade" for record in runs[0][0][0])


REARM, SEARCH, ROWS = Wakes.rearm, Wakes.search, FeatureRows.rows
TOUCHED, STAND, BEGIN = BarVenue._touched, BarVenue._stand, BarVenue._begin


def after_rearm(change):
    def rearm(self, orders) -> None:
        REARM(self, orders)
        change(self)

    return rearm


def set_to(**values):
    return after_rearm(lambda wakes: [setattr(wakes, name, value) for name, value in values.items()])


def early(self, index, row, cause) -> None:
    STAND(self, index, row, cause)
    self._now += 7 * MINUTE_NS


def late(self, index, stop) -> int:
    return index + 2 if self.wakes.is_eager else SEARCH(self.wakes, index, stop)


def shifted(by: int):
    def rows(self, start, stop):
        known = deque(ROWS(self, start, stop))
        known.rotate(by)
        return iter(known)

    return rows


FAULTS = {
    "lows are compared one tick too low": (Wakes, "rearm", after_rearm(lambda w: setattr(w, "low", w.low - 1))),
    "highs are compared one tick too high": (Wakes, "rearm", after_rearm(lambda w: setattr(w, "high", w.high + 1))),
    "what waits below is never touched": (Wakes, "rearm", set_to(low=0)),
    "what waits above is never touched": (Wakes, "rearm", set_to(high=NEVER)),
    "an order's end is not looked for": (Wakes, "rearm", set_to(expiry=NEVER)),
    "what takes any price waits to be touched": (Wakes, "rearm", set_to(is_eager=False)),
    "the search begins a row late": (Wakes, "search", lambda self, at, stop: min(stop, SEARCH(self, at + 1, stop))),
    "the search ends a row late": (Wakes, "search", lambda self, at, stop: min(stop, SEARCH(self, at, stop) + 1)),
    "the search finds nothing": (Wakes, "search", lambda self, index, stop: stop),
    "nothing is found in the last hundred rows of a block": (
        Wakes, "search", lambda self, index, stop: SEARCH(self, index, stop) if stop - index > 100 else stop
    ),
    "wakes stay as they were after a request": (Exchange, "rearm", lambda self: None),
    "the venue skips every other touch": (
        BarVenue, "next_touch", late
    ),
    "takers pay a tick less": (
        BarVenue, "_slipped", lambda self, order, price: price - (1 if order.quantity > 0 else -1)
    ),
    "own orders may meet": (BarVenue, "_meets_own", lambda self, order: False),
    "nothing is touched inside a bar": (BarVenue, "_segment", lambda self, start, end: None),
    "who rests pays the end of the way": (
        BarVenue, "_touched", lambda self, start, end: ((end, order) for _, order in TOUCHED(self, start, end))
    ),
    "what opens a bar touches nothing": (BarVenue, "_open", lambda self, price: None),
    "an order meets the bar that it came in": (BarVenue, "_stand", early),
    "orders of a day live on": (BarVenue, "_expiry", lambda self, order: NEVER),
    "children begin when their parent does": (BarVenue, "_working", lambda self: [
        order for order in self._orders if self._is_there(order)
    ]),
    "children do not meet the price at which they begin": (BarVenue, "_begin", lambda self, held, start, price: None),
    "children pay the end of the way": (
        BarVenue, "_begin", lambda self, held, start, price: BEGIN(self, held, price, price)
    ),
    "features are those of the row before": (FeatureRows, "rows", shifted(1)),
    "features are those of the row after": (FeatureRows, "rows", shifted(-1)),
}  # fmt: skip


@pytest.fixture(scope="module")
def examples() -> list[tuple]:
    given_ = [(bars_of(300, seed), seed, every) for seed in (1, 2, 3) for every in (2, 30)]
    return [(each, played(PlainBacktest, *each)) for each in given_]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_planted_in_the_fast_loop_is_caught(fault, examples, monkeypatch) -> None:
    place, name, broken = FAULTS[fault]
    monkeypatch.setattr(place, name, broken)
    assert any(differs(*example) for example in examples)


def differs(each: tuple, expected: tuple) -> bool:
    """Return whether what is played differs from what is expected; a run that cannot go on does."""
    try:
        return played(Backtest, *each) != expected
    except Exception:
        return True


SHOWN = ["time", "open", "high", "low", "close", "volume"]


@pytest.mark.parametrize("column", SHOWN)
def test_a_wrong_column_shown_to_a_handler_is_caught(column, monkeypatch) -> None:
    from kronos.trading import dispatch

    bars = bars_of(300, 1)
    expected = played(PlainBacktest, bars, 1, 11)
    place = ("row", "time", "open", "high", "low", "close", "volume").index(column)

    def wrong(*values):
        return Bar(
            *(value + (number == place) if isinstance(value, int) else value for number, value in enumerate(values))
        )

    monkeypatch.setitem(dispatch._MADE, Bars, (wrong, dispatch._MADE[Bars][1]))
    assert played(Backtest, bars, 1, 11) != expected
