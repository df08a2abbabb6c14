"""Orders on trades: the fast venue equals the plain one record by record, and faults planted in it are caught."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kronos.trading import Bars, Latency, NoParams, Position, Session, SessionConfig, Strategy
from kronos.trading.dispatch import Dispatch
from kronos.trading.instruments import Instrument
from kronos.trading.plain import PlainSession
from kronos.trading.streams import ASK, BID, Trades
from kronos.trading.venue.answers import Answers
from kronos.trading.venue.exchange import Exchange
from kronos.trading.venue.trades import TradeVenue
from kronos.trading.views import bars, trades
from tests.trading import test_plain, test_plain_session

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS


def market(rows: int, seed: int, *, late: bool = False) -> list[Trades | Bars]:
    """Trades around midnight, some at one time and, where `late`, some known after they happened; minutes beside."""
    rng = np.random.default_rng(seed)
    time = 1_600_041_600 * SECOND_NS + DAY_NS - rows * SECOND_NS + np.cumsum(rng.integers(0, 4, rows)) * SECOND_NS
    happened = time - (rng.integers(0, 3, rows) * SECOND_NS if late else 0)
    grid = {"instrument": "X", "tick": Decimal(1), "volume_step": Decimal(1)}
    happened_at = Trades(
        dataset="t", **grid, time=happened, available=time, source=np.arange(rows), side=rng.choice([BID, ASK], rows),
        price=1_000 + np.cumsum(rng.integers(-1, 2, rows)), quantity=rng.integers(1, 9, rows),
    )  # fmt: skip
    price = happened_at.price[9::10]
    minutes = Bars(
        dataset="b", **grid, interval_ns=SECOND_NS, open_time=time[0] + np.arange(price.shape[0]) * 20 * SECOND_NS,
        open=price, high=price, low=price, close=price, volume=price,
    )  # fmt: skip
    return [happened_at, minutes]


class Random(Strategy):
    """Draws what it asks for on trades from its parameters, the row and what it sees."""

    class Params(NoParams, frozen=True):
        seed: int = 1
        every: int = 3

    subscribes = (trades("X"), bars("X"))

    def __init__(self, params=None) -> None:
        super().__init__(params)
        self.seen = 0

    def on_bar(self, ctx, bar) -> None:
        self.seen += bar.close
        if bar.row % 4 == 1:
            ctx.timer(ctx.time + 5 * SECOND_NS, "soon")

    def on_timer(self, ctx, timer) -> None:
        ctx.buy(2)

    def on_fill(self, ctx, fill) -> None:
        self.seen = (self.seen * 31 + fill.price * 7 + fill.quantity) % 2**61
        if fill.order_id % 7 == 0:
            ctx.sell(1) if fill.quantity > 0 else ctx.buy(1, type="limit", limit=fill.price)

    def on_trade(self, ctx, trade) -> None:
        self.seen = (self.seen * 31 + trade.time + trade.price * 3 + trade.quantity * 5 + trade.side) % 2**61
        if (trade.row * 7 + self.params.seed) % self.params.every == 0:
            self.ask(ctx, trade, np.random.default_rng(self.params.seed * 100_003 + trade.row))

    def ask(self, ctx, trade, rng) -> None:
        buys, far = bool(rng.integers(2)), int(rng.integers(0, 4))
        side, sign = (ctx.buy, 1) if buys else (ctx.sell, -1)
        lots, near, beyond = int(rng.integers(1, 12)), trade.price - sign * far, trade.price + sign * (far + 1)
        life = [{}, {"tif": "DAY"}, {"tif": "GTD", "until": trade.time + 9 * SECOND_NS}, {"tif": "IOC"}, {"tif": "FOK"}]
        match int(rng.integers(11)):
            case 0:
                side(lots)
            case 1 | 2 | 3:
                side(lots, type="limit", limit=near, **life[int(rng.integers(5))])
            case 4:
                side(lots, type="stop", stop=beyond, **life[int(rng.integers(3))])
            case 5:
                side(lots, type="stop_limit", stop=beyond, limit=beyond + sign * int(rng.integers(0, 2)))
            case 6:
                side(lots, type="trailing", trail=far + 1)
            case 7:
                begins = ({}, {"type": "limit", "limit": near}, {"type": "stop", "stop": beyond})
                at = (trade.price, near, beyond)[far % 3]
                entry = begins[far % 3]
                ctx.bracket("buy" if buys else "sell", lots, stop=at - 2 * sign, target=at + sign, entry=entry)
            case 8:
                side(lots, type="limit", limit=near, post_only=True)
            case 9 if ctx.open_orders:
                ctx.cancel(ctx.open_orders[0])
            case 10 if ctx.open_orders:
                ctx.modify(ctx.open_orders[-1], lots)
            case _:
                side(lots, reduce_only=True)


def played(kind: type[Session], streams, seed: int, every: int, **given) -> tuple:
    config = SessionConfig(long_only=False, check_cash=False, fee_rate=Decimal("0.001"), **given)
    session = kind(streams, [Random({"seed": seed, "every": every})], config)
    result = session.run()
    return session.take(), result.core_chain, result.user_chain


NS = st.sampled_from([0, 1, SECOND_NS, 3 * SECOND_NS])


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6), every=st.sampled_from([1, 3, 11]), rows=st.integers(20, 140),
    late=st.booleans(), latency=st.builds(Latency, feed_ns=NS, order_ns=NS, report_ns=NS),
    share=st.sampled_from([None, Decimal("0.5")]),
    slippage=st.sampled_from([Decimal(0), Decimal(7)]), ticks=st.integers(0, 1),
)  # fmt: skip
def test_orders_on_trades_fare_as_the_plain_venue_says_record_by_record(
    seed, every, rows, late, latency, share, slippage, ticks
) -> None:
    streams = market(rows, seed, late=late)
    given_ = {"latency": latency, "volume_share": share, "slippage_bps": slippage, "slippage_ticks": ticks}
    assert played(Session, streams, seed, every, **given_) == played(PlainSession, streams, seed, every, **given_)


def test_a_trailing_stop_that_was_changed_is_measured_from_its_change_on() -> None:
    streams = market(69, 155_417, late=True)
    given_ = {"latency": Latency(order_ns=SECOND_NS, report_ns=1), "volume_share": Decimal("0.5")}
    assert played(Session, streams, 155_417, 3, **given_) == played(PlainSession, streams, 155_417, 3, **given_)


@pytest.mark.parametrize("seed", range(6))
def test_a_run_on_trades_that_is_cut_anywhere_goes_on_to_the_same_chains(seed) -> None:
    draw = np.random.default_rng(seed)
    latency = Latency(**{name: int(draw.integers(4)) * SECOND_NS for name in ("feed_ns", "order_ns", "report_ns")})
    config = SessionConfig(long_only=False, check_cash=False, latency=latency, slippage_ticks=1)
    streams = market(120, seed, late=bool(seed % 2))
    made = [Session(streams, [Random({"seed": seed, "every": 1 + seed % 3})], config, key=b"k" * 32) for _ in range(9)]
    whole = made[0].run()
    for first, rest in zip(made[1::2], made[2::2], strict=True):
        first.run(Position(int(draw.integers(1, whole.rows))))
        rest.restore(first.checkpoint())
        ended = rest.run()
        assert (ended.core_chain, ended.user_chain) == (whole.core_chain, whole.user_chain)


def test_what_is_played_is_all_that_trades_do_to_orders() -> None:
    records = [record for seed in (1, 2, 3) for record in played(PlainSession, market(140, seed), seed, 1)[0]]
    fills = {record.assumption for record in records if type(record).__name__ == "OrderFilled"}
    assert fills == {"next_trade", "limit_at_trade", "stop_on_trade", "trade_through", "queue_consumed"}
    reasons = {getattr(record, "reason", "") for record in records}
    assert reasons >= {"self_trade", "post_only_would_cross", "oco", "ioc", "fok", "reduce_only"}
    assert {type(record).__name__ for record in records} >= {"OrderExpired", "OrderAdjusted", "OrderReplaced"}


AHEAD, TOUCH, EXPIRY, PLACE, FEE = (
    TradeVenue._ahead, TradeVenue.next_touch, Answers._expiry, Answers._place, Instrument.fee,
)  # fmt: skip

FAULTS = {
    "a trade offers more than its size": (TradeVenue, "_offered", lambda self: 1_000),
    "nobody stands before us": (TradeVenue, "_ahead", lambda self, order, index: 0),
    "a queue is a step longer": (TradeVenue, "_ahead", lambda self, order, index: AHEAD(self, order, index) + 1),
    "what was traded at a price is not in the queue": (TradeVenue, "_ahead_at", lambda self, order, terms, at: 0),
    "our own orders do not stand before us": (Answers, "_own_ahead", lambda self, order, limit: 0),
    "nothing ever takes when it comes": (TradeVenue, "_crosses", lambda self, order, at, last: False),
    "everything takes when it comes": (TradeVenue, "_crosses", lambda self, order, at, last: True),
    "who rests is never filled": (TradeVenue, "_rest", lambda self, there, queues, left: None),
    "a trailing stop is measured from the price of now": (
        TradeVenue, "_extreme", lambda self, order, index: int(self._trades.price[index - 1])
    ),
    "stops are met at once": (TradeVenue, "_is_triggered", lambda self, order, price: True),
    "touches are looked for a row late": (
        TradeVenue, "next_touch", lambda self, index, stop: min(stop, TOUCH(self, index, stop) + 1)
    ),
    "an order's end is not looked for": (TradeVenue, "_next_expiry", lambda self, index, stop: stop),
    "orders expire a day late": (Answers, "_expiry", lambda self, order: EXPIRY(self, order) + DAY_NS),
    "what is immediate waits": (Answers, "_end_immediate", lambda self, there: None),
    "takers pay no slippage": (Answers, "_slipped", lambda self, order, price: price),
    "what may only reduce opens": (Answers, "_fillable", lambda self, order, offered: min(abs(order.left), offered)),
    "the group of an order lives on": (Answers, "_peers", lambda self, row, order, cause: None),
    "own orders may meet": (Answers, "_meets_own", lambda self, order: False),
    "a fee is a unit less": (Instrument, "fee", lambda self, value, maker=False: FEE(self, value, maker=maker) - 1),
    "a row at the time of what was due is met twice": (
        Dispatch, "_passed_with", lambda self, time, step: step - (self._timeline.time(step) > time)
    ),
    "a bracket begins when the last row was looked at": (
        Answers, "_place", lambda self, order, terms, at: PLACE(self, order, terms, self._now)
    ),
    "touches stay as they were after a request": (Exchange, "rearm", lambda self: None),
}  # fmt: skip


@pytest.fixture(scope="module")
def examples() -> list[tuple]:
    there = {"slippage_bps": Decimal(7)}
    travels = {**there, "latency": Latency(feed_ns=SECOND_NS, order_ns=SECOND_NS, report_ns=SECOND_NS)}
    return [
        (streams, seed, every, given_, played(PlainSession, streams, seed, every, **given_))
        for seed, every, given_ in ((1, 1, there), (2, 2, there), (3, 1, travels))
        for streams in [market(140, seed)]
    ]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_planted_in_the_matching_of_trades_is_caught(fault, examples, monkeypatch) -> None:
    place, name, broken = FAULTS[fault]
    monkeypatch.setattr(place, name, broken)
    caught = False
    for streams, seed, every, given_, expected in examples:
        try:
            caught |= played(Session, streams, seed, every, **given_) != expected
        except Exception:
            caught = True
        if caught:
            break
    assert caught


def test_fifty_faults_and_more_are_planted_in_all() -> None:
    planted = [*test_plain.FAULTS, *test_plain.SHOWN, *test_plain_session.FAULTS, *FAULTS]
    assert len(planted) >= 50
