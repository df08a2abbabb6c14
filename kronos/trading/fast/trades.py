"""Trades and resting orders: the first trade that could fill one, and what the trades before it took of the queue.

Rule 1: a trade passes a resting order when it is at a worse price for the aggressor: the queue there is gone.
Rule 2: a trade at the order's price takes from the queue when the aggressor is on the other side.

Rule 3: the last trade at a price is found from its row backwards; blocks whose prices span another range are passed by.

Arrays of trades have shape (rows,), arrays of orders shape (orders,); `signs` are 1 for buys and -1 for sells.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from kronos.trading.columns import Int64s
from kronos.trading.fast.compiled import compiled

__all__ = ["advance_trades", "block_ranges", "fold_queue", "last_at", "next_touch_trades", "next_trail"]

BLOCK_ROWS: Final = 512
"""Rows whose lowest and highest price are kept."""


def block_ranges(price: Int64s) -> tuple[Int64s, Int64s]:
    """Return the lowest and the highest price of each block of 512 rows, shape (blocks,)."""
    starts = np.arange(0, price.shape[0], BLOCK_ROWS)
    return np.minimum.reduceat(price, starts), np.maximum.reduceat(price, starts)


@compiled
def last_at(price: Int64s, lows: Int64s, highs: Int64s, stop: int, level: int) -> int:
    """Return the last row before `stop` at price `level`, -1 when there is none; `lows`, `highs`: its block ranges."""
    row = stop - 1
    while row >= 0:
        block = row // BLOCK_ROWS
        first = block * BLOCK_ROWS
        if lows[block] <= level <= highs[block]:
            for each in range(row, first - 1, -1):
                if price[each] == level:
                    return each
        row = first - 1
    return -1


@compiled
def next_touch_trades(price: Int64s, start: int, stop: int, low: int, high: int) -> int:
    """Return the first row in [start, stop) at or below `low` or at or above `high`, `stop` when there is none."""
    for row in range(start, stop):
        if price[row] <= low or price[row] >= high:
            return row
    return stop


@compiled
def next_trail(price: Int64s, start: int, stop: int, extreme: int, trail: int, sign: int) -> int:
    """Return the first row in [start, stop) at which prices turned by `trail` ticks from their extreme since.

    `sign` 1 is a buy: the extreme is the lowest price, and the turn is upwards.
    """
    for row in range(start, stop):
        if (price[row] - extreme) * sign >= trail:
            return row
        if (price[row] - extreme) * sign < 0:
            extreme = price[row]
    return stop


@compiled
def advance_trades(
    price: Int64s,
    quantity: Int64s,
    side: Int64s,
    start: int,
    stop: int,
    levels: Int64s,
    signs: Int64s,
    ahead: Int64s,
) -> int:
    """Return the first row in [start, stop) that fills an order, `stop` when there is none.

    `ahead` is the quantity (steps) before each order; the rows before the one returned are taken from it, in place.
    """
    low, high = -(2**62), 2**62
    for each in range(levels.shape[0]):
        if signs[each] > 0:
            low = max(low, levels[each])
        else:
            high = min(high, levels[each])
    for row in range(start, stop):
        paid = price[row]
        if low < paid < high:
            continue
        for each in range(levels.shape[0]):
            beyond = (levels[each] - paid) * signs[each]
            if beyond > 0 or (beyond == 0 and side[row] != signs[each] and quantity[row] > ahead[each]):
                return row
        for each in range(levels.shape[0]):
            if paid == levels[each] and side[row] != signs[each]:
                ahead[each] -= quantity[row]
    return stop


@compiled
def fold_queue(
    price: Int64s, quantity: Int64s, side: Int64s, start: int, stop: int, level: int, sign: int, ahead: int
) -> int:
    """Return what is left of the quantity `ahead` of one order after the rows [start, stop)."""
    for row in range(start, stop):
        beyond = (level - price[row]) * sign
        if beyond > 0:
            return 0
        if beyond == 0 and side[row] != sign:
            ahead -= quantity[row]
            if ahead <= 0:
                return 0
    return ahead
