"""Orders on a book: takers walk levels, what is taken is gone until the feed restores it, makers wait in queues."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from kronos.trading.book import Book
from kronos.trading.events import LevelsTaken, OrderCancelled, OrderRejected, OrderTriggered
from kronos.trading.fast.queues import draw, fold_book_queue, next_touch_depth
from kronos.trading.positions import cause_id
from kronos.trading.streams import ASK, BID, DELTA, SNAPSHOT, Depth, Trades
from kronos.trading.venue.depth import BookVenue
from kronos.trading.venue.rules import VenueRules
from tests.trading.floor import TRADED, Floor

GRID = {"dataset": "d", "instrument": "X", "tick": Decimal(1), "volume_step": Decimal(1)}


def depth(rows) -> Depth:
    """Rows are (time, side, price, quantity); those of one time are one update, the first of all a snapshot."""
    time, side, price, quantity = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    kind = np.where(time == time[0], SNAPSHOT, DELTA)
    return Depth(**GRID, time=time, available=time, source=time, kind=kind, side=side, price=price, quantity=quantity)


def trades(rows) -> Trades:
    """Rows are (time, price, quantity, side)."""
    time, price, quantity, side = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    return Trades(**GRID, time=time, available=time, source=time, price=price, quantity=quantity, side=side)


def on(rows, given=None, **rules) -> Floor:
    stream = depth(rows)
    return Floor(lambda: BookVenue(stream, TRADED, VenueRules(**rules), trades=given), stream.time, jumps=True)


BOTH = [(10, BID, 99, 5), (10, BID, 98, 7), (10, ASK, 101, 3), (10, ASK, 102, 4), (10, ASK, 105, 50)]
NEXT = [(20, BID, 90, 1), (30, BID, 90, 2), (40, BID, 90, 3)]


def test_a_market_order_walks_the_levels_of_the_book_as_it_stood_when_it_came():
    floor = on([*BOTH, (20, ASK, 101, 0), (20, ASK, 100, 90)])
    floor.give(9, at=15)
    floor.until(7)
    assert floor.filled == [(1, 3, 101, "book_walk"), (1, 4, 102, "book_walk"), (1, 2, 105, "book_walk")]
    assert {fill.liquidity for fill in floor.fills} == {"taker"}


def test_what_was_taken_is_gone_for_the_next_order_until_the_feed_sets_the_level_again():
    floor = on(BOTH + NEXT[:2] + [(35, ASK, 101, 3)] + NEXT[2:])
    floor.give(5, at=15)
    floor.give(3, at=25)
    floor.give(4, at=36)
    floor.until(9)
    assert [(fill.order_id, fill.quantity, fill.price) for fill in floor.fills] == [
        (1, 3, 101), (1, 2, 102), (2, 2, 102), (2, 1, 105), (3, 3, 101), (3, 1, 105),
    ]  # fmt: skip
    assert floor.tape.state.taken[0] == ((ASK, 102, 2, 5), (ASK, 102, 2, 6), (ASK, 105, 1, 6), (ASK, 101, 3, 8),
                                         (ASK, 105, 1, 8))  # fmt: skip


def test_a_limit_takes_down_to_its_price_and_rests_with_what_is_left():
    floor = on(BOTH + NEXT[:1] + [(30, ASK, 102, 0), (30, ASK, 102, 6)])
    floor.give(9, at=15, kind="limit", limit=102)
    floor.until(8)
    assert floor.filled == [(1, 3, 101, "limit_at_book"), (1, 4, 102, "limit_at_book"), (1, 2, 102, "book_through")]
    assert [fill.liquidity for fill in floor.fills] == ["taker", "taker", "maker"]


def test_fill_or_kill_takes_the_whole_from_several_levels_or_nothing():
    floor = on(BOTH + NEXT)
    floor.give(8, at=15, kind="limit", limit=102, tif="FOK")
    floor.give(7, at=16, kind="limit", limit=102, tif="FOK")
    floor.until(8)
    assert [(each[0], each[1]) for each in floor.filled] == [(2, 3), (2, 4)]
    assert [r.order_id for r in floor.tape.block if isinstance(r, OrderCancelled)] == [1]


def test_slippage_is_added_to_each_level_and_stops_at_the_limit():
    floor = on(BOTH + NEXT, slippage=Fraction(1, 100))
    floor.give(4, at=15, kind="limit", limit=103)
    floor.until(8)
    assert [fill.price for fill in floor.fills] == [103, 103]


def test_a_taker_that_would_meet_its_own_order_is_cancelled():
    floor = on(BOTH + NEXT)
    floor.give(-2, at=11, kind="limit", limit=102)
    floor.give(9, at=15)
    floor.until(8)
    assert floor.filled == [(2, 3, 101, "book_walk")]
    assert [(r.order_id, r.reason) for r in floor.tape.block if isinstance(r, OrderCancelled)] == [(2, "self_trade")]


def test_a_stop_is_met_by_its_own_side_and_takes_from_the_next_book():
    floor = on([*BOTH, (20, ASK, 101, 0), (20, BID, 101, 2), (30, BID, 90, 1)])
    floor.give(2, at=15, kind="stop", stop=101)
    floor.until(8)
    assert floor.filled == [(1, 2, 102, "book_walk")]


def test_an_order_that_must_not_take_and_would_is_rejected_with_its_reason():
    floor = on(BOTH + NEXT)
    floor.give(2, at=15, kind="limit", limit=101, post_only=True)
    reasons = [record.reason for record in floor.tape.block if isinstance(record, OrderRejected)]
    assert reasons == ["post_only_would_cross"]


def test_a_trailing_stop_follows_whole_updates_of_its_own_side_and_takes_from_the_next_book():
    fallen = [(20, ASK, 101, 0), (20, ASK, 102, 0), (20, ASK, 99, 6)]  # never at 105, where the rows pass
    floor = on([*BOTH, *fallen, (30, ASK, 99, 0), (30, ASK, 97, 1), (40, ASK, 96, 9), (50, BID, 90, 1)])
    floor.give(-4, at=15, kind="trailing", trail=5)
    floor.until(20)
    assert [(r.row, r.by) for r in floor.tape.block if isinstance(r, OrderTriggered)] == [(10, "stop")]
    assert floor.filled == [(1, -4, 99, "book_walk")]


@pytest.mark.parametrize("seed", range(20))
def test_trailing_stops_on_a_book_equal_plain_python(seed):
    rng = np.random.default_rng(seed)
    stream = random_book(rng, 150, gone=0.6)
    ats = np.sort(rng.integers(11, 1_200, 6))
    given = [(int(rng.choice([-1, 1])), int(rng.integers(1, 5)), int(at)) for at in ats]
    floors = []
    for jumps in (True, False):
        floor = Floor(lambda: BookVenue(stream, TRADED, VenueRules()), stream.time, jumps=jumps)
        for quantity, trail, at in given:
            floor.give(quantity, at, kind="trailing", trail=trail)
        floor.until(150)
        floors.append(floor)
    assert floors[0].tape.block == floors[1].tape.block

    book, whole, expected = Book(), [], {}
    for index in range(150):
        book.apply(*(int(getattr(stream, name)[index]) for name in ("kind", "side", "price", "quantity", "time")))
        if index + 1 == 150 or stream.time[index + 1] > stream.time[index]:
            best = {1: book.bids(1), -1: book.asks(1)}
            whole.append((index, int(stream.time[index]), {side: at[0][0] for side, at in best.items() if at}))
    for number, (side, trail, at) in enumerate(given, 1):
        seen = [best[side] for _, time, best in whole if time <= at and side in best][-1:]
        for index, time, best in whole:
            if time > at and side in best:
                seen.append(best[side])
                if (best[side] - (min(seen) if side > 0 else max(seen))) * side >= trail:
                    expected[number] = index
                    break
    found = {r.order_id: r.row for r in floors[0].tape.block if isinstance(r, OrderTriggered)}
    assert found == expected
    assert expected


@pytest.mark.parametrize(("queue", "filled"), [("averse", 0), ("probable", 2)])
def test_a_maker_waits_for_the_queue_and_cancels_before_it_shorten_it_only_where_that_is_assumed(queue, filled):
    happened = trades([(40, 99, 4, ASK)])
    floor = on([*BOTH, (20, BID, 99, 10), (30, BID, 99, 4), (50, BID, 90, 1)], happened, queue=queue)
    floor.give(3, at=15, kind="limit", limit=99)
    floor.until(7)
    ahead = floor.venue._ahead(floor.tape.state.orders[1], 0)
    assert ahead == (4 if queue == "averse" else 2)
    assert floor.venue.next_trade(0, 1) == 0
    floor.venue.meet_trade(0, 7, cause_id(7, 0))
    assert sum(fill.quantity for fill in floor.fills) == filled


# -- against plain Python


def random_book(rng, rows, *, gone=0.0):
    """Of all levels set, about `gone` are taken away, beside those that are set to nothing."""
    time = np.cumsum(rng.integers(0, 3, rows)) * 10 + 10
    side = rng.choice([BID, ASK], rows)
    price = 100 - side * rng.integers(-1, 8, rows)
    quantity = np.where(rng.random(rows) < gone, 0, rng.integers(0, 6, rows)) if gone else rng.integers(0, 6, rows)
    return depth(list(zip(time, side, price, quantity, strict=True)))


@pytest.mark.parametrize("seed", range(40))
def test_walks_equal_those_over_a_plain_book_and_liquidity_is_never_used_twice(seed):
    rng = np.random.default_rng(seed)
    stream = random_book(rng, 120)
    given = [(int(rng.choice([-1, 1]) * rng.integers(1, 15)), int(at)) for at in np.sort(rng.integers(11, 1_200, 15))]
    floors = []
    for jumps in (True, False):
        floor = Floor(lambda: BookVenue(stream, TRADED, VenueRules()), stream.time, jumps=jumps)
        for quantity, at in given:
            floor.give(quantity, at)
        floor.until(120)
        floors.append(floor)
    assert floors[0].tape.block == floors[1].tape.block

    book, gone, live, expected, left_over = Book(), {}, [], [], list(enumerate(given, 1))
    for index in range(120):
        time, kind, side, price, quantity = (
            int(column[index]) for column in (stream.time, stream.kind, stream.side, stream.price, stream.quantity)
        )
        while left_over and left_over[0][1][1] < time:
            number, (wanted, _) = left_over.pop(0)
            live.append([number, wanted])
        for order in live:
            sign = 1 if order[1] > 0 else -1
            for at, lots in book.asks(99) if sign > 0 else book.bids(99):
                free = lots - gone.get((-sign, at), 0)
                taken = min(free, abs(order[1]))
                if taken > 0:
                    expected.append((order[0], taken * sign, at))
                    gone[-sign, at] = gone.get((-sign, at), 0) + taken
                    order[1] -= taken * sign
        live = [order for order in live if order[1]]
        if kind == SNAPSHOT and not (index and int(stream.kind[index - 1]) == SNAPSHOT):
            gone.clear()
        book.apply(kind, side, price, quantity, time)
        gone = {key: lots for key, lots in gone.items() if key[1] != price}
    assert [each[:3] for each in floors[0].filled] == expected
    assert any(isinstance(record, LevelsTaken) for record in floors[0].tape.block)


@pytest.mark.parametrize("seed", range(30))
def test_queues_and_touches_equal_plain_python(seed):
    rng = np.random.default_rng(seed)
    stream = random_book(rng, 100)
    time = np.sort(rng.integers(10, 1_000, 60))
    happened = trades(
        list(zip(time, 100 + rng.integers(-6, 4, 60), rng.integers(1, 4, 60), rng.choice([BID, ASK], 60), strict=True))
    )
    level, probable, ahead = 96, bool(rng.integers(0, 2)), 20
    place = np.array([0, 0, ahead, ahead, 0], dtype=np.int64)
    for depth_stop, trade_stop in ((40, 20), (100, 60)):
        fold_book_queue(
            stream.time, stream.side, stream.price, stream.quantity, happened.time, happened.side, happened.price,
            happened.quantity, place, depth_stop, trade_stop, level, BID, probable, 7, 3,
        )  # fmt: skip
    if stream.time[39] < happened.time[20] and happened.time[19] <= stream.time[40]:
        merged = [(int(at), 1, row) for row, at in enumerate(stream.time)]
        merged += [(int(at), 0, row) for row, at in enumerate(happened.time)]
        standing, traded = ahead, 0
        for _, of_book, row in sorted(merged):
            if not of_book:
                beyond, lots = level - int(happened.price[row]), int(happened.quantity[row])
                if beyond > 0:
                    ahead = 0
                elif beyond == 0 and happened.side[row] == ASK:
                    ahead, traded = max(0, ahead - lots), traded + lots
            elif stream.price[row] == level and stream.side[row] == BID:
                left, before = int(stream.quantity[row]), standing - traded
                if probable and before > left and ahead:
                    whole, rest = divmod((before - left) * ahead, before)
                    ahead -= whole + (draw(7, 3, row) % before < rest)
                ahead, standing, traded = max(0, min(ahead, left)), left, 0
        assert place[2:].tolist() == [ahead, standing, traded]
    found = next(
        (
            row
            for row in range(10, 100)
            if stream.quantity[row]
            and (stream.price[row] <= 97 if stream.side[row] == ASK else stream.price[row] >= 103)
        ),
        100,
    )
    assert next_touch_depth(stream.side, stream.price, stream.quantity, 10, 100, 97, 103) == found


def test_an_order_walks_the_book_as_it_stood_though_a_fill_before_it_let_a_child_begin():
    floor = on([*BOTH, (20, ASK, 101, 0), (20, ASK, 100, 90), (30, ASK, 101, 8), (40, BID, 90, 1)])
    parent = floor.give(3, at=15)
    floor.give(-3, at=15, kind="limit", limit=200, parent=parent)
    floor.give(4, at=15)
    floor.until(7)
    floor.give(92, at=35)
    floor.until(9)
    assert floor.filled[:2] == [(1, 3, 101, "book_walk"), (3, 4, 102, "book_walk")]
    assert floor.tape.state.taken[0][0] == (ASK, 102, 4, 5)
    assert floor.filled[2:] == [(4, 90, 100, "book_walk"), (4, 2, 101, "book_walk")]
