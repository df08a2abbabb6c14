"""What a trailing stop on a book follows: the best of its own side after each whole update.

Rule 1: between the rows of one update a book is in no state that a market was ever in: only whole updates count.
Rule 2: it is measured from the book as it stood when the order came; while its side is empty, it stays where it was.
Rule 3: all of it follows from the dataset and the order: it is no state.
"""

from __future__ import annotations

import numpy as np

from kronos.trading.columns import Int64s
from kronos.trading.fast.ladder import tops
from kronos.trading.fast.trades import next_trail
from kronos.trading.orders import Order
from kronos.trading.streams import Depth

__all__ = ["Trails"]


class Trails:
    """The best bids and asks of `depth` over time; made when the first trailing stop comes."""

    def __init__(self, depth: Depth) -> None:
        """Walk the whole book once."""
        ends = np.append(np.flatnonzero(np.diff(depth.source)), depth.rows - 1)
        best = tops(depth, ends + 1)
        self._sides = {
            1: (ends[best[0] > 0], best[0][best[0] > 0]),
            -1: (ends[best[2] > 0], best[2][best[2] > 0]),
        }
        self._extremes: dict[int, tuple[int, int, int]] = {}

    def next_turn(self, order: Order, first: int, index: int, stop: int) -> int:
        """Return the first of the rows index..stop-1 that meets an order which came before row `first`, or `stop`."""
        rows, prices, sign = self._of(order)
        begin, end = (int(np.searchsorted(rows, row)) for row in (max(index, first), stop))
        if begin >= end:
            return stop
        place = int(next_trail(prices, begin, end, self._extreme(order, first, begin), order.terms.trail, sign))
        return int(rows[place]) if place < end else stop

    def is_met(self, order: Order, first: int, index: int) -> bool:
        """Return whether row `index` ends an update at which the order, that came before row `first`, is met."""
        return self.next_turn(order, first, index, index + 1) == index

    def forget(self, alive: dict[int, Order]) -> None:
        """Forget the orders that are not among those that are alive."""
        for order_id in [each for each in self._extremes if each not in alive]:
            del self._extremes[order_id]

    def _of(self, order: Order) -> tuple[Int64s, Int64s, int]:
        sign = 1 if order.quantity > 0 else -1
        return *self._sides[sign], sign

    def _extreme(self, order: Order, first: int, place: int) -> int:
        """Return the lowest bid or highest ask from when the order came up to before `place`."""
        rows, prices, sign = self._of(order)
        since, done, extreme = self._extremes.get(order.id, (-1, 0, 0))
        if since != order.since or done > place:  # given new terms at the venue, it is measured anew
            done = max(int(np.searchsorted(rows, first)) - 1, 0)
            extreme = int(prices[done])
        if done < place:
            seen = prices[done:place]
            extreme = min(extreme, int(seen.min())) if sign > 0 else max(extreme, int(seen.max()))
        self._extremes[order.id] = (order.since, max(done, place), extreme)
        return extreme
