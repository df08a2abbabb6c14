"""Which bars could touch the orders that rest: one compare a row, whatever their number.

Rule 1: a wake may be early, never late: what it lets pass touches nothing.
Rule 2: the extreme that a trailing stop follows is that of the bars since its order, and is found again from them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from kronos.trading.bars import Bars
from kronos.trading.orders import Order

__all__ = ["Wakes", "expiry_of"]

NEVER: Final = 2**62
_SEARCH_ROWS: Final = 64
"""Bars looked at first by a search; twice as many each time after."""

_DAY_NS: Final = 86_400_000_000_000


class Wakes:
    """`is_eager`: every bar; else those with a low at or below `low`, a high at or above `high`, or after `expiry`."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self.is_eager = False
        self.low, self.high, self.expiry = 0, NEVER, NEVER
        self._extremes: dict[int, int] = {}
        self._buys: dict[int, bool] = {}

    def rearm(self, orders: Iterable[Order]) -> None:
        """Look at the orders that the venue has."""
        self.is_eager, self.low, self.high, self.expiry = False, 0, NEVER, NEVER
        self._extremes.clear()
        for order in orders:
            self.expiry = min(self.expiry, expiry_of(order, self._bars))
            if order.held:
                continue
            level = _fixed_level(order)
            if level is None or order.terms.is_immediate:
                self.is_eager = True
            elif (order.quantity > 0) == _waits_as_limit(order):
                self.low = max(self.low, level)
            else:
                self.high = min(self.high, level)

    def search(self, index: int, stop: int) -> int:
        """Return the first of the bars index..stop-1 that is to be looked at, or `stop`."""
        if self.is_eager or index >= stop:
            return index
        bars, step = self._bars, _SEARCH_ROWS
        if not self.low and self.high == self.expiry == NEVER:
            return stop
        while index < stop:
            end = min(index + step, stop)
            touched = (bars.low[index:end] <= self.low) | (bars.high[index:end] >= self.high)
            if self.expiry != NEVER:
                touched |= bars.open_time[index:end] >= self.expiry
            found = int(touched.argmax())
            if touched[found]:
                return index + found
            index, step = end, step * 2
        return stop

    def level(self, order: Order, row: int, *, price: int | None = None) -> int | None:
        """Return the price (ticks) at which `order` is touched, None for one that takes any.

        `price` is where the path stands inside `row`; a trailing stop follows it.
        """
        if order.terms.kind != "trailing" or order.triggered:
            return _fixed_level(order)
        buys = order.quantity > 0
        extreme = self._extremes.get(order.id)
        if extreme is None:
            extreme = self._extremes[order.id] = self._since(order, row)
            self._buys[order.id] = buys
        if price is not None:
            extreme = self._extremes[order.id] = min(extreme, price) if buys else max(extreme, price)
        return extreme + order.terms.trail if buys else extreme - order.terms.trail

    def follow(self, price: int) -> None:
        """Let every trailing stop that is being watched follow the path to `price`."""
        for order_id, extreme in self._extremes.items():
            self._extremes[order_id] = min(extreme, price) if self._buys[order_id] else max(extreme, price)

    def _since(self, order: Order, row: int) -> int:
        """Return the lowest low (a buy) or the highest high since the order was given, its own close included."""
        bars = self._bars
        known = int(np.searchsorted(bars.open_time, order.since - bars.interval_ns, side="right")) - 1
        given = max(known, 0)
        close = int(bars.close[given]) if known >= 0 else int(bars.open[row])
        column = bars.low if order.quantity > 0 else bars.high
        if given + 1 >= row:
            return close
        seen = column[given + 1 : row]
        return min(close, int(seen.min())) if order.quantity > 0 else max(close, int(seen.max()))


def expiry_of(order: Order, bars: Bars) -> int:
    """Return the time (ns UTC) from which an order is no more; a DAY order ends with the UTC day it was given in."""
    if order.terms.tif == "GTD":
        return order.terms.until
    if order.terms.tif != "DAY":
        return NEVER
    given = max(order.since, int(bars.open_time[0]))
    return (given // _DAY_NS + 1) * _DAY_NS


def _waits_as_limit(order: Order) -> bool:
    return order.terms.kind == "limit" or (order.terms.kind == "stop_limit" and order.triggered)


def _fixed_level(order: Order) -> int | None:
    terms = order.terms
    if terms.kind == "limit" or (terms.kind == "stop_limit" and order.triggered):
        return terms.limit
    if terms.kind in {"stop", "stop_limit"} and not order.triggered:
        return terms.stop
    return None
