"""Orders on trades: queues, passes, partial fills, stops, who pays what; every wake in time."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from kronos.trading.events import LevelsTaken, OrderCancelled, OrderRejected
from kronos.trading.streams import ASK, BID, Trades
from kronos.trading.venue.rules import VenueRules
from kronos.trading.venue.trades import TradeVenue
from tests.trading.floor import TRADED, Floor


def trades(rows) -> Trades:
    price, quantity, side = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    time = np.arange(1, len(rows) + 1, dtype=np.int64) * 10
    return Trades(
        dataset="d", instrument="X", tick=Decimal(1), volume_step=Decimal(1), time=time, available=time, source=time,
        price=price, quantity=quantity, side=side,
    )  # fmt: skip


def on(rows, **rules) -> Floor:
    stream = trades(rows)
    return Floor(lambda: TradeVenue(stream, TRADED, VenueRules(**rules)), stream.time, jumps=True)


def test_a_market_order_takes_what_trades_next_and_no_more_than_that():
    floor = on([(100, 5, BID), (101, 3, BID), (102, 9, ASK)])
    floor.give(7, at=10)
    floor.until(3)
    assert floor.filled == [(1, 3, 101, "next_trade"), (1, 4, 102, "next_trade")]
    assert {fill.liquidity for fill in floor.fills} == {"taker"}
    assert floor.fills[0].fee == TRADED.fee(TRADED.value(101, 3))


def test_a_resting_buy_waits_until_what_was_traded_at_its_price_is_traded_again():
    floor = on([(100, 5, ASK), (100, 4, ASK), (100, 3, ASK), (100, 9, BID), (100, 8, ASK)])
    floor.give(6, at=10, kind="limit", limit=100)
    floor.until(5)
    assert floor.filled == [(1, 2, 100, "queue_consumed"), (1, 4, 100, "queue_consumed")]
    assert floor.fills[0].row == 2
    assert {fill.liquidity for fill in floor.fills} == {"maker"}
    assert floor.fills[0].fee == TRADED.fee(TRADED.value(100, 2), maker=True) < TRADED.fee(TRADED.value(100, 2))


@pytest.mark.parametrize("sign", [1, -1])
def test_what_was_last_traded_at_a_price_stands_before_who_joins_it_wherever_the_market_has_gone_since(sign):
    taker = ASK if sign > 0 else BID
    away = 100 + sign
    floor = on([(100, 9, taker), (100, 5, taker), (away, 2, -taker), (100, 4, taker), (100, 3, taker), (100, 5, taker)])
    floor.give(3 * sign, at=30, kind="limit", limit=100)
    floor.until(6)
    assert floor.filled == [(1, 2 * sign, 100, "queue_consumed"), (1, sign, 100, "queue_consumed")]
    assert [fill.row for fill in floor.fills] == [4, 5]


def test_a_trade_that_passes_fills_at_the_orders_own_price_up_to_its_size():
    floor = on([(105, 1, ASK), (99, 4, ASK), (98, 9, ASK)])
    floor.give(6, at=10, kind="limit", limit=100)
    floor.until(3)
    assert floor.filled == [(1, 4, 100, "trade_through"), (1, 2, 100, "trade_through")]


def test_two_orders_never_fill_from_the_same_trade():
    floor = on([(105, 1, ASK), (99, 5, ASK)])
    floor.give(4, at=10, kind="limit", limit=100)
    floor.give(4, at=10, kind="limit", limit=101)
    floor.until(2)
    assert floor.filled == [(2, 4, 101, "trade_through"), (1, 1, 100, "trade_through")]


def test_the_younger_of_two_orders_at_one_price_waits_for_the_older():
    floor = on([(105, 1, ASK), (100, 3, ASK), (100, 3, ASK)])
    floor.give(4, at=10, kind="limit", limit=100)
    floor.give(4, at=10, kind="limit", limit=100)
    floor.until(3)
    assert floor.filled == [(1, 3, 100, "queue_consumed"), (1, 1, 100, "queue_consumed"), (2, 2, 100, "queue_consumed")]


def test_slippage_makes_takers_worse_and_never_a_limit_worse_than_its_price():
    floor = on([(100, 9, BID), (100, 9, BID), (100, 9, BID)], slippage=Fraction(5, 100), slippage_ticks=1)
    floor.give(1, at=10)
    floor.give(1, at=10, kind="limit", limit=102)
    floor.give(-1, at=10)
    floor.until(2)
    assert [fill.price for fill in floor.fills] == [106, 102, 94]


def test_stops_trigger_on_trades_and_follow_the_price_when_they_trail():
    floor = on([(100, 1, BID), (103, 9, BID), (106, 9, BID), (101, 9, ASK), (96, 9, ASK)])
    floor.give(2, at=10, kind="stop", stop=106)
    floor.give(-2, at=10, kind="trailing", trail=5)
    floor.until(5)
    assert floor.filled == [(1, 2, 106, "stop_on_trade"), (2, -2, 101, "stop_on_trade")]


def test_of_two_orders_of_one_account_that_would_meet_the_younger_is_cancelled():
    floor = on([(100, 1, BID), (100, 9, BID)])
    floor.give(-2, at=10, kind="limit", limit=102)
    floor.give(2, at=10, kind="limit", limit=103)
    assert [(r.order_id, r.reason) for r in floor.tape.block if isinstance(r, OrderCancelled)] == [(2, "self_trade")]
    assert list(floor.tape.state.orders) == [1]


def test_a_post_only_order_that_would_take_is_rejected_and_an_immediate_one_does_not_wait():
    floor = on([(100, 5, BID), (100, 2, BID), (100, 9, BID)])
    floor.give(2, at=10, kind="limit", limit=100, post_only=True)
    floor.give(4, at=10, kind="limit", limit=100, tif="IOC")
    floor.give(4, at=10, kind="limit", limit=100, tif="FOK")
    floor.until(3)
    assert [type(r) for r in floor.tape.block if isinstance(r, OrderRejected)] == [OrderRejected]
    assert floor.filled == [(2, 2, 100, "limit_at_trade")]
    assert not floor.tape.state.orders


def test_an_order_of_a_day_ends_with_it():
    day = 86_400_000_000_000
    stream = trades([(100, 1, BID), (100, 1, BID), (90, 9, ASK)])
    stream = Trades(
        **{name: getattr(stream, name) for name in stream.__struct_fields__}
        | {
            "time": np.array([day - 5, day - 3, day + 1]),
            "available": np.array([day - 5, day - 3, day + 1]),
        }
    )
    floor = Floor(lambda: TradeVenue(stream, TRADED, VenueRules()), stream.time, jumps=True)
    floor.give(1, at=day - 4, kind="limit", limit=95, tif="DAY")
    floor.until(3)
    assert not floor.fills
    assert not floor.tape.state.orders


# -- a plain reading of the rules for limits and market orders, which shares nothing with the venue


def plain_fills(stream: Trades, given):
    """Return (order, lots, price) as the rules have it; `given` are (id, quantity, limit or 0, time), all at the start
    or later, in the order of their times.
    """
    rows = [
        tuple(int(c[i]) for c in (stream.time, stream.price, stream.quantity, stream.side)) for i in range(stream.rows)
    ]
    live, fills, given = [], [], list(given)
    for place, (time, price, volume, side) in enumerate(rows):
        while given and given[0][3] < time:
            number, quantity, limit, _ = given.pop(0)
            last = rows[place - 1] if place else None
            ahead = next((each[2] for each in reversed(rows[:place]) if each[1] == limit), 0)
            ahead += sum(abs(o["left"]) for o in live if o["limit"] == limit and o["sign"] * quantity > 0)
            sign = 1 if quantity > 0 else -1
            takes = not limit or (last and ((limit - last[1]) * sign > 0 or (limit == last[1] and last[3] == sign)))
            live.append(
                {"id": number, "sign": sign, "left": abs(quantity), "limit": limit, "ahead": ahead, "takes": takes}
            )
        left = volume
        for o in live:
            if o["takes"] and (not o["limit"] or (o["limit"] - price) * o["sign"] >= 0):
                lots = min(o["left"], left)
                if lots:
                    fills.append((o["id"], lots * o["sign"], price))
                o["left"] -= lots
                left -= lots
        resting = [o for o in live if o["limit"]]
        for o in sorted(resting, key=lambda o: (-abs(o["limit"] - price), o["ahead"])):
            beyond = (o["limit"] - price) * o["sign"]
            at_price = beyond == 0 and side != o["sign"]
            room = left if beyond > 0 else min(left, volume - o["ahead"]) if at_price else 0
            lots = max(0, min(room, o["left"]))
            if lots:
                fills.append((o["id"], lots * o["sign"], o["limit"]))
            o["left"] -= lots
            left -= lots
        for o in resting:
            beyond = (o["limit"] - price) * o["sign"]
            o["ahead"] = (
                0 if beyond > 0 else max(0, o["ahead"] - volume) if beyond == 0 and side != o["sign"] else o["ahead"]
            )
        for o in live:
            o["takes"] = o["takes"] and not o["limit"]
        live = [o for o in live if o["left"]]
    return fills


@pytest.mark.parametrize("seed", range(60))
def test_fills_are_those_of_the_plain_rules_and_no_wake_comes_late(seed):
    rng = np.random.default_rng(seed)
    price = 100 + np.cumsum(rng.integers(-1, 2, 80))
    stream = trades(list(zip(price, rng.integers(1, 9, 80), rng.choice([BID, ASK], 80), strict=True)))
    given = []
    for number in range(1, 13):
        limit = int(rng.integers(94, 107)) if rng.random() < 0.8 else 0
        given.append((number, int(rng.choice([-1, 1]) * rng.integers(1, 20)), limit, int(rng.integers(1, 700))))
    given = [(number, *each[1:]) for number, each in enumerate(sorted(given, key=lambda each: each[3]), 1)]
    floors = []
    for jumps in (True, False):
        rules = VenueRules(prevents_self_trade=False)
        floor = Floor(lambda rules=rules: TradeVenue(stream, TRADED, rules), stream.time, jumps=jumps)
        for _, quantity, limit, at in given:
            floor.give(quantity, at, **({"kind": "limit", "limit": limit} if limit else {}))
        floor.until(80)
        floors.append(floor)
    assert floors[0].tape.block == floors[1].tape.block
    assert [each[:3] for each in floors[0].filled] == plain_fills(stream, given)
    volume = {row: int(stream.quantity[row]) for row in range(80)}
    for fill in floors[0].fills:
        volume[fill.row] -= abs(fill.quantity)
    assert min(volume.values()) >= 0
    assert not any(isinstance(record, LevelsTaken) for record in floors[0].tape.block)
