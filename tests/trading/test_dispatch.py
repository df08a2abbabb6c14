"""A row meets the orders once, whatever else is due at its very time, and however long it takes to the strategies."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import msgspec
import numpy as np
import pytest

from kronos.trading import Bars, Latency, Position, Rate, RouteConfig, Session, SessionConfig, Strategy
from kronos.trading.events import OrderFilled, OrderTriggered, StrategyStopped, TimerFired
from kronos.trading.positions import cause_id
from kronos.trading.streams import ASK, Stream, Trades
from kronos.trading.views import bars, trades

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
START_NS = 1_600_000_020 * SECOND_NS
UNIT = 10**8  # lots of one unit
GRID = {"instrument": "X", "tick": Decimal(1), "volume_step": Decimal(1)}


def traded(seconds, *, known=None, quantity: int = 3, name: str = "X") -> Trades:
    """Trades of three lots at 100, which happened at `seconds` and are `known` then, or later."""
    count, time = len(seconds), np.array(seconds, dtype=np.int64) * SECOND_NS + START_NS
    known = time if known is None else np.array(known, dtype=np.int64) * SECOND_NS + START_NS
    return Trades(
        dataset=f"t{name}", **GRID | {"instrument": name}, time=time, available=known, source=np.arange(count),
        price=np.full(count, 100), quantity=np.full(count, quantity), side=np.full(count, ASK),
    )  # fmt: skip


def minutes(rows: int, prices=(100, 110, 90, 100)) -> Bars:
    columns = dict(zip(("open", "high", "low", "close"), (np.full(rows, price) for price in prices), strict=True))
    return Bars(
        dataset="b", **GRID, **columns, interval_ns=MINUTE_NS, open_time=START_NS + np.arange(rows) * MINUTE_NS,
        volume=np.full(rows, 3),
    )  # fmt: skip


def played(streams: list[Stream], strategy: Strategy, **given) -> list:
    session = Session(streams, [strategy], SessionConfig(long_only=False, check_cash=False, **given))
    session.run()
    return session.take()


def of(records, kind) -> list:
    return [record for record in records if type(record) is kind]


class Wants(Strategy):
    """Wants fifty at once, and is called at the second or minute that it names."""

    subscribes = (trades("X"),)
    at: tuple[int, ...] = (5,)

    def on_start(self, ctx) -> None:
        ctx.buy(50)
        for each in self.at:
            ctx.timer(START_NS + each * SECOND_NS, "now")


class WantsOnBars(Wants):
    subscribes = (bars("X"),)
    at = (60, 120, 240)


@pytest.mark.parametrize("feed_ns", [0, 1, SECOND_NS, 10 * SECOND_NS])
def test_a_trade_at_the_time_of_a_timer_is_met_once_however_long_it_takes_to_the_strategy(feed_ns) -> None:
    records = played([traded([1, 5, 5, 6, 9])], Wants(), latency=Latency(feed_ns=feed_ns))
    assert [fill.quantity for fill in of(records, OrderFilled)] == [3 * UNIT] * 4  # it comes with the first
    assert len(of(records, TimerFired)) == 1


def test_a_late_trade_at_the_time_of_a_timer_is_met_once() -> None:
    records = played([traded([1, 5, 5, 6], known=[1, 5, 7, 9])], Wants())
    assert [fill.quantity for fill in of(records, OrderFilled)] == [3 * UNIT] * 3


@pytest.mark.parametrize("feed_ns", [0, 1, MINUTE_NS // 3, MINUTE_NS, 3 * MINUTE_NS])
def test_a_bar_that_closes_at_the_time_of_a_timer_is_met_once(feed_ns) -> None:
    records = played([minutes(6)], WantsOnBars(), latency=Latency(feed_ns=feed_ns), volume_share=Decimal(1))
    assert [fill.quantity for fill in of(records, OrderFilled)] == [3 * UNIT] * 6
    assert len(of(records, TimerFired)) == 3


class Trading(Strategy):
    """Asks on every third row of each stream, takes back what rests, and sets timers at the times of other rows."""

    subscribes = (trades("X"), trades("Y"))

    def on_trade(self, ctx, trade) -> None:
        draw = np.random.default_rng(trade.time // SECOND_NS * 7 + trade.row)
        side, name = (ctx.buy if draw.integers(2) else ctx.sell), str(draw.choice(["X", "Y"]))
        match int(draw.integers(7)):
            case 0:
                side(9, instrument=name)
            case 1 | 2:
                side(5, type="limit", limit=100, instrument=name)
            case 3:
                ctx.timer(ctx.time + int(draw.integers(1, 5)) * SECOND_NS)
            case 4 if ctx.open_orders:
                ctx.cancel(ctx.open_orders[0])

    def on_timer(self, ctx, timer) -> None:
        ctx.sell(4, instrument="Y")

    def on_fill(self, ctx, fill) -> None:
        if fill.order_id % 3 == 0:
            ctx.buy(2)


@pytest.mark.parametrize("seed", range(12))
def test_all_orders_together_never_fill_more_than_a_row_offered(seed) -> None:
    draw = np.random.default_rng(seed)
    streams = []
    for name in ("X", "Y"):
        happened = np.cumsum(draw.integers(0, 3, 60))
        known = np.maximum.accumulate(happened + draw.integers(0, 3, 60)) if seed % 2 else happened
        streams.append(traded(happened, known=known, name=name))
    latency = Latency(**{name: int(draw.integers(4)) * SECOND_NS for name in ("feed_ns", "order_ns", "report_ns")})
    filled: Counter[int] = Counter()
    for fill in of(played(streams, Trading(), latency=latency), OrderFilled):
        filled[fill.causes[1]] += abs(fill.quantity)
    assert len(filled) > 20
    assert max(filled.values()) <= 3 * UNIT


class AsksOnItsFill(Strategy):
    """Buys at the market, and asks for a stop and a limit inside the bar when it hears of the fill."""

    subscribes = (bars("X"),)

    def on_bar(self, ctx, bar) -> None:
        if bar.row == 0:
            ctx.buy(1)

    def on_fill(self, ctx, fill) -> None:
        if fill.order_id == 1:
            ctx.sell(1, type="stop", stop=95)
            ctx.sell(1, type="limit", limit=105)


@pytest.mark.parametrize("limited", [False, True])
def test_what_a_fill_asks_for_does_not_meet_the_bar_that_caused_it(limited) -> None:
    routes = (RouteConfig(order_rate=Rate(limit=100, period_ns=MINUTE_NS)),) if limited else (RouteConfig(),)
    records = played([minutes(4)], AsksOnItsFill(), routes=routes)
    bought, *sold = of(records, OrderFilled)
    assert bought.causes[1] == cause_id(1, 0)
    assert sorted((fill.order_id, fill.causes[1]) for fill in sold) == [(2, cause_id(2, 0)), (3, cause_id(2, 0))]
    assert [each.causes[1] for each in of(records, OrderTriggered)] == [cause_id(2, 0)]


class AsksElsewhere(AsksOnItsFill):
    """Asks in another instrument when it hears of a fill, and nothing after that."""

    subscribes = (bars("X"), bars("Y"))

    def on_bar(self, ctx, bar) -> None:
        if bar.row == 0 and bar.instrument == "X":
            ctx.buy(1, instrument="X")

    def on_fill(self, ctx, fill) -> None:
        if fill.order_id == 1:
            ctx.buy(1, instrument="Y")


@pytest.mark.parametrize("limited", [False, True])
def test_what_a_fill_asks_for_in_another_instrument_meets_its_next_bar(limited) -> None:
    routes = (RouteConfig(order_rate=Rate(limit=100, period_ns=MINUTE_NS)),) if limited else (RouteConfig(),)
    other = msgspec.structs.replace(minutes(6), dataset="y", instrument="Y")
    fills = of(played([minutes(6), other], AsksElsewhere(), routes=routes), OrderFilled)
    assert [(fill.order_id, fill.causes[1]) for fill in fills] == [(1, cause_id(2, 0)), (2, cause_id(5, 0))]


class Raises(AsksOnItsFill):
    """Buys at the market too, and raises when it hears of the fill."""

    def on_fill(self, ctx, fill) -> None:
        raise ValueError(fill.order_id)


def test_a_strategy_that_raises_inside_a_bar_does_not_let_the_orders_of_another_meet_it() -> None:
    session = Session([minutes(4)], [AsksOnItsFill(), Raises()], SessionConfig(long_only=False))
    session.run()
    records = session.take()
    assert len(of(records, StrategyStopped)) == 1
    sold = {fill.order_id: fill.causes[1] for fill in of(records, OrderFilled) if fill.quantity < 0}
    assert set(sold.values()) == {cause_id(2, 0)}
    assert len(sold) == 2


class TakesBack(Strategy):
    """Buys more than trades, with a stop and a target behind it, and takes back what is left at the eighth trade."""

    subscribes = (trades("X"),)

    def on_trade(self, ctx, trade) -> None:
        if trade.row == 0:
            ctx.bracket("buy", 5, stop=90, target=110, entry={"type": "limit", "limit": 100})
        if trade.row == 7:
            ctx.cancel(1)


def fallen_once() -> Trades:
    price = np.array([100, 99, 105, 105, 105, 105, 105, 105, 105, 105])
    return msgspec.structs.replace(traded(range(1, 11)), price=price)


@pytest.mark.parametrize("order_ns", [0, 1])
def test_children_begin_when_their_parent_is_taken_back_not_when_a_row_was_last_looked_at(order_ns) -> None:
    records = played([fallen_once()], TakesBack(), latency=Latency(order_ns=order_ns))
    begun = [
        each for each in of(records, OrderTriggered)
        if each.by == "parent"
    ]  # fmt: skip
    assert [each.order_id for each in begun] == [2, 3]
    assert {each.at for each in begun} == {START_NS + 8 * SECOND_NS + order_ns}


def test_children_begin_alike_in_a_run_that_was_cut_before_their_parent_is_taken_back() -> None:
    config = SessionConfig(long_only=False, check_cash=False)
    whole = Session([fallen_once()], [TakesBack()], config, key=b"k" * 32).run()
    for cut in range(1, whole.rows):
        first, rest = (Session([fallen_once()], [TakesBack()], config, key=b"k" * 32) for _ in range(2))
        first.run(Position(cut))
        rest.restore(first.checkpoint())
        assert rest.run().core_chain == whole.core_chain
