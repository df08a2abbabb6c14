"""What a book and its trades leave of the quantity before a resting order, and which depth row could touch one.

Rule 1: trades at the price take from the front; whoever is passed by a trade has no one before him.
Rule 2: what a level loses beside trades was cancelled: averse, it was cancelled behind us, as long as the level still
        holds what is before us; probable, before us in proportion, the remainder by a number drawn from
        (seed, order, row): the same in every run, without a state that could be lost.
"""

from __future__ import annotations

from kronos.trading.columns import Int64s
from kronos.trading.fast.compiled import compiled

__all__ = ["draw", "fold_book_queue", "next_touch_depth"]

_MASK = 0x7FFFFFFF


@compiled
def draw(seed: int, order: int, row: int) -> int:
    """Return 31 bits that depend on nothing but the three numbers (below 2^30 each)."""
    bits = (seed + order * 0x9E3779B1 + row * 0x85EBCA77) & _MASK
    bits ^= bits >> 15
    bits = (bits * 0x2C1B3C6D) & _MASK
    bits ^= bits >> 12
    bits = (bits * 0x297A2D39) & _MASK
    return bits ^ (bits >> 15)


@compiled
def next_touch_depth(side: Int64s, price: Int64s, quantity: Int64s, start: int, stop: int, low: int, high: int) -> int:
    """Return the first row in [start, stop) that asks at or below `low` or bids at or above `high`, or `stop`."""
    for row in range(start, stop):
        if quantity[row] > 0 and ((side[row] < 0 and price[row] <= low) or (side[row] > 0 and price[row] >= high)):
            return row
    return stop


@compiled
def fold_book_queue(
    depth_time: Int64s,
    depth_side: Int64s,
    depth_price: Int64s,
    depth_quantity: Int64s,
    trade_time: Int64s,
    trade_side: Int64s,
    trade_price: Int64s,
    trade_quantity: Int64s,
    place: Int64s,
    depth_stop: int,
    trade_stop: int,
    level: int,
    sign: int,
    probable: bool,
    seed: int,
    order: int,
) -> None:
    """Move the queue of one order over the rows before `depth_stop` and `trade_stop`, a trade before a depth row of its
    time.

    `place` (shape (5,), in place): next depth row, next trade, quantity ahead, the level's quantity, traded since.
    """
    row, trade, ahead, standing, traded = place
    while row < depth_stop or trade < trade_stop:
        if trade < trade_stop and (row >= depth_stop or trade_time[trade] <= depth_time[row]):
            beyond = (level - trade_price[trade]) * sign
            if beyond > 0:
                ahead = 0
            elif beyond == 0 and trade_side[trade] != sign:
                ahead = max(0, ahead - trade_quantity[trade])
                traded += trade_quantity[trade]
            trade += 1
            continue
        if depth_price[row] == level and depth_side[row] == sign:
            left = depth_quantity[row]
            before = standing - traded
            gone = before - left
            if probable and gone > 0 and ahead > 0:
                share = gone * ahead
                ahead -= share // before
                if draw(seed, order, row) % before < share % before:
                    ahead -= 1
            ahead = max(0, min(ahead, left))
            standing, traded = left, 0
        row += 1
    place[0], place[1], place[2], place[3], place[4] = row, trade, ahead, standing, traded
