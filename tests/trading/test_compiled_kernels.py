"""Compiled search and folding equal plain Python that shares no code with them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kronos.errors import InvalidInput
from kronos.market.candles import candle_columns
from kronos.market.captures import CaptureOptions, prepare_capture
from kronos.trading.book import Book
from kronos.trading.fast.candles import candles
from kronos.trading.fast.ladder import Ladder, tops
from kronos.trading.fast.merge import check_times, merge
from kronos.trading.fast.trades import (
    advance_trades,
    block_ranges,
    fold_queue,
    last_at,
    next_touch_trades,
    next_trail,
)
from kronos.trading.streams import Depth, Quotes, Trades
from kronos.trading.timeline import _merge

GRID = {"dataset": "d", "instrument": "X", "tick": Decimal("0.1"), "volume_step": Decimal("0.001")}
SEEDS = range(40)


def random_trades(rng, rows=120):
    price = 100 + np.cumsum(rng.integers(-2, 3, rows))
    return price, rng.integers(1, 9, rows), rng.choice(np.array([-1, 1]), rows)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_first_trade_that_touches_a_range_is_found(seed):
    rng = np.random.default_rng(seed)
    price, _, _ = random_trades(rng)
    start, stop = sorted(int(each) for each in rng.integers(0, 121, 2))
    low, high = int(rng.integers(90, 100)), int(rng.integers(101, 110))
    expected = next((row for row in range(start, stop) if not low < price[row] < high), stop)
    assert next_touch_trades(price, start, stop, low, high) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_the_last_trade_at_a_price_is_found_across_blocks(seed):
    rng = np.random.default_rng(seed)
    price, _, _ = random_trades(rng, rows=1_500)
    ranges = block_ranges(price)
    for stop in (0, 1, 512, 513, 1_500, *rng.integers(0, 1_500, 5)):
        for level in rng.integers(price.min() - 2, price.max() + 3, 20):
            expected = next((row for row in range(int(stop) - 1, -1, -1) if price[row] == level), -1)
            assert last_at(price, *ranges, int(stop), int(level)) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_a_trailing_price_turns_where_plain_python_says_so(seed):
    rng = np.random.default_rng(seed)
    price, _, _ = random_trades(rng)
    trail, sign = int(rng.integers(1, 6)), int(rng.choice([-1, 1]))
    seen, expected = [100], 120
    for row in range(120):
        extreme = min(seen) if sign > 0 else max(seen)
        if (price[row] >= extreme + trail) if sign > 0 else (price[row] <= extreme - trail):
            expected = row
            break
        seen.append(int(price[row]))
    assert next_trail(price, 0, 120, 100, trail, sign) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_the_first_trade_that_fills_a_resting_order_is_found_and_the_queues_before_it_shrink(seed):
    rng = np.random.default_rng(seed)
    price, quantity, side = random_trades(rng)
    count = int(rng.integers(1, 5))
    signs = rng.choice(np.array([-1, 1]), count)
    levels = 100 - signs * rng.integers(0, 8, count)
    before = rng.integers(0, 30, count)
    ahead, expected, queues = before.copy(), 120, before.tolist()
    for row in range(120):
        hit = []
        for each in range(count):
            buys = signs[each] > 0
            passes = price[row] < levels[each] if buys else price[row] > levels[each]
            at = price[row] == levels[each] and side[row] == (-1 if buys else 1)
            if passes or (at and quantity[row] > queues[each]):
                expected = row
                break
            if at:
                hit.append(each)
        if expected < 120:
            break
        for each in hit:
            queues[each] -= int(quantity[row])
    assert advance_trades(price, quantity, side, 0, 120, levels, signs, ahead) == expected
    assert ahead.tolist() == queues
    for each in range(count):
        sign, level, left = int(signs[each]), int(levels[each]), int(before[each])
        assert fold_queue(price, quantity, side, 0, expected, level, sign, left) == max(0, queues[each])


def random_depth(rng, rows=300):
    kind = np.ones(rows, dtype=np.int64)
    source = np.cumsum(rng.integers(0, 2, rows)) + 1
    for update in rng.choice(source, 3):
        kind[source == update] = 0
    side = rng.choice(np.array([-1, 1]), rows)
    price = 500 - side * rng.integers(-3, 30, rows)
    price[rng.integers(0, rows, 5)] += 5_000
    quantity = rng.integers(0, 4, rows)
    time = np.arange(1, rows + 1, dtype=np.int64)
    return Depth(**GRID, time=time, available=time, source=source, kind=kind, side=side, price=price, quantity=quantity)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_ladder_is_the_book_row_by_row_forward_back_and_in_one_call(seed):
    rng = np.random.default_rng(seed)
    depth = random_depth(rng)
    ladder, book, best = Ladder(depth), Book(), []
    for row in range(depth.rows):
        columns = (depth.kind, depth.side, depth.price, depth.quantity, depth.source)
        book.apply(*(int(column[row]) for column in columns))
        ladder.advance(row + 1)
        assert (ladder.bid, ladder.ask) == (book.bid, book.ask)
        assert ladder.levels(1, 9) == book.bids(9)
        assert ladder.levels(-1, 9) == book.asks(9)
        best.append([*(book.bid or (0, 0)), *(book.ask or (0, 0))])
    stops = np.sort(rng.integers(1, depth.rows + 1, 50))
    assert tops(depth, stops).T.tolist() == [best[stop - 1] for stop in stops]
    back = int(stops[0])
    ladder.advance(back)
    assert [*(ladder.bid or (0, 0)), *(ladder.ask or (0, 0))] == best[back - 1]


def test_a_book_whose_prices_span_too_much_is_refused():
    one = np.ones(2, dtype=np.int64)
    price = np.array([1, 2**40], dtype=np.int64)
    depth = Depth(**GRID, time=one, available=one, source=one, kind=one, side=one, price=price, quantity=one)
    with pytest.raises(InvalidInput, match="import with a coarser tick"):
        Ladder(depth)


@pytest.mark.parametrize("seed", SEEDS)
def test_candles_in_one_pass_equal_the_vectorised_ones(seed):
    rng = np.random.default_rng(seed)
    price, quantity, side = random_trades(rng)
    time = np.cumsum(rng.integers(0, 40, 120)) + 1_000
    trades = Trades(**GRID, time=time, available=time, source=time, price=price, quantity=quantity, side=side)
    grouped = pd.DataFrame({"price": price, "quantity": quantity}).groupby(time // 60 * 60)
    expected = grouped.price.agg(["first", "max", "min", "last"]).assign(volume=grouped.quantity.sum()).reset_index()
    assert candles(time, price, quantity, 60).tolist() == [expected[name].tolist() for name in expected]
    assert [column.tolist() for column in candle_columns(trades, 60).values()] == expected.T.to_numpy().tolist()
    assert candles(time[::-1].copy(), price, quantity, 60) is None
    back = np.array([0, 6_000, 12_000, 0])
    assert candles(back, price[:4].copy(), quantity[:4].copy(), 60) is None, "further than its last row says"


@pytest.mark.exactness
def test_after_every_update_of_the_usdm_capture_the_top_of_the_book_is_the_last_book_ticker(data_folder: Path):
    path = data_folder / "binance_ws_20240808" / "usdm_btcusdt_20240808.gz"
    options = CaptureOptions(name="usdm", instrument="BTCUSDT", clock="shift")
    columns = {each.kind: each.columns for each in prepare_capture(path, options)}
    depth, quotes = Depth(**GRID, **columns["depth"]), Quotes(**GRID, **columns["quotes"])
    ends = np.flatnonzero(np.append(np.diff(depth.source) != 0, True)) + 1
    updates = ends[1:]  # the first is the snapshot
    best = tops(depth, updates)
    last = np.searchsorted(quotes.source, depth.source[updates - 1], side="right") - 1
    wanted = np.stack([column[last] for column in (quotes.bid, quotes.bid_quantity, quotes.ask, quotes.ask_quantity)])
    assert (last >= 0).all()
    assert len(updates) == 6_547  # 6,546, and the one that the snapshot falls into
    assert int((best == wanted).all(axis=0).sum()) == len(updates)


@pytest.mark.parametrize("seed", range(20))
def test_long_streams_are_merged_and_checked_as_short_ones_are(seed):
    rng = np.random.default_rng(seed)
    exchange = [np.sort(rng.integers(1, 60, count)) for count in (40, 25, 10)]
    available = [np.maximum.accumulate(times + rng.integers(0, 3, times.shape[0])) for times in exchange]
    assert [each.tolist() for each in merge(available, exchange)] == [
        each.tolist() for each in _merge(available, exchange)
    ]
    for known, happened in zip(available, exchange, strict=True):
        assert check_times(known, happened) == (True, False, bool((known == happened).all()))
        assert check_times(happened - 1, happened)[0] is False
        assert check_times(known[::-1].copy(), happened)[0] is bool((known == known[0]).all())
    assert check_times(np.array([5, 5]), np.array([4, 3])) == (True, True, False)
