"""Sessions on trades and on books: a restored run ends in the chain of the whole one; no liquidity is used twice."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import numpy as np
import pytest

from kronos.errors import InvalidInput
from kronos.trading import MemoryRecorder, Position, Session, SessionConfig, Strategy, verify
from kronos.trading.events import LevelsTaken, OrderFilled, OrderTriggered
from kronos.trading.fast.ladder import tops
from kronos.trading.journal import decode_segment
from kronos.trading.streams import ASK, BID, DELTA, SNAPSHOT, Depth, Quotes, Trades
from kronos.trading.views import quotes, trades

KEY = b"k" * 32
GRID = {"instrument": "X", "tick": Decimal("0.1"), "volume_step": Decimal("0.001")}


class Maker(Strategy):
    """Lays a bid and an offer around every hundredth trade and takes back the last ones."""

    subscribes = (trades("X"),)

    def on_start(self, ctx):
        self.open = []

    def on_trade(self, ctx, trade):
        if trade.row % 100:
            return
        for order_id in self.open:
            ctx.cancel(order_id)
        price = Decimal(trade.price) / 10
        self.open = [
            ctx.buy("0.02", type="limit", limit=price - Decimal("0.2")),
            ctx.sell("0.02", type="limit", limit=price + Decimal("0.2")),
        ]


class Taker(Strategy):
    """Buys and sells in turn at every thirtieth look at the book."""

    subscribes = (quotes("X"),)

    def on_start(self, ctx):
        self.looks = 0

    def on_quote(self, ctx, quote):
        self.looks += 1
        if self.looks % 30 == 0:
            (ctx.buy if self.looks % 60 else ctx.sell)("0.03")


class Trails(Strategy):
    """Sends a stop after the book at every fortieth look, up and down in turn, and holds at most five."""

    subscribes = (quotes("X"),)

    def on_start(self, ctx):
        self.looks = 0

    def on_quote(self, ctx, quote):
        self.looks += 1
        if self.looks % 40 == 0 and len(ctx.open_orders) < 5:
            (ctx.buy if self.looks % 80 else ctx.sell)("0.03", type="trailing", trail=Decimal("0.7"))


def market(rows: int, seed: int = 3, *, gone: float = 0.0) -> tuple[Depth, Trades, Quotes]:
    """A book of which about `gone` of the levels set are taken away, trades beside it, and looks at it."""
    rng = np.random.default_rng(seed)
    time = 10**18 + np.cumsum(rng.integers(1, 9, rows)) * 1_000
    traded = time + 1
    side = rng.choice([BID, ASK], rows)
    kind = np.where(np.arange(rows) < 60, SNAPSHOT, DELTA)
    time[:60] = time[59]
    source = np.arange(rows)
    source[:60] = 0
    depth = Depth(
        dataset="book", **GRID, time=time, available=time, kind=kind, side=side, source=source,
        price=1_000 - side * rng.integers(1, 30, rows), quantity=rng.integers(1, 40, rows),
    )  # fmt: skip
    if gone:
        left = np.where((rng.random(rows) < gone) & (kind == DELTA), 0, depth.quantity)
        depth = msgspec.structs.replace(depth, quantity=left)
    price = 1_000 + np.cumsum(rng.integers(-1, 2, rows))
    happened = Trades(
        dataset="trades", **GRID, time=traded, available=traded, source=np.arange(rows), price=price,
        quantity=rng.integers(1, 40, rows), side=side,
    )  # fmt: skip
    wakes = np.arange(int(time[60]), int(time[-1]), 50_000)
    top = tops(depth, np.searchsorted(time, wakes, side="right"))
    sampled = Quotes(
        dataset="tops", **GRID, time=wakes, available=wakes, source=wakes, bid=top[0], bid_quantity=top[1],
        ask=top[2], ask_quantity=top[3],
    )  # fmt: skip
    return depth, happened, sampled


def play(streams, strategy):
    config, recorder = SessionConfig(long_only=False, lot=Decimal("0.001")), MemoryRecorder()
    session = Session(streams, [strategy()], config, recorder=recorder, key=KEY)
    result = session.run()
    middle = Session(streams, [strategy()], config, key=KEY)
    middle.run(Position(result.rows // 2))
    rest = Session(streams, [strategy()], config, key=KEY)
    rest.restore(middle.checkpoint())
    assert rest.run().core_chain == result.core_chain
    segments = [segment.data for segment in recorder.segments]
    assert verify(segments).hex() == result.core_chain
    return [record for data in segments for record in decode_segment(data).decode()]


def test_resting_orders_on_trades_fill_alike_in_a_run_that_was_restored():
    _, happened, _ = market(9_000)
    fills = [record for record in play([happened], Maker) if isinstance(record, OrderFilled)]
    assert {fill.assumption for fill in fills} == {"trade_through", "queue_consumed"}
    assert {fill.liquidity for fill in fills} == {"maker"}
    offered = happened.quantity.copy()
    for fill in fills:
        offered[fill.row] -= abs(fill.quantity)
    assert offered.min() >= 0


def test_takers_on_a_book_fill_alike_in_a_run_that_was_restored_and_what_they_took_is_recorded():
    records = play(market(9_000), Taker)
    fills = [record for record in records if isinstance(record, OrderFilled)]
    assert {(fill.assumption, fill.liquidity) for fill in fills} == {("book_walk", "taker")}
    assert sum(isinstance(record, LevelsTaken) for record in records) >= len({fill.order_id for fill in fills})


def test_trailing_stops_on_a_book_are_met_alike_in_a_run_that_was_restored():
    records = play(market(9_000, gone=0.7), Trails)
    met = {record.order_id for record in records if isinstance(record, OrderTriggered)}
    assert len(met) > 10
    assert met == {record.order_id for record in records if isinstance(record, OrderFilled)}


@pytest.mark.parametrize("settings", [{"queue": "best"}, {"slippage_ticks": -1}, {"seed": 2**40}])
def test_settings_that_no_venue_can_have_are_refused(settings):
    with pytest.raises(InvalidInput, match=next(iter(settings))):
        SessionConfig(**settings)
